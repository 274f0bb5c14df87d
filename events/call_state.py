"""How a leg's state follows from the facts about it. Pure: no clock, no I/O.

    initiated -> alerting -> answered <-> bridged <-> held -> ended

`fold` keeps what is known of a leg as a handful of times and names, each with a rule that does not depend on the order
of arrival (the earliest, the latest, the first that is not empty), and derives the state from them. So a duplicate
changes nothing, and facts of one leg that arrive out of order end in the same state (the switch does reorder within a
leg under load, and the journal may deliver an event twice).

Facts carry microseconds; everything here is in whole milliseconds since 1970 UTC, None = not known.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from events import facts

State = Literal["initiated", "alerting", "answered", "bridged", "held", "ended"]

# Causes that say no more than "it is over": any real cause is better.
VAGUE_CAUSES: Final = frozenset({"", "NONE", "LOST"})
# Unbridges remembered per leg until the next bridge makes them history; more than a few never happen.
UNBRIDGES_KEPT: Final = 8

# The facts that change a leg. The others (digit, orders, jobs, link) say nothing about its state.
LEG_FACTS: Final = (
    facts.LegCreated,
    facts.LegRinging,
    facts.LegAnswered,
    facts.LegBridged,
    facts.LegUnbridged,
    facts.LegHeld,
    facts.LegUnheld,
    facts.LegParked,
    facts.LegEnded,
    facts.RecordingStarted,
    facts.RecordingStopped,
)


class LegState(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as far as the facts tell. `since`: when it came into `state`; `peer`: the leg it is joined to now.

    `bridged_at`: its first bridge. `call_id`: the CallLog it belongs to ('' for legs of no call).
    The last block is what folding needs to place a late fact; nobody else should read it.
    """

    leg: str
    role: facts.Role = "other"
    state: State = "initiated"
    since: int = 0
    call_id: str = ""
    agent_id: str = ""
    campaign_id: str = ""
    number: str = ""
    direction: str = ""
    peer: str = ""
    created_at: int | None = None
    ringing_at: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    ended_at: int | None = None
    cause: str = ""
    sip_status: str = ""
    disposition: str = ""
    recording: str = ""
    node: str = ""

    complete: bool = False
    bridge_at: int | None = None
    bridge_peer: str = ""
    unbridged: dict[str, int] = {}
    parked_at: int | None = None
    held_at: int | None = None
    unheld_at: int | None = None
    recording_at: int | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A leg went from `previous` ('' = not heard of before) to `current`. `duration_ms`: time in `previous`."""

    leg: str
    previous: str
    current: State
    at: int
    duration_ms: int | None


def fold(state: LegState | None, fact: facts.AnyFact) -> tuple[LegState | None, Transition | None]:
    """The leg after the fact, and the transition if its state changed. Returns the same object when nothing changed.

    None in: a leg not heard of before. None out: the fact is not about a leg's state and there was none.
    """
    if not isinstance(fact, LEG_FACTS) or (state is not None and state.leg != fact.leg):
        return state, None
    before = state if state is not None else LegState(leg=fact.leg)
    at = fact.at // 1000 or before.since
    changes = _changes(before, fact, at)
    changes = {name: value for name, value in changes.items() if getattr(before, name) != value}
    if not changes and state is not None:
        return state, None
    after = msgspec.structs.replace(before, **changes)
    current, since, peer = _derive(after, at)
    after = msgspec.structs.replace(after, state=current, since=since, peer=peer)
    if state is not None and state.state == current:
        return after, None
    previous = "" if state is None else state.state
    duration = None if state is None else max(0, since - state.since)
    return after, Transition(leg=after.leg, previous=previous, current=current, at=since, duration_ms=duration)


def _changes(leg: LegState, fact: facts.AnyFact, at: int) -> dict[str, Any]:
    """The fields that the fact gives or improves."""
    match fact:
        case facts.LegCreated():
            return {
                "created_at": _earliest(leg.created_at, at),
                "role": leg.role if leg.role != "other" else fact.role,
                "call_id": leg.call_id or fact.call_id,
                "agent_id": leg.agent_id or fact.agent_id,
                "campaign_id": leg.campaign_id or fact.campaign_id,
                "number": leg.number or fact.number,
                "direction": leg.direction or fact.direction,
                "node": leg.node or fact.node,
            }
        case facts.LegRinging():
            return {"ringing_at": _earliest(leg.ringing_at, at)}
        case facts.LegAnswered():
            return {"answered_at": _earliest(leg.answered_at, at)}
        case facts.LegBridged():
            return _bridged(leg, fact.peer, at)
        case facts.LegUnbridged():
            return _unbridged(leg, fact.peer, at)
        case facts.LegHeld():
            return {"held_at": _latest(leg.held_at, at)}
        case facts.LegUnheld():
            return {"unheld_at": _latest(leg.unheld_at, at)}
        case facts.LegParked():
            # No state of its own: a leg parks when it is answered, and whenever a bridge lets it go.
            return {"parked_at": _latest(leg.parked_at, at)}
        case facts.LegEnded():
            return _ended(leg, fact, at)
        case facts.RecordingStarted():
            return _recording(leg, fact.path or "?", at)
        case facts.RecordingStopped():
            return _recording(leg, "", at)
    return {}


def _bridged(leg: LegState, peer: str, at: int) -> dict[str, Any]:
    changes: dict[str, Any] = {"bridged_at": _earliest(leg.bridged_at, at)}
    if leg.bridge_at is None or at >= leg.bridge_at:
        changes["bridge_at"], changes["bridge_peer"] = at, peer
        # An unbridge from before this bridge can concern no bridge that still counts.
        changes["unbridged"] = {name: when for name, when in leg.unbridged.items() if when >= at}
    return changes


def _unbridged(leg: LegState, peer: str, at: int) -> dict[str, Any]:
    # Remembered by peer: one that overtook its own bridge still ends it, one of an old peer never ends a new bridge.
    if leg.bridge_at is not None and at < leg.bridge_at:
        return {}
    unbridged = {**leg.unbridged, peer: max(at, leg.unbridged.get(peer, 0))}
    if len(unbridged) > UNBRIDGES_KEPT:
        oldest = min((name for name in unbridged if name != leg.bridge_peer), key=lambda name: (unbridged[name], name))
        del unbridged[oldest]
    return {"unbridged": unbridged}


def _ended(leg: LegState, fact: facts.LegEnded, at: int) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "created_at": _earliest(leg.created_at, fact.created_at // 1000 or None),
        "answered_at": _earliest(leg.answered_at, fact.answered_at // 1000 or None),
        "bridged_at": _earliest(leg.bridged_at, fact.bridged_at // 1000 or None),
        "complete": leg.complete or fact.complete,
        "sip_status": leg.sip_status or fact.sip_status,
        "disposition": leg.disposition or fact.disposition,
    }
    known, said = _weight(leg.complete, leg.cause), _weight(fact.complete, fact.cause)
    better = (
        leg.ended_at is None or said > known or (said == known and (at, fact.cause) < (leg.ended_at, leg.cause))
    )  # fmt: skip
    if better:
        changes["ended_at"], changes["cause"] = at, fact.cause
        changes["sip_status"] = fact.sip_status or leg.sip_status
        changes["disposition"] = fact.disposition or leg.disposition
    return changes


def _weight(complete: bool, cause: str) -> int:
    """How much a word about the end counts: HANGUP_COMPLETE is the switch's last and fullest."""
    return 2 if complete else 0 if cause in VAGUE_CAUSES else 1


def _recording(leg: LegState, path: str, at: int) -> dict[str, Any]:
    if leg.recording_at is not None and (at < leg.recording_at or (at == leg.recording_at and path)):
        return {}
    return {"recording_at": at, "recording": path}


def _derive(leg: LegState, at: int) -> tuple[State, int, str]:
    """(state, since, peer) from what is known."""
    parted = leg.unbridged.get(leg.bridge_peer)
    if parted is not None and leg.bridge_at is not None and parted < leg.bridge_at:
        parted = None
    joined = leg.bridge_at is not None and parted is None
    peer = leg.bridge_peer if joined else ""
    if leg.ended_at is not None:
        return "ended", leg.ended_at, ""
    held, unheld, bridge = leg.held_at or 0, leg.unheld_at or 0, leg.bridge_at or 0
    # A later bridge or unbridge says that the leg was taken off hold, whether or not the switch said that too.
    if leg.held_at is not None and held > unheld and held >= bridge and held >= (parted or 0):
        return "held", held, peer
    if joined:
        return "bridged", max(bridge, unheld), peer
    moved = [when for when in (leg.bridge_at, leg.unheld_at, leg.held_at, *leg.unbridged.values()) if when is not None]
    if leg.answered_at is not None or moved:
        # Whoever was bridged or held had been answered, even if that event is still under way.
        return "answered", max([*moved, leg.answered_at or 0]), ""
    if leg.ringing_at is not None:
        return "alerting", leg.ringing_at, ""
    return "initiated", leg.created_at if leg.created_at is not None else leg.recording_at or at, ""


def _earliest(known: int | None, said: int | None) -> int | None:
    if known is None or said is None:
        return said if known is None else known
    return min(known, said)


def _latest(known: int | None, said: int) -> int:
    return said if known is None else max(known, said)


def known_so_far(leg: LegState) -> tuple[facts.AnyFact, ...]:
    """The facts that would tell a newcomer how far the leg has come, in order (times in us, as facts are).

    For a leg whose role becomes known late: its earlier facts were of no interest to the dialer then, but are now.
    """
    told: list[facts.AnyFact] = []
    if leg.ringing_at is not None:
        told.append(facts.LegRinging(leg=leg.leg, at=leg.ringing_at * 1000))
    if leg.answered_at is not None:
        told.append(facts.LegAnswered(leg=leg.leg, at=leg.answered_at * 1000))
    if leg.peer and leg.bridge_at is not None:
        told.append(facts.LegBridged(leg=leg.leg, at=leg.bridge_at * 1000, peer=leg.peer))
    if leg.state == "held" and leg.held_at is not None:
        told.append(facts.LegHeld(leg=leg.leg, at=leg.held_at * 1000))
    if leg.ended_at is not None:
        told.append(
            facts.LegEnded(
                leg=leg.leg, at=leg.ended_at * 1000, cause=leg.cause, sip_status=leg.sip_status,
                disposition=leg.disposition, created_at=(leg.created_at or 0) * 1000,
                answered_at=(leg.answered_at or 0) * 1000, bridged_at=(leg.bridged_at or 0) * 1000,
                complete=leg.complete,
            )
        )  # fmt: skip
    return tuple(told)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LegState).decode


def to_row(leg: LegState) -> dict[str, Any]:
    """Plain values, as announced to the floor and kept in the cache."""
    row: dict[str, Any] = msgspec.to_builtins(leg)
    return row


def from_row(row: dict[str, Any]) -> LegState:
    """The inverse of `to_row`; raises msgspec.ValidationError for anything else."""
    return msgspec.convert(row, LegState)


def to_json(leg: LegState) -> bytes:
    return _encode(leg)


def from_json(raw: bytes | str) -> LegState:
    """The inverse of `to_json`; raises msgspec.ValidationError (a ValueError) for anything else."""
    return _decode(raw)
