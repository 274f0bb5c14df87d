"""`manage.py undo_import RUN`: remove the contacts that an import brought and that were never called."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dialer.models import ImportRun
from dialer.target_import import ImportRefusedError
from dialer.target_import.undo import undo

_SHOWN = 20


class Command(BaseCommand):
    help = "Take an import back: remove its contacts that were never called. Without a number: the latest imports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=int, nargs="?", metavar="RUN", help="the import's number")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["run"] is None:
            for run in ImportRun.objects.all()[:_SHOWN]:
                self.stdout.write(
                    f"{run.pk}  {run.created_at:%Y-%m-%d %H:%M}  {run.get_state_display()}, {run.imported:,} contacts"
                    f" into {run.list_name} from {run.file_name} by {run.actor or 'somebody'}"
                )
            return
        try:
            undone = undo(options["run"], f"{getpass.getuser()} (undo_import)", self._tell())
        except ImportRefusedError as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"{undone.removed:,} contacts removed, {sum(undone.kept.values()):,} kept.")
        for reason, count in undone.kept.items():
            self.stdout.write(f"  {count:,} kept: {reason}")

    def _tell(self) -> Any:
        done = 0

        def tell(removed: int) -> None:
            nonlocal done
            done += removed
            if self.stderr.isatty():
                self.stderr.write(f"{done:,} contacts removed", self.style.NOTICE)

        return tell
