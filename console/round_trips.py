"""How long a panel's messages take to the server and back, as its `ping` says: from the web processes to the board.

Each web process keeps the last value of each agent and writes what is new once a second into one hash; the floor
publisher reads it. A panel that says nothing for EXPIRY_SECONDS has no round trip.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

import redis.asyncio as redis_async
from redis.exceptions import RedisError

from events import streams

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 1.0
EXPIRY_SECONDS: Final = 60.0


class RoundTrips:
    """What the panels of this web process have measured and nobody has written yet."""

    def __init__(self) -> None:
        self._new: dict[str, bytes] = {}

    def note(self, agent_id: str, milliseconds: int) -> None:
        """Several tabs of one agent: the last that says so."""
        self._new[agent_id] = f"{milliseconds} {time.time():.0f}".encode()

    async def write(self, connection: redis_async.Redis) -> None:
        """Until cancelled. What cannot be written is old by the next second, and dropped."""
        while True:
            new, self._new = self._new, {}
            if new:
                try:
                    await connection.hset(streams.ROUND_TRIPS, mapping=new)  # type: ignore[misc]
                except RedisError as error:
                    log.warning("round trips not told: %s", type(error).__name__)
            await asyncio.sleep(WRITE_SECONDS)


def read(rows: Mapping[bytes, bytes], now: float) -> tuple[dict[str, int], list[bytes]]:
    """(agent -> ms of those that still count, the fields that do not). `now`: seconds since 1970."""
    fresh: dict[str, int] = {}
    over: list[bytes] = []
    for agent, value in rows.items():
        try:
            milliseconds, at = (int(part) for part in value.split())
        except ValueError:
            over.append(agent)
            continue
        if abs(now - at) > EXPIRY_SECONDS:
            over.append(agent)
        else:
            fresh[agent.decode("utf-8", "replace")] = milliseconds
    return fresh, over
