"""The last 60 whole minutes, minute by minute: calls, answer rate, abandons, occupancy, waits.

Counts and waits come from call records, occupancy from the minutes that the floor publisher has watched
(trend_minutes.py). A minute that nobody watched and in which nothing happened is unknown: null, never 0.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import redis
from django.core.cache import cache
from django.db import connection

from dialer import figures

log = logging.getLogger(__name__)

MINUTES: Final = 60
# However many boards are open, each part of the floor is counted once in so many seconds.
CACHE_SECONDS: Final = 10
# Calls ring and wait for no longer than this before they belong to an earlier hour.
BEFORE: Final = dt.timedelta(minutes=5)

_PLACED = """
SELECT date_trunc('minute', initiated_at), count(*), count(answered_at)
FROM dialer_calllog WHERE initiated_at >= %s {part} GROUP BY 1
"""
_ANSWERED = """
SELECT date_trunc('minute', answered_at), count(*) FILTER (WHERE abandoned AND NOT machine),
  percentile_disc(0.5) WITHIN GROUP (ORDER BY bridged_at - answered_at) FILTER (WHERE bridged_at IS NOT NULL),
  percentile_disc(0.95) WITHIN GROUP (ORDER BY bridged_at - answered_at) FILTER (WHERE bridged_at IS NOT NULL)
FROM dialer_calllog WHERE initiated_at >= %s AND answered_at >= %s {part} GROUP BY 1
"""
_PART = "AND campaign_id IN (SELECT id FROM dialer_dialercampaign WHERE campaign_id = ANY(%s::uuid[]))"
_OCCUPANCY = """
SELECT minute, bool_or(campaign = ''), coalesce(sum(busy_seconds) FILTER (WHERE campaign = ANY(%s::text[])), 0),
  coalesce(sum(idle_seconds) FILTER (WHERE campaign = ANY(%s::text[])), 0)
FROM console_occupancyminute WHERE minute >= %s AND (campaign = '' OR campaign = ANY(%s::text[])) GROUP BY 1
"""
_NAMES: Final = ("answer_rate", "occupancy", "wait_p50", "wait_p95")


def cached(campaigns: Collection[UUID] | None, now: dt.datetime) -> dict[str, Any]:
    """`read`, at most CACHE_SECONDS old."""
    part = "floor" if campaigns is None else ",".join(sorted(map(str, campaigns)))
    key = f"trends:{hashlib.sha256(part.encode()).hexdigest()[:32]}"
    try:
        if (found := cache.get(key)) is not None:
            return found  # type: ignore[no-any-return]
    except (redis.RedisError, ValueError) as error:
        log.warning("trends are not cached: %s", type(error).__name__)
    found = read(campaigns, now)
    try:
        cache.set(key, found, CACHE_SECONDS)
    except redis.RedisError:
        pass
    return found


def read(campaigns: Collection[UUID] | None, now: dt.datetime) -> dict[str, Any]:
    """The minutes that are over (ms of their starts) and a list of values or nulls for each series.

    campaigns: of these together; None: the whole floor. Rates are shares, waits ms.
    """
    # Whole ones: the minute that has begun would be a line that falls.
    end = now.replace(second=0, microsecond=0)
    minutes = [end - dt.timedelta(minutes=n) for n in range(MINUTES, 0, -1)]
    first = minutes[0]
    part, ids = ("", []) if campaigns is None else (_PART, [[str(one) for one in campaigns]])
    names = [""] if campaigns is None else ids[0]
    with connection.cursor() as cursor:
        cursor.execute(_PLACED.format(part=part), [first, *ids])
        placed = {minute: (calls, answered) for minute, calls, answered in cursor.fetchall()}
        cursor.execute(_ANSWERED.format(part=part), [first - BEFORE, first, *ids])
        answers = {minute: rest for minute, *rest in cursor.fetchall()}
        cursor.execute(_OCCUPANCY, [names, names, first, names])
        watched = {minute: rest for minute, *rest in cursor.fetchall()}
    series: dict[str, list[Any]] = {name: [] for name in ("calls", "answered", "abandoned", *_NAMES)}
    for minute in minutes:
        known = minute in placed or minute in answers or (minute in watched and watched[minute][0])
        calls, answered = placed.get(minute, (0, 0))
        abandoned, p50, p95 = answers.get(minute, (0, None, None))
        _, busy, idle = watched.get(minute, (False, 0.0, 0.0))
        series["calls"].append(calls if known else None)
        series["answered"].append(answered if known else None)
        series["abandoned"].append(abandoned if known else None)
        series["answer_rate"].append(figures.answer_rate(answered, calls).rounded)
        series["occupancy"].append(figures.Rate(busy, busy + idle).rounded)
        series["wait_p50"].append(_ms(p50))
        series["wait_p95"].append(_ms(p95))
    return {
        "at": int(now.timestamp() * 1000),
        "minutes": [int(minute.timestamp() * 1000) for minute in minutes],
        "series": series,
    }


def _ms(wait: dt.timedelta | None) -> int | None:
    return None if wait is None else max(0, round(wait.total_seconds() * 1000))
