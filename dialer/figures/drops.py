"""Abandoned calls as the rules count them, and what is left of a cap. Pure.

Figures carry numerator, denominator and window; a zero denominator is a dash, never 0 % or 100 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dialer.figures.rates import abandon_rate
from dialer.figures.text import exact_percent, percent

# Slack for caps that are not exact in binary: 3 of 100 at 3 % is within the cap.
_SLACK = 1e-9


def _checked(*counts: int) -> None:
    if any(count < 0 for count in counts):
        raise ValueError("counts of calls are not negative")


@dataclass(frozen=True, slots=True)
class Figure:
    """abandoned / calls over a named window; calls is 0 where there is nothing to say."""

    abandoned: float
    calls: float
    window: str = ""

    @property
    def share(self) -> float | None:
        return abandon_rate(self.abandoned, self.calls, self.window).value

    @property
    def text(self) -> str:
        """The share alone."""
        return percent(self.share, 2)

    def __str__(self) -> str:
        text = f"{self.text} ({self.abandoned:g} of {self.calls:g})"
        return f"{text}, {self.window}" if self.window else text


def us_drop_rate(abandoned: int, answered: int, window: str = "30 d") -> Figure:
    """Abandoned per call answered by a person, abandoned ones among them (16 CFR 310.4(b)(4), 47 CFR 64.1200(a)(7))."""
    _checked(abandoned, answered)
    if abandoned > answered:
        raise ValueError("more calls abandoned than answered")
    return Figure(abandoned, answered, window)


def uk_drop_rate(abandoned: int, handled: int, machines: int = 0, window: str = "24 h") -> Figure:
    """Ofcom's rate: abandoned d, passed to an agent H, machines among those agents heard AM.

    Abandoned calls, all of them, may have been answered by machines too, in the share agents found:
    d' = d (1 - AM / (H + AM)). The rate is d' / (H + d').
    """
    _checked(abandoned, handled, machines)
    heard = handled + machines
    people = abandoned * (1 - machines / heard) if heard else float(abandoned)
    return Figure(people, handled + people, window)


@dataclass(frozen=True, slots=True)
class DropBudget:
    """left: calls that may still be abandoned if no further one is answered; negative when the cap is exceeded.
    recovers_after: answered calls without a loss until the cap is met again, 0 while it is."""

    left: int
    recovers_after: int
    cap: float

    def __str__(self) -> str:
        cap = exact_percent(self.cap)
        if self.left < 0:
            return f"over {cap}: {self.recovers_after} answered calls without a loss to be under it again"
        return f"{self.left} more before {cap}"


def drop_budget(abandoned: int, answered: int, cap: float = 0.03) -> DropBudget:
    """What may still be abandoned of the calls answered so far: "7 more before 3 %"."""
    _checked(abandoned, answered)
    if not 0 < cap < 1:
        raise ValueError("a cap is a share between 0 and 1")
    left = math.floor(cap * answered - abandoned + _SLACK)
    needed = 0 if left >= 0 else max(0, math.ceil(abandoned / cap - answered - _SLACK))
    return DropBudget(left, needed, cap)
