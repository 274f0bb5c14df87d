"""How long calls ring, people talk and agents wrap up, learnt as it happens. Pure.

Seconds throughout. A distribution is its cumulative table at whole seconds 0..LONGEST.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dialer.pacing.observation import RING_LONGEST

Array = npt.NDArray[np.float64]

# Seconds ahead at which supply and demand are compared: fine where a call may be answered soon, coarse later.
HORIZON = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 23, 26], dtype=np.int64)
# Longest phase told apart; whoever talks longer is as likely to end each second as at this age.
LONGEST = 1_500
MEMORY = 600  # durations kept of each kind
BANDWIDTH = 0.15  # of the log-normal kernel: about 15 % of a duration
PRIOR_WORTH = 6.0
RING_PRIOR_WORTH = 20.0
# An answered person may wait 2 s: whoever is free a second after the answer's bin still comes in time.
GRACE_BINS = 1

_LOG_STEP = 0.02
_LOG_BINS = int(math.log(LONGEST * 2) / _LOG_STEP) + 50


def normal_cdf(x: Array) -> Array:
    """Phi to 1e-7 (Abramowitz and Stegun 7.1.26); numpy has no erf."""
    z = np.abs(x) * (1 / math.sqrt(2))
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = 0.5 * poly * np.exp(-z * z)
    return np.where(x >= 0, 1 - upper, upper)


def lognormal_cdf(mean: float, sigma: float, longest: int = LONGEST) -> Array:
    """The cumulative table of a log-normal with this mean, sigma of its logarithm."""
    seconds = np.arange(1, longest + 1, dtype=np.float64)
    centre = math.log(mean) - sigma * sigma / 2
    return np.concatenate(([0.0], normal_cdf((np.log(seconds) - centre) / sigma)))


class Durations:
    """The last MEMORY durations, smoothed on the logarithm, with a prior that fades as they come."""

    def __init__(self, mean: float, sigma: float) -> None:
        self.prior = lognormal_cdf(mean, sigma)
        self.seen: deque[float] = deque(maxlen=MEMORY)
        offsets = np.arange(-40, 41) * _LOG_STEP
        kernel = np.exp(-0.5 * (offsets / BANDWIDTH) ** 2)
        self._kernel = kernel / kernel.sum()
        self._at = np.log(np.arange(1, LONGEST + 1, dtype=np.float64))

    def add(self, seconds: float) -> None:
        self.seen.append(max(0.5, seconds))

    def cdf(self) -> Array:
        if not self.seen:
            return self.prior
        logs = np.log(np.fromiter(self.seen, dtype=np.float64, count=len(self.seen)))
        bins = np.clip(np.rint(logs / _LOG_STEP).astype(np.int64) + 40, 0, _LOG_BINS - 1)
        density = np.convolve(np.bincount(bins, minlength=_LOG_BINS).astype(np.float64), self._kernel)[40:-40]
        total = np.cumsum(density)
        edges = (np.arange(_LOG_BINS) - 40 + 0.5) * _LOG_STEP
        counted = np.concatenate(([0.0], np.interp(self._at, edges, total)))
        return (counted + PRIOR_WORTH * self.prior) / (len(self.seen) + PRIOR_WORTH)


class RingTimes:
    """How long answered calls had rung: share per whole second, and its sum."""

    def __init__(self, mean: float = 8.0, sigma: float = 0.5, timeout: float = 25.0) -> None:
        table = lognormal_cdf(mean, sigma, RING_LONGEST)
        table[min(RING_LONGEST, math.ceil(timeout)) :] = 1.0
        self.counts = RING_PRIOR_WORTH * np.diff(table)
        self._refresh()

    def add(self, seconds: float) -> None:
        self.counts[min(RING_LONGEST - 1, max(0, int(seconds)))] += 1
        self._stale = True

    def _refresh(self) -> None:
        """share[r]: answered in second r after r..r+1 s of ringing. by[r]: answered before r whole seconds."""
        self.share: Array = self.counts / self.counts.sum()
        self.by: Array = np.concatenate(([0.0], np.cumsum(self.share)))
        self._stale = False
        age = np.arange(RING_LONGEST + 1)
        # ahead[r, j]: share answered between r and r + HORIZON[j] seconds of ringing.
        later = np.minimum(age[:, None] + HORIZON[None, :], RING_LONGEST)
        self.ahead: Array = self.by[later] - self.by[:, None]
        self.steps: Array = np.diff(np.concatenate(([0.0], self.by[HORIZON])))

    def refresh(self) -> None:
        if self._stale:
            self._refresh()


class Releases:
    """The chance that a busy agent is free within each step of the horizon, by phase and its age."""

    def __init__(self, talk: Durations, wrap: Durations) -> None:
        self.talk, self.wrap = talk, wrap
        self.refresh()

    def refresh(self) -> None:
        talk, wrap = self.talk.cdf(), self.wrap.cdf()
        density = np.diff(talk)
        ahead = HORIZON + GRACE_BINS
        left = np.maximum(1e-9, 1 - talk)
        longest = int(ahead[-1])
        ages = LONGEST - longest
        windows = np.lib.stride_tricks.sliding_window_view(density, longest)[:ages]
        reach = ahead[None, :] - 0.5 - np.arange(longest)[:, None]  # time left for wrap-up after talk ended in bin u
        weights = np.where(reach > 0, np.interp(reach, np.arange(LONGEST + 1), wrap), 0.0)
        self.talking: Array = np.clip((windows @ weights) / left[:ages, None], 0, 1)
        age = np.arange(ages)
        done = wrap[age[:, None] + ahead[None, :]] - wrap[age][:, None]
        self.wrapping: Array = np.clip(done / np.maximum(1e-9, 1 - wrap[age])[:, None], 0, 1)
        self.last_age = self._last_age()

    def _last_age(self) -> int:
        """Past the age that all but one in 2000 calls end before, the table is noise over noise."""
        return max(30, min(len(self.talking) - 1, int(np.searchsorted(self.talk.cdf(), 0.9995))))

    def chances(self, talking: Sequence[float] | Array, wrapping: Sequence[float] | Array) -> Array:
        """One row per busy agent, one column per step of the horizon."""
        talk_age = np.minimum(np.asarray(talking, dtype=np.float64).astype(np.int64), self.last_age)
        wrap_age = np.minimum(np.asarray(wrapping, dtype=np.float64).astype(np.int64), len(self.wrapping) - 1)
        return np.concatenate((self.talking[talk_age], self.wrapping[wrap_age]))
