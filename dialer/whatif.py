"""What each mode would do with such a team and list: figures per mode from parameters and a seed. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from dialer.figures import NOTHING
from dialer.pacing import Policy, Power, Progressive, standard
from dialer.pacing.predictive import Predictive
from dialer.pacing_simulation import SLICE_SECONDS, Result, Scenario, simulate

MODES = ("progressive", "power", "predictive")
# Waits are told as the share of people joined within so many seconds.
WITHIN = tuple(n / 10 for n in range(21))


def seconds(value: float | None) -> str:
    """As the page and the command tell a wait."""
    return NOTHING if value is None else f"{value:.2f} s"


@dataclass(frozen=True, slots=True)
class Parameters:
    """answer_rate: share of dials that a person answers; later: after half of the time. talk, wrap_up, ring: mean
    seconds; sigmas of their logarithms. ratio: calls per idle agent of the power mode. Raises ValueError for what no
    floor is like."""

    agents: int = 30
    answer_rate: float = 0.25
    later: float | None = None
    talk: float = 120.0
    talk_sigma: float = 0.8
    wrap_up: float = 15.0
    wrap_up_sigma: float = 0.5
    ring: float = 8.0
    ring_sigma: float = 0.5
    ring_timeout: float = 25.0
    hours: float = 4.0
    patience: float = 2.0
    cap: float = 0.03
    strict: bool = False
    ratio: float = 3.0
    modes: tuple[str, ...] = MODES
    seed: int = 1

    def __post_init__(self) -> None:
        numbers = [value for value in asdict(self).values() if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("every parameter is a number")
        if not 0 < self.cap < 1:
            raise ValueError("a cap is a share between 0 and 1")
        if not self.modes or any(mode not in MODES for mode in self.modes):
            raise ValueError(f"modes are {', '.join(MODES)}")
        if self.ratio < 1:
            raise ValueError("the power mode places at least one call per idle agent")
        self.scenario()

    def scenario(self) -> Scenario:
        rates = [(0.0, self.answer_rate)]
        if self.later is not None:
            rates.append((self.hours * 1800, self.later))
        return Scenario(
            self.agents,
            tuple(rates),
            talk=self.talk,
            wrap=self.wrap_up,
            ring=self.ring,
            ring_timeout=self.ring_timeout,
            hours=self.hours,
            patience=self.patience,
            talk_sigma=self.talk_sigma,
            wrap_sigma=self.wrap_up_sigma,
            ring_sigma=self.ring_sigma,
        )

    def within(self, agents: int, hours: float) -> Parameters:
        """Itself, if a run of it is no longer than one of so many agents and hours. Raises ValueError."""
        if self.agents > agents or self.hours > hours:
            raise ValueError(f"at most {agents} agents and {hours:g} hours")
        return self

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"modes": list(self.modes)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Parameters:
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known} | {"modes": tuple(values["modes"])})

    @property
    def key(self) -> str:
        """The same for the same parameters, so that a result is computed once."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:32]


def run(asked: Parameters) -> dict[str, Result]:
    """Each mode over the same floor and seed."""
    scenario, profile = asked.scenario(), standard(asked.cap, strict=asked.strict)
    policies: dict[str, Callable[[], Policy]] = {
        "progressive": Progressive,
        "power": lambda: Power(asked.ratio, profile),
        "predictive": lambda: Predictive(profile, ring_timeout=asked.ring_timeout),
    }
    return {mode: simulate(policies[mode](), scenario, asked.seed, profile) for mode in asked.modes}


def report(asked: Parameters, results: Mapping[str, Result]) -> dict[str, Any]:
    """What a page shows, as JSON holds it."""
    modes = {mode: result.as_dict() | {"within": _within(result.waits)} for mode, result in results.items()}
    return {"parameters": asked.as_dict(), "slice_seconds": SLICE_SECONDS, "modes": modes}


def _within(waits: Sequence[float]) -> list[float] | None:
    """Share of the people joined who waited no longer than each of WITHIN."""
    if not waits:
        return None
    return [round(sum(1 for wait in waits if wait <= limit) / len(waits), 5) for limit in WITHIN]
