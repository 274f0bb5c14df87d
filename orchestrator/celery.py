"""The Celery application: two queues on Redis, JSON only. Queues and routes are in settings."""

import os
from typing import Any

from celery import Celery, signals
from celery.app.amqp import AMQP
from django.db import close_old_connections
from kombu import Connection

from events import collector

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

# Between attempts to reach the broker; Celery's own grow to 30 s, in which nobody is dialled or joined.
AGAIN_SECONDS = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.5}


class SoonAgain(Connection):
    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """As workers ask for it; who publishes has a policy of its own."""
        return super().ensure_connection(*args, **{**AGAIN_SECONDS, **options})


class _Soon(AMQP):
    Connection = BrokerConnection = SoonAgain


app = Celery("orchestrator", amqp=_Soon)
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
