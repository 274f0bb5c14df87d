"""The names of everything that travels through Redis, and the connections to it. One place, so rooms agree by import.

Streams and keys live in the broker's database (`settings.REDIS_URL`); the cache has its own (`settings.CACHE_URL`).
"""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from events import nodes

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
# The command that an order follows from, where there is one: for the log alone.
ORDERS_COMMAND_FIELD = "c"
# Field of an order that was sent before, perhaps: its sender died before it had written that down.
ORDERS_AGAIN = "again"
ORDERS_GROUP = "bridge"
# SET NX before an order leaves for the switch: an order is executed at most once, whoever reads it.
ORDER_CLAIM_PREFIX = "esl:order:"
ORDER_CLAIM_SECONDS = 24 * 3600

# {stream of orders}:memory: the Redis process that keeps the claims, by its run id. Another one, or none: claims may
# have been lost.
ORDERS_MEMORY = ":memory"

# Whose calls may not leave any more: dialer:stopped:{campaign_id or number} -> since when (s since 1970), written by
# dialer/stops.py, read by the bridge before a call leaves.
STOPPED_PREFIX = "dialer:stopped:"

# Live legs, hash leg uuid -> LegState as JSON; written by the ingest only. The cache's call_state: keys are copies.
LIVE_LEGS = "live:legs"

# call_hold:{customer's leg} -> when the call was last put on hold or taken off, ISO 8601; written by the dialer
# (services/holds.py).
HOLD_PREFIX = "call_hold:"
HOLD_SECONDS = 24 * 3600

# What the ingest tells the dialer (events/facts.py), in order: field `f` = a fact as JSON. Written with the live legs;
# deleted by the sequential worker, each once it has been applied (dialer/services/hearing.py).
FACTS = "dialer:facts"
FACTS_FIELD = "f"
# Celery's list of the sequential worker's tasks: each begins with the facts that wait.
SEQUENTIAL_QUEUE = "dialer_queue"

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

# Failed sign-ins, counted for some minutes by user, address and browser (hashed), and which browsers know which users
# (console/sign_ins.py).
SIGN_IN_PREFIX = "signin:"

# Open websockets, hash: web process -> JSON {"at", "agent", "floor"}; an entry older than SOCKETS_SECONDS is of a
# process that is gone.
SOCKETS = "console:sockets"
SOCKETS_SECONDS = 10

# heartbeat:{component} -> JSON {"at": epoch seconds, ...}; a component that has died stops being there.
HEARTBEAT_PREFIX = "heartbeat:"
HEARTBEAT_SECONDS = 15

# Written only to see whether Redis takes it.
PROBE = "probe:writes"

# Of the orders nobody has read, counted one by one.
ORDERS_COUNTED = 1_000

# Longest block of a reading call: short enough to notice a stop request, long enough to cost nothing.
BLOCK_MS = 1_000
SOCKET_SECONDS = 5
# A channel on which nothing came for a second is asked whether it is there; one that has not answered for so long is
# not. Not left to the kernel: redis-py takes its ETIMEDOUT for "no message yet", at once and for ever.
CHANNEL_SECONDS = 10.0


def connect(url: str | None = None, *, blocking: bool = False) -> redis.Redis:
    """A Redis connection pool. `blocking`: for reads that wait, BLOCK_MS at most, and for every read of a group: what
    that was given when its connection broke waits among the pending, so the error must be heard of, not tried over."""
    return redis.Redis.from_url(
        url or settings.REDIS_URL,
        socket_timeout=SOCKET_SECONDS + BLOCK_MS / 1000 if blocking else SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        socket_keepalive=True,
        health_check_interval=0 if blocking else 30,
        retry=Retry(NoBackoff(), 0 if blocking else 1),
    )


@cache
def shared() -> redis.Redis:
    """This process's connection for short commands (thread safe)."""
    return connect()


def orders_of(node: str) -> str:
    """The stream of orders to a node."""
    return f"{ORDERS}:{node}" if nodes.several() else ORDERS


def heartbeats(client: redis.Redis, components: Iterable[str], now: float) -> dict[str, bytes | None]:
    """What each component has said of itself last; the bridges of several nodes as one (nodes.together)."""
    wanted = list(components)
    keys = {name: [name] for name in wanted}
    if "bridge" in keys:
        keys["bridge"] = [nodes.heartbeat(node) for node in nodes.names()]
    flat = [f"{HEARTBEAT_PREFIX}{key}" for group in keys.values() for key in group]
    values = iter(cast(list[Any], client.mget(flat)))
    found = {name: [next(values) for _ in group] for name, group in keys.items()}
    if nodes.several() and "bridge" in found:
        said = dict(zip(nodes.names(), map(_read, found["bridge"]), strict=True))
        one = nodes.together(said, now)
        found["bridge"] = [None if one is None else json.dumps(one).encode()]
    return {name: group[0] for name, group in found.items()}


def _read(raw: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(raw) if raw else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def orders_waiting(client: redis.Redis, now: float) -> dict[str, Any]:
    """{at, queue, delay_ms}: orders that no bridge has read, counted up to ORDERS_COUNTED a node, and how long the
    oldest has waited. `now`: seconds since 1970."""
    waiting: list[int] = []
    for stream in map(orders_of, nodes.names()):
        groups = client.xinfo_groups(stream) if client.exists(stream) else []
        read = next((group["last-delivered-id"] for group in groups if group["name"] == ORDERS_GROUP.encode()), b"0-0")
        unread = client.xrange(stream, min=b"(" + read, count=ORDERS_COUNTED) if groups else []
        waiting += [int(entry.split(b"-")[0]) for entry, _ in unread]
    return {
        "at": now,
        "queue": len(waiting),
        "delay_ms": max(0, int(now * 1000) - min(waiting)) if waiting else 0,
    }
