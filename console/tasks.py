"""Tasks of the `default` queue: they fetch and call, nothing else."""

from celery import shared_task
from django.utils import timezone

from console import webhook


@shared_task(name="console.tasks.send_alert", ignore_result=True)
def send_alert(pk: int) -> bool:
    """Post one change of an alert (its delivery's primary key). Delivered twice when a worker dies in between: the
    document's id tells."""
    return webhook.deliver(pk, timezone.now())
