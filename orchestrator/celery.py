"""The Celery application: two queues on Redis, JSON only. Queues and routes are in settings."""

import os

from celery import Celery, signals
from django.db import close_old_connections

from events import collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

app = Celery("orchestrator")
# In every thread: Celery's current app is otherwise a bare one, without our broker, in all threads but the main one.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.task_prerun.connect
def _keep_connections(**_: object) -> None:
    """As around a request: a connection lives CONN_MAX_AGE, and is asked before its first use whether it still does. A
    new one for each task costs more than most tasks: a process of PostgreSQL's that knows no table yet."""
    close_old_connections()


@signals.worker_process_init.connect
def _settle(**_: object) -> None:
    collector.settle()
