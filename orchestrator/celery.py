"""The Celery application: two queues on Redis, JSON only. Queues and routes are in settings."""

import os
import time
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

app = Celery("orchestrator")
# In every thread: Celery's current app is otherwise a bare one, without our broker, in all threads but the main one.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.before_task_publish.connect
def stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """When a task was put on its queue, for the metrics of how long it waited."""
    if headers is not None:
        headers["queued_at"] = time.time()
