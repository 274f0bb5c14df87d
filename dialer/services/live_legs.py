"""The live state of legs as the ingest keeps it in Redis (events/call_state.py). Its times are milliseconds, those of
facts microseconds."""

import redis

from events import call_state, streams
from events.call_state import LegState


def one(leg: str) -> LegState | None:
    """None when it is not known, or what is there is no state of a leg."""
    try:
        raw = streams.shared().hget(streams.LIVE_LEGS, leg)
        return call_state.from_json(raw) if raw else None
    except (redis.RedisError, ValueError):
        return None


def is_joined(leg: str) -> bool:
    """Whether the switch has said that it hears another one."""
    state = one(leg)
    return state is not None and state.peer != ""


def every() -> set[str] | None:
    """Uuids of all legs; None when Redis does not say."""
    try:
        return {key.decode() for key in streams.shared().hkeys(streams.LIVE_LEGS)}
    except redis.RedisError:
        return None
