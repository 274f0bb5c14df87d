"""Contacts into the database: COPY into a temporary table, then one INSERT that leaves out what is there already.

Everything inside the caller's transaction. The list's own row is locked only by the last statement: the sequential
worker counts on it with every call, and must not wait while a million rows are being read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.models import F
from django.utils import timezone

from dialer.models import ContactStatus, DialerTargetList

from .contact_rows import NewContact
from .errors import ImportRefusedError, Problem

# Rows per COPY: a few megabytes at most, and enough that the round trip costs nothing.
CHUNK_ROWS = 5_000
# Of one statement. The settings' minute is for calls; an import of millions may take longer, but not for ever.
STATEMENT_MINUTES = 30
# pg_advisory_xact_lock(class, list): imports into one list take turns, other writers are not concerned.
_LOCK_CLASS = 0x0C5F
_DUPLICATES_AT_ONCE = 1_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True)
class Stored:
    imported: int
    duplicates: int


class Staging:
    """The temporary table of one import."""

    def __init__(self, target_list_id: int) -> None:
        self._list_id = target_list_id
        self._lines: list[str] = []

    def open(self) -> None:
        """Raises ImportRefusedError when another import into this list is running."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_MINUTES}min'")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, self._list_id % 2**31])
            if not cursor.fetchone()[0]:
                raise ImportRefusedError("Another import into this list is running; try again when it has ended.")
            # Left over only when the caller's own transaction spans two imports.
            cursor.execute("DROP TABLE IF EXISTS pg_temp.import_rows")
            cursor.execute(
                "CREATE TEMPORARY TABLE import_rows (line bigint, number text, written text, name text,"
                " time_zone text, custom_fields jsonb, priority smallint) ON COMMIT DROP"
            )

    def add(self, line: int, contact: NewContact) -> None:
        self._lines.append(
            f"{line}\t{contact.number}\t{contact.written.translate(_ESCAPES)}\t{contact.name.translate(_ESCAPES)}\t"
            f"{contact.time_zone}\t{contact.custom_fields.translate(_ESCAPES)}\t{contact.priority}\n"
        )
        if len(self._lines) >= CHUNK_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY import_rows FROM STDIN", io.StringIO("".join(self._lines)))
        self._lines.clear()

    def analyse(self) -> None:
        """Once all rows are in: without an index and figures, finding duplicates would be a loop in a loop."""
        self.flush()
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX ON import_rows (number, line)")
            cursor.execute("ANALYZE import_rows")

    def duplicates(self) -> Iterator[Problem]:
        """Rows whose number stands in an earlier row or in the list, in the order of the file."""
        sql = """
            SELECT line, written, first_line, listed FROM (
                SELECT r.line, r.written, min(r.line) OVER (PARTITION BY r.number) AS first_line,
                       EXISTS (SELECT 1 FROM dialer_contact c
                               WHERE c.target_list_id = %s AND c.number = r.number) AS listed
                FROM import_rows r
            ) AS numbered
            WHERE listed OR line > first_line
            ORDER BY line
        """
        with connection.chunked_cursor() as cursor:
            cursor.execute(sql, [self._list_id])
            while rows := cursor.fetchmany(_DUPLICATES_AT_ONCE):
                for line, written, first_line, listed in rows:
                    reason = "The number is already in the list." if listed else f"The number is in row {first_line:,}."
                    yield Problem(line, written, reason, duplicate=True)

    def insert(self) -> int:
        """The contacts that are new to the list, the first row of each number; returns how many."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO dialer_contact (target_list_id, number, name, time_zone, custom_fields, priority, status,
                                         attempts, next_attempt_at, last_outcome, created_at, updated_at)
                SELECT %s, number, name, time_zone, custom_fields, priority, %s, 0, now(), '', now(), now()
                FROM (SELECT DISTINCT ON (number) * FROM import_rows ORDER BY number, line) AS firsts
                ORDER BY line
                ON CONFLICT (target_list_id, number) DO NOTHING
                """,
                [self._list_id, ContactStatus.READY],
            )
            return int(cursor.rowcount)


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
    DialerTargetList.objects.filter(pk=target_list.pk).update(
        total_contacts=F("total_contacts") + imported,
        source=source[:255],
        source_metadata=metadata,
        imported_at=timezone.now(),
        updated_at=timezone.now(),
    )
