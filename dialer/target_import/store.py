"""Contacts into the database: COPY into a temporary table, piece by piece, and from there what is new into the list.

Everything inside the caller's transaction, on its connection; but in a thread, so that PostgreSQL stores one piece
while the next is being read. The list's own row is locked only by the last statement: the sequential worker counts on
it with every call, and must not wait while a million rows are being read.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils import timezone

from dialer.models import ContactStatus, DialerTargetList, Duplicates

from .contact_rows import NewContact
from .errors import ImportRefusedError, Problem

# Rows per piece: a few megabytes at most, and enough that the round trips cost nothing.
CHUNK_ROWS = 10_000
# Pieces that may wait for PostgreSQL, so that a slow one is waited for and memory stays flat.
_WAITING = 2
# Of one statement. The settings' minute is for calls; an import of millions may take longer, but not for ever.
STATEMENT_MINUTES = 30
# pg_advisory_xact_lock(class, list): imports into one list take turns, other writers are not concerned.
_LOCK_CLASS = 0x0C5F
_DUPLICATES_AT_ONCE = 1_000

# Where the number of a row `r` stands already. In the list: the constraint leaves it out, this tells of it.
_IN_LIST = """EXISTS (SELECT 1 FROM dialer_contact c WHERE c.target_list_id = %(list)s AND c.number = r.number
              AND c.import_run_id IS DISTINCT FROM %(run)s)"""
_CALLED = """EXISTS (SELECT 1 FROM dialer_calllog k JOIN dialer_dialercampaign g ON g.id = k.campaign_id
             WHERE k.to_number = r.number AND g.target_list_id = %(list)s)"""
_ANYWHERE = """EXISTS (SELECT 1 FROM dialer_contact c WHERE c.number = r.number
               AND c.import_run_id IS DISTINCT FROM %(run)s)"""
# With the sentences for the report, of which the first that is true is given.
_KNOWN = {
    "list": (_IN_LIST, "The number is already in the list."),
    "campaign": (_CALLED, "The number was called before by a campaign that dials this list."),
    "everywhere": (_ANYWHERE, "The number is already in another list."),
}
_LOOKED_AT = {
    Duplicates.LIST: ("list",),
    Duplicates.CAMPAIGN: ("list", "campaign"),
    Duplicates.EVERYWHERE: ("list", "everywhere"),
}


class Staging:
    """The temporary tables of one import, and the thread that feeds them; a context of its own inside the transaction.

    While it is entered, nobody else may use the connection.
    """

    def __init__(self, target_list_id: int, run_id: int, duplicates_in: str, *, dry_run: bool) -> None:
        self._values: dict[str, Any] = {"list": target_list_id, "run": run_id, "ready": ContactStatus.READY}
        self._looked_at = _LOOKED_AT[Duplicates(duplicates_in)]
        self._dry_run = dry_run
        self._lines: list[str] = []
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._cursor: Any = None
        self.staged = self.imported = 0

    def __enter__(self) -> Staging:
        """Raises ImportRefusedError when another import into this list is running."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_MINUTES}min'")
            # Of the sort that finds duplicates, and only of this transaction.
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, self._values["list"] % 2**31])
            if not cursor.fetchone()[0]:
                raise ImportRefusedError("Another import into this list is running; try again when it has ended.")
            # Left over only when the caller's own transaction spans two imports.
            cursor.execute("DROP TABLE IF EXISTS pg_temp.import_piece, pg_temp.import_rows")
            cursor.execute(
                "CREATE TEMPORARY TABLE import_piece (line bigint, number text, written text, name text,"
                " time_zone text, custom_fields jsonb, priority smallint) ON COMMIT DROP"
            )
            cursor.execute("CREATE TEMPORARY TABLE import_rows (line bigint, number text, written text) ON COMMIT DROP")
        # The driver's own: Django's wrapper belongs to the thread that made it.
        self._cursor = connection.connection.cursor()
        self._thread = threading.Thread(target=self._feed, name="import", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All pieces are stored, or the error is raised that stopped them. After another error they are dropped."""
        try:
            if error is not None:
                self._error = self._error or error
            elif self._lines:
                self._flush()
        finally:
            self._pieces.put(None)
            if self._thread is not None:
                self._thread.join()
            self._cursor.close()
        if error is None:
            self._raise()

    def add(self, line: int, contact: NewContact) -> None:
        number, written, name, time_zone, custom_fields, priority = contact
        if "\\" in name:
            name = name.replace("\\", "\\\\")
        if "\\" in custom_fields:
            custom_fields = custom_fields.replace("\\", "\\\\")
        # Names and numbers hold no tabs and line ends, and JSON writes them with a backslash.
        self._lines.append(f"{line}\t{number}\t{written}\t{name}\t{time_zone}\t{custom_fields}\t{priority}\n")
        if len(self._lines) >= CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._raise()
        self.staged += len(self._lines)
        self._pieces.put("".join(self._lines).encode())
        self._lines.clear()

    def _raise(self) -> None:
        """What has stopped the thread, in Django's terms."""
        if self._error is not None:
            with connection.wrap_database_errors:
                raise self._error

    def _feed(self) -> None:
        """In the thread. After an error the pieces are taken and dropped, so that nobody waits for it."""
        while (piece := self._pieces.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._store(piece)
            except BaseException as error:  # noqa: BLE001 - raised by the thread that waits for it
                self._error = error

    def _store(self, piece: bytes) -> None:
        cursor = self._cursor
        cursor.copy_expert("COPY import_piece FROM STDIN (ENCODING 'UTF8')", io.BytesIO(piece), 1 << 20)
        cursor.execute("INSERT INTO import_rows SELECT line, number, written FROM import_piece")
        if not self._dry_run:
            # What another list or a campaign has is left out here, what this list has by the constraint: also what
            # somebody adds by hand meanwhile, and a number's second row. A table just written is read in its order.
            known = [f"NOT {_KNOWN[name][0]}" for name in self._looked_at if name != "list"]
            cursor.execute(
                f"""
                INSERT INTO dialer_contact (target_list_id, number, name, time_zone, custom_fields, priority, status,
                                         attempts, next_attempt_at, last_outcome, import_run_id, created_at, updated_at)
                SELECT %(list)s, number, name, time_zone, custom_fields, priority, %(ready)s, 0, now(), '', %(run)s,
                       now(), now()
                FROM import_piece r {"WHERE " if known else ""}{" AND ".join(known)}
                ORDER BY line
                ON CONFLICT (target_list_id, number) DO NOTHING
                """,  # noqa: S608 - made of constants
                self._values,
            )
            self.imported += cursor.rowcount
        cursor.execute("TRUNCATE import_piece")

    def duplicates(self) -> Iterator[Problem]:
        """Rows whose number stands in an earlier row or is known already, in the order of the file."""
        if not self._dry_run and self.imported == self.staged:
            return
        known = ", ".join(_KNOWN[name][0] for name in self._looked_at)
        sql = f"""
            SELECT line, written, first_line, known FROM (
                SELECT r.line, r.written, min(r.line) OVER (PARTITION BY r.number) AS first_line,
                       ARRAY[{known}] AS known
                FROM import_rows r
            ) AS numbered
            WHERE true = ANY (known) OR line > first_line
            ORDER BY line
        """  # noqa: S608 - made of constants
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE import_rows")
        with connection.chunked_cursor() as cursor:
            cursor.execute(sql, self._values)
            while rows := cursor.fetchmany(_DUPLICATES_AT_ONCE):
                for line, written, first_line, where in rows:
                    reasons = [_KNOWN[name][1] for name, found in zip(self._looked_at, where, strict=True) if found]
                    reason = reasons[0] if reasons else f"The number is in row {first_line:,}."
                    yield Problem(line, written, reason, duplicate=True)


def latest_key() -> int:
    """The latest key that a contact was given, or might have been."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('dialer_contact', 'id'))")
        return int(cursor.fetchone()[0])


def find_or_create(name: str, *, create: bool, user_id: int | None) -> tuple[DialerTargetList, bool]:
    """The list, and whether it is new. Raises ImportRefusedError when it is unknown and may not be created."""
    name = name.strip()
    longest = DialerTargetList._meta.get_field("name").max_length or 0
    if not name or len(name) > longest or not name.isprintable():
        raise ImportRefusedError(f"A list's name is 1 to {longest} printable characters.")
    if not create:
        found = DialerTargetList.objects.filter(name=name).first()
        if found is None:
            raise ImportRefusedError(f"There is no list {name!r} (--create makes it).")
        return found, False
    return DialerTargetList.objects.get_or_create(name=name, defaults={"created_by_id": user_id})


def note_import(target_list: DialerTargetList, source: str, imported: int, metadata: dict[str, object]) -> None:
    """The list's counters and where its contacts came from."""
    # Their references are checked before the row is locked: left to the commit, that held it 4 s for a million.
    connection.check_constraints()
    DialerTargetList.objects.filter(pk=target_list.pk).update(
        total_contacts=F("total_contacts") + imported,
        source=source[:255],
        source_metadata=metadata,
        imported_at=timezone.now(),
        updated_at=timezone.now(),
    )
