"""Thresholds held against the floor: what is raised, what gets worse, what is over. Pure: state, rules and clock in,
changes out.

A level is reached when the value has been at or beyond it for `hold_seconds`; an alert is over when the value has been
well, at or on the right side of `clear`, for `clear_seconds`. In between nothing happens: a value that dances around
the limit raises once. An alert keeps its worst level until it is over. A subject that is not there any more, or to
which the rule does not apply any more, is over at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from console.alert_figures import MEASURES, PERCENT, SECONDS, Measured, Onsets, duration, measure
from console.floor_state import FloorState

Level = Literal["warning", "critical"]
LEVELS: Final[tuple[Level, Level]] = ("warning", "critical")
# Of a text on the board and in the database.
TEXT_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold. key: its own. warning, critical: where each level begins; both None: an exception, it never raises.

    clear: where it is well again; None: as soon as no level is reached. least: calls (or seconds) a share must be made
    of. state, reason, campaign_id, team: only for these; '' or None: any.
    """

    key: int
    name: str
    measure: str
    warning: float | None = None
    critical: float | None = None
    clear: float | None = None
    hold_seconds: float = 0.0
    clear_seconds: float = 0.0
    least: int = 0
    state: str = ""
    reason: str = ""
    campaign_id: str | None = None
    team: str = ""

    def applies(self, to: Measured) -> bool:
        return (
            self.measure == to.measure
            and self.state in ("", to.state)
            and self.reason in ("", to.reason)
            and self.team in ("", to.team)
            and (self.campaign_id is None or self.campaign_id in to.campaigns)
        )

    @property
    def narrowness(self) -> tuple[bool, bool, bool, bool]:
        """Of the rules that apply to a figure only the narrowest speak: campaign, then team, reason, state."""
        return (self.campaign_id is not None, bool(self.team), bool(self.reason), bool(self.state))

    def limit(self, level: Level) -> float | None:
        return self.warning if level == "warning" else self.critical

    def reached(self, level: Level, value: float) -> bool:
        limit = self.limit(level)
        if limit is None:
            return False
        return value <= limit if MEASURES[self.measure].below else value >= limit

    def well(self, value: float) -> bool:
        if self.clear is None:
            return not any(self.reached(level, value) for level in LEVELS)
        return value >= self.clear if MEASURES[self.measure].below else value <= self.clear


Key = tuple[int, str, str]
"""Rule, kind and id of the subject."""


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that is not over. dismissed: a person has resolved it; only a worse level brings it back."""

    level: Level
    since: int | None = None
    dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Raise:
    key: Key
    level: Level
    rule: Rule
    measured: Measured
    text: str


@dataclass(frozen=True, slots=True)
class Escalate(Raise):
    """The same alert, worse."""


@dataclass(frozen=True, slots=True)
class Clear:
    key: Key


Change = Raise | Escalate | Clear


@dataclass(slots=True)
class _Timer:
    """ms since which a level has been reached, and since which all has been well."""

    reached: dict[Level, int] = field(default_factory=dict)
    well: int | None = None


class Evaluator:
    """The memory between two looks: how long each limit has been passed. Open alerts are the caller's."""

    def __init__(self) -> None:
        self.onsets = Onsets()
        self._timers: dict[Key, _Timer] = {}

    def step(self, rules: Iterable[Rule], floor: FloorState, open_: Mapping[Key, Open], now: int) -> list[Change]:
        """What has changed at `now` (ms). Applied to `open_`, the same step again changes nothing."""
        known: dict[int, Rule] = {}
        by_measure: dict[str, list[Rule]] = {}
        for rule in rules:
            known[rule.key] = rule
            by_measure.setdefault(rule.measure, []).append(rule)
        resumed = {
            (known[rule].measure, subject): alert.since
            for (rule, _, subject), alert in open_.items()
            if rule in known and alert.since is not None
        }
        changes: list[Change] = []
        timers: dict[Key, _Timer] = {}
        for measured in measure(floor, self.onsets, resumed, now):
            for rule in narrowest(by_measure.get(measured.measure, ()), measured):
                key = (rule.key, measured.kind, measured.subject_id)
                timers[key] = timer = self._timers.get(key) or _Timer()
                if (change := _judge(rule, measured, key, timer, open_.get(key), now)) is not None:
                    changes.append(change)
        changes += [Clear(key) for key in open_ if key not in timers]
        self._timers = timers
        return changes


def narrowest(rules: Iterable[Rule], measured: Measured) -> list[Rule]:
    """The rules that speak for this figure; none where it is made of too little, or an exception is made for it."""
    apply = [rule for rule in rules if rule.applies(measured)]
    if not apply:
        return []
    top = max(rule.narrowness for rule in apply)
    return [
        rule
        for rule in apply
        if rule.narrowness == top
        and not (rule.warning is None and rule.critical is None)
        and (measured.sample is None or measured.sample >= rule.least)
    ]


def _judge(
    rule: Rule, measured: Measured, key: Key, timer: _Timer, alert: Open | None, now: int
) -> Raise | Escalate | Clear | None:
    for level in LEVELS:
        if rule.reached(level, measured.value):
            timer.reached.setdefault(level, now)
        else:
            timer.reached.pop(level, None)
    if not rule.well(measured.value):
        timer.well = None
    elif timer.well is None:
        timer.well = now
    if alert is not None and timer.well is not None:
        return Clear(key) if now - timer.well >= 1000 * rule.clear_seconds else None
    held = [level for level, since in timer.reached.items() if now - since >= 1000 * rule.hold_seconds]
    if not held:
        return None
    worst: Level = "critical" if "critical" in held else "warning"
    if alert is None:
        return Raise(key, worst, rule, measured, text(rule, worst, measured))
    if worst == "critical" and alert.level == "warning":
        return Escalate(key, worst, rule, measured, text(rule, worst, measured))
    return None


def text(rule: Rule, level: Level, measured: Measured) -> str:
    """What is wrong with what, in words that stay true while the alert is open: "Ana: break (lunch) longer than
    15 min"."""
    limit = rule.limit(level)
    words = MEASURES[rule.measure].text.format(what=measured.what, limit=limit_words(rule.measure, limit or 0.0))
    return f"{measured.name}: {words}"[:TEXT_LENGTH]


def limit_words(measure_: str, limit: float) -> str:
    unit = MEASURES[measure_].unit
    if unit == SECONDS:
        return duration(limit)
    return f"{limit:g} %" if unit == PERCENT else f"{limit:g} {unit}"
