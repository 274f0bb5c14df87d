"""The life of an EventBatch after the ingest has made it: stored, retried, given up. Called by events/tasks.py."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from celery import current_app
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from events import rows, store, streams
from events.entries import Entry
from events.journal import Journal
from events.models import EventBatch, EventProcessingStatus, FreeSwitchEvent
from events.recorder import BATCH_ATTEMPTS, NOT_STORED
from events.store import Stored

log = logging.getLogger(__name__)

# A batch that is not completed by then has lost its task, or its worker.
OVERDUE: Final = timedelta(seconds=30)
SWEPT_AT_ONCE: Final = 200
# A batch is sent again at most this often, seconds: the queue may only be long.
RESENT_EVERY: Final = 60
RETRIES_AT_ONCE: Final = 500
SENT_PREFIX: Final = "events:resent:"

Status = EventProcessingStatus.Status


def store_batch(batch_id: str) -> str:
    """Store one batch from the journal; says in a word how it went. Safe to repeat and to run twice at once.

    Raises DatabaseError, redis.RedisError or the broker's error when one of them is away; the sweep then repeats it.
    """
    mine = EventBatch.objects.filter(batch_id=batch_id).exclude(status=EventBatch.Status.COMPLETED)
    if not _begin(mine):
        return "done already"
    try:
        # The dialer is told and the batch is marked before the one commit: should that fail, all of it comes again.
        with transaction.atomic():
            batch = mine.select_for_update(skip_locked=True).first()
            if batch is None:
                return "busy"
            found = _Readable(Journal(streams.shared()).between(batch.first_journal_id, batch.last_journal_id))
            stored = store.store(batch, found)
            send_final(stored.final, batch_id)
            _keep_aside(stored.refused)
            return _end(mine, batch, stored, found.entries)
    except DatabaseError as error:
        _note_failure(mine, error)
        raise


def _begin(mine: QuerySet[EventBatch]) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        # Should PostgreSQL die now, nobody knows that it was begun: not worth waiting for its disk.
        cursor.execute("SET LOCAL synchronous_commit TO off")
        return bool(mine.update(status=EventBatch.Status.PROCESSING, started_at=timezone.now()))


def _end(mine: QuerySet[EventBatch], batch: EventBatch, stored: Stored, found: int) -> str:
    """Mark the batch; `found`: of its journal entries that were still there."""
    missing, refused = batch.event_count - found, len(stored.refused)
    problems = []
    if missing > 0:
        problems.append(
            f"{missing} of {batch.event_count} journal entries between {batch.first_journal_id} and "
            f"{batch.last_journal_id} were gone (trimmed or flushed) before they could be stored"
        )
    if refused:
        problems.append(f"the database refuses {refused} events in any form; they are kept in {streams.MALFORMED}")
    done = max(0, found - stored.failed - refused)
    if problems:
        # No repetition mends this, so none is tried.
        log.error("batch %s: %s", batch.batch_id, "; ".join(problems))
        mine.update(
            status=EventBatch.Status.FAILED,
            attempts=BATCH_ATTEMPTS,
            processed_count=done,
            error_message="; ".join(problems),
        )
        return "incomplete"
    mine.update(
        status=EventBatch.Status.COMPLETED,
        attempts=F("attempts") + 1,
        completed_at=timezone.now(),
        processed_count=done,
        error_message="",
    )
    return "stored"


def _note_failure(mine: QuerySet[EventBatch], error: DatabaseError) -> None:
    """An attempt counts towards giving the batch up only when something is wrong with it: not when the database was
    away, or kept it waiting (a lock, a full disk), for however long."""
    # What is raised while COPY reads our rows comes back as an OperationalError, too.
    counted = int(not isinstance(error, OperationalError) or "error in .read() call" in str(error))
    try:
        mine.update(status=EventBatch.Status.FAILED, attempts=F("attempts") + counted, error_message=str(error)[:2_000])
    except (DatabaseError, InterfaceError):
        log.warning("the database is away, the batch stays as it was")


def _keep_aside(refused: Sequence[rows.Row]) -> None:
    for row in refused:
        kept = {"id": row.journal_id, "reason": "refused by the database", streams.JOURNAL_FIELD: ascii(row.event)}
        streams.shared().xadd(streams.MALFORMED, cast(Any, kept), maxlen=streams.MALFORMED_LIMIT, approximate=True)


class _Readable:
    """The rows of journal entries; `entries`: how many of these there were so far, readable or not."""

    def __init__(self, found: Iterable[Entry]) -> None:
        self.entries = 0
        self._found = found

    def __iter__(self) -> Iterator[rows.Row]:
        for entry in self._found:
            self.entries += 1
            try:
                yield rows.from_entry(entry)
            except ValueError:
                continue  # No event; the ingest has counted it and kept it in streams.MALFORMED.
            except Exception:  # As the ingest does: no entry, whatever is wrong with it, keeps the others waiting.
                log.exception("journal entry %s cannot be read and is passed over", entry.id)


def send_final(event_ids: Sequence[int], batch_id: str | None = None) -> None:
    """Tell the dialer, by task name, which raw events are detail records of calls."""
    if event_ids:
        current_app.send_task("dialer.tasks.store_cdr", args=[list(event_ids), batch_id], queue="default")


def events_of(event_ids: Sequence[int], batch_id: str | None = None) -> list[dict[str, Any]]:
    """These raw events, in the order of their ids. Of a batch that is being stored only after its end, whichever: with
    none of them when that failed, for what is stored then are others."""
    with transaction.atomic():
        if batch_id is not None:
            EventBatch.objects.select_for_update(no_key=True).filter(batch_id=batch_id).first()
        found = FreeSwitchEvent.objects.filter(pk__in=event_ids).order_by("pk")
        return list(found.values_list("event_data", flat=True))


def retry_due(now: Any = None) -> int:
    """Process again what has failed and is due; returns how many were tried."""
    due = Q(status__in=[Status.FAILED, Status.PENDING], next_retry_at__lte=now or timezone.now())
    return reprocess(EventProcessingStatus.objects.filter(due), RETRIES_AT_ONCE)


def reprocess(chosen: QuerySet[EventProcessingStatus], limit: int) -> int:
    """Process the events of these statuses again, up to `limit`; returns how many were tried.

    Raises the broker's error when the dialer cannot be told of detail records; nothing is then marked as done.
    """
    with transaction.atomic():
        statuses = list(
            chosen.select_for_update(skip_locked=True, of=("self",)).select_related("event").order_by("pk")[:limit]
        )
        now, final = timezone.now(), []
        for status in statuses:
            result = store.process(status.event.event_data)
            status.status, status.attempts, status.last_attempt_at = result.status, status.attempts + 1, now
            status.last_error, status.error_traceback = result.error, result.trace
            failed = result.status == Status.FAILED
            status.next_retry_at = store.next_retry(status.attempts, now) if failed else None
            status.processed_at = now if result.status == Status.PROCESSED else None
            status.call_log_id = result.call_id or status.call_log_id
            if result.final:
                final.append(status.event_id)
        EventProcessingStatus.objects.bulk_update(
            statuses,
            ["status", "attempts", "last_attempt_at", "last_error", "error_traceback", "next_retry_at", "processed_at",
             "call_log_id"],
        )  # fmt: skip
        send_final(final)
    return len(statuses)


def sweep() -> tuple[int, bool]:
    """Send again what was lost: (batches sent again, whether retries were due and asked for)."""
    overdue = timezone.now() - OVERDUE
    late = EventBatch.objects.filter(NOT_STORED, created_at__lt=overdue).filter(
        Q(started_at__isnull=True) | Q(started_at__lt=overdue)
    )
    sent = 0
    for batch_id in late.order_by("pk").values_list("batch_id", flat=True)[:SWEPT_AT_ONCE]:
        if streams.shared().set(f"{SENT_PREFIX}{batch_id}", 1, nx=True, ex=RESENT_EVERY):
            current_app.send_task("events.tasks.store_batch", kwargs={"batch_id": str(batch_id)}, queue="default")
            sent += 1
    if sent:
        log.warning("%d batches were not completed in %s and are sent again", sent, OVERDUE)
    due = EventProcessingStatus.objects.filter(
        status__in=[Status.FAILED, Status.PENDING], next_retry_at__lte=timezone.now()
    ).exists()
    if due:
        current_app.send_task("events.tasks.retry_failed_events", queue="default", expires=RESENT_EVERY)
    return sent, due
