"""How many dials a person answers, free of lag: a call counts as tried only as far as it has rung. Pure.

A dial that rings since 3 s has not failed; counting it as tried (or not at all) biases the rate whenever the pace
changes. So the exposure grows by placed(t - r) x g(r), g being the share of answered calls that answer after r seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dialer.pacing.durations import Array, RingTimes
from dialer.pacing.observation import NO_STRATUM, RING_LONGEST, Stratum

FAST_SECONDS, SLOW_SECONDS = 40.0, 600.0
PRIOR, PRIOR_WORTH = 0.30, 10.0
# The slow memory is given up when the fast one is this far off; two, not three: measured at .20 -> .45, 30 agents.
JUMP_SD = 2.0
# Never plan with less than the fast memory says, less part of a deviation: late belief in a rise is paid in losses.
FAST_BELOW_SD = 0.7
MARGIN_SD, COLD_MARGIN_SD = 0.3, 1.5
COLD_SECONDS, COLD_EXPOSURE = 40.0, 60.0
COLD_RATE = 0.55
WARM_FAST_EXPOSURE = 30.0
# A pause this long forgets how far it had warmed up.
PAUSE_SECONDS = 600.0
STRATUM_WORTH, STRATUM_SECONDS = 40.0, 7_200.0


class Strata:
    """How much better or worse each stratum answers than the campaign, shrunk towards 1."""

    def __init__(self) -> None:
        self._seen: dict[Stratum, list[float]] = {}

    def add(self, stratum: Stratum, answers: float, expected: float) -> None:
        """expected: answers there would have been at the campaign's own rate."""
        both = self._seen.setdefault(stratum, [0.0, 0.0])
        both[0] += answers
        both[1] += expected

    def fade(self, factor: float) -> None:
        for both in self._seen.values():
            both[0] *= factor
            both[1] *= factor

    def weight(self, stratum: Stratum, rate: float) -> float:
        if len(self._seen) < 2 or stratum not in self._seen:
            return 1.0
        answers, expected = self._seen[stratum]
        worth = STRATUM_WORTH * rate  # of a stratum's own, in answers
        return (answers + worth) / (expected + worth)


class AnswerRate:
    """Two memories of answers per exposed dial: the slow one is believed until the fast one contradicts it."""

    def __init__(self, rings: RingTimes) -> None:
        self.rings = rings
        self.strata = Strata()
        self._fast, self._slow = [0.0, 0.0], [0.0, 0.0]
        self._placed: dict[Stratum, Array] = {}
        self._second: int | None = None
        self._started: float | None = None
        self._last_placed = -math.inf

    def placed(self, at: float, calls: int, stratum: Stratum = NO_STRATUM) -> None:
        self.advance(at)
        if at - self._last_placed > PAUSE_SECONDS:
            self._started = at
        self._last_placed = at
        row = self._placed.setdefault(stratum, np.zeros(RING_LONGEST))
        row[0] += calls

    def answered(self, at: float, ring: float, stratum: Stratum = NO_STRATUM) -> None:
        self.advance(at)
        self._fast[0] += 1
        self._slow[0] += 1
        self.strata.add(stratum, 1.0, 0.0)
        self.rings.add(ring)

    def advance(self, at: float) -> None:
        """Bring the exposure up to the second `at` falls in."""
        second = math.floor(at)
        if self._second is None:
            self._second = second
            return
        steps = second - self._second
        if steps <= 0:
            return
        self._second = second
        for _ in range(min(steps, RING_LONGEST)):
            self._step()
        if steps > RING_LONGEST:
            self._fade(steps - RING_LONGEST)

    def _step(self) -> None:
        exposed = 0.0
        for stratum, row in self._placed.items():
            share = float(row @ self.rings.share)
            exposed += share * self.strata.weight(stratum, self.slow_rate)
            self.strata.add(stratum, 0.0, share * self.slow_rate)
            row[1:] = row[:-1]
            row[0] = 0.0
        self._fade(1)
        self._fast[1] += exposed
        self._slow[1] += exposed

    def _fade(self, seconds: int) -> None:
        for memory, length in ((self._fast, FAST_SECONDS), (self._slow, SLOW_SECONDS)):
            factor = math.exp(-seconds / length)
            memory[0] *= factor
            memory[1] *= factor
        self.strata.fade(math.exp(-seconds / STRATUM_SECONDS))

    @property
    def slow_rate(self) -> float:
        return self._rate(self._slow)

    @property
    def fast_rate(self) -> float:
        return self._rate(self._fast)

    @property
    def answers_per_10_min(self) -> float:
        """At the pace of the slow memory, which is ten minutes long."""
        return self._slow[0]

    @staticmethod
    def _rate(memory: list[float]) -> float:
        rate = (memory[0] + PRIOR * PRIOR_WORTH) / (memory[1] + PRIOR_WORTH)
        return min(0.98, max(0.01, rate))

    def is_cold(self, at: float) -> bool:
        return self._started is None or at - self._started < COLD_SECONDS or self._slow[1] < COLD_EXPOSURE

    def estimate(self, at: float) -> tuple[float, float]:
        """The rate to plan with, and its standard deviation; on the safe side, more so while cold."""
        self.advance(at)
        fast, slow = self.fast_rate, self.slow_rate
        spread = math.sqrt(slow * (1 - slow) / (self._fast[1] + PRIOR_WORTH))
        warm = not self.is_cold(at)
        risen = fast - slow > JUMP_SD * spread
        fallen = slow - fast > JUMP_SD * spread and warm and self._fast[1] > WARM_FAST_EXPOSURE
        if risen or fallen:
            self._slow[:] = self._fast
            slow = self.slow_rate
        deviation = math.sqrt(slow * (1 - slow) / (self._slow[1] + PRIOR_WORTH))
        rate = slow + (MARGIN_SD if warm else COLD_MARGIN_SD) * deviation
        rate = max(rate, fast - FAST_BELOW_SD * spread)
        if self._started is None or at - self._started < COLD_SECONDS:
            rate = max(rate, COLD_RATE)
        return min(0.98, rate), deviation

    def weights(self, ringing: Mapping[Stratum, object]) -> dict[Stratum, float]:
        return {stratum: self.strata.weight(stratum, self.slow_rate) for stratum in ringing}
