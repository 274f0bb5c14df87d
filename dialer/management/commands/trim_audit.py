"""`manage.py trim_audit [--dry-run]`: remove what the audit log keeps longer than AUDIT_KEEP_DAYS."""

import datetime as dt
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dialer import audit_retention


class Command(BaseCommand):
    help = "Remove rows of the audit log older than AUDIT_KEEP_DAYS. Without that setting it is kept for ever."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="remove nothing, say how much would be removed")

    def handle(self, *args: Any, **options: Any) -> None:
        days: int = settings.AUDIT_KEEP_DAYS
        if not days:
            raise CommandError("The audit log is kept for ever: set AUDIT_KEEP_DAYS to trim it.")
        if days < audit_retention.LEAST_DAYS:
            raise CommandError(f"AUDIT_KEEP_DAYS must be {audit_retention.LEAST_DAYS} or more.")
        dry_run: bool = options["dry_run"]
        rows = audit_retention.trim(timezone.now() - dt.timedelta(days=days), dry_run=dry_run)
        self.stdout.write(f"{rows:,} rows {'would be removed' if dry_run else 'removed'} (kept {days} days)")
