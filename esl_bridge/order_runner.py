"""Orders from the stream to the switch, each at most once, and what became of them to the journal.

An order is claimed in Redis (SET NX, the value is its stream entry) before anything about it is decided. It then has
exactly one outcome, reported together with its acknowledgement: done, failed, refused, expired or in_doubt (`sent` is a
note on the way). A claimed order that is still pending when a bridge starts was left by one that died: in doubt, never
executed again. The same order id in another entry is a repetition by the sender and is passed over in silence.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

import gevent
import gevent.event
import msgspec
import redis
from greenswitch.esl import NotConnectedError

from dialer import orders
from dialer.limits import ORDER_SECONDS
from esl_bridge import render, resync
from esl_bridge.awaited import JOIN_SECONDS, PARK_SECONDS, AwaitedLegs
from esl_bridge.handlers import SwitchEvent
from esl_bridge.link import Link
from esl_bridge.order_stream import Entry, Memory, OrderStream
from esl_bridge.parts import Parts
from esl_bridge.reports import Reporter
from esl_bridge.writer import JournalWriter
from events import streams, trail

log = logging.getLogger(__name__)

# Orders whose outcome is awaited, mostly ringing calls; each is a thread inside FreeSWITCH.
MAX_IN_FLIGHT: Final = 2_000
# Orders of one write. Should it fail, all of them are in doubt.
TOGETHER: Final = 50
# Beyond the order's own ringing time: how long its BACKGROUND_JOB may take before the order is in doubt (s). Under
# overload the switch was seen to be seconds late.
JOB_GRACE_SECONDS: Final = 30.0
# Waits: while there is nothing to do but look again, and while Redis is away (s).
IDLE_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 1.0
# Claimed, so nobody else will run it; and it has not left, so its sender may decide anew.
LINK_LOST: Final = ("refused", "the link to the switch went down before it left")
# The eavesdrop application starts a moment after the supervisor's leg has answered; a digit before that is lost.
EAVESDROP_SETTLE_SECONDS: Final = 0.5
# The variable of a leg that names the one it is joined to; unset when there is none (see facts.joined_to).
JOINED_TO: Final = "bridge_to"
# How often settled orders are cleared out of the stream (s).
TRIM_EVERY_SECONDS: Final = 60.0


@dataclass
class InFlight:
    order: orders.AnyOrder
    entry: bytes
    deadline: float  # monotonic
    command_id: str = ""
    settling: bool = False

    def about(self) -> AbstractContextManager[None]:
        """Binds the ids of the order for the log."""
        return trail.about(order_id=self.order.order_id, leg=self.order.leg, command_id=self.command_id)


class _Named(msgspec.Struct):
    order_id: str = ""
    kind: str = ""
    leg: str = ""


@dataclass
class OrderRunner:
    """`may_act`: the lease of the node is held."""

    stream: OrderStream
    writer: JournalWriter
    reporter: Reporter
    plan: render.DialPlan
    may_act: Callable[[], bool]
    link: Link | None = None
    in_flight: dict[str, InFlight] = field(default_factory=dict)
    rising: AwaitedLegs = field(default_factory=lambda: AwaitedLegs(PARK_SECONDS))
    calling: AwaitedLegs = field(default_factory=lambda: AwaitedLegs(ORDER_SECONDS))
    joining: AwaitedLegs = field(default_factory=lambda: AwaitedLegs(JOIN_SECONDS))
    parts: Parts = field(init=False)
    apart: set[str] = field(default_factory=set)  # legs ordered to park, that hear music once they have
    executed: int = 0
    _recovered: bool = False
    _began: float = field(default_factory=time.time)
    # Orders of before this may have been carried out although no claim says so (s since 1970).
    _remembers_from: float = 0.0
    # As above, of those that their sender has sent once more.
    _resent_from: float = 0.0
    # Until then Redis was away: a stop of that time may have left no mark (s since 1970).
    _blind_until: float = 0.0
    # What this process has claimed -> when it expires: Redis may lose claims, and then give the same orders again.
    _taken: dict[str, float] = field(default_factory=dict)
    _wake: gevent.event.Event = field(default_factory=gevent.event.Event)

    def __post_init__(self) -> None:
        self.parts = Parts(self._part_ended)

    def _part_ended(self, why: str) -> None:
        """What became of an order is not known then; without the link all of them are in doubt, and settled."""
        if self.link is not None:
            self.link.fail(why)

    # --- the link -----------------------------------------------------------------------------------------------------

    def link_up(self, link: Link) -> None:
        self.link, self._recovered = link, False
        self._wake.set()

    def link_lost(self, reason: str) -> None:
        """Whatever was under way is in doubt from here on."""
        self.link = None
        self.rising.clear()
        self.calling.clear()
        self.joining.clear()
        self.apart.clear()
        if self.in_flight:
            log.warning("%d orders were under way when the link was lost: reported in doubt", len(self.in_flight))
        for order_id in list(self.in_flight):
            self._settle(order_id, "in_doubt", reason)

    # --- reading ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """For ever, until the greenlet is killed."""
        trouble = False
        while True:
            if self.link is None or not self.may_act() or len(self.in_flight) >= MAX_IN_FLIGHT:
                self._wake.clear()
                self._wake.wait(timeout=IDLE_SECONDS)
                continue
            try:
                if not self._recovered:
                    self.stream.ensure_group()
                    self._ask_what_is_remembered()
                    self._recover()
                    self._recovered = True
                entries = self.stream.read_new()
                if trouble:
                    trouble, self._blind_until = False, time.time()
                if self.link is not None and self.may_act():
                    self._take(entries)
                # Else they stay pending and unclaimed: their fate is decided when the link is back.
            except redis.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    log.error("Redis refuses to give orders (%s); trying on", error)
                    gevent.sleep(RETRY_SECONDS)
                self._recovered = False  # the group is made again, and the stream looked through
            except redis.RedisError as error:
                if not trouble:
                    log.error("orders cannot be read (%s); trying on", type(error).__name__)
                trouble, self._recovered = True, False
                gevent.sleep(RETRY_SECONDS)

    def _recover(self) -> None:
        """What was read by someone who is gone (the lease is ours): its fate is decided now."""
        left = self.stream.left_over({item.entry for item in self.in_flight.values()} | self.writer.unsettled)
        if left:
            log.warning("%d orders were left pending by a bridge that stopped", len(left))
            self._take(left, left_over=True)

    def _ask_what_is_remembered(self) -> None:
        memory = self.stream.memory()
        if memory is not Memory.WHOLE:
            self._resent_from = self._began
        if memory is Memory.RESTARTED:
            self._remembers_from = self._began

    # --- deciding -----------------------------------------------------------------------------------------------------

    def _take(self, entries: Sequence[Entry], *, left_over: bool = False) -> None:
        readable: list[tuple[bytes, orders.AnyOrder]] = []
        commands: dict[bytes, str] = {}
        again = {entry for entry, fields in entries if streams.ORDERS_AGAIN.encode() in fields}
        for entry, fields in entries:
            raw = fields.get(streams.ORDERS_FIELD.encode(), b"")
            commands[entry] = fields.get(streams.ORDERS_COMMAND_FIELD.encode(), b"").decode("ascii", "replace")
            try:
                readable.append((entry, orders.decode(raw)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse_unreadable(entry, raw, str(error))
        repeated: list[bytes] = []
        holders = self.stream.claim([(entry, order.order_id) for entry, order in readable])
        stopped = self.stream.stopped(target for _, order in readable for target in render.stoppable(order))
        leaving: list[tuple[orders.AnyOrder, render.Command]] = []
        for (entry, order), holder in zip(readable, holders, strict=True):
            if holder is None and order.order_id in self._taken:
                repeated.append(entry)  # Redis has lost the claim; we have not
            elif holder is None:
                self._taken[order.order_id] = order.expires_at
                known_from = self._resent_from if entry in again else self._remembers_from
                with trail.about(order_id=order.order_id, leg=order.leg, command_id=commands[entry]):
                    command = self._begin(entry, order, commands[entry], stopped, known_from)
                if command is not None:
                    leaving.append((order, command))
            elif holder != entry:
                repeated.append(entry)
            elif left_over:
                self._report(order, entry, "in_doubt", "claimed by a bridge that stopped before reporting")
        for start in range(0, len(leaving), TOGETHER):
            self._send(*leaving[start : start + TOGETHER])
        if repeated:
            log.info("%d orders were repetitions of claimed ones and were passed over", len(repeated))
            self.stream.acknowledge(repeated)

    def _refuse_unreadable(self, entry: bytes, raw: bytes, reason: str) -> None:
        try:
            named = msgspec.json.decode(raw, type=_Named)
        except (msgspec.DecodeError, UnicodeDecodeError):
            named = _Named()
        log.error("an order that cannot be read was refused: %s", reason)
        report = self.reporter.order(named.order_id[:64], named.kind[:64], named.leg[:64], "refused", reason)
        self.writer.report(report, entry)

    def _begin(
        self, entry: bytes, order: orders.AnyOrder, command_id: str, stopped: Mapping[str, float], known_from: float
    ) -> render.Command | None:
        """What leaves for the switch now; None: the order is settled, or leaves later."""
        link, fate = self.link, self._fate(order, stopped, known_from)
        if fate is not None:
            self._report(order, entry, *fate)
            return None
        try:
            command = render.render(order, self.plan)
        except render.Refused as error:
            log.error("order %s (%s) refused: %s", order.order_id, orders.kind_of(order), error)
            self._report(order, entry, "refused", str(error))
            return None
        deadline = time.monotonic() + render.seconds_allowed(order) + JOB_GRACE_SECONDS
        self.in_flight[order.order_id] = InFlight(order, entry, deadline, command_id)
        self.apart.difference_update(render.legs_moved(order))
        if isinstance(order, orders.Park):
            self.apart.add(order.leg)
        if isinstance(order, orders.Bridge) and not order.unless_joined:
            self.joining.add(order.leg)
        if command.direct:
            self.parts.passing("question", self._ask, link, order, command)
        elif render.unless_joined(order):
            self.parts.passing("question", self._send_unless_joined, link, order, command)
        elif module := render.module_needed(order):
            self.parts.passing("question", self._send_if_loaded, link, order, command, module)
        elif any(leg in self.rising for leg in render.legs_moved(order)):
            self.parts.passing("order that waits", self._send_when_parked, order, command)
        else:
            if render.parks_when_answered(order):
                self.rising.add(order.leg)
                self.calling.add(order.leg)
            return command
        return None

    def _fate(self, order: orders.AnyOrder, stopped: Mapping[str, float], known_from: float) -> tuple[str, str] | None:
        """Status and reason of an order that does not leave; None: it may."""
        if order.expires_at <= time.time():
            return "expired", "read after its time"
        decided_at = order.expires_at - ORDER_SECONDS
        targets = render.stoppable(order)
        if any(decided_at <= stopped.get(target, 0.0) for target in targets):
            return "refused", "stopped before it left"
        if targets and decided_at <= self._blind_until:
            return "refused", "decided before Redis came back: a stop may be missing"
        if render.is_originate(order) and decided_at < known_from:
            # The one before us may have carried it out, and Redis no longer knows.
            return "in_doubt", "Redis has lost who carried it out"
        if self.link is None or not self.may_act():
            return LINK_LOST
        return None

    def _send_when_parked(self, order: orders.AnyOrder, command: render.Command) -> None:
        if self._has_parked(order):
            self._send((order, command))

    def _has_parked(self, order: orders.AnyOrder) -> bool:
        """Waits for the legs that it moves. False: one of them is still being called when the order's time is over."""
        legs = render.legs_moved(order)
        if not self.calling.came(*legs, within=order.expires_at - time.time()):
            self._settle(order.order_id, "expired", "the switch had not yet finished calling its leg")
            return False
        self.rising.wait(*legs)
        return True

    def _send_unless_joined(self, link: Link, order: orders.AnyOrder, command: render.Command) -> None:
        """What was decided because nobody had said that the leg is joined: the switch itself is asked first."""
        if not self._has_parked(order):
            return None
        # One that is still being called is joined to nobody: whoever is to join it waits, too.
        if self.calling.came(order.leg, within=JOIN_SECONDS):
            self.joining.wait(order.leg)
        try:
            (joined_to,) = link.ask(f"uuid_getvar {order.leg} {JOINED_TO}")
        except NotConnectedError as error:
            return self._settle(order.order_id, "refused", str(error))
        if resync.names_a_leg(joined_to):
            return self._settle(order.order_id, "refused", orders.JOINED)
        if isinstance(order, orders.Bridge):
            self.joining.add(order.leg)
        return self._send((order, command))

    def _send_if_loaded(self, link: Link, order: orders.AnyOrder, command: render.Command, module: str) -> None:
        try:
            (loaded,) = link.ask(f"module_exists {module}")
        except NotConnectedError as error:
            return self._settle(order.order_id, "refused", str(error))
        if loaded.strip() != "true":
            return self._settle(order.order_id, "failed", f"{module} is not loaded")
        return self._send((order, command))

    def _send(self, *ready: tuple[orders.AnyOrder, render.Command]) -> None:
        """Orders that leave now, in one write, but for those that were settled meanwhile: their link was lost."""
        leaving = [(item, command) for order, command in ready if (item := self.in_flight.get(order.order_id))]
        if self.link is None or not leaving:
            return
        try:
            jobs = [(command.line, item.order.order_id) for item, command in leaving]
            self.link.commands.bgapi(jobs, self._replied)
        except NotConnectedError as error:
            # Part of it may have left. (link_lost may have settled them already: then this does nothing.)
            for item, _ in leaving:
                self._settle(item.order.order_id, "in_doubt", str(error))
            return
        self.executed += len(leaving)
        for item, _ in leaving:
            order = item.order
            words = f"{orders.kind_of(order)} given to the switch"
            trail.note(words, order_id=order.order_id, leg=order.leg, command_id=item.command_id)

    # --- outcomes -----------------------------------------------------------------------------------------------------

    def _ask(self, link: Link, order: orders.AnyOrder, command: render.Command) -> None:
        try:
            (text,) = link.ask(command.line)
        except NotConnectedError as error:
            return self._settle(order.order_id, "in_doubt", str(error))
        exists = resync.leg_exists(text)
        self._settle(order.order_id, "failed" if exists is None else "done", text, exists)
        return None

    def _replied(self, order_id: str, reply: SwitchEvent) -> None:
        """The switch has taken an order, or refused it. Does not wait."""
        item = self.in_flight.get(order_id)
        if item is None or item.settling:
            return
        order, text = item.order, str(reply.data)
        if text.startswith("+OK"):
            self.writer.report(self.reporter.order(order_id, orders.kind_of(order), order.leg, "sent"))
        elif render.is_originate(order):
            item.settling = True
            self.parts.passing("question", self._ask_and_settle, item, "failed", text)
        else:
            self._settle(order_id, "failed", text)

    def parked(self, leg: str) -> None:
        """CHANNEL_PARK came. Does not wait."""
        self.calling.settled(leg)
        self.rising.settled(leg)
        if leg in self.apart:
            self.parts.passing("music", self._play_music, leg)

    def joined(self, *legs: str) -> None:
        """CHANNEL_BRIDGE came. Does not wait."""
        for leg in legs:
            self.joining.settled(leg)

    def ended(self, leg: str) -> None:
        """Its hang-up came."""
        self.calling.settled(leg)
        self.rising.settled(leg)
        self.joining.settled(leg)
        self.apart.discard(leg)

    def _play_music(self, leg: str) -> None:
        """Only once it has parked: music that is begun before would go on over the next conversation."""
        try:
            command = render.music(leg, self.plan)
            if command is not None and self.link is not None and leg in self.apart:
                self.apart.discard(leg)
                (reply,) = self.link.ask(command.line)
                if not reply.startswith("+OK"):
                    log.info("no music for a leg that waits: %s", reply.strip()[:80])
        except render.Refused as error:
            log.error("no music for a leg that waits: %s", error)
        except NotConnectedError as error:
            log.info("no music for a leg that waits: %s", error)

    def job_finished(self, job: str, reply: str) -> None:
        """A BACKGROUND_JOB came (it is in the journal already). Does not wait."""
        item = self.in_flight.get(job)
        if item is None or item.settling:
            return
        item.settling = True
        if reply.startswith("+OK"):
            next_command = render.follow_up(item.order)
            if next_command is None:
                self._settle(job, "done", reply)
            else:
                self.parts.passing("follow-up", self._follow_up, item, next_command, reply)
        elif render.is_originate(item.order):
            self.parts.passing("question", self._ask_and_settle, item, "failed", reply)
        else:
            self._settle(job, "failed", reply)

    def _follow_up(self, item: InFlight, command: render.Command, reply: str) -> None:
        gevent.sleep(EAVESDROP_SETTLE_SECONDS)
        try:
            text = self.link.ask(command.line)[0] if self.link else "-ERR link lost"
        except NotConnectedError as error:
            text = f"-ERR {error}"
        if text.startswith("+OK"):
            self._settle(item.order.order_id, "done", reply)
        else:
            self._settle(item.order.order_id, "failed", f"listening only: {text.strip()}", True)

    def _ask_and_settle(self, item: InFlight, status: str, reply: str) -> None:
        """A refusal of a call says the same for a duplicate uuid as for a full switch: does the leg exist?"""
        exists = None
        try:
            if self.link:
                exists = resync.leg_exists(self.link.ask(f"uuid_exists {item.order.leg}")[0])
        except NotConnectedError:
            pass
        self._settle(item.order.order_id, status, reply, exists)

    def _settle(self, order_id: str, status: str, reply: str = "", leg_exists: bool | None = None) -> None:
        item = self.in_flight.pop(order_id, None)
        if item is not None:
            if render.is_originate(item.order):
                self.calling.settled(item.order.leg)
                if status != "done":
                    self.rising.settled(item.order.leg)
            if status != "done" and isinstance(item.order, orders.Bridge):
                self.joining.settled(item.order.leg)
            with item.about():
                self._report(item.order, item.entry, status, reply, leg_exists)

    def _report(
        self, order: orders.AnyOrder, entry: bytes, status: str, reply: str, leg_exists: bool | None = None
    ) -> None:
        kind = orders.kind_of(order)
        trail.note(f"{kind} {status}", order_id=order.order_id, leg=order.leg)
        self.writer.report(self.reporter.order(order.order_id, kind, order.leg, status, reply, leg_exists), entry)

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """For ever, until the greenlet is killed: jobs that are overdue, and old entries of the stream."""
        trim_at = time.monotonic()
        while True:
            gevent.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            self.give_up_overdue(now)
            self._taken = {key: until for key, until in self._taken.items() if until > time.time()}
            if now >= trim_at and self.link is not None:
                trim_at = now + TRIM_EVERY_SECONDS
                try:
                    self.stream.trim()
                except redis.RedisError as error:
                    log.warning(
                        "the stream of orders was not trimmed (%s); it will be tried again", type(error).__name__
                    )

    def give_up_overdue(self, now: float) -> None:
        """Orders whose BACKGROUND_JOB should have come by `now` (monotonic seconds) are in doubt."""
        for item in list(self.in_flight.values()):
            if now > item.deadline and not item.settling:
                item.settling = True
                with item.about():
                    log.warning("no BACKGROUND_JOB in time: the order is reported in doubt")
                self.parts.passing(
                    "question", self._ask_and_settle, item, "in_doubt", "the switch did not report the job's end"
                )
