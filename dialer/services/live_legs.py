"""The live state of legs as the ingest keeps it in Redis (events/call_state.py). Its times are milliseconds, those of
facts microseconds."""

from collections.abc import Sequence
from typing import cast

import redis

from events import call_state, streams
from events.call_state import LegState


def one(leg: str) -> LegState | None:
    """None when it is not known, or what is there is no state of a leg."""
    return several([leg])[0]


def _read(raw: bytes | None) -> LegState | None:
    try:
        return call_state.from_json(raw) if raw else None
    except ValueError:
        return None


def several(legs: Sequence[str]) -> list[LegState | None]:
    """As `one`, of each, asked together."""
    if not legs:
        return []
    try:
        found = cast(list[bytes | None], streams.shared().hmget(streams.LIVE_LEGS, list(legs)))
    except redis.RedisError:
        return [None] * len(legs)
    return [_read(raw) for raw in found]


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
