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
from django.utils import timezone

from dialer import announce, numbers
from dialer.models import DialerCampaign, Duplicates, ImportRun

from . import store
from .contact_rows import RowRefusedError, read_contact
from .errors import ImportRefusedError, Problem, inert
from .mapping import Columns, map_columns, parse_map
from .reading import BadRow, Row, RowReader, choose_encoding

__all__ = ["ImportRefusedError", "Problem", "Report", "close_check", "import_contacts", "inert", "tell_the_floor"]

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
    # Of its ImportRun; None when nothing is stored.
    run: int | None = None
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
    duplicates_in: str = Duplicates.LIST,
    dry_run: bool = False,
    user_id: int | None = None,
    actor: str = "",
    run: ImportRun | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Import the open, seekable `file` into the list. After ImportRefusedError, or any error, nothing has changed.

    `source` says where the file came from (its name), `actor` who brings it. `region` is where numbers without a
    country code belong. `run`: what is written about it, if that exists; its end is committed with the contacts.
    `on_progress` gets the number of rows read so far, and must leave the database alone. `clock`: seconds.
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
            if run is None:
                run = ImportRun(
                    list_name=target_list.name,
                    file_name=source[:255],
                    region=region,
                    encoding=encoding,
                    mapping=list(mapping),
                    duplicates_in=duplicates_in,
                    dry_run=dry_run,
                    created_by_id=user_id,
                    actor=actor,
                    started_at=timezone.now(),
                )
                run.save()
            run.first_contact = store.latest_key()
            job.run(columns, store.Staging(target_list.pk, run.pk, duplicates_in, dry_run=dry_run))
            report.seconds = clock() - started
            if dry_run:
                transaction.set_rollback(True)
            else:
                run.target_list, run.last_contact = target_list, store.latest_key()
                _close(run, report, ImportRun.State.DONE)
                report.run = run.pk
                store.note_import(target_list, f"CSV file {source}", report.imported, _metadata(report, source))
        if report.imported and not dry_run:
            tell_the_floor(target_list.pk)
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
        # As numbers.is_allowed, which is not asked a million times.
        self._allowed = tuple(
            prefix for prefix in settings.DIAL_ALLOWED_PREFIXES if numbers.is_allowed(prefix, [prefix])
        )

    def header(self, wanted: Sequence[tuple[str, str]]) -> Columns:
        first = next(self._rows, None)
        if isinstance(first, Row):
            return map_columns(first.cells, wanted, self._region, self._reader.delimiter)
        raise ImportRefusedError(f"The header cannot be read: {first.reason}" if first else "The file is empty.")

    def run(self, columns: Columns, staging: store.Staging) -> None:
        report, progress = self.report, self._on_progress
        with staging:
            for row in self._rows:
                report.read += 1
                if isinstance(row, BadRow):
                    self._problem(Problem(row.line, row.start, row.reason))
                else:
                    self._take(row, columns, staging)
                if progress and report.read % PROGRESS_ROWS == 0:
                    progress(report.read)
        for problem in staging.duplicates():
            self._problem(problem)
        if report.dry_run:
            report.imported = staging.staged - report.duplicates
            return
        report.imported = staging.imported
        # A number that was taken out again meanwhile is in no list to be found in: the counts stay true.
        report.duplicates = staging.staged - staging.imported

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
        if not contact.number.startswith(self._allowed):
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


def tell_the_floor(target_list_id: int) -> None:
    """Campaigns show how many contacts are left. Called after the commit, so that a failed import announces nothing."""
    with transaction.atomic():
        for pk in DialerCampaign.objects.filter(target_list=target_list_id).values_list("pk", flat=True):
            announce.changed("campaign", pk)


def _close(run: ImportRun, report: Report, state: str) -> None:
    """What became of it, in its row."""
    run.state, run.ended_at = state, timezone.now()
    run.read, run.imported, run.duplicates = report.read, report.imported, report.duplicates
    run.refused, run.not_allowed, run.dry_run = report.refused, report.not_allowed, report.dry_run
    run.report = {**_metadata(report, run.file_name), "reasons": dict(report.reasons.most_common())}
    run.save()


def close_check(run: ImportRun, report: Report) -> None:
    """After a dry run, whose own transaction was rolled back."""
    run.first_contact = None
    _close(run, report, ImportRun.State.CHECKED)


def _metadata(report: Report, source: str) -> dict[str, object]:
    return {
        "file": source,
        "encoding": report.encoding,
        "encoding_note": report.encoding_note,
        "columns": report.columns,
        "custom_fields": report.custom_fields,
        "read": report.read,
        "imported": report.imported,
        "duplicates": report.duplicates,
        "refused": report.refused,
        "seconds": round(report.seconds, 1),
    }
