"""A call on the board: the dialer's record joined with the switch's legs. Pure."""

from __future__ import annotations

import msgspec

from console.rows import CallRow, LegState, Listener, Recording
from events.privacy import mask

# Legs of the agents' own softphones and of listening supervisors are no calls; agent rows speak of them.
SHOWN_ROLES = frozenset({"customer", "other", ""})


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The dialer's row of a call (unknown fields are ignored)."""

    id: str
    campaign_id: str | None = None
    agent_id: str | None = None
    number: str = ""
    contact: str = ""
    attempt: int = 1
    direction: str = "outbound"
    status: str = ""
    started: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    ended_at: int | None = None
    cause: str = ""
    recording: Recording = "off"
    muted: bool = False
    muted_since: int | None = None
    held_at: int | None = None
    parked: bool = False
    consulting: str = ""
    consult_answered: bool = False
    taken_over_by: str = ""
    operation: str = ""
    listeners: tuple[Listener, ...] = ()
    team: str = ""
    decision_id: int | None = None
    version: int = 0


class Leg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ingest's state of a leg (unknown fields are ignored)."""

    leg: str
    role: str = "other"
    state: LegState = "initiated"
    since: int | None = None
    call_id: str | None = ""
    agent_id: str | None = ""
    campaign_id: str | None = ""
    number: str | None = ""
    peer: str | None = ""
    direction: str | None = ""
    created_at: int | None = None
    ringing_at: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    ended_at: int | None = None
    cause: str | None = ""


_COMMON = tuple(name for name in CallRecord.__struct_fields__ if name in CallRow.__struct_fields__)


def merge(record: CallRecord, leg: Leg | None, agent_leg: Leg | None) -> CallRow:
    """leg: of the customer, alive or ended while the dialer still holds the call open. agent_leg: of its agent."""
    answered = record.answered_at or (leg.answered_at if leg else None)
    bridged = record.bridged_at or (leg.bridged_at if leg else None)
    if leg is not None:
        state, since = leg.state, leg.since
    elif bridged:
        state, since = "bridged", bridged
    elif answered:
        state, since = "answered", answered
    else:
        state, since = "initiated", record.started
    if record.held_at is not None and state == "bridged":
        # The leg on hold is the agent's, who put the customer on hold; for people it is the call.
        state, since = "held", record.held_at
    # Who is parked, or waits while the agent consults, has been talked with: they do not wait for an agent.
    waits = state == "answered" and record.bridged_at is None
    said = {name: getattr(record, name) for name in _COMMON}
    return CallRow(
        **said
        | {
            "state": state,
            "since": since,
            "ringing_since": leg.ringing_at if leg else None,
            "answered_at": answered,
            "bridged_at": bridged,
            "waiting_since": since if waits else None,
            "peer": (leg.peer or "") if leg else "",
            "cause": record.cause or ((leg.cause or "") if leg else ""),
            "agent_state": agent_leg.state if agent_leg else None,
        }
    )


def leg_row(leg: Leg) -> CallRow:
    """A leg that belongs to no call of ours."""
    return CallRow(
        id=leg.leg,
        source="leg",
        campaign_id=leg.campaign_id or None,
        agent_id=leg.agent_id or None,
        number=mask(leg.number) if leg.number else "",
        direction=leg.direction or "",
        status="",
        state=leg.state,
        since=leg.since,
        started=leg.created_at or leg.since,
        ringing_since=leg.ringing_at,
        answered_at=leg.answered_at,
        bridged_at=leg.bridged_at,
        waiting_since=leg.since if leg.state == "answered" and leg.role == "customer" else None,
        peer=leg.peer or "",
        cause=leg.cause or "",
    )
