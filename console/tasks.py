"""Tasks of the `default` queue: they fetch and call, nothing else."""

import logging

from celery import Task, shared_task
from django.utils import timezone

from console import webhook
from console.models import Alert, AlertEvent

log = logging.getLogger(__name__)


@shared_task(name="console.tasks.send_alert", bind=True, max_retries=len(webhook.RETRY_SECONDS), ignore_result=True)
def send_alert(self: Task, pk: int, content: str) -> bool:
    """Post one change of an alert (its primary key, the document). Tried again with growing pauses, then given up and
    written into the alert's history. Delivered twice when a worker dies in between: the document's id tells."""
    try:
        webhook.post(content)
    except webhook.NotDelivered as failure:
        if self.request.retries < len(webhook.RETRY_SECONDS):
            raise self.retry(exc=failure, countdown=webhook.RETRY_SECONDS[self.request.retries]) from None
        log.warning("alert %s: the webhook gave up: %s", pk, failure)
        if Alert.objects.filter(pk=pk).exists():
            note = f"webhook: {failure}"[:300]
            AlertEvent.objects.create(alert_id=pk, kind=AlertEvent.Kind.NOT_SENT, at=timezone.now(), note=note)
        return False
    return True
