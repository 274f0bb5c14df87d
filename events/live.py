"""The live state of the legs in Redis: a projection that the ingest alone writes, in one atomic step per read.

In one transaction with the legs go the place in the journal up to which they are folded, the facts for the dialer, the
transitions (kept until the database has them) and the announcements to the floor. So wherever the ingest dies, its
successor finds legs and place that belong together: nothing is folded twice or left out, no fact is told twice or
never, no transition is lost on its way to the database.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import orjson
import redis
from django.conf import settings
from django.core.cache import cache

from events import call_state, streams
from events.call_state import LegState
from events.intake import Outcome
from events.journal import START

log = logging.getLogger(__name__)

# The journal id up to which LIVE_LEGS is folded.
FOLDED: Final = "live:folded"
# Hash journal id -> JSON list of transitions, until their batch is in the database.
TRANSITIONS: Final = "live:transitions"
# live:ended:{leg} -> its last state, so that a late or repeated event does not raise it from the dead after a restart.
# Written with the legs and not looked up in the cache: the cache may be ahead of them when the ingest dies.
ENDED_PREFIX: Final = "live:ended:"
ENDED_SECONDS: Final = 600
# A malformed entry is kept for people up to this size, bytes.
MALFORMED_BYTES: Final = 65_536


class LeaseLost(Exception):
    """Another process has taken over (or Redis was flushed): what we hold is no longer ours to write."""


class RolledBack(Exception):
    """Redis is not where we left it (it came back without its last second): what we remember did not happen for it."""


def cache_key(leg: LegState) -> str:
    """`call_state:{call_id}` for the customer's leg of a call, `call_state:{leg}` for every other leg."""
    name = leg.call_id if leg.role == "customer" and leg.call_id else leg.leg
    return f"{settings.CALL_STATE_CACHE_PREFIX}{name}"


def load(connection: redis.Redis) -> tuple[dict[str, LegState], str | None]:
    """(live legs, the journal id they are folded up to; None when Redis knows of none)."""
    with connection.pipeline(transaction=True) as pipe:
        pipe.hgetall(streams.LIVE_LEGS)
        pipe.get(FOLDED)
        rows, folded = pipe.execute()
    legs: dict[str, LegState] = {}
    for name, raw in rows.items():
        try:
            legs[name.decode()] = call_state.from_json(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("a live leg cannot be read and is left out: %s: %s", name, error)
    return legs, folded.decode() if folded else None


def folded_upto(connection: redis.Redis) -> str:
    """The journal id up to which the legs in Redis are folded."""
    return _place(cast(Any, connection.get(FOLDED)))


def _place(raw: bytes | None) -> str:
    return raw.decode() if raw else START


def write(connection: redis.Redis, outcome: Outcome, guard: tuple[str, str, str] | None = None) -> bool:
    """Write down what one read has changed, all of it or nothing. Returns whether facts wait, none did before, and no
    task that begins with them waits, either.

    `guard`: (the lease's key, the owner it must still name, the place in the journal that must still be written down),
    checked in the same transaction, so that an ingest that was frozen and woke up late writes nothing, and none builds
    on what Redis has lost. Raises LeaseLost, RolledBack, or redis.RedisError.
    """
    with connection.pipeline(transaction=True) as pipe:
        if guard is not None:
            key, owner, folded = guard
            pipe.watch(key, FOLDED)  # type: ignore[no-untyped-call]
            holder, place = cast(Any, pipe.mget(key, FOLDED))
            if holder != owner.encode():
                raise LeaseLost(key)
            if _place(place) != folded:
                raise RolledBack(f"the legs in Redis are folded up to {_place(place)}, those in memory up to {folded}")
            pipe.multi()
        live = {leg: call_state.to_json(state) for leg, state in outcome.changed.items() if state.state != "ended"}
        ended = {leg: call_state.to_json(state) for leg, state in outcome.changed.items() if state.state == "ended"}
        if live:
            pipe.hset(streams.LIVE_LEGS, mapping=cast(Any, live))
        if ended:
            pipe.hdel(streams.LIVE_LEGS, *ended)
            for leg, last in ended.items():
                pipe.set(ENDED_PREFIX + leg, last, ex=ENDED_SECONDS)
        if outcome.transitions:
            pipe.hset(TRANSITIONS, mapping={key: orjson.dumps(rows) for key, rows in outcome.transitions.items()})
        for state in outcome.changed.values():
            _announce(pipe, state)
        for entry, reason in outcome.malformed:
            kept = {"id": entry.id, "reason": reason, streams.JOURNAL_FIELD: (entry.raw or b"")[:MALFORMED_BYTES]}
            pipe.xadd(streams.MALFORMED, cast(Any, kept), maxlen=streams.MALFORMED_LIMIT, approximate=True)
        for fact in outcome.for_dialer:
            pipe.xadd(streams.FACTS, {streams.FACTS_FIELD: orjson.dumps(fact)})
        pipe.xlen(streams.FACTS)
        pipe.llen(streams.SEQUENTIAL_QUEUE)
        pipe.set(FOLDED, outcome.last)
        try:
            waiting, tasks, _ = cast(list[int], pipe.execute()[-3:])
        except redis.WatchError as error:
            raise LeaseLost(str(guard)) from error
    return 0 < waiting == len(outcome.for_dialer) and not tasks


def restore(connection: redis.Redis, legs: Mapping[str, LegState], folded: str) -> None:
    """Write all live legs again, after Redis has lost them, and announce them."""
    with connection.pipeline(transaction=True) as pipe:
        pipe.delete(streams.LIVE_LEGS)
        if legs:
            pipe.hset(streams.LIVE_LEGS, mapping=cast(Any, {leg: call_state.to_json(s) for leg, s in legs.items()}))
        for state in legs.values():
            _announce(pipe, state)
        pipe.set(FOLDED, folded)
        pipe.execute()
    remember(legs.values())


def _announce(pipe: Any, state: LegState) -> None:
    change = orjson.dumps({"kind": "leg", "id": state.leg, "data": call_state.to_row(state)})
    pipe.xadd(streams.CHANGES, {streams.CHANGES_FIELD: change}, maxlen=streams.CHANGES_LIMIT, approximate=True)


def remember(states: Any) -> None:
    """Copy legs into the cache. A cache that does not answer is only noted: nobody's truth is there."""
    rows = {cache_key(state): call_state.to_row(state) for state in states}
    if rows:
        try:
            cache.set_many(rows, timeout=settings.CALL_STATE_CACHE_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - any backend, any trouble: it is only a copy
            log.warning("the cache did not take %d call states: %s", len(rows), error)


def recall(connection: redis.Redis, legs: set[str]) -> dict[str, LegState]:
    """Those of the legs that have ended lately and that memory no longer has."""
    names = list(legs)
    found: dict[str, LegState] = {}
    if not names:
        return found
    for name, raw in zip(names, cast(list[Any], connection.mget([ENDED_PREFIX + leg for leg in names])), strict=True):
        if raw:
            found[name] = call_state.from_json(raw)
    return found


def transitions_of(connection: redis.Redis, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The transitions that these journal entries caused, in order, each with its entry's id."""
    if not ids:
        return []
    found: list[dict[str, Any]] = []
    for journal_id, raw in zip(ids, cast(list[Any], connection.hmget(TRANSITIONS, list(ids))), strict=True):
        if raw:
            found.extend({**row, "journal_id": journal_id} for row in orjson.loads(raw))
    return found


def forget_transitions(pipe: Any, ids: Sequence[str]) -> None:
    if ids:
        pipe.hdel(TRANSITIONS, *ids)
