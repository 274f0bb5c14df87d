"""Lines over an axis as the points of an SVG; the template draws them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# The drawing's own units; the page scales it.
WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 60, 24, 10, 28


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """points: as an SVG polyline has them, one text for each unbroken stretch."""

    name: str
    points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a pointer hears what all lines say there."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    definition: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    mark: float | None = None
    mark_text: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(
    title: str,
    definition: str,
    xs: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    least_top: float,
    x_step: float | None = None,
    mark: float | None = None,
    mark_text: str = "",
) -> Chart:
    """xs: ascending. series: name -> a value for each x, None where there is nothing to say. Both axes begin at 0.
    least_top: the upper end of the other axis, unless a value is higher. x_step: between two marks of the first axis.
    mark: a level to be seen."""
    highest = max([least_top, *(value for values in series.values() for value in values if value is not None)])
    step = _step(highest / 4)
    top = step * max(1, math.ceil(highest / step - 1e-9))
    last = max(xs, default=0.0) or 1.0

    def x_at(x: float) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * x / last, 1)

    def y_at(y: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / top, 1)

    lines = tuple(Line(name, _stretches(xs, values, x_at, y_at)) for name, values in series.items())
    edges = [x_at(x) for x in xs]
    width = (WIDTH - RIGHT - LEFT) / max(1, len(xs) - 1)
    columns = tuple(
        Column(
            round(max(LEFT, edge - width / 2), 1),
            round(width, 1),
            f"{x_text(x)}: " + ", ".join(f"{name} {_said(values[n], y_text)}" for name, values in series.items()),
        )
        for n, (x, edge) in enumerate(zip(xs, edges, strict=True))
    )
    x_step = x_step or _step(last / 6)
    marks = [x_step * n for n in range(int(last / x_step + 1e-9) + 1)]
    return Chart(
        title,
        definition,
        lines,
        columns,
        tuple(Tick(x_at(x), x_text(x)) for x in marks),
        tuple(Tick(y_at(step * n), y_text(step * n)) for n in range(round(top / step) + 1)),
        y_at(mark) if mark is not None else None,
        mark_text,
    )


def _said(value: float | None, text: Callable[[float], str]) -> str:
    return "–" if value is None else text(value)


def _stretches(
    xs: Sequence[float],
    values: Sequence[float | None],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
) -> tuple[str, ...]:
    found: list[list[str]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{x_at(x)},{y_at(value)}")
    return tuple(" ".join(points) for points in found if points)


def _step(about: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, not below `about`."""
    if about <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(about))
    return next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= about - 1e-12)
