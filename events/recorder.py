"""From folded journal entries to EventBatch rows: the ingest's second thread, so that a slow database delays no fact.

It keeps nothing in memory: what is to be recorded is what the journal says is delivered, folded and not acknowledged.
While the database is away these entries simply stay there, and a restart finds them as they are.

    EventBatch committed -> events.tasks.store_batch sent -> entries acknowledged

Died after the commit: the next recorder finds the batch that covers the first entry, and only acknowledges. Died before
it: nothing has happened yet. A lost task is sent again by the sweep.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import redis
from celery import Celery
from django.db import DatabaseError, DataError, InterfaceError, close_old_connections, connection
from django.db.models import Q
from kombu.exceptions import OperationalError as BrokerError

from events import live, streams
from events.entries import order
from events.journal import GROUP, READ_COUNT, Journal
from events.models import EventBatch

log = logging.getLogger(__name__)

# A batch is closed at this many events or after this many seconds: 500 rows fill one COPY well, and half a second is
# how late the stored history may be behind the live board.
BATCH_EVENTS: Final = READ_COUNT
BATCH_SECONDS: Final = 0.5
LAST_BATCHES: Final = 20
SWEEP_SECONDS: Final = 10.0
TRIM_SECONDS: Final = 5.0
# After an error of the database or the broker: wait, and longer each time.
BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
# A batch that the database has refused this often is given up (it says why) and no longer keeps the journal from being
# trimmed. That the database is away, locked or full is no refusal: then the journal waits.
BATCH_ATTEMPTS: Final = 50

NOT_STORED: Final = Q(status__in=[EventBatch.Status.CREATED, EventBatch.Status.PROCESSING]) | Q(
    status=EventBatch.Status.FAILED, attempts__lt=BATCH_ATTEMPTS
)
GIVEN_UP: Final = Q(status=EventBatch.Status.FAILED, attempts__gte=BATCH_ATTEMPTS)


class Recorder:
    """`folded`: the journal id up to which entries are folded, asked each time; `may_write`: does the lease hold."""

    def __init__(
        self,
        plain: redis.Redis,
        app: Celery,
        folded: Callable[[], str],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._redis, self._app, self._folded, self._may_write = plain, app, folded, may_write
        self._journal = Journal(plain)
        self.wake = threading.Event()
        # Entries in batches that the database has not completed; None when it cannot be asked.
        self.unstored: int | None = 0

    # --- one step each; the loop below only repeats them -----------------------------------------------------------

    def record(self) -> int:
        """One batch, if there is anything to record; returns how many entries were acknowledged.

        Raises DatabaseError, InterfaceError or redis.RedisError, and has then acknowledged nothing.
        """
        folded = self._folded()
        ids = self._journal.unacknowledged(upto=folded, count=BATCH_EVENTS)
        if not ids or not self._may_write():
            return 0
        covering = self._covering(ids[0])
        if covering is not None:
            ids = [entry for entry in ids if order(entry) <= order(covering)]
        else:
            self.send(self.create(ids))
        self.acknowledge(ids)
        return len(ids)

    def create(self, ids: list[str]) -> str:
        """The EventBatch of these entries, committed; returns its batch_id."""
        transitions = live.transitions_of(self._redis, ids)
        place = {"event_count": len(ids), "first_journal_id": ids[0], "last_journal_id": ids[-1]}
        try:
            batch = EventBatch.objects.create(**place, transitions=transitions)
        except DataError:
            # Nothing may stop the recording for good; the events themselves can be folded again (replay_events).
            log.exception("the transitions of %s to %s are refused and left out", ids[0], ids[-1])
            batch = EventBatch.objects.create(**place)
        return str(batch.batch_id)

    def send(self, batch_id: str) -> None:
        """Ask the `default` workers to store it. A broker that is away is no error: the sweep sends it again."""
        try:
            self._app.send_task("events.tasks.store_batch", kwargs={"batch_id": batch_id}, queue="default")
        except BrokerError as error:
            log.warning("store_batch %s was not sent, the sweep will send it: %s", batch_id, error)

    def acknowledge(self, ids: list[str]) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(streams.JOURNAL, GROUP, *ids)
            live.forget_transitions(pipe, ids)
            pipe.execute()

    def trim(self) -> int:
        """Drop from the journal what is stored; returns how many entries went."""
        waiting = EventBatch.objects.filter(NOT_STORED).exclude(first_journal_id="")
        firsts = list(waiting.values_list("first_journal_id", "event_count"))
        self.unstored = sum(count for _, count in firsts)
        return self._journal.trim(min((first for first, _ in firsts), key=order, default=None))

    def sweep(self) -> None:
        # One that waits longer than this in a blocked queue is stale: the next one is there already.
        self._app.send_task("events.tasks.sweep_batches", queue="default", expires=2 * SWEEP_SECONDS)

    @staticmethod
    def _covering(journal_id: str) -> str | None:
        """The last journal id of the batch that covers `journal_id`, if there is one: the newest (its maker died before
        the XACK), or an older one that begins with it (Redis has lost the XACK)."""
        batches = EventBatch.objects.exclude(first_journal_id="").order_by("-id")
        for chosen in (batches, batches.filter(first_journal_id=journal_id)):
            for first, last in chosen.values_list("first_journal_id", "last_journal_id")[:1]:
                if order(first) <= order(journal_id) <= order(last):
                    return str(last)
        return None

    # --- the loop --------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        """Until `stop`: record every half second or as soon as woken, trim and sweep now and then. Never raises."""
        failures, trim_at, sweep_at = 0, clock(), clock()
        while not stop.is_set():
            self.wake.wait(BATCH_SECONDS if not failures else BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1])
            self.wake.clear()
            if not self._may_write():
                continue
            try:
                close_old_connections()
                while self.record() == BATCH_EVENTS and not stop.is_set():
                    pass
                if clock() >= trim_at:
                    trim_at = clock() + TRIM_SECONDS
                    self.trim()
                if clock() >= sweep_at:
                    sweep_at = clock() + SWEEP_SECONDS
                    self.sweep()
                failures = 0
            except (DatabaseError, InterfaceError) as error:
                failures += 1
                self.unstored = None
                connection.close()
                log.warning("the database does not take batches, the journal keeps them: %s", str(error).strip())
            except (redis.RedisError, BrokerError) as error:
                failures += 1
                log.warning("recording waits for Redis: %s", error)
            except Exception:  # A defect here must not end recording for good in silence; it is loud and tried again.
                failures += 1
                log.exception("recording failed")
        self._last()

    def _last(self) -> None:
        """At a clean end, record what is left: as much as fits into the time a stop may take."""
        try:
            for _ in range(LAST_BATCHES):
                if not self._may_write() or not self.record():
                    break
        except Exception as error:  # noqa: BLE001 - the process ends, and the journal keeps what is left
            log.warning("left for the next ingest: %s", error)
        finally:
            connection.close()
