"""Supply against demand over the next half minute, and the risk that the next call would find nobody. Pure.

D(h) = answers by h - agents free in time for them. The k-th further call is in trouble at h when D(h), with the k - 1
before it, is not negative; because a call that is served may take the agent of a later one, trouble at any later step
counts too. The marginal risk weighs that by when the k-th call would be answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dialer.pacing.durations import HORIZON, Array, RingTimes, normal_cdf
from dialer.pacing.observation import RING_LONGEST, Stratum

# Below this many busy agents and ringing calls together, the distribution is computed exactly.
EXACT_BELOW_AGENTS = 40
_AT_12_S = int(np.searchsorted(HORIZON, 12))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Per step of the horizon. answers: expected from calls that ring now. next_answer: chance that a call placed now
    has been answered. free: expected agents, less the calls that wait for one."""

    answers: Array
    answers_var: Array
    free: Array
    free_var: Array
    next_answer: Array
    ring_steps: Array  # share of answers in each step
    rate: float
    rate_sd: float
    ringing_chance: Array  # per second of ringing and step
    ringing_count: Array
    release_chance: Array  # per busy agent and step
    spare: int  # idle less waiting

    @property
    def within_12_s(self) -> tuple[float, float]:
        return float(self.free[_AT_12_S]), float(self.answers[_AT_12_S])


def forecast(
    *,
    rings: RingTimes,
    rate: float,
    rate_sd: float,
    ringing: Mapping[Stratum, Sequence[int]],
    weights: Mapping[Stratum, float],
    next_weight: float,
    releases: Array,
    spare: int,
) -> Forecast:
    count = np.zeros(RING_LONGEST + 1)
    weighted = np.zeros(RING_LONGEST + 1)
    for stratum, counts in ringing.items():
        row = np.asarray(counts[: RING_LONGEST + 1], dtype=np.float64)
        count[: len(row)] += row
        weighted[: len(row)] += row * weights.get(stratum, 1.0)
    ages = np.flatnonzero(count)
    count = count[ages]
    each = np.minimum(0.98, rate * weighted[ages] / count)[:, None]
    chance = np.minimum(1.0, each * rings.ahead[ages] / (1 - each * rings.by[ages][:, None]))
    answers = count @ chance
    mean = releases.sum(axis=0)
    return Forecast(
        answers=answers,
        answers_var=count @ (chance * (1 - chance)),
        free=spare + mean,
        free_var=mean - (releases * releases).sum(axis=0),
        next_answer=min(0.98, rate * next_weight) * rings.by[HORIZON],
        ring_steps=rings.steps,
        rate=rate,
        rate_sd=rate_sd,
        ringing_chance=chance,
        ringing_count=count,
        release_chance=releases,
        spare=spare,
    )


def marginal_risks(ahead: Forecast, calls: int) -> Array:
    """Risk of the 1st .. calls-th further call, by the normal approximation: for larger teams."""
    k = np.arange(calls, dtype=np.float64)[:, None]
    mean = ahead.answers + k * ahead.next_answer
    var = ahead.answers_var + k * (ahead.next_answer * (1 - ahead.next_answer)) + ahead.free_var
    var = var + (mean / ahead.rate * ahead.rate_sd) ** 2
    trouble = normal_cdf((mean - ahead.free + 0.5) / np.sqrt(np.maximum(var, 1e-9)))
    return _weigh(ahead, trouble)


def exact_risks(ahead: Forecast, calls: int) -> Array:
    """The same by convolving every call and every agent (Poisson-binomial): for small teams.

    Counted are answers plus agents *not* free; trouble when they reach all agents there are.
    """
    busy = 1 - ahead.release_chance
    ring = np.repeat(ahead.ringing_chance, ahead.ringing_count.astype(np.int64), axis=0)
    chances = np.concatenate((busy, ring))
    reach = len(busy) + ahead.spare
    if reach <= 0:
        return np.ones(calls)
    below = np.zeros((len(HORIZON), reach))  # chance of each count short of trouble; the rest has left the table
    below[:, 0] = 1.0
    for n, chance in enumerate(chances):
        _convolve(below, n, chance)
    trouble = np.empty((calls, len(HORIZON)))
    for k in range(calls):
        trouble[k] = 1 - below.sum(axis=1)
        _convolve(below, len(chances) + k, ahead.next_answer)
    return _weigh(ahead, np.maximum(trouble, 0.0))


def _convolve(below: Array, filled: int, chance: Array) -> None:
    moved = below[:, : filled + 1] * chance[:, None]
    below[:, : filled + 1] -= moved
    below[:, 1 : filled + 2] += moved[:, : below.shape[1] - 1]


def _weigh(ahead: Forecast, trouble: Array) -> Array:
    worst_later = np.maximum.accumulate(trouble[:, ::-1], axis=1)[:, ::-1]
    risks: Array = np.minimum(1.0, worst_later @ ahead.ring_steps)
    return risks
