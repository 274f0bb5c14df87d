"""The loop that keeps one bridge per node at work: hold the lease, connect, serve, reconnect, resynchronise."""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import gevent
import gevent.event
import redis
from greenswitch.esl import NotConnectedError

from esl_bridge import normalise, render
from esl_bridge.framing import Frame
from esl_bridge.link import Link, Switch
from esl_bridge.order_runner import OrderRunner
from esl_bridge.order_stream import OrderStream
from esl_bridge.parts import Parts
from esl_bridge.reports import Reporter
from esl_bridge.sync import Synchroniser
from esl_bridge.writer import JournalWriter
from events import nodes, streams
from events.lease import RedisLease

log = logging.getLogger(__name__)

# Reconnecting: full jitter below a ceiling that doubles from the first to the last (s). FreeSWITCH is back 6 s after a
# restart; a ceiling of 10 keeps the floor blind for no longer than that again.
BACKOFF_FIRST: Final = 0.2
BACKOFF_LAST: Final = 10.0
# The lease of the node: taken over so many seconds after its holder vanished, renewed every third of it.
LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 3.0
HEARTBEAT_EVERY_SECONDS: Final = 2.0
# How often the serving loop looks at the lease and the stop request (s).
LOOK_SECONDS: Final = 0.25
# Longest wait for the last events to be written when stopping (s).
DRAIN_SECONDS: Final = 5.0

_BEGINS = frozenset({"CHANNEL_CREATE"})
_ENDS = frozenset({"CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"})
# CHANNEL_BRIDGE names both.
_JOINED = ("Unique-ID", "Bridge-A-Unique-ID", "Bridge-B-Unique-ID", "Other-Leg-Unique-ID")


def backoff(attempt: int, draw: float) -> float:
    """Seconds before attempt number `attempt` (0, 1, ...); `draw`: uniform in [0, 1)."""
    return max(BACKOFF_FIRST, draw * min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(attempt, 20)))


@dataclass(frozen=True)
class Config:
    switch: Switch
    node: str
    channel: str
    plan: render.DialPlan


class Bridge:
    """`run()` returns after `stop()`. `commands`, `blocking`: Redis, the second for reads that wait."""

    def __init__(self, config: Config, commands: redis.Redis, blocking: redis.Redis) -> None:
        self.config = config
        self.state, self.reason, self.since = "down", "starting", time.time()
        self.events = self.unreadable = self.repaired = 0
        self.last_event_at, self._last_stamp = 0.0, ""
        self.failed = False
        self._links_failed = 0
        self.link: Link | None = None
        self.parts = Parts(self._part_ended)
        self._commands = commands
        self._stopping = gevent.event.Event()
        self._changed = gevent.event.Event()  # the state, so that it is told at once
        self.lease = RedisLease(commands, nodes.lease(config.node), LEASE_SECONDS)
        orders = streams.orders_of(config.node)
        self.writer = JournalWriter(commands, config.channel, orders=orders)
        self.reporter = Reporter(config.node, str(uuid.uuid4()), time.time)
        self.sync = Synchroniser(commands, self.writer, self.reporter, config.node, told=self._changed.set)
        stream = OrderStream(commands, blocking, config.node, orders)
        self.runner = OrderRunner(stream, self.writer, self.reporter, config.plan, self.lease.held)

    def stop(self) -> None:
        """Ask it to end; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        for name, task in (
            ("journal", self.writer.run),
            ("lease", self._keep_lease),
            ("orders", self.runner.run),
            ("sweep", self.runner.sweep),
            ("heartbeat", self._beat),
        ):
            self.parts.lasting(name, task)
        attempt = 0
        try:
            self._renew_lease()
            while not self._stopping.is_set():
                if not self.lease.held():
                    self._set_state(
                        "standby", "the lease of this node is not ours: another bridge has it, or Redis is away"
                    )
                    self._stopping.wait(LOOK_SECONDS)
                    continue
                if not self.writer.ready:
                    self._set_state("down", "waiting for Redis to take the events that are buffered")
                    self._stopping.wait(LOOK_SECONDS)
                    continue
                link = Link(self.config.switch, self._on_frame)
                try:
                    link.open()
                except NotConnectedError as error:
                    self._set_state("down", str(error))
                else:
                    self._serve(link)
                # One that goes down before anything was compared was of no use: as if it had not come up.
                attempt = 0 if self.sync.compared is link else attempt + 1
                wait = backoff(attempt, random.random())  # noqa: S311 - jitter, not a secret
                if not self._stopping.is_set():
                    log.warning("no link to the switch: %s; next attempt in %.1f s", self.reason, wait)
                self._stopping.wait(wait)
        finally:
            self._set_state("down", "stopped")
            if not self.writer.drain(DRAIN_SECONDS):
                log.error("%d events could not be written to Redis before stopping", len(self.writer))
            self.parts.kill(seconds=1)
            self._say_state()
            self.lease.release()

        if self.failed:
            raise RuntimeError("a part of the bridge failed (see the log above); it must be started again")

    def _part_ended(self, why: str) -> None:
        """None of them may end by itself: better no bridge, and one that is started again, than half a bridge."""
        log.critical("the bridge stops: %s", why)
        self.failed = True
        self._stopping.set()

    def _serve(self, link: Link) -> None:
        switch = self.config.switch
        self._set_state("up", "")
        log.info("connected to the switch at %s:%d as node %s", switch.host, switch.port, self.config.node)
        self.writer.report(self.reporter.link(True, "", link.switch_uuid))
        self.runner.link_up(link)
        link.parts.lasting("comparison", self.sync.run, link)
        self.link = link
        try:
            while not link.down.wait(LOOK_SECONDS):
                if self._stopping.is_set():
                    link.close()
                elif not self.lease.held():
                    link.fail("the lease of this node was lost")
        finally:
            reason = "the bridge was stopped" if self._stopping.is_set() else link.reason
            self._set_state("down", reason)
            self.runner.link_lost(reason)
            self.writer.report(self.reporter.link(False, reason, link.switch_uuid))
            link.parts.kill(seconds=1)
            self._links_failed, self.link = self._links_failed + link.failed, None
            log.warning("the link to the switch is down: %s", reason)

    def _on_frame(self, frame: Frame) -> bool:
        """Runs in the reader of the event connection: nothing here waits."""
        try:
            event = normalise.event_of(frame)
        except normalise.Unreadable as error:
            self.unreadable += 1
            log.warning("an unreadable event was put aside in %s: %s", streams.MALFORMED, error)
            return self.writer.put_malformed(frame.body)
        self.events += 1
        self.repaired += event.repaired
        self.last_event_at, self._last_stamp = time.time(), event.text("Event-Date-Timestamp")
        if not self.writer.put(normalise.with_header(event.raw, streams.JOURNALLED_HEADER, self.config.node)):
            return False
        name = event.name
        if name == "BACKGROUND_JOB":
            self.runner.job_finished(event.text("Job-UUID"), event.text("_body"))
        elif name in _BEGINS:
            self.sync.tracker.begun(event.text("Unique-ID"), time.monotonic())
        elif name == "CHANNEL_PARK":
            self.runner.parked(event.text("Unique-ID"))
        elif name == "CHANNEL_BRIDGE":
            self.runner.joined(*(event.text(header) for header in _JOINED))
        elif name in _ENDS:
            self.runner.ended(event.text("Unique-ID"))
            self.sync.tracker.ended(event.text("Unique-ID"), time.monotonic())
        return True

    def _keep_lease(self) -> None:
        while True:
            gevent.sleep(RENEW_SECONDS)
            self._renew_lease()

    def _renew_lease(self) -> None:
        held_before = self.lease.held()
        held = self.lease.keep()
        if held != held_before:
            log.info("the lease of node %s is %s", self.config.node, "held" if held else "not held; standing by")

    def _set_state(self, state: str, reason: str) -> None:
        if (state, reason) != (self.state, self.reason):
            if state != self.state:
                self.since = time.time()
                if state == "standby":
                    log.info("standing by: %s", reason)
            self.state, self.reason = state, reason
            self._changed.set()

    def _beat(self) -> None:
        while True:
            self._changed.clear()
            self._say_state()
            self._changed.wait(HEARTBEAT_EVERY_SECONDS)

    def _say_state(self) -> None:
        value = json.dumps(self.status())
        key = streams.HEARTBEAT_PREFIX + nodes.heartbeat(self.config.node)
        try:
            # One that stands by does not speak over the one at work.
            self._commands.set(key, value, ex=streams.HEARTBEAT_SECONDS, nx=not self.lease.held())
        except redis.RedisError:
            log.debug("the heartbeat waits for Redis")

    def _lag_ms(self) -> int | None:
        """From the switch's making of the newest event to our reading of it; by its clock and ours."""
        if not self._last_stamp.isdecimal():
            return None
        return max(0, int(self.last_event_at * 1000) - int(self._last_stamp) // 1000)

    def status(self) -> dict[str, Any]:
        link = self.link
        parts = {**self.parts.alive(), **(link.alive() if link else {})}
        failed = self.parts.failed + self.runner.parts.failed + self._links_failed + (link.failed if link else 0)
        return {
            "at": time.time(),
            "node": self.config.node,
            "link": self.state,
            # Whether what is known of its legs has been held against the switch since the link was made.
            "compared": link is not None and self.sync.compared is link,
            "since": self.since,
            "events": self.events,
            "last_event_at": self.last_event_at or None,
            "lag_ms": self._lag_ms(),
            "reason": self.writer.trouble or self.reason,
            "queue": len(self.writer),
            "orders_in_flight": len(self.runner.in_flight),
            "orders_executed": self.runner.executed,
            "unreadable": self.unreadable,
            "repaired": self.repaired,
            # What it is made of: how many greenlets live, which do not, how many have ended before their time.
            "parts": sum(parts.values()),
            "parts_dead": sorted(name for name, lives in parts.items() if not lives),
            "parts_failed": failed,
        }
