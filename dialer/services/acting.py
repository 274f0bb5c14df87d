"""The frame of every write: a transaction that holds the sequential worker's lease, and one moment as its `now`."""

import copy
import datetime as dt
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from dialer import announce, lease, outbox
from dialer.models import DialerCampaign
from dialer.services import ahead, closing
from events import trail


class _Local(threading.local):
    campaigns: dict[int, DialerCampaign] | None = None  # None: outside of a transaction
    versions: dict[int, str] = {}


_local = _Local()


class Rejected(Exception):
    """The command may not be done now, and has changed nothing; the message is for the person who asked."""


class RejectedAndKept(Rejected):
    """It may not be done, and what has become of it meanwhile is a fact: what was written stays."""


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


# By key: which versions of the rows of a campaign and of its profile these are, and both.
_read: dict[int, tuple[str, DialerCampaign]] = {}
# After each change of a row its place is another one, or the transaction that made it.
VERSIONS = "concat_ws(' ', c.ctid, c.xmin, p.id, p.ctid, p.xmin)"
CAMPAIGNS = "dialer_dialercampaign c LEFT JOIN dialer_complianceprofile p ON p.id = c.profile_id"
_VERSIONS = f"SELECT c.id, {VERSIONS} FROM {CAMPAIGNS} WHERE c.id = ANY(%s)"  # noqa: S608 - made of constants


def campaigns_of(pks: Iterable[int]) -> dict[int, DialerCampaign]:
    """Each with its profile. Asked for once in a transaction and read anew only when it has changed, for it is wide and
    every fact of its calls asks for it. Raises DialerCampaign.DoesNotExist."""
    wanted = set(pks)
    known = {} if _local.campaigns is None else _local.campaigns
    if asked := sorted(wanted - known.keys()):
        now = _local.versions
        if not now.keys() >= set(asked):
            with connection.cursor() as cursor:
                cursor.execute(_VERSIONS, [asked])
                now = dict(cursor.fetchall())
        for pk in asked:
            before, campaign = _read.get(pk, (None, None))
            if campaign is None or before != now.get(pk):
                campaign = DialerCampaign.objects.select_related("profile").get(pk=pk)
                _read[pk] = now[pk], campaign
            # A copy: nothing that one transaction does with it, or looks up through it, is seen by the next.
            known[pk] = copy.copy(campaign)
    return {pk: known[pk] for pk in wanted}


def seen(versions: dict[int, str]) -> None:
    """Which versions of campaigns (by key) there are now, in VERSIONS' words: for `campaigns_of`, which then need not
    ask."""
    _local.versions = versions


@contextmanager
def acting(by: str = "", command_id: str | None = None, now: dt.datetime | None = None) -> Iterator[Act]:
    """Raises lease.LeaseLost, and commits nothing, when another worker has taken over."""
    assert _local.campaigns is None, "one transaction at a time: what is collected for the other would be lost"
    with trail.about(command_id=command_id):
        _local.campaigns, _local.versions = {}, {}
        ahead.begin()
        closing.begin()
        try:
            with transaction.atomic():
                yield Act(lease.fence(), now or timezone.now(), by, command_id)
                closing.write()
        except BaseException:
            announce.forget()
            raise
        finally:
            _local.campaigns, _local.versions = None, {}
            ahead.forget()
            closing.forget()
        outbox.send_committed()


@contextmanager
def undone_if_rejected() -> Iterator[None]:
    """Within `acting`: whatever is written in here comes to nothing when it raises, in the database (orders, and all
    that is done after a commit, go with it) and in what the transaction has collected for its end."""
    closing.write()  # What was added before this stays, so it may not be among what is dropped.
    told, kept = announce.collected(), None
    try:
        with transaction.atomic():
            try:
                yield
            except RejectedAndKept as refusal:
                kept = refusal
    except BaseException:
        closing.begin()
        announce.forget(but=told)
        raise
    if kept is not None:
        raise kept


def note(message: str, **ids: object) -> None:
    """A station of a call or a command (events/trail.py), told once it is committed."""
    transaction.on_commit(partial(trail.note, message, **ids), robust=True)
