"""The names of everything that travels through Redis, and the connections to it. One place, so rooms agree by import.

Streams and keys live in the broker's database (`settings.REDIS_URL`); the cache has its own (`settings.CACHE_URL`).
"""

from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

# Journal: one entry per switch event or bridge report, field `e` = the event as flat JSON. Written by esl_bridge.
JOURNAL = "esl:journal"
JOURNAL_FIELD = "e"
# The header that marks an event as journalled already when it is also published on settings.FREESWITCH_EVENT_CHANNEL.
JOURNALLED_HEADER = "Orchestrator-Node"
# What could not be read as an event: kept for people, bounded.
MALFORMED = "esl:malformed"
MALFORMED_LIMIT = 10_000

# Orders to the switch: field `o` = one order as JSON (dialer/orders.py). Written by the dialer's outbox.
ORDERS = "esl:orders"
ORDERS_FIELD = "o"
ORDERS_GROUP = "bridge"
# SET NX before an order leaves for the switch: an order is executed at most once, whoever reads it.
ORDER_CLAIM_PREFIX = "esl:order:"
ORDER_CLAIM_SECONDS = 24 * 3600

# Live legs, hash leg uuid -> LegState as JSON; written by the ingest only. The cache's call_state: keys are copies.
LIVE_LEGS = "live:legs"

# call_hold:{customer's leg} -> when the call was last put on hold or taken off, ISO 8601; written by the dialer
# (services/holds.py).
HOLD_PREFIX = "call_hold:"
HOLD_SECONDS = 24 * 3600

# Announced changes of agents, calls, campaigns (dialer) and legs (ingest): field `c` = {"kind", "id", "data"} as JSON.
CHANGES = "floor:changes"
CHANGES_FIELD = "c"
CHANGES_LIMIT = 50_000
# Numbered frames: fields `epoch`, `seq`, `f` = the frame as JSON. Written by the floor publisher only.
FRAMES = "floor:frames"
FRAMES_LIMIT = 3_000
# The publisher's last whole state, JSON with epoch and seq; a web process starts from it and applies later frames.
SNAPSHOT = "floor:snapshot"
# PUBLISH channel for results of commands: JSON {"command_id", "status", "reason", ...}.
RESULTS_CHANNEL = "floor:results"

# Open panels, sorted set: "agent_id process" -> the time (s since 1970) at which the entry ends (dialer/presence.py).
PANELS = "console:panels"
# Round trips of agents' panels, hash agent_id -> "ms at" (console/round_trips.py).
ROUND_TRIPS = "console:round_trips"

# Open websockets, hash: web process -> JSON {"at", "agent", "floor"}; an entry older than SOCKETS_SECONDS is of a
# process that is gone.
SOCKETS = "console:sockets"
SOCKETS_SECONDS = 10

# heartbeat:{component} -> JSON {"at": epoch seconds, ...}; a component that has died stops being there.
HEARTBEAT_PREFIX = "heartbeat:"
HEARTBEAT_SECONDS = 15

# Of the orders nobody has read, counted one by one.
ORDERS_COUNTED = 1_000

# Longest block of a reading call: short enough to notice a stop request, long enough to cost nothing.
BLOCK_MS = 1_000
SOCKET_SECONDS = 5


def connect(url: str | None = None, *, blocking: bool = False) -> redis.Redis:
    """A Redis connection pool. `blocking`: for reads that wait, which redis-py's own time-out would break."""
    return redis.Redis.from_url(
        url or settings.REDIS_URL,
        socket_timeout=None if blocking else SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        socket_keepalive=True,
        health_check_interval=0 if blocking else 30,
        retry=Retry(NoBackoff(), 1),
    )


@cache
def shared() -> redis.Redis:
    """This process's connection for short commands (thread safe)."""
    return connect()


def orders_waiting(client: redis.Redis, now: float) -> dict[str, Any]:
    """{at, queue, delay_ms}: orders that the bridge has not read, counted up to ORDERS_COUNTED, and how long the oldest
    has waited. `now`: seconds since 1970."""
    groups = client.xinfo_groups(ORDERS) if client.exists(ORDERS) else []
    read = next((group["last-delivered-id"] for group in groups if group["name"] == ORDERS_GROUP.encode()), b"0-0")
    waiting = client.xrange(ORDERS, min=b"(" + read, count=ORDERS_COUNTED) if groups else []
    oldest = int(waiting[0][0].split(b"-")[0]) if waiting else None
    return {
        "at": now,
        "queue": len(waiting),
        "delay_ms": 0 if oldest is None else max(0, int(now * 1000) - oldest),
    }
