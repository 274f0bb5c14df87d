"""Tells /metrics which sockets this web process holds, and brings its counters to Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Collection
from typing import Final

import redis.asyncio as redis_async
from redis.exceptions import RedisError

from console.outbox import Client
from events import counters, streams

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0


async def tell(clients: Collection[Client], connection: redis_async.Redis) -> None:
    """Until cancelled. An entry that is not renewed any more stops counting (streams.SOCKETS_SECONDS)."""
    process = uuid.uuid4().hex
    while True:
        held = Counter("agent" if client.scope.agent else "floor" for client in clients)
        entry = json.dumps({"at": time.time(), "agent": held["agent"], "floor": held["floor"]})
        try:
            await connection.hset(streams.SOCKETS, process, entry)
            # One short pipelined command; the loop does not feel it.
            counters.flush()
        except (RedisError, OSError) as error:
            log.debug("sockets not told: %s", type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)
