"""What the console keeps for a time only; `manage.py retention` removes it (docs/operations.md)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from console.models import Alert
from dialer import retention
from events.retention import BATCH, Counted, rows_from_before


def alerts(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Alerts that were over before then, with their history."""
    return _by_key("alerts", Alert.objects.filter(over_at__lt=before).order_by("pk"), dry_run=dry_run)


def occupancy_minutes(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Minutes of occupancy that no trend reads any more."""
    return rows_from_before("minutes of occupancy", "console_occupancyminute", "minute", before, dry_run=dry_run)


def sessions(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Sessions of the browser that ended before then: nobody is signed in with them."""
    old = Session.objects.filter(expire_date__lt=before).order_by("expire_date")
    return _by_key("sessions", old, dry_run=dry_run)


def _by_key(what: str, old: QuerySet[Any], *, dry_run: bool) -> Counted:
    """Rows with what hangs on them, or whose keys do not grow with time."""
    counted, model = Counted(what), old.model
    if dry_run:
        counted.rows = old.count()
        return counted
    while keys := list(old.values_list("pk", flat=True)[:BATCH]):
        counted.rows += model.objects.filter(pk__in=keys).delete()[1].get(model._meta.label, 0)
    return counted


def register() -> None:
    retention.others += [("ALERTS_KEEP_DAYS", alerts), ("", occupancy_minutes), ("", sessions)]
