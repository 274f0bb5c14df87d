"""Bulk writes of one batch: raw rows, their processing status, the batch's list, the transitions. One transaction.

The rows go into the table by COPY, with ids drawn beforehand so that everything about them can be copied too. Only when
one of them is there already (a redelivery) do they take the longer way, a temporary table and ON CONFLICT DO NOTHING;
only when the database refuses one do they go one by one.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg2.extras import execute_values

from events import enrich, rows
from events.models import EventBatch, EventProcessingStatus
from events.rows import COLUMNS, Once, Row, copy_line

log = logging.getLogger(__name__)

EVENTS: Final = "events_freeswitchevent"
STATUSES: Final = "events_eventprocessingstatus"
BATCH_EVENTS: Final = "events_eventbatch_events"
TRANSITIONS: Final = "events_callstateevent"
STATUS_COLUMNS: Final = (
    "event_id", "status", "attempts", "last_attempt_at", "next_retry_at", "last_error", "error_traceback",
    "processed_at", "call_log_id",
)  # fmt: skip
TRANSITION_COLUMNS: Final = (
    "freeswitch_event_id", "channel_uuid", "call_log_id", "previous_state", "current_state", "state_duration_ms",
    "timestamp", "metadata",
)  # fmt: skip

# Lines handed to the connection at a time: about 40 KB of events.
COPY_LINES: Final = 10

Status = EventProcessingStatus.Status
# An event that fails is tried again after 30 s, 1 min, 2 min ... and after the last attempt is left to a person.
RETRY_BASE: Final = timedelta(seconds=30)
RETRY_ATTEMPTS: Final = 6
ERROR_CHARS: Final = 4_000

Cdr = tuple[str, dict[str, Any]]


class Stored(NamedTuple):
    """`ids`: database id of each event by its key; `refused`: those without, no form of them could be stored.

    `failed`: events whose enrichment waits for its next try.
    """

    ids: dict[tuple[str, int], int]
    refused: list[Row]
    failed: int
    cdrs: list[Cdr]


class Processed(NamedTuple):
    """How the enrichment of one event went."""

    status: str
    call_id: uuid.UUID | None
    cdr: dict[str, Any] | None
    error: str = ""
    trace: str = ""


def process(event: dict[str, Any]) -> Processed:
    """Enrich one event; never raises."""
    try:
        found = enrich.enrich(event)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one event, the others are stored
        return Processed(Status.FAILED, None, None, str(error)[:ERROR_CHARS], traceback.format_exc()[-ERROR_CHARS:])
    return Processed(Status.PROCESSED if found.needed else Status.SKIPPED, found.call_id, found.cdr)


def next_retry(attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failures; None: no more."""
    return now + RETRY_BASE * 2 ** (attempts - 1) if attempts < RETRY_ATTEMPTS else None


def store(batch: EventBatch, rows_of: Iterable[Row], most: int) -> Stored:
    """Write one batch's events, `most` at most, and what hangs on them. Call inside a transaction; safe to repeat."""
    enriched: dict[tuple[str, int], Processed] = {}
    once = Once(_enriching(rows_of, enriched), most)
    ids, fresh = insert_events(once)
    found = list(once)
    now = timezone.now()
    results = _with_call_of_leg([(row, enriched[row.key]) for row in found])
    statuses = [(ids[row.key], *_status_values(result, now)) for row, result in results if row.key in ids]
    _insert_statuses(statuses, fresh)
    _list_in_batch(batch, ids.values())
    _insert_transitions(batch, ids, found)
    cdrs = [(str(result.call_id), result.cdr) for _, result in results if result.cdr is not None]
    return Stored(
        ids,
        [row for row in found if row.key not in ids],
        sum(result.status == Status.FAILED for _, result in results),
        cdrs,
    )


def _enriching(found: Iterable[Row], enriched: dict[tuple[str, int], Processed]) -> Iterator[Row]:
    """The rows as they are asked for, each enriched while the database works on those before it."""
    for row in found:
        if row.key not in enriched:
            enriched[row.key] = process(row.event)
        yield row


# --- raw rows ---------------------------------------------------------------------------------------------------------


class Inserted(NamedTuple):
    """`ids`: the id of every row, old or new. `fresh`: all of them are new, so nothing can hang on them yet."""

    ids: dict[tuple[str, int], int]
    fresh: bool


def insert_events(found: Once) -> Inserted:
    """Insert the rows that are not there yet.

    A row that the database refuses goes in with its content as harmless text; only one refused even then has no id.
    """
    for way in (_copy_all, _merge):
        try:
            with transaction.atomic():
                return Inserted(way(found), fresh=way is _copy_all)
        except OperationalError:
            raise  # It is away, or too busy: nothing is wrong with the rows.
        except IntegrityError:
            continue  # Some are there already; or else the next way says what is wrong.
        except DatabaseError:
            break
    log.warning("the database refuses one of %d rows, storing them one by one", len(list(found)))
    return Inserted(_one_by_one(found), fresh=False)


def _copy_all(found: Once) -> dict[tuple[str, int], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT nextval(pg_get_serial_sequence('{EVENTS}', 'id')) FROM generate_series(1, %s)",  # noqa: S608
            [found.most],
        )
        ids = [row[0] for row in cursor.fetchall()]
        lines = (copy_line((row_id, *row.columns)) for row_id, row in zip(ids, found, strict=False))
        _copy(cursor, EVENTS, ("id", *COLUMNS), lines)
    return dict(zip((row.key for row in found), ids, strict=False))


def _merge(found: Iterable[Row]) -> dict[tuple[str, int], int]:
    names = ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE incoming (LIKE {EVENTS}) ON COMMIT DROP")
        lines = (copy_line((place, *row.columns)) for place, row in enumerate(found))
        _copy(cursor, "incoming", ("id", *COLUMNS), lines)
        cursor.execute(
            f"INSERT INTO {EVENTS} ({names}) SELECT {names} FROM incoming ORDER BY incoming.id "  # noqa: S608
            "ON CONFLICT (core_uuid, event_sequence) DO NOTHING"
        )
        cursor.execute(
            f"SELECT e.core_uuid, e.event_sequence, e.id FROM {EVENTS} e "  # noqa: S608
            "JOIN incoming i USING (core_uuid, event_sequence)"
        )
        ids = {(core, sequence): row_id for core, sequence, row_id in cursor.fetchall()}
        # Several of these may share one transaction (replay), so it does not wait for the commit.
        cursor.execute("DROP TABLE incoming")
    return ids


def _one_by_one(found: Iterable[Row]) -> dict[tuple[str, int], int]:
    ids: dict[tuple[str, int], int] = {}
    for row in found:
        try:
            with transaction.atomic():
                ids.update(_merge([row]))
        except OperationalError:
            raise
        except DatabaseError as error:
            log.warning("journal entry %s is refused as it is: %s", row.journal_id, str(error).strip())
            try:
                with transaction.atomic():
                    ids.update(_merge([rows.stripped(row, str(error).strip())]))
            except OperationalError:
                raise
            except DatabaseError:
                log.exception("journal entry %s cannot be stored in any form", row.journal_id)
    return ids


class _Lines:
    """Lines made while the database already works on those before them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def read(self, _size: int = 0) -> str:
        return "".join(islice(self._lines, COPY_LINES))


def _copy(cursor: Any, table: str, columns: Sequence[str], lines: Iterator[str]) -> None:
    # Reached past Django's cursor, so its translation of errors is asked for by name (below too).
    with connection.wrap_database_errors:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", _Lines(lines))


# --- what hangs on them -----------------------------------------------------------------------------------------------


def _with_call_of_leg(results: list[tuple[Row, Processed]]) -> list[tuple[Row, Processed]]:
    """Many events carry no variables; another event of the same leg in the batch tells which call they belong to."""
    leg_at = COLUMNS.index("channel_uuid")
    calls = {row.columns[leg_at]: result.call_id for row, result in results if result.call_id and row.columns[leg_at]}
    return [
        (row, result if result.call_id else result._replace(call_id=calls.get(row.columns[leg_at])))
        for row, result in results
    ]


def _status_values(result: Processed, now: datetime) -> tuple[str | int | None, ...]:
    failed = result.status == Status.FAILED
    retry = next_retry(1, now) if failed else None
    return (
        str(result.status),
        1,
        now.isoformat(),
        retry.isoformat() if retry else None,
        result.error.replace("\x00", ""),
        result.trace.replace("\x00", ""),
        now.isoformat() if result.status == Status.PROCESSED else None,
        str(result.call_id) if result.call_id else None,
    )


def _insert_statuses(values: list[tuple[Any, ...]], fresh: bool) -> None:
    if not values:
        return
    with connection.cursor() as cursor:
        if fresh:
            _copy(cursor, STATUSES, STATUS_COLUMNS, map(copy_line, values))
            return
        with connection.wrap_database_errors:
            execute_values(
                cursor.cursor,
                f"INSERT INTO {STATUSES} ({', '.join(STATUS_COLUMNS)}) VALUES %s "  # noqa: S608
                "ON CONFLICT (event_id) DO NOTHING",
                values,
                template="(%s, %s, %s, %s, %s, %s, %s, %s, %s::uuid)",
                page_size=1_000,
            )


def _list_in_batch(batch: EventBatch, ids: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BATCH_EVENTS} (eventbatch_id, freeswitchevent_id) "
            "SELECT %s, unnest(%s::bigint[]) ON CONFLICT DO NOTHING",
            [batch.pk, list(ids)],
        )


def _insert_transitions(batch: EventBatch, ids: dict[tuple[str, int], int], found: Sequence[Row]) -> None:
    by_entry = {row.journal_id: ids.get(row.key) for row in found}
    values = [
        (
            by_entry.get(item["journal_id"]), item["leg"][:100], _uuid(item["call_id"]), item["previous"],
            item["current"], item["duration_ms"], datetime.fromtimestamp(item["at"] / 1000, UTC).isoformat(),
            orjson.dumps(item["metadata"]).decode(),
        )
        for item in batch.transitions
    ]  # fmt: skip
    if not values:
        return
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                _copy(cursor, TRANSITIONS, TRANSITION_COLUMNS, map(copy_line, values))
        except IntegrityError:  # some are there already
            with connection.wrap_database_errors:
                execute_values(
                    cursor.cursor,
                    f"INSERT INTO {TRANSITIONS} ({', '.join(TRANSITION_COLUMNS)}) VALUES %s "  # noqa: S608
                    "ON CONFLICT DO NOTHING",
                    values,
                    template="(%s, %s, %s::uuid, %s, %s, %s, %s, %s::jsonb)",
                    page_size=1_000,
                )


def _uuid(value: str) -> str | None:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None
