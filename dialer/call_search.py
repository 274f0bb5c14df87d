"""Calls that people look for. Every page is read along an index of times, newest first, and nothing is ever counted.

A page is asked for by the time and key of the last call of the page before: any page costs as much as the first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from dialer.models import CallLog, Disposition

# Two rare properties asked for together may have no index that finds both: the database gives up then, and says so.
STATEMENT_SECONDS = 5
NEWEST_FIRST = ("-initiated_at", "-pk")
# A disposition's code may stand for one row of each campaign; up to so many are each read along their own index.
MOST_CODED = 50


class TooMuch(Exception):
    """It would have read too much; a narrower time would do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """All that is not None or empty must hold. agent, campaign: primary keys. number: E.164. outcome: of
    dialer.retry.OUTCOMES, or "open" for calls that have not ended. disposition: a code, or "none" for those that an
    agent talked on and nobody has disposed of. since, until: of the placing."""

    agent: int | None = None
    campaign: int | None = None
    contact: int | None = None
    number: str = ""
    outcome: str = ""
    disposition: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: `initiated_at` and key of its last call."""

    at: dt.datetime
    pk: int


def found(asked: Asked) -> QuerySet[CallLog]:
    """The calls asked for, without an order."""
    exact = {
        "agent": asked.agent, "campaign": asked.campaign, "contact": asked.contact, "to_number": asked.number or None,
        "initiated_at__gte": asked.since, "initiated_at__lte": asked.until,
    }  # fmt: skip
    calls = CallLog.objects.filter(**{name: value for name, value in exact.items() if value is not None})
    if asked.outcome == "open":
        calls = calls.filter(ended_at=None)
    elif asked.outcome:
        calls = calls.filter(outcome=asked.outcome)
    if asked.disposition == "none":
        calls = calls.filter(disposition=None, bridged_at__isnull=False)
    elif asked.disposition:
        calls = calls.filter(disposition__in=_coded(asked))
    return calls


def _coded(asked: Asked) -> list[int]:
    """Each campaign may have its own disposition of this code. They are few: named, they need no join."""
    return list(Disposition.objects.filter(code=asked.disposition).values_list("pk", flat=True))


def page(asked: Asked, after: Place | None, limit: int, within: Q) -> tuple[list[CallLog], Place | None]:
    """One page, newest first, and where it ended if there are older ones. within: what may be seen. Raises TooMuch."""
    calls = found(asked).filter(within)
    if after is not None:
        # The first condition is for the index, the second for calls of the same microsecond.
        same = Q(initiated_at__lt=after.at) | Q(initiated_at=after.at, pk__lt=after.pk)
        calls = calls.filter(initiated_at__lte=after.at).filter(same)
    with bounded():
        calls = _along_each(calls, asked, limit + 1).defer("cdr_data")
        # Related rows are few, and asked for by themselves: joined, a planner may sort the whole table.
        calls = calls.prefetch_related("agent__team", "campaign", "contact", "disposition", "side_legs")
        rows = list(calls.order_by(*NEWEST_FIRST)[: limit + 1])
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], Place(last.initiated_at, last.pk) if last else None


def _along_each(calls: QuerySet[CallLog], asked: Asked, limit: int) -> QuerySet[CallLog]:
    """`calls`, cut to those that the newest `limit` are among when a disposition is all that is asked for.

    Its rows stand for one another, but their calls lie apart in the index. Asked for all at once, a planner that hopes
    for an early end walks along the times of all calls, and reads the whole table for a disposition that is no longer
    given; the newest of each are few, and found at once.
    """
    if not asked.disposition or asked.disposition == "none":
        return calls
    if any(one is not None for one in (asked.agent, asked.campaign, asked.contact)) or asked.number or asked.outcome:
        return calls
    coded = _coded(asked)
    if not 1 < len(coded) <= MOST_CODED:
        return calls
    places = calls.order_by(*NEWEST_FIRST).values_list("initiated_at", "pk")
    first, *others = (places.filter(disposition=one)[:limit] for one in coded)
    return calls.filter(pk__in=[pk for _, pk in sorted(first.union(*others, all=True), reverse=True)[:limit]])


@contextmanager
def bounded() -> Iterator[None]:
    """Queries in here end after STATEMENT_SECONDS, with TooMuch."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{STATEMENT_SECONDS}s"])
            yield
    except OperationalError as error:
        if "statement timeout" not in str(error):
            raise
        raise TooMuch from None
