"""Predictive dialling by a priced look-ahead: place the next call while its risk costs less than a lost call may. Pure.

See docs/pacing.md. The policy holds what it has learnt; it is rebuilt by telling it the last half hour of facts again.
"""

from __future__ import annotations

import math

import numpy as np

from dialer import limits
from dialer.figures import percent
from dialer.pacing import guards, price, risk
from dialer.pacing.answer_rate import AnswerRate
from dialer.pacing.decision import Decision, counted
from dialer.pacing.durations import Array, Durations, Releases, RingTimes
from dialer.pacing.observation import NO_STRATUM, Observation, Stratum
from dialer.pacing.profile import Profile, standard

REBUILD_SECONDS = 30.0
# Calls whose risk is looked at in the first go; more only where all of them are worth their price.
FIRST_LOOK = 8


class Predictive:
    """talk_mean, wrap_mean: what to believe of a campaign's durations before any is seen, seconds."""

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        talk_mean: float = 120.0,
        wrap_mean: float = 15.0,
        ring_timeout: float = 25.0,
    ) -> None:
        self.profile = profile or standard()
        self.rings = RingTimes(timeout=ring_timeout)
        self.rate = AnswerRate(self.rings)
        self.talk, self.wrap = Durations(talk_mean, 1.0), Durations(wrap_mean, 0.8)
        self.releases = Releases(self.talk, self.wrap)
        self.price = price.Price(self.profile.cap)
        self._rebuilt = -math.inf
        self._strict = False

    def placed(self, at: float, calls: int, stratum: Stratum = NO_STRATUM) -> None:
        self.rate.placed(at, calls, stratum)

    def answered(self, at: float, ring: float, stratum: Stratum = NO_STRATUM) -> None:
        self.rate.answered(at, ring, stratum)
        self.price.answered()

    def lost(self, at: float) -> None:
        self.price.lost()

    def talked(self, at: float, seconds: float) -> None:
        self.talk.add(seconds)

    def wrapped(self, at: float, seconds: float) -> None:
        self.wrap.add(seconds)

    def decide(self, seen: Observation) -> Decision:
        stop = guards.halted(seen, "predictive")
        if stop is not None:
            return stop
        level = self.price.now(seen.windows, self.rate.answers_per_10_min)
        bar = guards.over_dialling_bar(seen, self.profile) or self._strict_bar(seen)
        if bar is not None:
            text = f"{counted(seen.idle, 'agent')} idle; {bar.text}: progressive"
            return guards.decided(seen, seen.base, bar.reason, text, "progressive", {"requested": "predictive"})
        guard = guards.cap_bar(seen)
        return self._priced(seen, price.LOWEST if guard else level, guard)

    def _strict_bar(self, seen: Observation) -> guards.Bar | None:
        """Once over a cap, progressive until the bank is positive again: no flutter around the cap."""
        bar = guards.strict_bar(seen, self.profile)
        if bar is None and self._strict and price.bank(seen.windows) <= 0:
            bar = guards.Bar("strict_cap", "was over the cap, the bank is not positive yet")
        self._strict = bar is not None
        return bar

    def _priced(self, seen: Observation, level: float, guard: guards.Bar | None) -> Decision:
        ahead = self._look_ahead(seen)
        most, _, _ = seen.ceilings.bound(limits.MAX_PLACED_PER_DECISION)
        exact = seen.assigned < risk.EXACT_BELOW_AGENTS
        risks = self._risks(ahead, level, max(1, min(most, seen.base + 1)), most, exact)
        worth = int(np.searchsorted(risks, level, side="right")) if len(risks) else 0
        wanted = max(seen.base, worth)
        free, answers = ahead.within_12_s
        text = f"{seen.idle} idle + {free - ahead.spare:.1f} agents free within 12 s against {answers:.1f} answers"
        if wanted < len(risks):
            next_risk = f"risk of the {_ordinal(wanted + 1)} {percent(float(risks[wanted]))}"
            text += f"; {next_risk} {'>' if risks[wanted] > level else '<='} price {percent(level)}"
        left = price.bank(seen.windows)
        text += f"; bank {left:+.1f} calls"
        reason = guard.reason if guard else ("price" if wanted > seen.base or not seen.base else "progressive_base")
        more = {
            "price": round(level, 4),
            "bank": round(left, 2),
            "rate": round(ahead.rate, 4),
            "rate_sd": round(ahead.rate_sd, 4),
            "free_12_s": round(free, 2),
            "answers_12_s": round(answers, 2),
            "risks": [round(float(r), 4) for r in risks[:4]],
        }
        return guards.decided(seen, wanted, reason, text, "predictive", more)

    def _risks(self, ahead: risk.Forecast, level: float, look: int, most: int, exact: bool) -> Array:
        """Risks of further calls, up to the first that is not worth its price."""
        compute = risk.exact_risks if exact else risk.marginal_risks
        calls = min(max(look, FIRST_LOOK if not exact else 3), max(1, most))
        while True:
            risks = compute(ahead, calls)
            if risks[-1] > level or calls >= most:
                return risks
            calls = min(most, calls * 3)

    def _look_ahead(self, seen: Observation) -> risk.Forecast:
        if seen.at - self._rebuilt >= REBUILD_SECONDS:
            self._rebuilt = seen.at
            self.releases.refresh()
        self.rings.refresh()
        rate, deviation = self.rate.estimate(seen.at)
        return risk.forecast(
            rings=self.rings,
            rate=rate,
            rate_sd=deviation,
            ringing=seen.ringing,
            weights=self.rate.weights(seen.ringing),
            next_weight=self.rate.strata.weight(seen.next_stratum, self.rate.slow_rate),
            releases=self.releases.chances(seen.talking, seen.wrapping),
            spare=seen.idle - seen.waiting,
        )


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
