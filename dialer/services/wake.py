"""Ask the sequential worker for a decision, at once, and never more than one at a time."""

import logging

import redis
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from dialer.limits import TICK_PENDING_SECONDS
from events import streams

log = logging.getLogger(__name__)
PENDING_KEY = "dialer:tick_pending"


def dialer() -> None:
    """After this transaction commits: put one tick on the queue unless one waits there already."""
    transaction.on_commit(tick, robust=True)


def tick() -> bool:
    """Whether a tick was put on the queue. The key expires, should the queued tick be lost with its worker."""
    try:
        if not streams.shared().set(PENDING_KEY, "1", nx=True, ex=TICK_PENDING_SECONDS):
            return False
        current_app.send_task("dialer.tasks.process_dialer_logic")
    except (redis.RedisError, OperationalError) as error:
        log.warning("no tick could be queued: %s", type(error).__name__)
        return False
    return True


def tick_started() -> None:
    """What becomes true from now on deserves a tick of its own."""
    try:
        streams.shared().delete(PENDING_KEY)
    except redis.RedisError:
        pass
