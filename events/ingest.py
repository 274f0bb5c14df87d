"""The ordered ingest: the one process that folds switch events into call state. See docs/architecture.md.

One step, in the order that makes a kill harmless at any point:

    read from the journal (own pending entries first)
    -> fold in memory, changing nothing yet
    -> cache, then in one transaction: live legs, facts for the dialer, transitions, announcements, place in the journal
    -> memory                             killed after this: the entries are folded, and recorded by the successor
    -> a task for the dialer, when no fact waited before; it looks for them with every task, and each second
    -> (second thread) EventBatch, store_batch, acknowledge: events/recorder.py
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import redis
from celery import Celery
from celery.app import app_or_default
from kombu.exceptions import OperationalError as BrokerError

from events import intake, live, streams, trail
from events.entries import Entry, Window
from events.intake import Outcome
from events.journal import START, Journal
from events.lease import RedisLease
from events.listener import Listener
from events.recorder import BATCH_EVENTS, Recorder

log = logging.getLogger(__name__)

LEASE: Final = "ingest"
LEASE_SECONDS: Final = 10.0
HEARTBEAT_EVERY: Final = 2.0
# Between two reads that found little. The switch itself hands out events every 20 ms; gathering for half of that halves
# the number of tasks and round trips under load and costs an answered customer 5 ms on average.
GATHER_SECONDS: Final = 0.01
GATHER_BELOW: Final = 100
RETRY_SECONDS: Final = 1.0
# No event for this long: there is no lag to speak of.
IDLE_SECONDS: Final = 5.0
THREADS_END_SECONDS: Final = 8.0
# The states of a leg that are stations of its call; between them lie others that nobody looks for in a log.
TOLD: Final = frozenset({"initiated", "answered", "ended"})


class Ingest:
    """`stop`: set it, and `run` ends within a second or two, everything folded being recorded."""

    def __init__(
        self,
        plain: redis.Redis | None = None,
        blocking: redis.Redis | None = None,
        *,
        stop: threading.Event | None = None,
        app: Celery | None = None,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.redis = plain if plain is not None else streams.connect()
        self.journal = Journal(self.redis, blocking if blocking is not None else streams.connect(blocking=True))
        self.stop = stop or threading.Event()
        # Taken here, in the main thread: Celery's current_app is another, bare one in other threads.
        self.app: Celery = app_or_default(app)
        self.lease = RedisLease(self.redis, LEASE, lease_seconds)
        self.legs, self.window = intake.Legs(), Window()
        self.folded = START
        # Redis is asked, not our memory: what it has lost is folded again, and must not be acknowledged before.
        self.recorder = Recorder(self.redis, self.app, lambda: live.folded_upto(self.redis), self.lease.held)
        self.listener = Listener()
        self.counts = dict.fromkeys(("events", "malformed", "duplicates", "repaired", "lost"), 0)
        self._clock = clock
        self._token = 0
        self._reread = True
        self._unrecorded = 0
        self._last_event: tuple[float, int] = (0.0, 0)
        self._lag_ms: int | None = None

    # --- the steps -------------------------------------------------------------------------------------------------

    def take_over(self) -> None:
        """Start from what is written down; or write it down again, when Redis has lost all of it and we have not.

        When it is written down up to another place than we are at, what we remember is not its continuation.
        """
        fresh = self.journal.ensure_group()
        legs, folded = live.load(self.redis)
        if folded is None and self.legs.live:
            log.error("Redis has lost the live legs; writing down the %d that are in memory", len(self.legs.live))
            live.restore(self.redis, self.legs.live, START)
            self.folded = START
        else:
            if folded not in (None, self.folded):
                # What has ended, or was seen, in memory alone could not end or be seen again.
                self.legs, self.window = intake.Legs(), Window()
            self.legs.restart(legs)
            if fresh and folded is not None:
                self.redis.set(live.FOLDED, START)  # of a journal that is no more
            self.folded = START if fresh or folded is None else folded
        self._reread, self._token = True, self.lease.token
        log.info("folding from journal entry %s on, %d live legs", self.folded, len(self.legs.live))

    def read(self, block_ms: int | None = streams.BLOCK_MS) -> list[Entry]:
        if self._reread:
            entries = self.journal.read_pending(after=self.folded)
            if entries:
                return entries
            self._reread = False
        return self.journal.read_new(block_ms=block_ms)

    def fold(self, entries: list[Entry]) -> Outcome:
        return intake.take_in(entries, self.legs, self.window, lambda legs: live.recall(self.redis, legs))

    def write(self, outcome: Outcome) -> bool:
        """Whether the dialer has to be woken: facts wait, and none did before."""
        live.remember(outcome.changed.values())
        guard = (self.lease.key, self.lease.owner, self.folded) if self.lease.token else None
        return live.write(self.redis, outcome, guard)

    def wake_dialer(self) -> None:
        try:
            self.app.send_task("dialer.tasks.handle_facts", queue=streams.SEQUENTIAL_QUEUE)
        except (redis.RedisError, BrokerError) as error:
            log.warning("facts wait for the dialer's next task: %s", type(error).__name__)

    def adopt(self, outcome: Outcome, entries: int) -> None:
        """Into memory, now that it is written down."""
        _tell(outcome)
        self.legs.keep(outcome.changed.values())
        self.window.add(outcome.identities)
        self.folded = outcome.last
        for name in ("events", "duplicates", "repaired", "lost"):
            self.counts[name] += getattr(outcome, name)
        self.counts["malformed"] += len(outcome.malformed)
        for entry, reason in outcome.malformed[:5]:
            log.warning("malformed event in journal entry %s: %s", entry.id, reason)
        if outcome.lost:
            log.error("%d journal entries were gone before they could be read", outcome.lost)
        if outcome.at:
            self._last_event = (self._clock(), outcome.at)
            self._lag_ms = max(0, int(self._clock() * 1000 - outcome.at / 1000))
        self._unrecorded += entries
        if self._unrecorded >= BATCH_EVENTS:
            self._unrecorded = 0
            self.recorder.wake.set()

    def step(self, block_ms: int | None = streams.BLOCK_MS) -> int:
        """Read, fold, write, tell; returns how many entries. On an error nothing is adopted and they are read again."""
        try:
            entries = self.read(block_ms)
            if entries:
                outcome = self.fold(entries)
                asleep = self.write(outcome)
                self.adopt(outcome, len(entries))
                if asleep:
                    self.wake_dialer()
            return len(entries)
        except BaseException:
            self._reread = True
            raise

    def beat(self) -> None:
        """The heartbeat: alive, how far behind, what was counted."""
        pending, waiting = self.journal.depth(self.folded)
        unstored = self.recorder.unstored
        value: dict[str, Any] = {
            "at": self._clock(),
            "pid": os.getpid(),
            "lag_ms": self._behind_ms(),
            "depth": waiting,
            "unstored": None if unstored is None else pending + unstored,
            "legs": len(self.legs.live),
            "foreign": self.listener.accepted,
            **self.counts,
        }
        self.redis.set(f"{streams.HEARTBEAT_PREFIX}ingest", orjson.dumps(value), ex=streams.HEARTBEAT_SECONDS)

    def _behind_ms(self) -> int | None:
        """How old the floor is: of the newest event that is folded when it was, or of the oldest that is not yet. None:
        no event has come lately, so there is nothing to be behind with."""
        now = self._clock()
        lags = [] if now - self._last_event[0] > IDLE_SECONDS or self._lag_ms is None else [self._lag_ms]
        # One who has just taken over has folded nothing, and may have much before it.
        if waiting := self.journal.first_after(self.folded):
            lags.append(max(0, int(now * 1000) - int(waiting.partition("-")[0])))
        return max(lags, default=None)

    # --- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `stop`: stand by or be the one that folds. Survives Redis, broker and database being away."""
        ended = threading.Event()  # The recorder goes on until the last step is adopted.
        threads = [
            threading.Thread(target=self.recorder.run, args=(ended,), name="recorder", daemon=True),
            threading.Thread(target=self._listen, name="listener", daemon=True),
        ]
        for thread in threads:
            thread.start()
        renew_at = beat_at = 0.0
        while not self.stop.is_set():
            try:
                if time.monotonic() >= renew_at or not self.lease.held():
                    renew_at = time.monotonic() + LEASE_SECONDS / 5
                    if not self.lease.keep():
                        self._stand_by()
                        continue
                if self.lease.token != self._token:
                    self.take_over()
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + HEARTBEAT_EVERY
                    self.beat()
                if self.step() < GATHER_BELOW:
                    self.stop.wait(GATHER_SECONDS)
            except live.LeaseLost:
                self._token = 0
                log.warning("the lease is no longer ours; standing by")
                self.lease.renew()
            except live.RolledBack as error:
                log.error("Redis is not where we left it; beginning anew from what it has: %s", error)
                self._token = 0
            except redis.ResponseError as error:
                self._token = 0
                if "NOGROUP" not in str(error):
                    log.error("Redis refuses: %s", error)
                    self.stop.wait(RETRY_SECONDS)
            except (redis.RedisError, BrokerError, OSError) as error:
                log.warning("folding waits for Redis: %s", error)
                self.stop.wait(RETRY_SECONDS)
            except Exception:  # A defect must be loud, and must not take the floor down with it.
                log.exception("a step failed and is tried again")
                self.stop.wait(RETRY_SECONDS)
        ended.set()
        self.recorder.wake.set()
        for thread in threads:
            thread.join(THREADS_END_SECONDS)
        self.lease.release()

    def _stand_by(self) -> None:
        if self._token:
            log.warning("another ingest has taken over; standing by")
            self._token = 0
        self.stop.wait(self.lease.ttl / 5)

    def _listen(self) -> None:
        """Listen only while active: two listeners would put every foreign event on the journal twice."""
        while not self.stop.is_set():
            if self.lease.held():
                self.listener.run(_While(self.stop, self.lease.held))
            self.stop.wait(0.2)


def _tell(outcome: Outcome) -> None:
    """What became of our legs, for the log: one that begins, is answered, ends."""
    for rows in outcome.transitions.values():
        for row in rows:
            if row["current"] in TOLD and row["metadata"].get("role", "other") != "other":
                trail.note(f"leg {row['current']}", leg=row["leg"], call_id=row["call_id"])


class _While(threading.Event):
    """A stop event that is also set when a condition no longer holds."""

    def __init__(self, stop: threading.Event, holds: Callable[[], bool]) -> None:
        super().__init__()
        self._stop, self._holds = stop, holds

    def is_set(self) -> bool:
        return self._stop.is_set() or not self._holds()

    def wait(self, timeout: float | None = None) -> bool:
        self._stop.wait(timeout)
        return self.is_set()
