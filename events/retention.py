"""Raw events, their transitions and processing marks are kept for a time only. In batches, each a short transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection, transaction

from events.recorder import BATCH_ATTEMPTS

# Rows of one transaction: milliseconds of locks, whatever the table's size.
BATCH = 2_000


@dataclass(slots=True)
class Counted:
    """What was removed, or would be."""

    what: str
    rows: int = 0
    bytes: int | None = None
    problems: list[str] = field(default_factory=list)


def old_ranges(table: str, column: str, before: dt.datetime) -> Iterator[tuple[int, int]]:
    """(first, last) key of each batch of rows that begins with one from before then. Keys grow with time, so nothing is
    read beyond."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, {column} FROM {table} WHERE id > %s ORDER BY id LIMIT %s",  # noqa: S608 - constants
                [last, BATCH],
            )
            rows = cursor.fetchall()
        if not rows or rows[0][1] >= before:
            return
        last = rows[-1][0]
        yield rows[0][0], last


def removed(table: str, condition: str, values: list[object], *, dry_run: bool) -> int:
    """Delete, or only count, the rows that meet a condition of ours."""
    verb = "SELECT count(*)" if dry_run else "DELETE"
    with connection.cursor() as cursor:
        cursor.execute(f"{verb} FROM {table} WHERE {condition}", values)
        return int(cursor.fetchone()[0] if dry_run else cursor.rowcount)


def rows_from_before(
    what: str, table: str, column: str, before: dt.datetime, *, also: str = "", dry_run: bool
) -> Counted:
    """Remove the rows whose `column` is from before then, a batch at a time. also: a further condition of ours."""
    counted = Counted(what)
    old = " AND ".join(filter(None, ("id BETWEEN %s AND %s", f"{column} < %s", also)))
    for first, last in old_ranges(table, column, before):
        counted.rows += removed(table, old, [first, last, before], dry_run=dry_run)
    return counted


_OLD = """
SELECT e.id FROM events_freeswitchevent e
WHERE e.id BETWEEN %s AND %s AND e.timestamp < %s AND NOT EXISTS (
    SELECT 1 FROM events_eventprocessingstatus p WHERE p.event_id = e.id AND p.status IN ('pending', 'processing'))
"""


_LOOSE = "freeswitch_event_id IS NULL AND timestamp < %s"
_DONE = f"(status = 'completed' OR (status = 'failed' AND attempts >= {BATCH_ATTEMPTS}))"


def events(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Events received before then, with what was made of them; not those that still wait to be processed. And what was
    made of events that could not be stored."""
    counted = Counted("raw events")
    for first, last in old_ranges("events_freeswitchevent", "timestamp", before):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_OLD, [first, last, before])
                keys = [key for (key,) in cursor.fetchall()]
            counted.rows += len(keys)
            if dry_run or not keys:
                continue
            for table, column in (
                ("events_callstateevent", "freeswitch_event_id"),
                ("events_eventprocessingstatus", "event_id"),
                ("events_eventbatch_events", "freeswitchevent_id"),
                ("events_freeswitchevent", "id"),
            ):
                removed(table, f"{column} = ANY(%s)", [keys], dry_run=False)
    loose = f"id IN (SELECT id FROM events_callstateevent WHERE {_LOOSE} LIMIT {BATCH})"  # noqa: S608 - constants
    while not dry_run and removed("events_callstateevent", loose, [before], dry_run=False):
        pass
    return counted


def batches(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Batches of events from before then that are completed, or given up."""
    counted = Counted("event batches")
    ours = "id BETWEEN %s AND %s AND created_at < %s AND " + _DONE
    for first, last in old_ranges("events_eventbatch", "created_at", before):
        with transaction.atomic():
            if not dry_run:
                within = f"eventbatch_id IN (SELECT id FROM events_eventbatch WHERE {ours})"  # noqa: S608 - constants
                removed("events_eventbatch_events", within, [first, last, before], dry_run=False)
            counted.rows += removed("events_eventbatch", ours, [first, last, before], dry_run=dry_run)
    return counted
