"""The modes that need no forecast: progressive and power. Pure."""

from __future__ import annotations

import math

from dialer.pacing.decision import Decision, counted
from dialer.pacing.guards import cap_bar, decided, halted, over_dialling_bar, strict_bar
from dialer.pacing.observation import Indifferent, Observation
from dialer.pacing.profile import Profile, standard


class Progressive(Indifferent):
    """One call per idle agent that no call in the air may need: no abandons by construction."""

    def decide(self, seen: Observation) -> Decision:
        stop = halted(seen, "progressive")
        return stop or decided(seen, seen.base, "progressive_base", _idle_text(seen), "progressive")


def _idle_text(seen: Observation) -> str:
    if not seen.idle:
        return f"no idle agent with an open softphone among {seen.assigned} logged in"
    ahead = seen.ringing_calls + seen.waiting
    return f"{counted(seen.idle, 'agent')} idle" + (f", {counted(ahead, 'call')} ringing or waiting" if ahead else "")


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
