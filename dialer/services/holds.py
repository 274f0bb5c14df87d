"""Customers on hold, as the switch says it. Each fact comes at least once, and perhaps once more after a later one."""

import datetime as dt
import logging
from functools import partial

import redis
from django.db import transaction

from dialer.models import CallLog
from dialer.services import answering, call_moves, calls, side_legs
from dialer.services.acting import Act
from events import streams

log = logging.getLogger(__name__)


def held(act: Act, leg: str, *, on: bool, at: dt.datetime) -> None:
    """Whoever talks with the customer has put them on hold, or has taken them back. at: when, by the switch. What is
    told again after the next change has been told is old, and changes nothing."""
    call = call_moves.of_agent_leg(leg)
    if call is None and (side := side_legs.locked(leg)) is not None and side.purpose == side_legs.TAKE_OVER:
        call = calls.locked(side.call.freeswitch_uuid)
    if call is None or call.ended_at is not None or (call.held_at is not None) == on:
        return
    known = [moment for moment in (call.held_at, call.parked_at, _last_hold_change(call)) if moment is not None]
    if known and at < max(known):
        return
    if on:
        call.held_at = at
    else:
        calls.hold_over(call, at)
    calls.save(call, "held_at", "hold_ms")
    answering.confirm(act, call, "hold" if on else "unhold")
    transaction.on_commit(partial(_note_hold_change, call, at), robust=True)


def _last_hold_change(call: CallLog) -> dt.datetime | None:
    """When the call was last put on hold or taken off, as far as that is still known."""
    try:
        raw = streams.shared().get(streams.HOLD_PREFIX + call.freeswitch_uuid)
        return dt.datetime.fromisoformat(raw.decode()) if raw else None
    except (redis.RedisError, ValueError):
        return None


def _note_hold_change(call: CallLog, at: dt.datetime) -> None:
    """The row forgets a hold that is over. Lost, it costs the protection against facts told twice, and nothing else."""
    try:
        streams.shared().set(streams.HOLD_PREFIX + call.freeswitch_uuid, at.isoformat(), ex=streams.HOLD_SECONDS)
    except redis.RedisError as error:
        log.warning("call %s: the time of its hold was not kept (%s)", call.call_id, type(error).__name__)
