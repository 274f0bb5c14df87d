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
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from events import copying, enrich, rows
from events.models import EventBatch, EventProcessingStatus
from events.rows import COLUMNS, Once, Row

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

Status = EventProcessingStatus.Status
# An event that fails is tried again after 30 s, 1 min, 2 min ... and after the last attempt is left to a person.
RETRY_BASE: Final = timedelta(seconds=30)
RETRY_ATTEMPTS: Final = 6
ERROR_CHARS: Final = 4_000

_SINCE_1970: Final = datetime.fromtimestamp(0, UTC)
_ONCE: Final = copying.integer(1)


class Stored(NamedTuple):
    """`ids`: database id of each event by its key; `refused`: those without, no form of them could be stored.

    `failed`: events whose enrichment waits for its next try; `final`: ids of those that are a call's detail record.
    """

    ids: dict[tuple[str, int], int]
    refused: list[Row]
    failed: int
    final: list[int]


class Processed(NamedTuple):
    """How the enrichment of one event went."""

    status: str
    call_id: uuid.UUID | None
    final: bool
    error: str = ""
    trace: str = ""


def process(event: dict[str, Any]) -> Processed:
    """Enrich one event; never raises."""
    try:
        found = enrich.enrich(event)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one event, the others are stored
        return Processed(Status.FAILED, None, False, str(error)[:ERROR_CHARS], traceback.format_exc()[-ERROR_CHARS:])
    return Processed(Status.PROCESSED if found.needed else Status.SKIPPED, found.call_id, found.final)


def next_retry(attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failures; None: no more."""
    return now + RETRY_BASE * 2 ** (attempts - 1) if attempts < RETRY_ATTEMPTS else None


def store(batch: EventBatch, rows_of: Iterable[Row]) -> Stored:
    """Write one batch's events and what hangs on them. Call inside a transaction; safe to repeat."""
    enriched: dict[tuple[str, int], Processed] = {}
    once = Once(_enriching(rows_of, enriched), batch.event_count)
    ids, fresh = insert_events(once)
    found = list(once)
    results = _with_call_of_leg([(row, enriched[row.key]) for row in found])
    _insert_statuses([(ids[row.key], result) for row, result in results if row.key in ids], fresh)
    _list_in_batch(batch, ids.values(), fresh)
    _insert_transitions(batch, ids, found)
    return Stored(
        ids,
        [row for row in found if row.key not in ids],
        sum(result.status == Status.FAILED for _, result in results),
        [ids[row.key] for row, result in results if result.final and row.key in ids],
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
        numbered = ((key, *row.columns) for row, key in zip(found, ids, strict=False))
        _copy(cursor, EVENTS, ("id", *COLUMNS), numbered)
    return dict(zip((row.key for row in found), ids, strict=False))


def _merge(found: Iterable[Row]) -> dict[tuple[str, int], int]:
    names = ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE incoming (LIKE {EVENTS}) ON COMMIT DROP")
        _copy(cursor, "incoming", ("id", *COLUMNS), ((place, *row.columns) for place, row in enumerate(found)))
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


def _copy(cursor: Any, table: str, columns: Sequence[str], values: Iterable[Iterable[copying.Value]]) -> None:
    # Reached past Django's cursor, so its translation of errors is asked for by name.
    with connection.wrap_database_errors:
        source = copying.Source(values)
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT binary)", source)


def _copy_new(cursor: Any, table: str, columns: Sequence[str], values: Iterable[Iterable[copying.Value]]) -> None:
    """As `_copy`, without those that are there already."""
    names = ", ".join(columns)
    cursor.execute(f"CREATE TEMP TABLE incoming AS SELECT {names} FROM {table} WITH NO DATA")  # noqa: S608
    _copy(cursor, "incoming", columns, values)
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming ON CONFLICT DO NOTHING")  # noqa: S608
    cursor.execute("DROP TABLE incoming")


# --- what hangs on them -----------------------------------------------------------------------------------------------


def _with_call_of_leg(results: list[tuple[Row, Processed]]) -> list[tuple[Row, Processed]]:
    """Many events carry no variables; another event of the same leg in the batch tells which call they belong to."""
    leg_at = COLUMNS.index("channel_uuid")
    calls = {row.columns[leg_at]: result.call_id for row, result in results if result.call_id and row.columns[leg_at]}
    return [
        (row, result if result.call_id else result._replace(call_id=calls.get(row.columns[leg_at])))
        for row, result in results
    ]


def _statuses(results: Iterable[tuple[int, Processed]]) -> Iterator[tuple[copying.Value, ...]]:
    """The values of STATUS_COLUMNS."""
    now = timezone.now()
    at, retry = _stamp(now), _stamp(next_retry(1, now))
    for event_id, result in results:
        yield (
            event_id, str(result.status), _ONCE, at, retry if result.status == Status.FAILED else None,
            result.error.replace("\x00", ""), result.trace.replace("\x00", ""),
            at if result.status == Status.PROCESSED else None,
            copying.identifier(result.call_id) if result.call_id else None,
        )  # fmt: skip


def _insert_statuses(results: list[tuple[int, Processed]], fresh: bool) -> None:
    if results:
        insert = _copy if fresh else _copy_new
        with connection.cursor() as cursor:
            insert(cursor, STATUSES, STATUS_COLUMNS, _statuses(results))


def _list_in_batch(batch: EventBatch, ids: Iterable[int], fresh: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {BATCH_EVENTS} (eventbatch_id, freeswitchevent_id) SELECT %s, unnest(%s::bigint[])"
            + ("" if fresh else " ON CONFLICT DO NOTHING"),
            [batch.pk, list(ids)],
        )


def _transitions(batch: EventBatch, by_entry: dict[str, int | None]) -> Iterator[tuple[copying.Value, ...]]:
    """The values of TRANSITION_COLUMNS. by_entry: the id of the event of each journal entry."""
    for item in batch.transitions:
        yield (
            by_entry.get(item["journal_id"]), item["leg"][:100], _identifier(item["call_id"]), item["previous"],
            item["current"], item["duration_ms"], copying.stamp(item["at"] * 1000),
            copying.document(orjson.dumps(item["metadata"])),
        )  # fmt: skip


def _insert_transitions(batch: EventBatch, ids: dict[tuple[str, int], int], found: Sequence[Row]) -> None:
    if not batch.transitions:
        return
    by_entry = {row.journal_id: ids.get(row.key) for row in found}
    with connection.cursor() as cursor:
        try:
            with transaction.atomic():
                _copy(cursor, TRANSITIONS, TRANSITION_COLUMNS, _transitions(batch, by_entry))
        except IntegrityError:  # some are there already
            _copy_new(cursor, TRANSITIONS, TRANSITION_COLUMNS, _transitions(batch, by_entry))


def _stamp(at: datetime | None) -> int | None:
    return None if at is None else copying.stamp((at - _SINCE_1970) // timedelta(microseconds=1))


# A batch tells of few calls, and of each several times.
@lru_cache(1_024)
def _identifier(text: str) -> bytes | None:
    try:
        return copying.identifier(text)
    except ValueError:
        return None
