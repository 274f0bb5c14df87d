"""The life of an EventBatch after the ingest has made it: stored, retried, given up. Called by events/tasks.py."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from celery import current_app
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from events import rows, store, streams
from events.journal import Journal
from events.models import EventBatch, EventProcessingStatus
from events.recorder import BATCH_ATTEMPTS, NOT_STORED
from events.store import Cdr, Stored

log = logging.getLogger(__name__)

# A batch that is not completed by then has lost its task, or its worker.
OVERDUE: Final = timedelta(seconds=30)
SWEPT_AT_ONCE: Final = 200
# A batch is sent again at most this often, seconds: the queue may only be long.
RESENT_EVERY: Final = 60
RETRIES_AT_ONCE: Final = 500
# A full detail record is about 10 KB: half a megabyte in one message.
CDRS_PER_TASK: Final = 50
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
        # The details go out and the batch is marked before the one commit: should that fail, all of it comes again.
        with transaction.atomic():
            batch = mine.select_for_update(skip_locked=True).first()
            if batch is None:
                return "busy"
            entries = Journal(streams.shared()).between(batch.first_journal_id, batch.last_journal_id)
            stored = store.store(batch, _readable(entries), len(entries))
            send_cdrs(stored.cdrs)
            _keep_aside(stored.refused)
            return _end(mine, batch, stored, len(entries))
    except DatabaseError as error:
        _note_failure(mine, str(error))
        raise


def _begin(mine: QuerySet[EventBatch]) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        # Should PostgreSQL die now, an attempt is not counted: not worth waiting for its disk.
        cursor.execute("SET LOCAL synchronous_commit TO off")
        now = timezone.now()
        return bool(mine.update(status=EventBatch.Status.PROCESSING, started_at=now, attempts=F("attempts") + 1))


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
    mine.update(status=EventBatch.Status.COMPLETED, completed_at=timezone.now(), processed_count=done, error_message="")
    return "stored"


def _note_failure(mine: QuerySet[EventBatch], reason: str) -> None:
    try:
        mine.update(status=EventBatch.Status.FAILED, error_message=reason[:2_000])
    except (DatabaseError, InterfaceError):
        log.warning("the database is away, the batch stays as it was")


def _keep_aside(refused: Sequence[rows.Row]) -> None:
    for row in refused:
        kept = {"id": row.journal_id, "reason": "refused by the database", streams.JOURNAL_FIELD: ascii(row.event)}
        streams.shared().xadd(streams.MALFORMED, cast(Any, kept), maxlen=streams.MALFORMED_LIMIT, approximate=True)


def _readable(entries: Iterable[Any]) -> Iterable[rows.Row]:
    for entry in entries:
        try:
            yield rows.from_entry(entry)
        except ValueError:
            continue  # No event; the ingest has counted it and kept it in streams.MALFORMED.


def send_cdrs(cdrs: Sequence[Cdr]) -> None:
    """Hand detail records to the dialer's room, by task name: [[call_id, record], ...]."""
    for start in range(0, len(cdrs), CDRS_PER_TASK):
        part = [list(cdr) for cdr in cdrs[start : start + CDRS_PER_TASK]]
        current_app.send_task("dialer.tasks.store_cdr", args=[part], queue="default")


def retry_due(now: Any = None) -> int:
    """Process again what has failed and is due; returns how many were tried."""
    due = Q(status__in=[Status.FAILED, Status.PENDING], next_retry_at__lte=now or timezone.now())
    return reprocess(EventProcessingStatus.objects.filter(due), RETRIES_AT_ONCE)


def reprocess(chosen: QuerySet[EventProcessingStatus], limit: int) -> int:
    """Process the events of these statuses again, up to `limit`; returns how many were tried.

    Raises the broker's error when detail records cannot be handed over; nothing is then marked as done.
    """
    with transaction.atomic():
        statuses = list(
            chosen.select_for_update(skip_locked=True, of=("self",)).select_related("event").order_by("pk")[:limit]
        )
        now, cdrs = timezone.now(), []
        for status in statuses:
            result = store.process(status.event.event_data)
            status.status, status.attempts, status.last_attempt_at = result.status, status.attempts + 1, now
            status.last_error, status.error_traceback = result.error, result.trace
            failed = result.status == Status.FAILED
            status.next_retry_at = store.next_retry(status.attempts, now) if failed else None
            status.processed_at = now if result.status == Status.PROCESSED else None
            status.call_log_id = result.call_id or status.call_log_id
            if result.cdr is not None:
                cdrs.append((str(result.call_id), result.cdr))
        EventProcessingStatus.objects.bulk_update(
            statuses,
            ["status", "attempts", "last_attempt_at", "last_error", "error_traceback", "next_retry_at", "processed_at",
             "call_log_id"],
        )  # fmt: skip
        send_cdrs(cdrs)
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
