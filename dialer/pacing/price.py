"""What one more lost call may cost now: a price on risk, moved slowly by what was lost against what was allowed. Pure.

A bang-bang fall-back at the cap wastes the agents; spending an expected loss anew each tick overspends it. The price of
the marginal call does neither.
"""

from __future__ import annotations

import math

from dialer.pacing.observation import WindowCount
from dialer.pacing.profile import AIM

LOWEST, HIGHEST = 0.004, 0.35
START = 0.04
GAIN = 0.15
BANK_AT_REST, BANK_SLOPE = 0.25, 2.0
MOST_DOWN, MOST_UP = -6.0, 0.7
LEAST_SCALE = 2.0


def bank(windows: tuple[WindowCount, ...]) -> float:
    """Calls that may still be lost before the tightest window has spent its aim; negative when overspent."""
    return min((window.aim * window.answered - window.lost for window in windows), default=0.0)


class Price:
    def __init__(self, cap: float) -> None:
        self.cap = cap
        self.level = START
        self._earned = 0.0

    def answered(self) -> None:
        self._earned += AIM * self.cap

    def lost(self) -> None:
        self._earned -= 1

    def now(self, windows: tuple[WindowCount, ...], answers_per_10_min: float) -> float:
        """The highest risk worth taking, between LOWEST and HIGHEST."""
        scale = max(LEAST_SCALE, AIM * self.cap * answers_per_10_min)
        self.level = min(HIGHEST, max(LOWEST, self.level * math.exp(GAIN * self._earned / scale)))
        self._earned = 0.0
        pull = BANK_SLOPE * (bank(windows) / scale - BANK_AT_REST)
        return min(HIGHEST, max(LOWEST, self.level * math.exp(min(MOST_UP, max(MOST_DOWN, pull)))))
