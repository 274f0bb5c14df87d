"""Contacts behind a gate are free again as soon as a person opens it: an entry is removed, a rule is changed, a
campaign starts. Freeing forgives nothing: each is asked all gates again before it is dialled.
"""

from collections.abc import Iterable
from typing import Any

from celery import current_app
from django.db import connection, transaction
from django.db.models import signals
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import RedisError

from dialer import limits, stops
from dialer.eligibility import LISTED_GATES
from dialer.models import (
    CampaignStatus,
    ComplianceProfile,
    ConsentRevocation,
    Contact,
    ContactReservation,
    ContactStatus,
    DialerCampaign,
    DoNotCall,
    Holiday,
)
from dialer.services import wake


def watch() -> None:
    """From now on a removed entry and a changed rule free whom they blocked, whoever removes or changes them."""
    for listed in (DoNotCall, ConsentRevocation):
        signals.post_delete.connect(_entry_removed, sender=listed, dispatch_uid=f"free {listed.__name__}")
        signals.post_save.connect(_entry_made, sender=listed, dispatch_uid=f"withdraw {listed.__name__}")
    for signal in (signals.post_save, signals.post_delete):
        signal.connect(_holiday_changed, sender=Holiday, dispatch_uid="free Holiday")
    signals.post_save.connect(_profile_changed, sender=ComplianceProfile, dispatch_uid="free ComplianceProfile")


def _entry_made(instance: DoNotCall | ConsentRevocation, **_: Any) -> None:
    """A call that is ordered and has not left stays unsaid. The number may be before an agent, too: its offer is
    withdrawn with the next tick, which comes at once."""
    transaction.on_commit(lambda: stops.mark_if_possible([instance.number]), robust=True)
    offered = ContactReservation.State.OFFERED
    if ContactReservation.objects.filter(state=offered, contact__number=instance.number).exists():
        wake.dialer()


def _entry_removed(instance: DoNotCall | ConsentRevocation, **_: Any) -> None:
    number = instance.number
    transaction.on_commit(lambda: numbers([number]), robust=True)


def _holiday_changed(**_: Any) -> None:
    active = DialerCampaign.objects.filter(status=CampaignStatus.ACTIVE)
    later(active.values_list("target_list", flat=True))


def _profile_changed(instance: ComplianceProfile, **_: Any) -> None:
    later(instance.campaigns.values_list("target_list", flat=True))


_FREE = """
UPDATE dialer_contact SET next_attempt_at = %(now)s, blocked_by = ''
WHERE id IN (
    SELECT id FROM dialer_contact
    WHERE target_list_id = %(list)s AND status = 'ready' AND NOT (blocked_by = '')
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


def numbers(freed: Iterable[str]) -> int:
    """Contacts with these numbers that an entry on a list blocked; returns how many."""
    blocked = Contact.objects.filter(number__in=list(freed), status=ContactStatus.READY, blocked_by__in=LISTED_GATES)
    count = blocked.update(next_attempt_at=timezone.now(), blocked_by="")
    if count:
        wake.dialer()
    return count


def target_list(pk: int) -> int:
    """All blocked contacts of a list, in short transactions; returns how many."""
    freed, now = 0, timezone.now()
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FREE, {"list": pk, "now": now, "limit": limits.FREED_AT_ONCE})
            count = int(cursor.rowcount)
        freed += count
        if count < limits.FREED_AT_ONCE:
            wake.dialer()
            return freed


def later(lists: Iterable[int | None]) -> None:
    """After this transaction commits, have the lists' blocked contacts freed on the queue `default`. Should the queue
    be away, they are looked at again within limits.RECHECK."""
    wanted = sorted({pk for pk in lists if pk is not None})

    def ask() -> None:
        try:
            for pk in wanted:
                current_app.send_task("dialer.tasks.free_contacts", args=[pk], retry=False)
        except (RedisError, OperationalError):
            pass

    if wanted:
        transaction.on_commit(ask, robust=True)
