"""The frame of every write: a transaction that holds the sequential worker's lease, and one moment as its `now`."""

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from dialer import announce, lease, outbox
from dialer.models import DialerCampaign
from events import trail


class _Local(threading.local):
    campaigns: dict[int, DialerCampaign] | None = None  # None: outside of a transaction


_local = _Local()


class Rejected(Exception):
    """The command may not be done now; the message is for the person who asked."""


@dataclass(frozen=True, slots=True)
class Act:
    """token: the fencing token under which this transaction writes. now: the transaction's time."""

    token: int
    now: dt.datetime
    by: str = ""
    command_id: str | None = None


def moment(value: Any) -> dt.datetime | None:
    """A command's time, in milliseconds since 1970; None when it is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return dt.datetime.fromtimestamp(value / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def campaign_of(pk: int) -> DialerCampaign:
    """With its profile; read once in a transaction, for it is wide and every fact of its calls asks for it."""
    known = {} if _local.campaigns is None else _local.campaigns
    if pk not in known:
        known[pk] = DialerCampaign.objects.select_related("profile").get(pk=pk)
    return known[pk]


@contextmanager
def acting(by: str = "", command_id: str | None = None, now: dt.datetime | None = None) -> Iterator[Act]:
    """Raises lease.LeaseLost, and commits nothing, when another worker has taken over."""
    with trail.about(command_id=command_id):
        _local.campaigns = {}
        try:
            with transaction.atomic():
                yield Act(lease.fence(), now or timezone.now(), by, command_id)
        except BaseException:
            announce.forget()
            raise
        finally:
            _local.campaigns = None
        outbox.send_committed()


def note(message: str, **ids: object) -> None:
    """A station of a call or a command (events/trail.py), told once it is committed."""
    transaction.on_commit(partial(trail.note, message, **ids), robust=True)
