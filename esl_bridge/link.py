"""The connections to one FreeSWITCH, which live and die together.

Two of them: FreeSWITCH writes all queued events before it reads the next command of the same connection, so commands on
the event connection would wait behind a burst.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent.event
from greenswitch.esl import NotConnectedError

from esl_bridge.client import SILENCE_SECONDS, ESLClient
from esl_bridge.framing import Frame
from esl_bridge.parts import Parts

log = logging.getLogger(__name__)

# What facts are made of, and nothing else: with ALL a bridged call is 340 KB, with these 130.
EVENTS: Final = (
    "CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_PARK",
    "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY",
    "BACKGROUND_JOB", "HEARTBEAT", "RECORD_START", "RECORD_STOP", "DTMF", "SHUTDOWN", "SHUTDOWN_REQUESTED",
)  # fmt: skip
CUSTOM_EVENTS: Final = ("sofia::register", "sofia::unregister", "sofia::expire", "sofia::gateway_state", "avmd::beep")
# The command connection hears no heartbeat; a question as often as this, with its deadline, finds a dead one.
PING_SECONDS: Final = 10.0
_WHO: Final = "global_getvar core_uuid"
CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Switch:
    """Where a FreeSWITCH listens. `silence`: seconds without a byte until it counts as dead (HEARTBEAT: every 20)."""

    host: str
    port: int
    password: str
    silence: float = SILENCE_SECONDS


class Link:
    """`open()` raises NotConnectedError. `down` is set when either connection has gone; `reason` says why."""

    def __init__(self, switch: Switch, on_frame: Callable[[Frame], bool]) -> None:
        self.down = gevent.event.Event()
        self.reason = ""
        self.switch_uuid = ""
        self.opened = 0.0  # monotonic
        self.parts = Parts(self._part_ended)
        host, port, password = switch.host, switch.port, switch.password
        self.events = ESLClient(host, port, password, CONNECT_SECONDS, on_frame=on_frame, silence=switch.silence)
        self.commands = ESLClient(host, port, password, CONNECT_SECONDS, silence=None)

    def open(self) -> None:
        try:
            self.commands.connect()
            (who,) = self.ask(_WHO)
            self.switch_uuid = _core_uuid(who)
            self.events.connect()
            wanted = " ".join((*EVENTS, "CUSTOM", *CUSTOM_EVENTS))
            reply = str(self.events.send(f"event json {wanted}").data)
            if not reply.startswith("+OK"):
                raise NotConnectedError(f"the switch refused the subscription: {reply[:80]}")
        except BaseException as error:
            self.fail(str(error) or type(error).__name__)
            raise
        self.opened = time.monotonic()
        self.parts.lasting("watch of events", self._watch, self.events)
        self.parts.lasting("watch of commands", self._watch, self.commands)
        self.parts.lasting("ping", self._ping)

    def fail(self, reason: str) -> None:
        """Close both at once."""
        if not self.down.is_set():
            self.reason = reason
            self.parts.over()
            self.down.set()
            self.events.fail(reason)
            self.commands.fail(reason)

    def close(self) -> None:
        """Say goodbye, then close."""
        self.events.stop()
        self.commands.stop()
        self.fail("closed by us")

    def ask(self, *commands: str) -> list[str]:
        """The replies to several `api` commands, each surely its own. Raises NotConnectedError."""
        return self.commands.ask(commands)

    def alive(self) -> dict[str, bool]:
        """Of each part, whether it lives; nothing when the link is down."""
        if self.down.is_set():
            return {}
        clients = (("events", self.events), ("commands", self.commands))
        inside = {f"{name} {part}": well for name, client in clients for part, well in client.parts.alive().items()}
        return inside | self.parts.alive()

    @property
    def failed(self) -> int:
        """Parts that ended before their time."""
        return self.parts.failed + self.events.parts.failed + self.commands.parts.failed

    def _part_ended(self, why: str) -> None:
        # One of them ends with its connection, which knows more.
        self.fail(self.events.reason or self.commands.reason or why)

    def _watch(self, client: ESLClient) -> None:
        client.closed.wait()
        self.fail(client.reason)

    def _ping(self) -> None:
        while not self.down.wait(PING_SECONDS):
            try:
                self.ask()
            except NotConnectedError as error:
                log.warning("the switch was not asked whether it is there: %s", error)


def _core_uuid(reply: str) -> str:
    reply = reply.strip()
    return reply if len(reply) == 36 and reply.count("-") == 4 else ""
