"""`manage.py retention [--dry-run]`: remove what is older than the settings keep it; see docs/operations.md."""

import datetime as dt
import logging
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from dialer import retention
from events import retention as of_events
from events.retention import Counted

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Remove decisions, orders, events, recordings and more, older than the settings keep them. Safe to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="remove nothing, say what would be removed")

    def handle(self, *args: Any, **options: Any) -> None:
        # "Older than tomorrow" is everything, and what is removed is gone.
        if below := [name for name in dir(settings) if name.endswith("_KEEP_DAYS") and getattr(settings, name) < 0]:
            raise CommandError(f"{', '.join(below)}: below 0, so nothing is removed. 0 keeps for ever.")
        dry_run: bool = options["dry_run"]
        verb = "would be removed" if dry_run else "removed"
        failed = []
        for days, of in self._parts(timezone.now()):
            name = of.__name__.replace("_", " ")
            kept = f"kept {days} days" if days else "kept for ever"
            if not days:
                self.stdout.write(f"{name}: {kept}")
                continue
            try:
                found = of(dry_run)
            except Exception as error:
                # The others are not to grow for its sake.
                failed.append(name)
                log.exception("retention of %s failed", name)
                self.stderr.write(f"{name}: failed, {type(error).__name__}; what is left goes with the next run")
                if isinstance(error, (DatabaseError, InterfaceError)):
                    close_old_connections()
                continue
            size = f", {found.bytes:,} bytes" if found.bytes is not None else ""
            self.stdout.write(f"{found.what}: {found.rows:,}{size} {verb} ({kept})")
            for problem in found.problems:
                self.stderr.write(f"  left alone: {problem}")
        if failed:
            raise CommandError(f"Not all was looked at: {', '.join(failed)}. The log says why.")

    def _parts(self, now: dt.datetime) -> Iterator[tuple[int, Callable[[bool], Counted]]]:
        def ago(days: int) -> dt.datetime:
            return now - dt.timedelta(days=days)

        def decisions(dry: bool) -> Counted:
            return retention.decisions(ago(settings.DECISIONS_KEEP_DAYS), dry_run=dry)

        def orders(dry: bool) -> Counted:
            return retention.orders(ago(settings.ORDERS_KEEP_DAYS), dry_run=dry)

        def commands(dry: bool) -> Counted:
            return retention.commands(ago(settings.COMMANDS_KEEP_DAYS), dry_run=dry)

        def raw_events(dry: bool) -> Counted:
            return of_events.events(ago(settings.EVENTS_KEEP_DAYS), dry_run=dry)

        def event_batches(dry: bool) -> Counted:
            return of_events.batches(ago(settings.EVENTS_KEEP_DAYS), dry_run=dry)

        def recordings(dry: bool) -> Counted:
            directory = Path(settings.RECORDINGS_DIR)
            return retention.recordings(ago(settings.RECORDINGS_KEEP_DAYS), directory, dry_run=dry)

        def messages(dry: bool) -> Counted:
            return retention.messages(ago(settings.MESSAGES_KEEP_DAYS), dry_run=dry)

        def minutes(dry: bool) -> Counted:
            return retention.minutes(now, dry_run=dry)

        yield settings.DECISIONS_KEEP_DAYS, decisions
        yield settings.ORDERS_KEEP_DAYS, orders
        yield settings.COMMANDS_KEEP_DAYS, commands
        yield settings.EVENTS_KEEP_DAYS, raw_events
        yield settings.EVENTS_KEEP_DAYS, event_batches
        yield settings.RECORDINGS_KEEP_DAYS, recordings
        yield settings.MESSAGES_KEEP_DAYS, messages
        for setting, remove in retention.others:
            days: int = getattr(settings, setting) if setting else 1

            def other(dry: bool, remove: Callable[..., Counted] = remove, days: int = days) -> Counted:
                return remove(ago(days), dry_run=dry)

            other.__name__ = remove.__name__
            yield days, other
        # As long as the longest window needs them, whatever the settings say.
        yield 1, minutes
