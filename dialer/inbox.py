"""The command inbox: what was accepted is written down before it is put on the queue, and crossed out with its effect.

A queue in Redis can lose what it hands to a worker in the moment that worker dies, and all of it in a flush. The
sequential worker therefore looks for commands that have waited too long and carries them out itself; a command id has
one effect, however often it arrives.
"""

import uuid
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction
from django.utils import timezone

from dialer.models import QueuedCommand
from events import streams

AGENT_STATE = "dialer.tasks.handle_agent_state"
CONTROL = "dialer.tasks.handle_command"
QUEUE = streams.SEQUENTIAL_QUEUE


def submit(task: str, command: dict[str, Any]) -> None:
    """Accept a command with a `command_id`: task is AGENT_STATE or CONTROL.

    Raises what the broker raises (kombu's OperationalError, redis.RedisError, OSError), and has then accepted nothing.
    """
    key = uuid.UUID(str(command["command_id"]))
    row = QueuedCommand(command_id=key, task=task, payload=command, queued_at=timezone.now())
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        pass  # said on another socket, too, and written down there; the worker may have crossed it out by now
    try:
        # No retry: the person waits for the answer, and a late surprise is worse than a refusal.
        current_app.send_task(task, kwargs={"command": command}, queue=QUEUE, retry=False, ignore_result=True)
    except BaseException:
        if row.pk is not None:
            row.delete()
        raise
