"""The switch itself: its clock, its events, its legs and its limits."""

from __future__ import annotations

import asyncio
import random
import time
import uuid as uuids
from collections.abc import Callable
from typing import Any, Protocol

from esl_bridge.simulator.config import Config
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.log import LegLog
from esl_bridge.simulator.protocol import Block, Event, Value
from esl_bridge.simulator.registrations import Registrations
from esl_bridge.simulator.tables import FIRED_AT, VERBOSE

TICK = 0.02
"""Seconds. FreeSWITCH's clock and its channel threads step by this."""
_TICK_US = 20_000
SQL_LAG = 0.1
"""Seconds `show` is behind: the real one is fed by an asynchronous SQL thread."""
VERSION = "1.10.12-release"
MAX_TIMERS = 32
"""Planned things of one leg before those that have happened are forgotten."""


class Listeners(Protocol):
    """Who gets the events."""

    def wants(self, name: str) -> bool:
        """Whether anybody subscribed to an event of this name."""

    def publish(self, event: Event) -> None:
        """Hand an event to everybody who wants it."""


class Switch:
    """State of one simulated FreeSWITCH process. Single-threaded: the event loop's."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, listeners: Listeners) -> None:
        self.config = config
        self.loop = loop
        self.log = LegLog(config.log)
        self._listeners = listeners
        self.globals: dict[str, str] = {"hold_music": "local_stream://moh", "domain": config.domain}
        self.reject_jobs = False
        self.boot()

    def boot(self) -> None:
        """Become a new process: new Core-UUID, sequence from 1, no legs."""
        self.core_uuid = str(uuids.uuid4())
        self.sequence = 0
        self.legs: dict[str, Leg] = {}
        self.table: dict[str, Leg] = {}
        """Legs as `show` sees them, SQL_LAG late."""
        self.started = time.time()
        self.sessions_per_second = self.config.sessions_per_second
        self.max_sessions = self.config.max_sessions
        self.paused = False
        self.shutting_down = False
        self.registrations = Registrations(self)
        self.shutdown_pending = False
        self.sessions_since_startup = 0
        self.peak_sessions = 0
        self.peak_rate = 0
        self.last_rate = 0
        self._second = 0
        self._this_second = 0
        self._rng = random.Random(f"{self.config.seed}/{self.core_uuid}")
        self._phase = self._rng.randrange(_TICK_US)
        self._stamp_second = -1
        self._stamps = ("", "")
        self._constant: dict[str, Value] = {
            "Core-UUID": self.core_uuid,
            "FreeSWITCH-Hostname": self.config.hostname,
            "FreeSWITCH-Switchname": self.config.switchname,
            "FreeSWITCH-IPv4": "127.0.0.1",
            "FreeSWITCH-IPv6": "::1",
        }

    # Time

    def now_us(self) -> int:
        """Microseconds since 1970, stepping by the 20 ms core tick."""
        now = int(time.time() * 1_000_000)
        return now - (now - self._phase) % _TICK_US

    def later(self, leg: Leg, seconds: float, action: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Do something after simulated seconds, unless the leg ends first."""
        handle = self.loop.call_later(seconds / self.config.speed, action, *args)
        if len(leg.timers) > MAX_TIMERS:  # an agent's leg lives all day
            now = self.loop.time()
            leg.timers = [t for t in leg.timers if t.when() > now and not t.cancelled()]
        leg.timers.append(handle)
        return handle

    def after(self, seconds: float, action: Callable[..., None], *args: Any) -> None:
        """Do something after simulated seconds, whatever becomes of the legs."""
        self.loop.call_later(seconds / self.config.speed, action, *args)

    def soon(self, action: Callable[..., None], *args: Any) -> None:
        """Do something as the next thing."""
        self.loop.call_soon(action, *args)

    # Events

    def make(
        self,
        name: str,
        leg: Leg | None = None,
        first: dict[str, Value] | None = None,
        last: dict[str, Value] | None = None,
        *,
        fired_at: str | None = None,
        subclass: str = "",
        body: str = "",
        verbose: bool | None = None,
    ) -> Event:
        """Create an event now: its sequence number and time are given here, not when fired.

        `first` are headers before those of the channel, `last` those after its variables.
        """
        self.sequence += 1
        file, function, line = FIRED_AT[fired_at or name]
        now = self.now_us()
        local, gmt = self._time_stamps(now // 1_000_000)
        head: dict[str, Value] = {"Event-Name": name}
        head.update(self._constant)
        head["Event-Date-Local"] = local
        head["Event-Date-GMT"] = gmt
        head["Event-Date-Timestamp"] = str(now)
        head["Event-Calling-File"] = file
        head["Event-Calling-Function"] = function
        head["Event-Calling-Line-Number"] = str(line)
        head["Event-Sequence"] = str(self.sequence)
        blocks = [Block(head)]
        if first:
            blocks.append(Block(first))
        if leg is not None:
            blocks += leg.blocks(verbose=name in VERBOSE if verbose is None else verbose)
        if last:
            blocks.append(Block(last))
        return Event(name, self.sequence, blocks, subclass, body)

    def emit(
        self,
        name: str,
        leg: Leg | None = None,
        first: dict[str, Value] | None = None,
        last: dict[str, Value] | None = None,
        *,
        fired_at: str | None = None,
    ) -> None:
        """Create and fire an event; if nobody listens, only its sequence number is used up."""
        if self._listeners.wants(name):
            self._listeners.publish(self.make(name, leg, first, last, fired_at=fired_at))
        else:
            self.sequence += 1

    def reserve(self, name: str, first: dict[str, Value], body: str = "") -> Event | None:
        """Create an event to fire later; None, and its number used up, if nobody listens."""
        if self._listeners.wants(name):
            return self.make(name, first=first, body=body)
        self.sequence += 1
        return None

    def fire(self, event: Event) -> None:
        """Fire an event made earlier."""
        self._listeners.publish(event)

    def state(self, leg: Leg, state: str, number: int) -> None:
        """Move a leg to a state and say so with CHANNEL_STATE."""
        leg.state = state
        leg.state_number = number
        self.emit("CHANNEL_STATE", leg)

    def callstate(self, leg: Leg, new: str) -> None:
        """Move a leg to a call state and say so."""
        self.emit("CHANNEL_CALLSTATE", leg, first=leg.callstate_headers(new))

    def presence(self, leg: Leg, info: str, caller: tuple[str, str, int], status: str) -> None:
        """The PRESENCE_IN of a leg that has a presence id; none for trunks."""
        if not leg.presence_id:
            return
        file, function, line = caller
        last: dict[str, Value] = {
            "proto": "any",
            "login": "src/switch_channel.c",
            "from": leg.presence_id,
            "rpid": "unknown",
            "status": status,
            "event_type": "presence",
            "alt_event_type": "dialog",
            "presence-call-info-state": info,
            "presence-call-direction": "outbound",
            "event_count": str(leg.presence_count),
            "Presence-Calling-File": file,
            "Presence-Calling-Function": function,
            "Presence-Calling-Line": str(line),
        }
        leg.presence_count += 1
        self.emit("PRESENCE_IN", leg, last=last)

    def heartbeat(self) -> None:
        """Fire HEARTBEAT, and the RE_SCHEDULE the scheduler adds."""
        up = time.time() - self.started
        self._roll_second()
        self.emit(
            "HEARTBEAT",
            first={
                "Event-Info": "System Ready",
                "Up-Time": uptime_text(up),
                "FreeSWITCH-Version": "1.10.12-release~64bit",
                "Uptime-msec": str(int(up * 1000)),
                "Session-Count": str(len(self.legs)),
                "Max-Sessions": str(self.max_sessions),
                # The budget left in this second, not a rate (seen on the real one).
                "Session-Per-Sec": str(max(0, self.sessions_per_second - self._this_second)),
                "Session-Per-Sec-Last": str(self.last_rate),
                "Session-Per-Sec-Max": str(self.peak_rate),
                "Session-Per-Sec-FiveMin": str(self.peak_rate),
                "Session-Since-Startup": str(self.sessions_since_startup),
                "Session-Peak-Max": str(self.peak_sessions),
                "Session-Peak-FiveMin": str(self.peak_sessions),
                "Idle-CPU": "100.000000",
            },
        )
        self.emit(
            "RE_SCHEDULE",
            first={
                "Task-ID": "1",
                "Task-Desc": "heartbeat",
                "Task-Group": "core",
                "Task-Runtime": str(int(time.time() + self.config.heartbeat)),
            },
        )

    # Legs

    def admit(self) -> bool:
        """Whether another session may be created now; counts it if so.

        Throttle, session limit and pause are told apart only in FreeSWITCH's log.
        """
        self._roll_second()
        if self.paused or self.shutting_down or self.reject_jobs:
            return False
        if self.config.throttle:
            if len(self.legs) >= self.max_sessions:
                return False
            # `fsctl sps N` lets N-1 sessions of a second through.
            if self._this_second >= self.sessions_per_second - 1:
                return False
        self._this_second += 1
        self.peak_rate = max(self.peak_rate, self._this_second)
        self.sessions_since_startup += 1
        return True

    def rng_for(self, uuid: str) -> random.Random:
        """A source of harmless details (ports, tags) for one leg."""
        return random.Random(uuid)

    def add(self, leg: Leg) -> None:
        """Register a leg."""
        self.legs[leg.uuid] = leg
        self.peak_sessions = max(self.peak_sessions, len(self.legs))
        self.loop.call_later(SQL_LAG, self._show, leg)

    def remove(self, leg: Leg) -> None:
        """Forget a leg that has ended."""
        leg.gone = True
        leg.cancel_timers()
        self.legs.pop(leg.uuid, None)
        self.log.ended(leg, time.time())
        self.loop.call_later(SQL_LAG, self.table.pop, leg.uuid, None)

    def _show(self, leg: Leg) -> None:
        if not leg.gone:
            self.table[leg.uuid] = leg

    def _roll_second(self) -> None:
        second = int(time.time())
        if second != self._second:
            self.last_rate = self._this_second if second == self._second + 1 else 0
            self._second = second
            self._this_second = 0

    def _time_stamps(self, second: int) -> tuple[str, str]:
        if second != self._stamp_second:
            self._stamp_second = second
            self._stamps = (
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)),
                time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)),
            )
        return self._stamps


def uptime_text(seconds: float) -> str:
    """An uptime as FreeSWITCH words it."""
    micro = int(seconds * 1_000_000)
    parts: list[str] = []
    for unit, size in (
        ("year", 365 * 86_400_000_000),
        ("day", 86_400_000_000),
        ("hour", 3_600_000_000),
        ("minute", 60_000_000),
        ("second", 1_000_000),
        ("millisecond", 1000),
        ("microsecond", 1),
    ):
        count, micro = divmod(micro, size)
        parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return ", ".join(parts)
