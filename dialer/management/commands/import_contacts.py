"""`manage.py import_contacts FILE.csv --list NAME`: contacts from a CSV file, all the good rows or nothing."""

import getpass
import stat
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dialer.models import Duplicates
from dialer.target_import import ImportRefusedError, Report, import_contacts, uploads

# Between two lines of progress, for a person at a terminal.
_PROGRESS_SECONDS = 1.0
_SHOWN_PROBLEMS = 10
_SHOWN_REASONS = 5
_STOPPED = 130


class Command(BaseCommand):
    help = "Import contacts from a CSV file into a list. Bad rows and duplicates are reported; the others are imported."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        parser.add_argument("--list", required=True, metavar="NAME", help="the contact list")
        parser.add_argument("--create", action="store_true", help="make the list if there is none of that name")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="ROLE=COLUMN",
            help="role: number, name, first_name, last_name, time_zone, priority, ignore; repeat as needed",
        )
        parser.add_argument("--region", default="", help="where numbers without a country code belong, e.g. US")
        parser.add_argument("--encoding", default="", help="of the file, when it is not found out by itself")
        parser.add_argument(
            "--duplicates",
            choices=Duplicates.values,
            default=Duplicates.LIST.value,
            help="leave out numbers that are in this list; also those that a campaign of it has called; or in any list",
        )
        parser.add_argument("--dry-run", action="store_true", help="read, check and report; change nothing")
        parser.add_argument("--errors", type=Path, metavar="FILE.csv", help="write each row not imported, and why")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with ExitStack() as stack:
                file = stack.enter_context(_open(path))
                on_problem = None
                if options["errors"]:
                    on_problem = _errors_writer(stack, options["errors"], path)
                report = import_contacts(
                    file,
                    options["list"],
                    source=path.name,
                    create=options["create"],
                    mapping=options["map"],
                    region=options["region"],
                    encoding=options["encoding"],
                    duplicates_in=options["duplicates"],
                    dry_run=options["dry_run"],
                    actor=f"{getpass.getuser()} (import_contacts)",
                    on_problem=on_problem,
                    on_progress=self._progress(file, path) if self.stderr.isatty() else None,
                )
        except ImportRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{error.filename or path}: {error.strerror or error}") from error
        except DatabaseError as error:
            raise CommandError(f"The database refused; nothing is imported: {str(error).splitlines()[0]}") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is imported.", returncode=_STOPPED) from None
        self._summary(report, options["errors"])

    def _progress(self, file: IO[bytes], path: Path) -> Any:
        size = max(1, path.stat().st_size)
        last = time.monotonic()

        def show(rows: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_SECONDS:
                last = now
                self.stderr.write(f"{rows:,} rows read, {100 * file.tell() // size} % of the file", self.style.NOTICE)

        return show

    def _summary(self, report: Report, errors: Path | None) -> None:
        columns = ", ".join(f"{role.replace('_', ' ')} from “{header}”" for role, header in report.columns.items())
        self.stdout.write(f"Columns: {columns}; {len(report.custom_fields)} custom fields.")
        if report.encoding_note:
            self.stdout.write(f"Encoding: {report.encoding_note}.")
        for problem in report.problems[:_SHOWN_PROBLEMS]:
            self.stdout.write(f"  row {problem.line:,}: {problem.reason} [{problem.number}]")
        more = report.refused + report.duplicates - min(len(report.problems), _SHOWN_PROBLEMS)
        if more > 0:
            where = f"all of them in {errors}" if errors else "--errors FILE.csv lists all"
            self.stdout.write(f"  ... and {more:,} more rows ({where})")
            for reason, count in report.reasons.most_common(_SHOWN_REASONS):
                self.stdout.write(f"  {count:,} × {reason}")
        if report.not_allowed:
            self.stdout.write(f"{report.not_allowed:,} numbers lie outside DIAL_ALLOWED_PREFIXES and are never called.")
        rate = f"{report.rows_per_second:,} rows/s" if report.rows_per_second is not None else "at once"
        done = "would be imported" if report.dry_run else "imported"
        self.stdout.write(
            f"{report.list_name}: {report.read:,} rows read, {report.imported:,} {done}, "
            f"{report.duplicates:,} duplicates, {report.refused:,} refused ({rate})."
        )
        if report.dry_run:
            self.stdout.write("Dry run: nothing is changed.")
        else:
            self.stdout.write(f"This was import {report.run}; manage.py undo_import {report.run} takes it back.")


def _open(path: Path) -> IO[bytes]:
    """A regular file only: a pipe cannot be read twice, and its encoding must be found out first."""
    file = path.open("rb")
    if not stat.S_ISREG(path.stat().st_mode):
        file.close()
        raise ImportRefusedError(f"{path} is not a regular file.")
    return file


def _errors_writer(stack: ExitStack, errors: Path, source: Path) -> Any:
    if errors.exists() and errors.samefile(source):
        raise ImportRefusedError("--errors must not be the file that is read.")
    return uploads.problems_writer(stack, errors)
