"""Stop means stop: what may no longer be called is marked where the bridge looks before each call leaves.

An order may lie in the stream, or in the outbox, when its campaign is paused or its number forbidden. The mark is
written before the stop is committed, so before anybody is told of it; the bridge refuses whatever was decided before
the mark. It need not outlive the orders: what is decided later asks the rules themselves.
"""

import logging
import time
from collections.abc import Iterable

import redis

from dialer.limits import ORDER_SECONDS
from events import streams

log = logging.getLogger(__name__)
# Orders expire long before; a clock that is a little off does no harm.
KEEP_SECONDS = int(ORDER_SECONDS * 6)


def mark(*targets: str) -> None:
    """Campaigns (their campaign_id) or numbers that nobody may be called for from now on. Raises redis.RedisError."""
    pipe, now = streams.shared().pipeline(transaction=False), time.time()
    for target in targets:
        pipe.set(streams.STOPPED_PREFIX + target, repr(now), ex=KEEP_SECONDS)
    pipe.execute()


def mark_if_possible(targets: Iterable[str]) -> None:
    """For a stop that nobody waits for, or that holds even when Redis is away: then no order reaches the bridge."""
    try:
        mark(*targets)
    except redis.RedisError as error:
        log.warning("a stop could not be marked for the bridge: %s", type(error).__name__)
