"""Asks the switch what it has and corrects what the floor believes; resync.py decides what to ask about."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import gevent
import redis
from greenswitch.esl import NotConnectedError

from esl_bridge import normalise, resync
from esl_bridge.link import Link
from esl_bridge.reports import Reporter
from esl_bridge.writer import JournalWriter
from events import counters, nodes, streams

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 30.0
# How often is looked whether Redis has lost something meanwhile: then what it held of the switch may be old.
LOOK_SECONDS: Final = 1.0
# Between the two questions about a leg: its real hang-up, with the real cause, or its own event may be on its way.
SECOND_LOOK_SECONDS: Final = 1.5
# After Redis has lost something it is compared once more: the ingest writes down again what it has in memory, and what
# was lost may have ended since.
AGAIN_SECONDS: Final = 4.0
# Questions sent in one go; FreeSWITCH answers about 6,000 a second.
ASK_TOGETHER: Final = 200
# Descriptions of channels asked for in one go.
DUMP_TOGETHER: Final = 50
# New channels reported by one comparison, 10 KB each; the next one brings the rest.
MAX_FOUND: Final = 500
# Key that remembers which FreeSWITCH process was last seen, across restarts of the bridge.
CORE_KEY: Final = "esl:core:"
# Written as a comparison begins: once it is gone, what was compared then may be lost, too.
COMPARED_KEY: Final = "esl:compared:"


class _Difference(NamedTuple):
    belief: resync.Belief
    said: resync.Condition
    dump: normalise.Headers


@dataclass
class Synchroniser:
    commands: redis.Redis
    writer: JournalWriter
    reporter: Reporter
    node: str
    tracker: resync.LegTracker = field(default_factory=resync.LegTracker)
    told: Callable[[], object] = lambda: None  # called when a link has been compared
    compared: Link | None = None  # the last link whose comparison went through
    _memory: str = ""  # the run of Redis that the last comparison was made with

    def run(self, link: Link) -> None:
        """One comparison at once, one every 30 s and two whenever Redis has lost its memory, until the link is down."""
        lost = False
        while not link.down.is_set():
            try:
                self._memory = self._run_of_redis()
                self.commands.set(COMPARED_KEY + self.node, self._memory)
                restarted = self._restarted(link)
                self.compare_once(link, restarted)
                self._remember_core(link)
                self.compared = link
                self.told()
            except NotConnectedError as error:
                log.warning("the comparison with the switch was broken off: %s", error)
            except redis.RedisError as error:
                log.error("the comparison with the switch waits for Redis (%s)", type(error).__name__)
            except resync.BadListing as error:
                log.error("the switch's channel list cannot be used (%s); nothing is concluded from it", error)
            until = time.monotonic() + (AGAIN_SECONDS if lost else EVERY_SECONDS)
            lost = False
            while not lost and time.monotonic() < until and not link.down.wait(LOOK_SECONDS):
                lost = self._redis_has_lost(link)

    def _redis_has_lost(self, link: Link) -> bool:
        """Restarted (a killed one has lost its last second or two) or emptied since the last comparison began."""
        try:
            if self._run_of_redis() != self._memory:
                return True
            return self.compared is link and not self.commands.exists(COMPARED_KEY + self.node)
        except redis.RedisError:
            return False  # it is away: there is nothing to compare with yet

    def _run_of_redis(self) -> str:
        return str(self.commands.info("server")["run_id"])

    def compare_once(self, link: Link, restarted: bool) -> None:
        listed = resync.channels_in(link.ask("show channels as json")[0])
        entries, node = self.commands.hgetall(streams.LIVE_LEGS), self.node if nodes.several() else ""
        believed = resync.live_legs(entries, node)
        todo = resync.compare(listed, believed, self.tracker, time.monotonic(), link.opened)
        both = tuple(sorted(listed & believed))
        differing, undescribed = self._differing(link, both)
        gone = self._report_gone(link, (*todo.missing, *undescribed), restarted)
        if restarted:
            gone += self._report_ended_with_the_switch(link, resync.beyond_asking(entries, node))
        found = self._report_found(link, todo.unknown)
        changed = self._report_changed(link, differing)
        self.writer.report(self.reporter.sync(len(listed), gone, found, changed))
        counters.count("switch_comparisons")
        for was, count in (("gone", gone), ("found", found), ("changed", changed)):
            counters.count("drift_legs", count, was=was)
        counters.flush(self.commands)
        if gone or found or changed:
            words = "compared with the switch: %d channels, %d legs gone, %d found, %d further than we knew"
            log.warning(words, len(listed), gone, found, changed)

    def _report_gone(self, link: Link, missing: tuple[str, ...], restarted: bool) -> int:
        absent = self._absent(link, missing)
        if absent and not restarted:
            gevent.sleep(SECOND_LOOK_SECONDS)
            absent = self._absent(link, absent)
        count = 0
        for leg in absent:
            if not self._is_over(leg):
                cause = resync.CAUSE_RESTARTED if restarted else resync.CAUSE_LOST
                self.writer.report(self.reporter.leg_gone(leg, cause))
                count += 1
        return count

    def _report_ended_with_the_switch(self, link: Link, legs: frozenset[str]) -> int:
        """The process that had them is gone: of those from before the link to this one nobody need be asked."""
        now = time.monotonic()
        ended = [leg for leg in sorted(legs) if self.tracker.age(leg, now) > now - link.opened]
        for leg in ended:
            self.writer.report(self.reporter.leg_gone(leg, resync.CAUSE_RESTARTED))
        return len(ended)

    def _is_over(self, leg: str) -> bool:
        """Its own hang-up says so, or has said so to whoever believed in it."""
        if not self.tracker.has_ended(leg):
            return False
        raw = cast(bytes | None, self.commands.hget(streams.LIVE_LEGS, leg))
        believed = raw is not None and bool(resync.live_legs({leg.encode(): raw}))
        return not believed or self.tracker.ends_now(leg, time.monotonic())

    def _absent(self, link: Link, legs: tuple[str, ...]) -> tuple[str, ...]:
        absent: list[str] = []
        for start in range(0, len(legs), ASK_TOGETHER):
            part = legs[start : start + ASK_TOGETHER]
            replies = link.ask(*(f"uuid_exists {leg}" for leg in part))
            absent += [leg for leg, reply in zip(part, replies, strict=True) if resync.leg_exists(reply) is False]
        return tuple(absent)

    def _report_found(self, link: Link, unknown: tuple[str, ...]) -> int:
        count = 0
        for leg, dump in self._dumps(link, unknown[:MAX_FOUND]):
            if not self.tracker.has_ended(leg):
                self.writer.report(self.reporter.leg_found(leg, dump))
                count += 1
        return count

    def _report_changed(self, link: Link, first: dict[str, _Difference]) -> int:
        if not first:
            return 0
        gevent.sleep(SECOND_LOOK_SECONDS)
        count = 0
        for leg, now in self._differing(link, tuple(first))[0].items():
            # Both still say what they said: neither was on its way to the other.
            if (now.belief, now.said) == (first[leg].belief, first[leg].said) and not self.tracker.has_ended(leg):
                before, since = now.belief
                self.writer.report(self.reporter.leg_changed(leg, now.dump, before.peer, before.held, since))
                count += 1
        return count

    def _differing(self, link: Link, legs: tuple[str, ...]) -> tuple[dict[str, _Difference], tuple[str, ...]]:
        """Legs of which the switch says something else than we believed a moment before, and those of which it can say
        nothing: it has hung up, and lists them all the same until their last thread has ended."""
        if not legs:
            return {}, ()
        beliefs = dict(zip(legs, self.commands.hmget(streams.LIVE_LEGS, list(legs)), strict=True))
        found: dict[str, _Difference] = {}
        undescribed = set(legs)
        for leg, dump in self._dumps(link, legs):
            undescribed.discard(leg)
            belief = resync.believed(beliefs[leg])
            if belief is not None and (said := resync.said(dump, belief.condition.held)) != belief.condition:
                found[leg] = _Difference(belief, said, dump)
        return found, tuple(sorted(undescribed))

    def _dumps(self, link: Link, legs: tuple[str, ...]) -> Iterator[tuple[str, normalise.Headers]]:
        """What the switch says of each leg that it has."""
        for start in range(0, len(legs), DUMP_TOGETHER):
            part = legs[start : start + DUMP_TOGETHER]
            for leg, reply in zip(part, link.ask(*(f"uuid_dump {leg} json" for leg in part)), strict=True):
                try:
                    dump = normalise.event_of_json(reply.encode())
                except normalise.Unreadable:
                    continue  # it has ended meanwhile, or the switch cannot tell: not a correction
                if dump.text("Unique-ID") == leg:
                    yield leg, dump.headers

    def _restarted(self, link: Link) -> bool:
        last = self.commands.get(CORE_KEY + self.node)
        return bool(last and link.switch_uuid and last.decode() != link.switch_uuid)

    def _remember_core(self, link: Link) -> None:
        if link.switch_uuid:
            self.commands.set(CORE_KEY + self.node, link.switch_uuid)
