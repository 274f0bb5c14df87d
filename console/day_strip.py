"""An agent's day drawn as a strip: a lane for each state, so that colour never stands alone. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from console.words import AGENT_STATES

LANE = 20
# Between two marks: the finest that needs no more than MARKS of them.
STEPS = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 10, 15, 30, 60, 120))
MARKS = 12


@dataclass(frozen=True, slots=True)
class Part:
    """A bar. x, width: in per cent of the drawing; y: in pixels. title: what a pointer hears."""

    x: str
    width: str
    y: int
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    x: str
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    word: str
    icon: str
    tone: str


@dataclass(frozen=True, slots=True)
class Strip:
    lanes: tuple[Lane, ...]
    parts: tuple[Part, ...]
    marks: tuple[Mark, ...]
    height: int


def strip(spans: Iterable[tuple[str, dt.datetime, dt.datetime, str]]) -> Strip | None:
    """spans: (kind, start, end, title) in order. From the first to the last moment in which the agent was not offline,
    to whole steps; None when there is no such moment."""
    rows = list(spans)
    worked = [(start, end) for kind, start, end, _ in rows if kind != "offline"]
    if not worked:
        return None
    begin, end = worked[0][0], max(end for _, end in worked)
    step = next((step for step in STEPS if (end - begin) / step <= MARKS), STEPS[-1])
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + (begin - midnight) // step * step
    count = max(1, -((first - end) // step))
    whole = count * step
    kinds = list(AGENT_STATES)

    def per_cent(moment: dt.datetime) -> float:
        return min(100.0, max(0.0, 100 * ((moment - first) / whole)))

    parts = []
    for kind, start, end, title in rows:
        left, right = per_cent(start), per_cent(end)
        if kind in AGENT_STATES and right > left:
            # A state of seconds is still to be seen.
            width = max(right - left, 0.15)
            y = kinds.index(kind) * LANE
            parts.append(Part(f"{left:.3f}%", f"{width:.3f}%", y + 3, AGENT_STATES[kind][2], title))
    marks = [Mark(f"{100 * place / count:.3f}%", f"{first + place * step:%H:%M}") for place in range(count + 1)]
    lanes = tuple(Lane(*AGENT_STATES[kind]) for kind in kinds)
    return Strip(lanes, tuple(parts), tuple(marks), LANE * len(kinds))
