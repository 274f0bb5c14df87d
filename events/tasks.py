"""Tasks of the `default` queue: they fetch and call, nothing else. Idempotent; may run twice and in any order."""

from __future__ import annotations

from celery import shared_task

from events import batches


@shared_task(name="events.tasks.store_batch", acks_late=True, ignore_result=True)
def store_batch(batch_id: str) -> str:
    """Store one EventBatch: raw events, their status, transitions; hand over call detail records."""
    return batches.store_batch(batch_id)


@shared_task(name="events.tasks.retry_failed_events", acks_late=True, ignore_result=True)
def retry_failed_events() -> int:
    """Process again the failed events that are due; returns how many."""
    return batches.retry_due()


@shared_task(name="events.tasks.sweep_batches", acks_late=True, ignore_result=True)
def sweep_batches() -> int:
    """Send again the batches whose task or worker was lost; returns how many. The ingest asks for it every 10 s."""
    return batches.sweep()[0]
