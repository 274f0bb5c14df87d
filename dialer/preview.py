"""Calls that agents place themselves, after a preview or by hand: what is decided about them, in which words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from dialer.eligibility import Gate
from dialer.pacing.decision import BindingReason, Decision, counted
from dialer.pacing.guards import GATE_REASONS

PREVIEW, MANUAL = "preview", "manual"
# In these the dialer places nothing by itself.
MODES = frozenset({PREVIEW, MANUAL})
# Behind every priority that a list gives (a small integer of the database).
LAST_PRIORITY = -32_768
LONGEST_AHEAD = timedelta(days=90)
# Gates that a time agreed with the customer cannot open: asked already when it is agreed.
AGREED_GATES = frozenset({"do_not_call", "consent", "prefix", "number_type", "time_zone", "holiday", "calling_hours"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """Counts at the moment of the decision. rate_limited: of the idle ones; offered: contacts found for the others."""

    mode: str
    assigned: int
    idle: int
    previewing: int = 0
    rate_limited: int = 0
    offered: int = 0
    closed_gate: str = ""
    closed: str = ""
    link_ok: bool = True


def decide(inputs: Inputs) -> Decision:
    """Never a call: how many contacts are offered, and why no more."""

    def said(reason: BindingReason, summary: str) -> Decision:
        return Decision(0, reason, summary, asdict(inputs), inputs.mode)

    if inputs.closed_gate:
        return said(GATE_REASONS.get(inputs.closed_gate, "not_active"), f"placed none: {inputs.closed}")
    if not inputs.link_ok:
        return said("stale_state", "placed none: the link to the switch is down, so nothing is known to be true")
    if inputs.mode == MANUAL:
        return said("agents_dial", "placed none: in manual mode only agents dial")
    ready = inputs.idle - inputs.rate_limited
    if inputs.offered:
        why = "one for each idle agent" if inputs.offered >= ready else f"{ready} agents idle, no more contacts are due"
        return said("agents_dial", f"offered {counted(inputs.offered, 'contact')} for preview: {why}")
    if inputs.idle == 0 and inputs.previewing:
        has = "has a contact" if inputs.previewing == 1 else "have contacts"
        return said("agents_dial", f"offered none: {counted(inputs.previewing, 'agent')} {has} before them")
    if inputs.idle == 0:
        why = f"no idle agent with an open softphone among {inputs.assigned} logged in"
        return said("no_agents", f"offered none: {why}")
    if ready <= 0:
        return said("rate_limit", f"offered none: {counted(inputs.idle, 'agent')} idle, all at their hourly call limit")
    return said("list_empty", f"offered none: {counted(ready, 'agent')} idle, but no contact is due")


def dialled(mode: str, agent_id: str, how: str) -> Decision:
    """The decision behind one call that an agent asked for. how: what they did, e.g. `dialled by hand`."""
    return Decision(1, "agents_dial", f"placed 1 call: {agent_id} {how}", {"agent": agent_id}, mode)


@dataclass(frozen=True, slots=True)
class Skipped:
    """When a skipped contact is due again, and with which priority."""

    at: datetime
    priority: int


def after_skip(skips: int, max_skips: int, priority: int, now: datetime, delay: timedelta) -> Skipped:
    """skips: so far, this one included. At the limit the contact goes behind all others, and stays in the list."""
    return Skipped(now + delay, LAST_PRIORITY if skips >= max_skips else priority)


def wrong_time(at: datetime | None, now: datetime) -> str:
    """Why an appointment cannot be at this time, or ''."""
    if at is None:
        return "an appointment needs a time"
    if at <= now:
        return "the appointment lies in the past"
    if at - now > LONGEST_AHEAD:
        return f"an appointment is at most {LONGEST_AHEAD.days} days ahead"
    return ""


def told(gates: Sequence[Gate]) -> str:
    """Every closed gate, and when it opens, as one sentence for the agent."""
    return "; ".join(
        gate.reason + (f" (until {gate.opens_at:%Y-%m-%d %H:%M} UTC)" if gate.opens_at is not None else "")
        for gate in gates
    )


def not_idle(*, active: bool, status: str, reason: str, softphone: str, pending: str, has_call: bool) -> str:
    """Why an agent cannot take a call now, or ''. Words as in Agent and AgentStatus."""
    if not active:
        return "the agent is deactivated"
    if has_call:
        return "the agent has a call already"
    if status != "available":
        why = f" ({reason.replace('_', ' ')})" if reason else ""
        return f"the agent is not available: {status.replace('_', ' ')}{why}"
    if pending:
        return f"the agent has asked for {pending.replace('_', ' ')}"
    if softphone != "open":
        return "the agent's softphone is not connected"
    return ""
