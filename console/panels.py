"""Tells the sequential worker whose panels this web process holds open (dialer/presence.py)."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Collection
from typing import Final

import redis.asyncio as redis_async
from redis.exceptions import RedisError

from console.outbox import Client
from dialer import presence
from events import streams

log = logging.getLogger(__name__)

# A panel that closes is noticed within this time; the grace time begins then.
LOOK_SECONDS: Final = 1.0


async def show(clients: Collection[Client], connection: redis_async.Redis) -> None:
    """Keep this process's entries as its open panels are, until cancelled; what it leaves behind then expires."""
    process = uuid.uuid4().hex
    shown: set[str] = set()
    renewed = 0.0
    while True:
        # Several tabs of one agent are one presence.
        now_open = {client.scope.agent for client in clients if client.scope.agent}
        if now_open != shown or time.monotonic() - renewed >= presence.RENEW_SECONDS:
            try:
                await _write(connection, process, now_open, shown - now_open)
                shown, renewed = now_open, time.monotonic()
            except RedisError as error:
                log.warning("open panels not told: %s", type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def _write(connection: redis_async.Redis, process: str, now_open: set[str], closed: set[str]) -> None:
    pipe = connection.pipeline(transaction=False)
    if now_open:
        until = time.time() + presence.EXPIRY_SECONDS
        pipe.zadd(streams.PANELS, {presence.member(agent, process): until for agent in now_open})
    if closed:
        pipe.zrem(streams.PANELS, *(presence.member(agent, process) for agent in closed))
    if now_open or closed:
        await pipe.execute()
