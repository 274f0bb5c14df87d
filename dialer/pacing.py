"""How many calls to place now, and why. Pure. The spine dials progressively: one call per reserved idle agent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from dialer.limits import MAX_PLACED_PER_DECISION

BindingReason = Literal[
    "progressive_base", "trunks", "rate_limit", "calling_window", "list_empty", "no_agents", "stale_state", "not_active"
]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known when deciding.

    assigned, idle: agents of the campaign, and those free with an open softphone leg. rate_limited: idle ones at their
    hourly limit. ringing, live: lines of the campaign now. due: contacts due, counted up to the number of idle agents.
    closed_gate, closed: name and reason of the first closed campaign gate, '' when open. link_ok: the bridge said
    within
    limits.LINK_STALE_SECONDS that it is connected.
    """

    assigned: int
    idle: int
    rate_limited: int
    ringing: int
    live: int
    due: int
    max_lines: int
    closed_gate: str = ""
    closed: str = ""
    link_ok: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    place: int
    reason: BindingReason
    summary: str
    inputs: dict[str, Any]
    mode: str = "progressive"


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"


def _agents(count: int) -> str:
    return f"{count} agent" if count == 1 else f"{count} agents"


def progressive(inputs: Inputs) -> Decision:
    """One call per idle agent who may take one, within lines and contacts; the first limit that binds is the reason."""

    def decide(place: int, reason: BindingReason, summary: str) -> Decision:
        return Decision(place, reason, summary, asdict(inputs))

    if inputs.closed_gate:
        reason: BindingReason = "calling_window" if inputs.closed_gate == "schedule" else "not_active"
        return decide(0, reason, f"placed none: {inputs.closed}")
    if not inputs.link_ok:
        return decide(0, "stale_state", "placed none: the link to the switch is down, so nothing is known to be true")
    if inputs.idle == 0:
        return decide(
            0, "no_agents", f"placed none: no idle agent with an open softphone among {inputs.assigned} assigned"
        )
    ready = inputs.idle - inputs.rate_limited
    if ready <= 0:
        return decide(0, "rate_limit", f"placed none: {_agents(inputs.idle)} idle, all at their hourly call limit")
    if inputs.due == 0:
        return decide(0, "list_empty", f"placed none: {_agents(ready)} idle, but no contact is due")
    lines_left = max(0, inputs.max_lines - inputs.ringing - inputs.live)
    place = min(ready, inputs.due, lines_left, MAX_PLACED_PER_DECISION)
    if place < ready and place == lines_left:
        used = inputs.ringing + inputs.live
        return decide(place, "trunks", f"placed {place or 'none'}: {used} of {inputs.max_lines} lines are in use")
    if place < ready and place == inputs.due:
        return decide(
            place, "list_empty", f"placed {_calls(place)}: {_agents(ready)} idle, but no more contacts are due"
        )
    return decide(place, "progressive_base", f"placed {_calls(place)}: one for each idle agent")
