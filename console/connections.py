"""The web processes' connections to Redis."""

from __future__ import annotations

import redis.asyncio as redis_async
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events import streams


def connect(url: str, seconds: float | None) -> redis_async.Redis:
    """seconds: longest wait for an answer; None for a channel, whose silence its reader asks about."""
    return redis_async.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=streams.SOCKET_SECONDS,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 1),
    )
