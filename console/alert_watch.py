"""The floor publisher's second pair of eyes: once a second it holds the published floor against the thresholds, and
counts occupancy for the trends. A thread of its own, handed copies: a slow database delays alerts, never a frame.

Only the process that holds the publisher's lease looks. Open alerts are read from PostgreSQL each time, so whoever
takes over goes on with them.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from collections.abc import Callable

import redis
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from kombu.exceptions import KombuError

from console import alerts, trend_minutes, webhook
from console.alerting import Evaluator, Rule
from console.floor_state import FloorState
from console.models_alerts import rules

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# What an administrator changes acts within this.
RULES_SECONDS = 2.0
# A queue that is away is not asked again at once: asking takes time, and alerts are waited for.
QUEUE_AWAY_SECONDS = 5.0


class Watch(threading.Thread):
    """Looks at what it is handed, until it is handed None. `holds`: whether this process may still write."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        super().__init__(name="alert-watch", daemon=True)
        self.holds = holds
        self.handed: queue.Queue[tuple[FloorState, int] | None] = queue.Queue(1)
        self.evaluator = Evaluator()
        self.occupancy = trend_minutes.Occupancy()
        self._rules: list[Rule] = []
        self._next_rules = self._next_telling = 0.0
        self._begin_anew = False

    def look(self, floor: FloorState, now: int) -> None:
        """Hand over the floor as it is at `now` (ms). Does not wait: while a look takes longer, the next is left
        out."""
        agents, calls, campaigns = dict(floor.agents), dict(floor.calls), dict(floor.campaigns)
        copy = FloorState(floor.epoch, floor.seq, floor.at, agents, calls, campaigns, {}, floor.kpis)
        try:
            self.handed.put_nowait((copy, now))
        except queue.Full:
            pass

    def forget(self) -> None:
        """What was watched so far is of another floor: a new epoch has begun."""
        self._begin_anew = True

    def end(self) -> None:
        """Stop after the look under way. Does not wait for it."""
        try:
            self.handed.get_nowait()
        except queue.Empty:
            pass
        self.handed.put(None)

    def run(self) -> None:
        while (handed := self.handed.get()) is not None:
            if self._begin_anew:
                self._begin_anew = False
                self.evaluator, self.occupancy, self._next_rules = Evaluator(), trend_minutes.Occupancy(), 0.0
            try:
                close_old_connections()
                self._step(*handed)
            except (DatabaseError, InterfaceError, redis.RedisError) as error:
                log.warning("alerts wait: %s", type(error).__name__)
            except Exception:  # a bug in one figure must be in the log, not end the watch
                log.exception("the floor could not be held against the thresholds")
        connection.close()

    def _step(self, floor: FloorState, now: int) -> None:
        moment = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
        if time.monotonic() >= self._next_rules:
            self._rules = rules()
            self._next_rules = time.monotonic() + RULES_SECONDS
        known = alerts.not_over()
        changes = self.evaluator.step(self._rules, floor, {key: open_ for key, (_, open_) in known.items()}, now)
        if not self.holds():
            return
        alerts.apply(changes, known, moment)
        alerts.wake(moment)
        self._tell(moment)
        self.occupancy.look(floor, now)
        self.occupancy.write(now)

    def _tell(self, now: dt.datetime) -> None:
        if time.monotonic() < self._next_telling:
            return
        try:
            webhook.sweep(now)
        except (KombuError, redis.RedisError, OSError) as error:
            log.warning("the webhook waits, the queue is away: %s", type(error).__name__)
            self._next_telling = time.monotonic() + QUEUE_AWAY_SECONDS
