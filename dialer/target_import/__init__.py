"""Contact lists from CSV files: streamed, checked row by row, and imported as a whole or not at all.

`import_contacts` is the one door, for the command and for the admin. Rows that cannot be contacts are reported by line
and reason and do not stop the others; what stops the import (ImportRefusedError) leaves the database as it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from django.conf import settings
from django.db import transaction

from dialer import announce, numbers
from dialer.models import DialerCampaign

from . import store
from .contact_rows import RowRefusedError, read_contact
from .errors import ImportRefusedError, Problem, inert
from .mapping import Columns, map_columns, parse_map
from .reading import BadRow, Encoding, Row, RowReader, choose_encoding

__all__ = ["ImportRefusedError", "Problem", "Report", "import_contacts", "inert"]

# Problems kept for the screen; every one goes to `on_problem`, so that a file of broken rows costs no memory.
PROBLEMS_KEPT = 50
_REASONS_KEPT = 100
# Rows between two calls of `on_progress`.
PROGRESS_ROWS = 1_000


@dataclass(slots=True)
class Report:
    """What became of the file. `read` = `imported` + `duplicates` + `refused` (in a dry run: would be imported)."""

    list_name: str
    list_created: bool = False
    dry_run: bool = False
    encoding: str = ""
    encoding_note: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    custom_fields: list[str] = field(default_factory=list)
    read: int = 0
    imported: int = 0
    duplicates: int = 0
    refused: int = 0
    # Imported, but outside settings.DIAL_ALLOWED_PREFIXES: they are never called.
    not_allowed: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def rows_per_second(self) -> int | None:
        """None when it went too fast to say."""
        return round(self.read / self.seconds) if self.seconds > 0.001 and self.read else None

    @property
    def problems_left_out(self) -> int:
        return self.refused + self.duplicates - len(self.problems)


def import_contacts(
    file: IO[bytes],
    list_name: str,
    *,
    source: str,
    create: bool = False,
    mapping: Sequence[str] = (),
    region: str = "",
    encoding: str = "",
    dry_run: bool = False,
    user_id: int | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Import the open, seekable `file` into the list. After ImportRefusedError, or any error, nothing has changed.

    `source` says where the file came from (its name). `region` is where numbers without a country code belong.
    `on_progress` gets the number of rows read so far. `clock`: seconds.
    """
    region = region or settings.DEFAULT_REGION
    if not numbers.is_region(region):
        raise ImportRefusedError(f"There is no region {region!r}; write it like US.")
    wanted = parse_map(mapping)
    started = clock()
    try:
        chosen = choose_encoding(file, encoding)
        reader = RowReader(file, chosen.name)
    except UnicodeError as error:
        raise ImportRefusedError("The file cannot be read as text.") from error
    try:
        job = _Import(reader, region, on_problem, on_progress)
        columns = job.header(wanted)
        report = job.report
        report.list_name, report.dry_run = list_name.strip(), dry_run
        report.encoding, report.encoding_note = chosen.name, chosen.note
        report.columns, report.custom_fields = columns.described(), list(columns.custom.values())
        with transaction.atomic():
            target_list, report.list_created = store.find_or_create(list_name, create=create, user_id=user_id)
            job.run(columns, store.Staging(target_list.pk))
            report.seconds = clock() - started
            if dry_run:
                transaction.set_rollback(True)
            else:
                store.note_import(target_list, f"CSV file {source}", report.imported, _metadata(report, source, chosen))
        if report.imported and not dry_run:
            _tell_the_floor(target_list.pk)
        return report
    except UnicodeError as error:
        raise ImportRefusedError(f"The file changed while it was being read, or is not {chosen.name}.") from error
    finally:
        reader.detach()


class _Import:
    """One file on its way into one list."""

    def __init__(
        self,
        reader: RowReader,
        region: str,
        on_problem: Callable[[Problem], None] | None,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self.report = Report("")
        self._reader = reader
        self._rows = iter(reader)
        self._region = region
        self._on_problem = on_problem
        self._on_progress = on_progress

    def header(self, wanted: Sequence[tuple[str, str]]) -> Columns:
        first = next(self._rows, None)
        if isinstance(first, Row):
            return map_columns(first.cells, wanted, self._region, self._reader.delimiter)
        raise ImportRefusedError(f"The header cannot be read: {first.reason}" if first else "The file is empty.")

    def run(self, columns: Columns, staging: store.Staging) -> None:
        staging.open()
        for row in self._rows:
            self.report.read += 1
            if isinstance(row, BadRow):
                self._problem(Problem(row.line, row.start, row.reason))
            else:
                self._take(row, columns, staging)
            if self._on_progress and self.report.read % PROGRESS_ROWS == 0:
                self._on_progress(self.report.read)
        staging.analyse()
        for problem in staging.duplicates():
            self._problem(problem)
        taken = self.report.read - self.report.refused
        if self.report.dry_run:
            self.report.imported = taken - self.report.duplicates
            return
        self.report.imported = staging.insert()
        # Somebody may have added a number by hand since the duplicates were listed: count it as one.
        self.report.duplicates = taken - self.report.imported

    def _take(self, row: Row, columns: Columns, staging: store.Staging) -> None:
        try:
            contact = read_contact(row.cells, columns, self._region)
        except RowRefusedError as refusal:
            # A row that is refused anyway must not take others with it, which an open quote has made a part of it.
            if refusal.swallowed or self._reader.seems_to_hold_rows(columns.width):
                bad = self._reader.give_up_latest(str(refusal))
                self._problem(Problem(bad.line, bad.start, bad.reason))
            else:
                position = columns.roles["number"]
                written = row.cells[position] if position < len(row.cells) else ""
                self._problem(Problem(row.line, written, str(refusal)))
            return
        if not numbers.is_allowed(contact.number, settings.DIAL_ALLOWED_PREFIXES):
            self.report.not_allowed += 1
        staging.add(row.line, contact)

    def _problem(self, problem: Problem) -> None:
        shown = Problem(problem.line, inert(problem.number.strip()[:60]), problem.reason, problem.duplicate)
        if problem.duplicate:
            self.report.duplicates += 1
        else:
            self.report.refused += 1
            # Reasons may quote the file: a file of ten thousand different ones must not fill the report.
            if shown.reason in self.report.reasons or len(self.report.reasons) < _REASONS_KEPT:
                self.report.reasons[shown.reason] += 1
            else:
                self.report.reasons["Other reasons."] += 1
        if len(self.report.problems) < PROBLEMS_KEPT:
            self.report.problems.append(shown)
        if self._on_problem:
            self._on_problem(shown)


def _tell_the_floor(target_list_id: int) -> None:
    """Campaigns show how many contacts are left. Called after the commit, so that a failed import announces nothing."""
    with transaction.atomic():
        for pk in DialerCampaign.objects.filter(target_list=target_list_id).values_list("pk", flat=True):
            announce.changed("campaign", pk)


def _metadata(report: Report, source: str, encoding: Encoding) -> dict[str, object]:
    return {
        "file": source,
        "encoding": encoding.name,
        "columns": report.columns,
        "custom_fields": report.custom_fields,
        "read": report.read,
        "imported": report.imported,
        "duplicates": report.duplicates,
        "refused": report.refused,
        "seconds": round(report.seconds, 1),
    }
