"""Rules as people write them in a form (JSON) -> values, or a sentence about what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from dialer.calling_hours import DAY_MINUTES, DEFAULT_WEEK, Week, Window
from dialer.numbers import NUMBER_TYPES
from dialer.retry import RETRY_OUTCOMES, RetryRule

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_DAYS = 366
MOST_ATTEMPTS = 1_000
MOST_RULES = 10
LONGEST_DELAY = timedelta(days=90)
_CLOCK = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class FrequencyRule:
    """At most `attempts` within any `days` times 24 hours: to the number by whatever campaign, or by this one alone."""

    attempts: int
    days: int
    this_campaign_only: bool = False


class RuleError(ValueError):
    """What is wrong with a rule, as a sentence for people."""


def week(form: Any) -> Week:
    """{"mon": [["08:00", "21:00"]], ...}: a day left out is closed; nothing at all is 08:00 to 21:00 daily."""
    if form in ({}, None, ""):
        return DEFAULT_WEEK
    days = _mapping(form, "Calling hours")
    unknown = [name for name in days if name not in DAYS]
    if unknown:
        raise RuleError(f"There is no weekday “{str(unknown[0])[:20]}”; the days are {', '.join(DAYS)}.")
    return tuple(_day(day, days.get(day, [])) for day in DAYS)


def _day(day: str, windows: Any) -> tuple[Window, ...]:
    if not isinstance(windows, list):
        raise RuleError(f'{day}: windows are written [["08:00", "21:00"]].')
    found: list[Window] = []
    for pair in windows:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RuleError(f'{day}: a window is a start and an end, ["08:00", "21:00"].')
        start, end = _minute(day, pair[0]), _minute(day, pair[1])
        if start >= end:
            raise RuleError(f"{day}: a window ends after it starts; one over midnight is written as two.")
        found.append((start, end))
    found.sort()
    for (_, earlier), (later, _) in pairwise(found):
        if later < earlier:
            raise RuleError(f"{day}: two windows overlap.")
    return tuple(found)


def _minute(day: str, text: Any) -> int:
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    minute = int(found[1]) * 60 + int(found[2]) if found else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        raise RuleError(f"{day}: “{str(text)[:20]}” is no time from 00:00 to 24:00.")
    return minute


def frequency(form: Any) -> tuple[FrequencyRule, ...]:
    """[{"attempts": 7, "days": 7, "scope": "number"}]; scope: number (whatever campaign, the default) or campaign."""
    if form in ([], None, ""):
        return ()
    if not isinstance(form, list) or len(form) > MOST_RULES:
        raise RuleError(f"Frequency rules are a list of at most {MOST_RULES}.")
    rules = []
    for row in form:
        rule = _known(_mapping(row, "A frequency rule"), {"attempts", "days", "scope"})
        scope = rule.get("scope", "number")
        if scope not in ("number", "campaign"):
            raise RuleError("The scope of a frequency rule is number or campaign.")
        attempts = _whole(rule.get("attempts"), "attempts", 1, MOST_ATTEMPTS)
        rules.append(FrequencyRule(attempts, _whole(rule.get("days"), "days", 1, LONGEST_DAYS), scope == "campaign"))
    return tuple(rules)


def retries(form: Any) -> dict[str, RetryRule]:
    """{"busy": {"delay_minutes": 15, "times": 3, "growth": 2, "max_delay_minutes": 240}}, each part but the delay
    optional."""
    if form in ({}, None, ""):
        return {}
    rules = {}
    for outcome, row in _mapping(form, "Retry rules").items():
        if outcome not in RETRY_OUTCOMES:
            raise RuleError(
                f"“{str(outcome)[:30]}” is no outcome to retry after; those are {', '.join(RETRY_OUTCOMES)}."
            )
        rule = _known(_mapping(row, outcome), {"delay_minutes", "times", "growth", "max_delay_minutes"})
        longest = int(LONGEST_DELAY.total_seconds() // 60)
        growth = rule.get("growth", 1)
        if isinstance(growth, bool) or not isinstance(growth, int | float) or not 1 <= growth <= 10:
            raise RuleError(f"{outcome}: growth is a number from 1 to 10.")
        most = _whole(rule.get("max_delay_minutes", longest), f"{outcome}: max_delay_minutes", 0, longest)
        times = rule.get("times")
        rules[outcome] = RetryRule(
            delay=timedelta(minutes=_whole(rule.get("delay_minutes"), f"{outcome}: delay_minutes", 0, longest)),
            times=None if times is None else _whole(times, f"{outcome}: times", 0, MOST_ATTEMPTS),
            growth=float(growth),
            longest=timedelta(minutes=most),
        )
    return rules


def prefixes(form: Any) -> tuple[str, ...]:
    """["+1212", ...]"""
    return _texts(form, "An allowed prefix is a plus and digits, +1212.", re.compile(r"\+[0-9]{1,14}"))


def number_types(form: Any) -> frozenset[str]:
    """["mobile", ...]: types of numbers that are refused besides those that always are."""
    found = frozenset(_texts(form, "Number types are a list of words.", re.compile(r"[a-z_]{1,30}")))
    unknown = sorted(found - set(NUMBER_TYPES.values()))
    if unknown:
        known = ", ".join(sorted(NUMBER_TYPES.values()))
        raise RuleError(f"There is no number type “{unknown[0]}”; the types are {known}.")
    return found


def _texts(form: Any, sentence: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if form in ([], None, ""):
        return ()
    if not isinstance(form, list) or not all(isinstance(text, str) and pattern.fullmatch(text) for text in form):
        raise RuleError(sentence)
    return tuple(form)


def _mapping(form: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(form, dict):
        raise RuleError(f"{what}: written as names and values in braces.")
    return form


def _known(rule: Mapping[str, Any], names: set[str]) -> Mapping[str, Any]:
    unknown = sorted(set(rule) - names)
    if unknown:
        raise RuleError(f"“{unknown[0][:30]}” is not known here; it takes {', '.join(sorted(names))}.")
    return rule


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RuleError(f"{what} is a whole number from {least:,} to {most:,}.")
    return value
