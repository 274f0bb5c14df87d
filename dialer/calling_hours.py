"""When a clock on somebody's wall allows a call: weekly windows, holidays, several time zones at once. Pure.

A window is wall time, read from zoneinfo at the moment in question: a day with 23 or 25 hours, a skipped or repeated
hour and zones with half hours need no special care by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

DAY_MINUTES = 24 * 60
# 16 CFR 310.4(c), 47 CFR 64.1200(c)(1): 8 a.m. to 9 p.m. where the called party is.
DEFAULT_WINDOW = (8 * 60, 21 * 60)
# Far enough for a week with one open hour and a run of holidays; further nobody plans a call by itself.
SEARCH_DAYS = 16

# Clocks that stand on no wall: "EST" stands still all year, and who writes it of New York is called an hour late in
# summer; so does "GMT" of London. Of the names without a slash these have a country's clock, summer time included.
_NO_PLACES = ("Etc/", "SystemV/", "posix/", "right/")
_WITHOUT_A_SLASH = frozenset(
    "CET CST6CDT Cuba EET EST5EDT Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya MET "
    "MST7MDT NZ NZ-CHAT Navajo PRC PST8PDT Poland Portugal ROC ROK Singapore Turkey UTC W-SU WET".split()
)
# Who writes UTC means no place, and knows it.
_UTC = "Etc/UTC"

_EVER = tuple(datetime(year, month, 1, tzinfo=UTC) for year in range(1850, 2050) for month in range(1, 13))

# Minutes of the day, [start, end); of one weekday in order, without overlap.
Window = tuple[int, int]
# Monday first.
Week = tuple[tuple[Window, ...], ...]
DEFAULT_WEEK: Week = ((DEFAULT_WINDOW,),) * 7
ALL_HOURS: Week = (((0, DAY_MINUTES),),) * 7


@dataclass(frozen=True, slots=True)
class Holiday:
    """A whole local day. region: of the number (US), '' for all. time_zone: where it is kept, '' for everywhere."""

    day: date
    name: str
    region: str = ""
    time_zone: str = ""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The zone of that name; None when there is none, or when no place has its clock."""
    if not _is_of_a_place(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def named(text: str) -> str:
    """The name of the zone that somebody has written (america/new york); '' when `zone` knows none."""
    return _names().get(text.strip().replace(" ", "_").casefold(), "")


@cache
def _names() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones() if _is_of_a_place(name)}


def _is_of_a_place(name: str) -> bool:
    return name in _WITHOUT_A_SLASH or name == _UTC or ("/" in name and not name.startswith(_NO_PLACES))


def is_open(week: Week, zones: Sequence[ZoneInfo], now: datetime) -> bool:
    """Whether the wall clocks of all the zones stand inside a window. No zone at all is closed."""
    return bool(zones) and all(_in_window(week, now.astimezone(one)) for one in zones)


def next_open(week: Week, zones: Sequence[ZoneInfo], now: datetime) -> datetime | None:
    """The first moment from now on at which `is_open`; None when there is none within SEARCH_DAYS."""
    if not zones:
        return None
    if is_open(week, zones, now):
        return now
    starts = {start for windows in week for start, _end in windows}
    return _first(now, zones, starts, lambda moment: is_open(week, zones, moment))


def holiday_today(holidays: Iterable[Holiday], region: str, zones: Sequence[ZoneInfo], now: datetime) -> Holiday | None:
    """The holiday that one of the zones has now, if any."""
    for holiday in holidays:
        if holiday.region in ("", region) and any(
            _is_kept(holiday, one) and now.astimezone(one).date() == holiday.day for one in zones
        ):
            return holiday
    return None


def _is_kept(holiday: Holiday, one: ZoneInfo) -> bool:
    return holiday.time_zone in ("", one.key) or _are_one(holiday.time_zone, one.key)


@lru_cache(maxsize=8192)
def _are_one(name: str, other: str) -> bool:
    """Whether two names are of one zone: people write Asia/Kolkata, and numbers are in Asia/Calcutta. Clocks that have
    never differed are one; before there were zones each place had its own."""
    one, two = zone(name), zone(other)
    return one is not None and two is not None and all(_offset(one, at) == _offset(two, at) for at in _EVER)


def after_holidays(
    holidays: Sequence[Holiday], region: str, zones: Sequence[ZoneInfo], now: datetime
) -> datetime | None:
    """The first moment from now on that is a holiday in none of the zones; None when not within SEARCH_DAYS."""
    return _first(now, zones, {0}, lambda moment: holiday_today(holidays, region, zones, moment) is None)


def _in_window(week: Week, wall: datetime) -> bool:
    minute = wall.hour * 60 + wall.minute
    return any(start <= minute < end for start, end in week[wall.weekday()])


def _first(
    now: datetime, zones: Sequence[ZoneInfo], minutes: set[int], good: Callable[[datetime], bool]
) -> datetime | None:
    """A closed gate opens only where a wall clock reaches one of `minutes`, or is put forward or back."""
    for span in (2, SEARCH_DAYS + 1):
        moments = {
            moment
            for one in zones
            for day in range(-1, span + 1)
            for moment in _moments(one, now.astimezone(one).date() + timedelta(days=day), minutes)
        }
        # Beyond this some zone's next day is not among them, so that the first of them need not be the first.
        until = now + timedelta(days=span - 1)
        for moment in sorted(moments):
            if now <= moment < until and good(moment):
                return moment
    return None


def _moments(one: ZoneInfo, day: date, minutes: set[int]) -> Iterator[datetime]:
    midnight = datetime.combine(day, time(), one)
    for minute in minutes:
        wall = midnight.replace(hour=minute // 60, minute=minute % 60)
        yield wall.astimezone(UTC)
        # The same wall time again, where the clock is put back over it.
        yield wall.replace(fold=1).astimezone(UTC)
    changed = _change(one.key, day)
    if changed is not None:
        yield changed


@lru_cache(maxsize=8192)
def _change(name: str, day: date) -> datetime | None:
    """When that day the zone's offset changes; None when it does not. (No zone has changed twice within a day.)"""
    one = ZoneInfo(name)
    early = datetime.combine(day, time(), one).astimezone(UTC)
    late = datetime.combine(day + timedelta(days=1), time(), one).astimezone(UTC)
    if _offset(one, early) == _offset(one, late):
        return None
    before = _offset(one, early)
    low, high = 0, int((late - early).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(one, early + timedelta(seconds=middle)) == before:
            low = middle
        else:
            high = middle
    return early + timedelta(seconds=high)


def _offset(one: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(one).utcoffset()
