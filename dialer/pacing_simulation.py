"""A call centre in discrete events: what a pacing policy would do, before anyone is called. Pure; one seed, one result.

Dial -> a person answers with probability p after ringing, else the call ends at the ring timeout. The longest idle
agent takes an answered call; without one it waits for the grace time and is then abandoned. Talk, wrap-up, idle again.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

import numpy as np

from dialer import figures
from dialer.pacing.observation import NO_STRATUM, Observation, Policy, WindowCount
from dialer.pacing.profile import Profile, standard

HALF_HOUR = 1_800.0
SLICE_SECONDS = 300.0
_IDLE, _TALK, _WRAP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Scenario:
    """rates: (from second, probability that a person answers), ascending. Seconds throughout; sigmas of logarithms."""

    agents: int
    rates: tuple[tuple[float, float], ...]
    talk: float = 120.0
    wrap: float = 15.0
    hours: float = 4.0
    patience: float = 2.0
    ring: float = 8.0
    ring_timeout: float = 25.0
    talk_sigma: float = 0.8
    wrap_sigma: float = 0.5
    ring_sigma: float = 0.5
    decide_when_free: bool = False

    def __post_init__(self) -> None:
        if self.agents < 1 or not self.rates or self.hours <= 0:
            raise ValueError("a simulation needs at least one agent, an answer rate and some time")
        if any(not 0 <= rate <= 1 for _, rate in self.rates):
            raise ValueError("an answer rate is between 0 and 1")
        if min(self.talk, self.wrap, self.ring, self.ring_timeout) <= 0 or self.patience < 0:
            raise ValueError("durations are positive")

    @property
    def seconds(self) -> float:
        return self.hours * 3600

    def rate(self, at: float) -> float:
        return next(rate for start, rate in reversed(self.rates) if at >= start or start == self.rates[0][0])


@dataclass(slots=True)
class Slice:
    """One stretch of SLICE_SECONDS, for a chart."""

    busy_seconds: float = 0.0
    answered: int = 0
    abandoned: int = 0


@dataclass(slots=True)
class Result:
    """utilisation: talk and wrap-up per logged-in second. worst_half_hour: share abandoned in the worst 30 minutes, any
    30 minutes, None when the run was shorter. waits: seconds each served person waited."""

    agents: int
    seconds: float
    dialled: int = 0
    answered: int = 0
    abandoned: int = 0
    busy_seconds: float = 0.0
    worst_half_hour: float | None = None
    first_abandon: float | None = None
    waits: list[float] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)

    @property
    def utilisation(self) -> float:
        """Of logged-in time without breaks: what the field calls occupancy."""
        logged_in = self.agents * self.seconds
        return figures.occupancy(self.busy_seconds, 0, 0, logged_in - self.busy_seconds).value or 0.0

    @property
    def abandon_rate(self) -> float | None:
        """Of calls answered by a person; None where nobody answered."""
        return figures.abandon_rate(self.abandoned, self.answered).value

    def wait(self, share: float) -> float | None:
        """The wait that `share` of the served people did not exceed."""
        if not self.waits:
            return None
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]

    def as_dict(self) -> dict[str, Any]:
        return {
            "agents": self.agents,
            "seconds": self.seconds,
            "dialled": self.dialled,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "utilisation": round(self.utilisation, 6),
            "abandon_rate": None if self.abandon_rate is None else round(self.abandon_rate, 6),
            "worst_half_hour": None if self.worst_half_hour is None else round(self.worst_half_hour, 6),
            "first_abandon": None if self.first_abandon is None else round(self.first_abandon, 3),
            "mean_wait": round(sum(self.waits) / len(self.waits), 4) if self.waits else None,
            "wait_95": None if self.wait(0.95) is None else round(self.wait(0.95) or 0.0, 4),
            "slices": [[round(s.busy_seconds, 1), s.answered, s.abandoned] for s in self.slices],
        }


def worst_half_hour(answers: list[float], losses: list[float], end: float) -> float | None:
    """The largest share abandoned in any half hour within the run that ends with a loss or on a whole minute; both
    lists in order of time."""
    if end < HALF_HOUR:
        return None
    minutes = [HALF_HOUR + 60.0 * n for n in range(int((end - HALF_HOUR) // 60) + 1)]
    worst = 0.0
    for stop in (*minutes, *(at for at in losses if at >= HALF_HOUR)):
        lost = bisect_right(losses, stop) - bisect_left(losses, stop - HALF_HOUR)
        heard = bisect_right(answers, stop) - bisect_left(answers, stop - HALF_HOUR)
        if lost:
            share = figures.abandon_rate(lost, heard).value
            worst = max(worst, 1.0 if share is None else share)
    return worst


class Simulation:
    """One run. `tick` is how often the policy is asked."""

    def __init__(self, policy: Policy, scenario: Scenario, seed: int, profile: Profile | None = None) -> None:
        self.policy, self.scenario = policy, scenario
        self.profile = profile or standard()
        self.chance = random.Random(seed)  # noqa: S311 (a simulation, not a secret)
        self.events: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self.order = 0
        self.phase = np.zeros(scenario.agents, dtype=np.int8)
        self.since = np.zeros(scenario.agents)
        self.idle: deque[int] = deque(range(scenario.agents))
        self.waiting: deque[tuple[float, int]] = deque()
        self.ringing = [0] * (int(scenario.seconds) + 2)  # calls that still ring, by the second they were placed in
        self.calls = 0
        self.answers: list[float] = []
        self.losses: list[float] = []
        self.result = Result(scenario.agents, scenario.seconds)
        self.freed = False
        self._logs = {
            name: (log(mean) - sigma * sigma / 2, sigma)
            for name, mean, sigma in (
                ("talk", scenario.talk, scenario.talk_sigma),
                ("wrap", scenario.wrap, scenario.wrap_sigma),
                ("ring", scenario.ring, scenario.ring_sigma),
            )
        }

    def run(self) -> Result:
        end = self.scenario.seconds
        self.result.slices = [Slice() for _ in range(int((end - 1e-9) // SLICE_SECONDS) + 1)]
        second = 0
        while second < end:
            self._advance(second)
            self._decide(float(second))
            second += 1
        self._advance(end)
        for agent in range(self.scenario.agents):
            if self.phase[agent] != _IDLE:
                self._busy(float(self.since[agent]), end)
        result = self.result
        result.answered, result.abandoned = len(self.answers), len(self.losses)
        result.first_abandon = self.losses[0] if self.losses else None
        result.worst_half_hour = worst_half_hour(self.answers, self.losses, end)
        return result

    def _advance(self, until: float) -> None:
        while self.events and self.events[0][0] <= until:
            at, _, happen, what = heapq.heappop(self.events)
            happen(at, what)
            if self.freed and self.scenario.decide_when_free:
                self._decide(at)
            self.freed = False

    def _at(self, when: float, happen: Callable[[float, Any], None], what: Any) -> None:
        self.order += 1
        heapq.heappush(self.events, (when, self.order, happen, what))

    def _drawn(self, name: str) -> float:
        centre, sigma = self._logs[name]
        return exp(self.chance.gauss(centre, sigma))

    def _decide(self, at: float) -> None:
        place = self.policy.decide(self.observe(at)).place
        if not place:
            return
        scenario, chance, second = self.scenario, self.chance, int(at)
        rate = scenario.rate(at)
        self.policy.placed(at, place)
        self.result.dialled += place
        self.ringing[second] += place
        for _ in range(place):
            if chance.random() < rate:
                ring = min(scenario.ring_timeout, self._drawn("ring"))
                self._at(at + ring, self._answered, (second, ring))
            else:
                self._at(at + scenario.ring_timeout, self._unanswered, second)

    def observe(self, at: float) -> Observation:
        second = int(at)
        oldest = max(0, second - int(self.scenario.ring_timeout) - 1)
        elapsed = at - self.since
        return Observation(
            at=at,
            assigned=self.scenario.agents,
            idle=len(self.idle),
            talking=elapsed[self.phase == _TALK],
            wrapping=elapsed[self.phase == _WRAP],
            ringing={NO_STRATUM: self.ringing[oldest : second + 1][::-1]},
            waiting=len(self.waiting),
            windows=self._windows(at),
        )

    def _windows(self, at: float) -> tuple[WindowCount, ...]:
        """Half an hour slides; the longer windows reach back past the start of the run."""
        answers, losses = self.answers, self.losses
        counts = []
        for window in self.profile.windows:
            heard, lost = len(answers), len(losses)
            if window.seconds < self.scenario.seconds:
                start = at - window.seconds
                heard -= bisect_left(answers, start)
                lost -= bisect_left(losses, start)
            counts.append(WindowCount(window.name, heard, lost, window.cap, window.aim, window.least))
        return tuple(counts)

    def _unanswered(self, at: float, second: int) -> None:
        self.ringing[second] -= 1

    def _answered(self, at: float, what: tuple[int, float]) -> None:
        second, ring = what
        self.ringing[second] -= 1
        self.answers.append(at)
        self.result.slices[self._slice(at)].answered += 1
        self.policy.answered(at, ring)
        if self.idle:
            self._join(at, self.idle.popleft(), at)
            return
        self.calls += 1
        self.waiting.append((at, self.calls))
        self._at(at + self.scenario.patience, self._out_of_patience, self.calls)

    def _out_of_patience(self, at: float, call: int) -> None:
        if not self.waiting or self.waiting[0][1] > call:
            return  # joined in time; calls wait and leave in order
        self.waiting.popleft()
        self.losses.append(at)
        self.result.slices[self._slice(at)].abandoned += 1
        self.policy.lost(at)

    def _join(self, at: float, agent: int, answered: float) -> None:
        self.phase[agent], self.since[agent] = _TALK, at
        self.result.waits.append(at - answered)
        self._at(at + self._drawn("talk"), self._talked, agent)

    def _talked(self, at: float, agent: int) -> None:
        started = float(self.since[agent])
        self._busy(started, at)
        self.phase[agent], self.since[agent] = _WRAP, at
        self.policy.talked(at, at - started)
        self._at(at + self._drawn("wrap"), self._wrapped, agent)

    def _wrapped(self, at: float, agent: int) -> None:
        started = float(self.since[agent])
        self._busy(started, at)
        self.policy.wrapped(at, at - started)
        if self.waiting:
            answered, _ = self.waiting.popleft()
            self._join(at, agent, answered)
            return
        self.phase[agent] = _IDLE
        self.idle.append(agent)
        self.freed = True

    def _slice(self, at: float) -> int:
        return min(len(self.result.slices) - 1, int(at // SLICE_SECONDS))

    def _busy(self, start: float, end: float) -> None:
        """Count busy time, split over the slices it touches."""
        self.result.busy_seconds += end - start
        while start < end:
            index = self._slice(start)
            stop = min(end, (index + 1) * SLICE_SECONDS)
            if stop <= start:
                stop = end
            self.result.slices[index].busy_seconds += stop - start
            start = stop


def simulate(policy: Policy, scenario: Scenario, seed: int, profile: Profile | None = None) -> Result:
    """The same policy state, scenario and seed give the same result, to the last digit."""
    return Simulation(policy, scenario, seed, profile).run()
