"""Ask the sequential worker for a decision, at once, and never more than one at a time."""

import datetime as dt
import logging
import time

import redis
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from dialer.limits import TICK_PENDING_SECONDS
from events import streams

log = logging.getLogger(__name__)
PENDING_KEY = "dialer:tick_pending"
# Moments (seconds since the epoch) at which a tick is wanted.
DUE_KEY = "dialer:due"


def dialer() -> None:
    """After this transaction commits: put one tick on the queue unless one waits there already."""
    transaction.on_commit(tick, robust=True)


def tick(*, again: bool = False) -> bool:
    """Whether a tick was put on the queue. The key expires, should the queued tick be lost with its worker. again: for
    what was asked since the last one began, for which the key is still there."""
    try:
        if not streams.shared().set(PENDING_KEY, "1", nx=not again, ex=TICK_PENDING_SECONDS):
            return False
        current_app.send_task("dialer.tasks.process_dialer_logic")
    except (redis.RedisError, OperationalError) as error:
        log.warning("no tick could be queued: %s", type(error).__name__)
        return False
    return True


def nothing_waits(client: redis.Redis) -> bool:
    """Whether no task is on the sequential queue; False while Redis does not say."""
    try:
        return not client.llen(streams.SEQUENTIAL_QUEUE)
    except redis.RedisError:
        return False


def again_if_lost(client: redis.Redis) -> None:
    """To be called while no task is at hand. A mark of a tick that is on no queue has outlived it: Redis has lost its
    last second, or the worker that had taken it died."""
    try:
        marked = client.exists(PENDING_KEY)
    except redis.RedisError:
        return
    if marked and nothing_waits(client):
        tick(again=True)


def no_later_than(moment: dt.datetime) -> None:
    """After this transaction commits: have a tick at that moment, which the regular one might miss by a second."""
    at = moment.timestamp()
    transaction.on_commit(lambda: _remember(at), robust=True)


def _remember(at: float) -> None:
    try:
        streams.shared().zadd(DUE_KEY, {f"{at:.3f}": at})
    except redis.RedisError:
        pass  # The regular tick comes within a second.


def seconds_until_due(client: redis.Redis, longest: float) -> float:
    """How long the ticking may pause: `longest`, or less where a moment was asked for. Those that are over are
    forgotten."""
    now = time.time()
    try:
        client.zremrangebyscore(DUE_KEY, 0, now)
        first = client.zrange(DUE_KEY, 0, 0, withscores=True)
    except redis.RedisError:
        return longest
    return min(longest, max(0.0, first[0][1] - now)) if first else longest


def tick_started() -> None:
    """What becomes true from now on deserves a tick of its own."""
    try:
        streams.shared().delete(PENDING_KEY)
    except redis.RedisError:
        pass
