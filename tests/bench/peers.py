"""Pacing of other dialers, re-implemented from their published formulas and shipped defaults, for comparison only."""

from __future__ import annotations

import math
from collections import deque

from dialer.pacing import Decision, Observation
from dialer.pacing.observation import NO_STRATUM, Indifferent, Stratum


def _placed(count: int, mode: str) -> Decision:
    return Decision(max(0, count), "progressive_base", mode, {}, mode)


class Power(Indifferent):
    """ratio x idle - ringing, without a cap: as sold."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio

    def decide(self, seen: Observation) -> Decision:
        return _placed(math.floor(self.ratio * seen.idle) - seen.ringing_calls, "power")


class Vicidial(Indifferent):
    """VICIdial: every 2.5 s place round(level x (READY + INCALL)) - lines, lines being every call in the air or up.

    RATIO keeps its level. ADAPT_HARD_LIMIT: every 15 s level x= 1 + (mean READY - mean WAITING + target) / agents, kept
    in [1, 3]; above the drop cap of the day the level is 1.
    """

    STEP, ADAPT = 2.5, 15.0
    LOWEST, HIGHEST = 1.0, 3.0

    def __init__(self, level: float = 1.0, *, adapt: bool = False, cap: float = 0.03, target: float = 0.0) -> None:
        self.level, self.adapt, self.cap, self.target = level, adapt, cap, target
        self._next = self._next_adapt = 0.0
        self._samples: list[tuple[int, int]] = []

    def decide(self, seen: Observation) -> Decision:
        self._samples.append((seen.idle, seen.waiting))
        if seen.at < self._next:
            return _placed(0, "vicidial")
        self._next = seen.at + self.STEP if seen.at > self._next + self.STEP else self._next + self.STEP
        if self.adapt and seen.at >= self._next_adapt:
            self._adapt(seen)
        lines = seen.ringing_calls + seen.waiting + len(seen.talking)
        return _placed(math.floor(self.level * (seen.idle + len(seen.talking)) + 0.5) - lines, "vicidial")

    def _adapt(self, seen: Observation) -> None:
        self._next_adapt = seen.at + self.ADAPT
        ready = sum(idle for idle, _ in self._samples) / len(self._samples)
        waiting = sum(calls for _, calls in self._samples) / len(self._samples)
        self._samples.clear()
        factor = 1 + (ready - waiting + self.target) / seen.assigned
        self.level = min(self.HIGHEST, max(self.LOWEST, self.level * factor))
        day = seen.windows[1] if len(seen.windows) > 1 else None
        if day is not None and day.lost > self.cap * day.answered:
            self.level = self.LOWEST


class Issabel(Indifferent):
    """Issabel: idle agents, and those whose call has ended with 97 % probability by the time an answer takes (Erlang,
    k = 1), less those waiting; overcommit divides by the share answered of the last 30 minutes, at least 20 %."""

    QUALITY, LEAST_RATE, SAMPLES, HISTORY = 0.97, 0.20, 10, 1_800.0

    def __init__(self) -> None:
        self._placed: deque[tuple[float, int]] = deque()
        self._answered: deque[float] = deque()
        self._talk, self._talks, self._ring, self._rings = 0.0, 0, 0.0, 0

    def placed(self, at: float, calls: int, stratum: Stratum = NO_STRATUM) -> None:
        self._placed.append((at, calls))

    def answered(self, at: float, ring: float, stratum: Stratum = NO_STRATUM) -> None:
        self._answered.append(at)
        self._ring += ring
        self._rings += 1

    def talked(self, at: float, seconds: float) -> None:
        self._talk += seconds
        self._talks += 1

    def decide(self, seen: Observation) -> Decision:
        while self._placed and self._placed[0][0] < seen.at - self.HISTORY:
            self._placed.popleft()
        while self._answered and self._answered[0] < seen.at - self.HISTORY:
            self._answered.popleft()
        wanted = seen.idle - seen.waiting
        if self._talks >= self.SAMPLES:
            ahead = self._ring / self._rings
            mean = self._talk / self._talks
            wanted += sum(1 - math.exp(-(ahead + age) / mean) >= self.QUALITY for age in seen.talking)
        total = sum(calls for _, calls in self._placed)
        if total >= self.SAMPLES and self._answered and wanted > 0:
            wanted = math.floor(wanted / max(self.LEAST_RATE, len(self._answered) / total) + 0.5)
        return _placed(wanted - seen.ringing_calls, "issabel")


class StaticRatio(Indifferent):
    """ratio x all agents in the air or on the phone, whatever happens: chosen in hindsight, nobody could have known."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio

    def decide(self, seen: Observation) -> Decision:
        lines = seen.ringing_calls + seen.waiting + len(seen.talking) + len(seen.wrapping)
        return _placed(math.floor(self.ratio * seen.assigned) - lines, "static")
