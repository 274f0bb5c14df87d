"""What stops a decision, what keeps it from dialling ahead of the agents, and the caps it must not break. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dialer import limits
from dialer.figures import percent
from dialer.pacing.decision import BindingReason, Decision
from dialer.pacing.observation import Observation, WindowCount
from dialer.pacing.profile import Profile

# What a closed gate of the campaign binds as.
GATE_REASONS: dict[str, BindingReason] = {
    "schedule": "calling_window",
    "lines": "trunks",
    "calls_per_second": "rate_limit",
    "spend": "spend_limit",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """Why nothing is dialled ahead of the agents now."""

    reason: BindingReason
    text: str


def halted(seen: Observation, mode: str) -> Decision | None:
    """The decision to place nothing, where nothing may be placed whatever the floor looks like."""

    def none(reason: BindingReason, text: str) -> Decision:
        return Decision(0, reason, f"placed none: {text}", seen.as_inputs(), mode)

    if seen.closed_gate:
        return none(GATE_REASONS.get(seen.closed_gate, "not_active"), seen.closed)
    if not seen.link_ok:
        return none("stale_state", "the link to the switch is down, so nothing is known to be true")
    if seen.age > limits.OBSERVATION_USELESS_SECONDS:
        late = f"what happens is known {seen.age:.0f} s late, so who answered could not be joined in time"
        return none("stale_state", late)
    if seen.assigned == 0:
        return none("no_agents", "no agent who may get the campaign's calls is logged in")
    return None


def _allowed(window: WindowCount) -> float:
    return max(window.cap * window.answered, window.least)


def breaks_next(window: WindowCount) -> bool:
    """One more abandoned call would exceed the window's cap."""
    return window.lost + 1 > _allowed(window)


def broken(window: WindowCount) -> bool:
    return window.lost > _allowed(window)


def over_dialling_bar(seen: Observation, profile: Profile) -> Bar | None:
    """Why dialling ahead is not allowed now, however good the forecast."""
    if seen.age > limits.OBSERVATION_STALE_SECONDS:
        return Bar("stale_state", f"the floor was last known {seen.age:.0f} s ago: progressive")
    if not profile.message_asset:
        return Bar("progressive_base", "no message asset for abandoned calls: progressive")
    if seen.assigned < limits.MIN_AGENTS_AHEAD:
        return Bar("progressive_base", f"fewer than {limits.MIN_AGENTS_AHEAD} agents: progressive")
    if seen.winding_down:
        return Bar("progressive_base", "the shift or the list ends: progressive")
    return None


def strict_bar(seen: Observation, profile: Profile) -> Bar | None:
    """A cap is exceeded already and the profile says that nothing may be dialled ahead then."""
    for window in seen.windows:
        if profile.strict and window.lost and broken(window):
            return Bar("strict_cap", _spent(window, "over"))
    return None


def cap_bar(seen: Observation) -> Bar | None:
    """One more lost call would exceed a cap. A window without a loss never bars: nobody is held to 3 % of 20 calls."""
    for window in seen.windows:
        if window.lost and breaks_next(window):
            return Bar("cap_guard", _spent(window, "one more would exceed"))
    return None


def _spent(window: WindowCount, how: str) -> str:
    return f"{window.lost} of {window.answered} abandoned in {window.name}, {how} {percent(window.cap)}"


def decided(
    seen: Observation,
    wanted: int,
    reason: BindingReason,
    text: str,
    mode: str,
    more: dict[str, Any] | None = None,
) -> Decision:
    """wanted cut by the limits, as a decision that says which of them bound."""
    place, bound, words = seen.ceilings.bound(min(wanted, limits.MAX_PLACED_PER_DECISION))
    if bound is not None:
        reason, text = bound, f"{text}; wanted {wanted}, {words}"
    elif not place and not seen.idle and reason == "progressive_base":
        reason = "no_agents"
    summary = f"placed {place or 'none'}: {text}"
    return Decision(place, reason, summary[:300], {**seen.as_inputs(), "wanted": wanted, **(more or {})}, mode)
