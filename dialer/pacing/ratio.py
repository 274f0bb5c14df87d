"""The modes that need no forecast: progressive and power. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from dialer.limits import MAX_PLACED_PER_DECISION
from dialer.pacing.decision import BindingReason, Decision, counted
from dialer.pacing.guards import cap_bar, decided, halted, over_dialling_bar, strict_bar
from dialer.pacing.observation import Indifferent, Observation
from dialer.pacing.profile import Profile, standard


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
        return decide(
            0, "rate_limit", f"placed none: {counted(inputs.idle, 'agent')} idle, all at their hourly call limit"
        )
    if inputs.due == 0:
        return decide(0, "list_empty", f"placed none: {counted(ready, 'agent')} idle, but no contact is due")
    lines_left = max(0, inputs.max_lines - inputs.ringing - inputs.live)
    place = min(ready, inputs.due, lines_left, MAX_PLACED_PER_DECISION)
    if place < ready and place == lines_left:
        used = inputs.ringing + inputs.live
        return decide(place, "trunks", f"placed {place or 'none'}: {used} of {inputs.max_lines} lines are in use")
    if place < ready and place == inputs.due:
        return decide(
            place,
            "list_empty",
            f"placed {counted(place, 'call')}: {counted(ready, 'agent')} idle, but no more contacts are due",
        )
    return decide(place, "progressive_base", f"placed {counted(place, 'call')}: one for each idle agent")


class Progressive(Indifferent):
    """One call per idle agent that no call in the air may need: no abandons by construction."""

    def decide(self, seen: Observation) -> Decision:
        return halted(seen, "progressive") or decided(
            seen,
            seen.base,
            "progressive_base",
            f"{counted(seen.idle, 'agent')} idle, {counted(seen.ringing_calls, 'call')} ringing",
            "progressive",
        )


class Power(Indifferent):
    """`ratio` calls in the air per idle agent; under the same guards as predictive, the cap among them."""

    def __init__(self, ratio: float, profile: Profile | None = None) -> None:
        if not 1 <= ratio <= 10:
            raise ValueError("a power ratio is between 1 and 10 calls per idle agent")
        self.ratio = ratio
        self.profile = profile or standard()

    def decide(self, seen: Observation) -> Decision:
        stop = halted(seen, "power")
        if stop is not None:
            return stop
        bar = over_dialling_bar(seen, self.profile) or strict_bar(seen, self.profile) or cap_bar(seen)
        if bar is not None:
            return decided(
                seen, seen.base, bar.reason, f"{counted(seen.idle, 'agent')} idle; {bar.text}", "progressive"
            )
        wanted = max(0, math.floor(self.ratio * seen.idle) - seen.ringing_calls)
        text = f"{self.ratio:g} for each of {counted(seen.idle, 'idle agent')}, {seen.ringing_calls} ringing"
        return decided(seen, wanted, "progressive_base", text, "power")
