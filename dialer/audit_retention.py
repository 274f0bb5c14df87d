"""Removing old rows of the audit log: only when a setting says how long it is kept, and never without a row of it."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from dialer.models import AuditEntry
from dialer.services import audit

# A log that is kept shorter explains nothing any more.
LEAST_DAYS = 30
BATCH = 5_000


def trim(before: dt.datetime, *, dry_run: bool) -> int:
    """Remove what was written before then; returns how many rows. Each batch is a transaction with a row of its own."""
    old = AuditEntry.objects.filter(at__lt=before)
    if dry_run:
        return old.count()
    removed = 0
    while batch := list(old.order_by("id").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            with connection.cursor() as cursor:
                # The trigger lets this one transaction pass (migration 0022).
                cursor.execute("SELECT set_config('orchestrator.audit_trim', 'on', true)")
            count, _ = AuditEntry.objects.filter(pk__in=batch).delete()
            audit.note("audit.trim", details={"rows": count, "before": before.isoformat()})
        removed += count
    return removed
