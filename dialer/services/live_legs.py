"""The live state of legs as the ingest keeps it in Redis (events/call_state.py)."""

import json
from typing import Any

import redis

from events import streams


def one(leg: str) -> dict[str, Any] | None:
    """The state of a leg, times in milliseconds; None when it is not known."""
    try:
        raw = streams.shared().hget(streams.LIVE_LEGS, leg)
        found = json.loads(raw) if raw else None
    except (redis.RedisError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_joined(leg: str) -> bool:
    """Whether the switch has said that it hears another one."""
    return bool((one(leg) or {}).get("peer"))


def every() -> set[str] | None:
    """Uuids of all legs; None when Redis does not say."""
    try:
        return {key.decode() for key in streams.shared().hkeys(streams.LIVE_LEGS)}
    except redis.RedisError:
        return None
