"""What the address of a page asks for. Raise Http404 where it is nothing that a page would have written."""

import datetime as dt
from uuid import UUID

from django.http import Http404
from django.utils.dateparse import parse_datetime


def uuid_of(asked: str) -> UUID:
    try:
        return UUID(asked)
    except ValueError:
        raise Http404 from None


def moment_of(asked: str) -> dt.datetime | None:
    """A time as a datetime-local field writes it, in UTC, as all times of the pages are."""
    if not asked:
        return None
    try:
        moment = parse_datetime(asked)
    except ValueError:
        moment = None
    if moment is None:
        raise Http404
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def key_of(asked: str) -> int | None:
    """A row's primary key."""
    if not asked:
        return None
    if not asked.isascii() or not asked.isdigit() or len(asked) > 18:
        raise Http404
    return int(asked)
