"""Imports that nobody waits for: started from the admin, done on the `default` queue, told about on the way.

The row (ImportRun) is the truth; it says `done` in the very transaction that brings the contacts. Who works on a run
holds an advisory lock for as long as they live, so that a run whose worker has died is known to be interrupted, without
a guess by the clock, and a task that is delivered twice does its work once. Progress is in the cache and may vanish.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import redis
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.utils import timezone

from dialer.models import ImportRun

from . import close_check, import_contacts, uploads
from .errors import ImportRefusedError
from .mapping import MOST_COLUMNS, Columns, map_columns, parse_map
from .reading import Row, RowReader, choose_encoding

__all__ = ["MOST_COLUMNS", "headers", "perform", "preview", "progress", "settle"]

log = logging.getLogger(__name__)

# pg_advisory_lock(class, run).
_LOCK_CLASS = 0x0C60
_PROGRESS_SECONDS = 0.5
_PROGRESS_KEPT = 600
PREVIEW_ROWS = 8
State = ImportRun.State


def perform(pk: int) -> str:
    """Do the work of a queued run; returns the state it has now. Called again, or by two at once, it does it once."""
    with _working_on(pk) as ours:
        run = ImportRun.objects.filter(pk=pk).first()
        if run is None or not ours:
            return run.state if run else ""
        if run.state == State.RUNNING:
            # The lock is ours, so nobody works on it any more.
            _interrupted(pk)
        elif run.state == State.QUEUED:
            _perform(run)
    return str(ImportRun.objects.values_list("state", flat=True).get(pk=pk))


def _perform(run: ImportRun) -> None:
    run.state, run.started_at, run.ended_at, run.error = State.RUNNING, timezone.now(), None, ""
    run.save(update_fields=["state", "started_at", "ended_at", "error"])
    try:
        with ExitStack() as stack:
            file = stack.enter_context(uploads.upload_path(run.run_id).open("rb"))
            report = import_contacts(
                file,
                run.list_name,
                source=run.file_name,
                create=run.target_list_id is None,
                mapping=run.mapping,
                region=run.region,
                encoding=run.encoding,
                duplicates_in=run.duplicates_in,
                dry_run=run.dry_run,
                user_id=run.created_by_id,
                run=run,
                on_problem=uploads.problems_writer(stack, uploads.problems_path(run.run_id)),
                on_progress=_teller(run, file),
            )
        if run.dry_run:
            close_check(run, report)
        else:
            uploads.drop(run.run_id)
    except ImportRefusedError as refusal:
        _failed(run.pk, str(refusal))
    except OSError as error:
        _failed(run.pk, f"The file cannot be read any more: {error.strerror or error}.")
    except DatabaseError:
        log.exception("import %s was refused by the database", run.pk)
        _failed(run.pk, "The database refused; nothing is imported.")
    except Exception:
        log.exception("import %s failed", run.pk)
        _failed(run.pk, "It failed for a reason of ours, which is in the log; nothing is imported.")
        raise


def _failed(pk: int, reason: str) -> None:
    ImportRun.objects.filter(pk=pk).update(state=State.FAILED, error=reason[:500], ended_at=timezone.now())


def _interrupted(pk: int) -> None:
    ImportRun.objects.filter(pk=pk, state=State.RUNNING).update(
        state=State.INTERRUPTED, error="It was interrupted; nothing is imported.", ended_at=timezone.now()
    )


def settle(run: ImportRun) -> ImportRun:
    """The run as it is now: one that says it is running while nobody works on it was interrupted."""
    if run.state == State.RUNNING and not _is_worked_on(run.pk):
        _interrupted(run.pk)
        run.refresh_from_db()
    return run


def progress(run: ImportRun) -> dict[str, int]:
    """{rows, percent} of a running import; empty when nothing is known."""
    try:
        told: Any = cache.get(_key(run.pk))
    except (redis.RedisError, OSError):
        return {}
    return told if isinstance(told, dict) else {}


def preview(run: ImportRun) -> tuple[Columns, list[list[str]]]:
    """What each column becomes, and the first rows. Raises ImportRefusedError, OSError."""
    with uploads.upload_path(run.run_id).open("rb") as file:
        try:
            reader = RowReader(file, choose_encoding(file, run.encoding).name)
            try:
                rows = iter(reader)
                header = next(rows, None)
                if not isinstance(header, Row):
                    raise ImportRefusedError("The header cannot be read.")
                columns = map_columns(header.cells, parse_map(run.mapping), run.region, reader.delimiter)
                shown: list[list[str]] = []
                for row in rows:
                    if isinstance(row, Row):
                        shown.append([*row.cells, *[""] * columns.width][: columns.width])
                    if len(shown) >= PREVIEW_ROWS:
                        break
                return columns, shown
            finally:
                reader.detach()
        except UnicodeError as error:
            raise ImportRefusedError("The file cannot be read as text.") from error


def headers(run: ImportRun) -> list[str]:
    """The columns' names, also where no column is the number's. Raises ImportRefusedError, OSError."""
    with uploads.upload_path(run.run_id).open("rb") as file:
        reader = RowReader(file, choose_encoding(file, run.encoding).name)
        try:
            header = next(iter(reader), None)
            return [cell.strip() for cell in header.cells] if isinstance(header, Row) else []
        finally:
            reader.detach()


@contextmanager
def _working_on(pk: int) -> Iterator[bool]:
    """Yields whether nobody else is at it; others see that somebody is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_CLASS, pk % 2**31])
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, pk % 2**31])


def _is_worked_on(pk: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()"
            " AND l.classid = %s AND l.objid = %s)",
            [_LOCK_CLASS, pk % 2**31],
        )
        return bool(cursor.fetchone()[0])


def _teller(run: ImportRun, file: IO[bytes]) -> Callable[[int], None]:
    last = 0.0

    def tell(rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _PROGRESS_SECONDS:
            return
        last = now
        percent = min(100, 100 * file.tell() // max(1, run.file_size))
        try:
            cache.set(_key(run.pk), {"rows": rows, "percent": percent}, _PROGRESS_KEPT)
        except (redis.RedisError, OSError):
            # Nobody sees how far it is; it goes on.
            return

    return tell


def _key(pk: int) -> str:
    return f"import_progress:{pk}"
