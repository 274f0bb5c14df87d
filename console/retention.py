"""What the console keeps for a time only; `manage.py retention` removes it (docs/operations.md)."""

from __future__ import annotations

import datetime as dt

from django.contrib.sessions.models import Session

from console.models import Alert
from dialer import retention
from events.retention import BATCH, Counted, old_ranges, removed


def alerts(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Alerts that were over before then, with their history."""
    counted = Counted("alerts")
    old = Alert.objects.filter(over_at__lt=before).order_by("pk")
    if dry_run:
        counted.rows = old.count()
        return counted
    while keys := list(old.values_list("pk", flat=True)[:BATCH]):
        counted.rows += Alert.objects.filter(pk__in=keys).delete()[1].get("console.Alert", 0)
    return counted


def occupancy_minutes(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Minutes of occupancy that no trend reads any more."""
    counted, table = Counted("minutes of occupancy"), "console_occupancyminute"
    for first, last in old_ranges(table, "minute", before):
        old = "id BETWEEN %s AND %s AND minute < %s"
        counted.rows += removed(table, old, [first, last, before], dry_run=dry_run)
    return counted


def sessions(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Sessions of the browser that ended before then: nobody is signed in with them."""
    counted = Counted("sessions")
    old = Session.objects.filter(expire_date__lt=before).order_by("expire_date")
    if dry_run:
        counted.rows = old.count()
        return counted
    while keys := list(old.values_list("pk", flat=True)[:BATCH]):
        counted.rows += Session.objects.filter(pk__in=keys).delete()[0]
    return counted


def register() -> None:
    retention.others += [("ALERTS_KEEP_DAYS", alerts), ("", occupancy_minutes), ("", sessions)]
