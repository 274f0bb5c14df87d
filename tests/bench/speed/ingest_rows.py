"""From the stream: folded into live state in order, and stored."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

from django.db import connection, transaction

from events import batches, collector, copying, rows, store, streams
from events.entries import Entry
from events.journal import GROUP, READ_COUNT, Journal
from events.models import EventBatch
from tests.bench.speed import material
from tests.bench.speed.rows import Row
from tests.fakes import events as fakes

EVENTS = 5_000
ROUNDS = 5
COPIED = ("id", *store.COLUMNS)


def measure() -> list[Row]:
    collector.settle()  # as every worker does
    rates: dict[str, list[float]] = {}
    measured: tuple[Callable[[list[bytes]], float], ...] = (_fold, _read, _store, _copy, _copy_binary)
    for _ in range(ROUNDS):
        for each in measured:
            rates.setdefault(each.__name__, []).append(EVENTS / each(material.events(EVENTS)))
    folded, read, stored, told, binary = (statistics.median(rates[each.__name__]) for each in measured)
    note = f"{EVENTS} events a round, medians of {ROUNDS}"
    return [
        Row("events ingested to live state, in order", folded, "events/s",
            f"XREADGROUP + XACK of {READ_COUNT}", read, at_least=5_000, note=note),
        Row("raw events stored", stored, "events/s", "bare COPY of the same rows", told, floor=0.7,
            note=f"{note}; into the same table with the same indexes; COPY in its binary form, as we use it, "
                 f"{binary:,.0f}/s"),
    ]  # fmt: skip


def journalled(lines: list[bytes]) -> Journal:
    client = streams.connect()
    client.flushdb()
    journal = Journal(client)
    journal.ensure_group()
    for start in range(0, len(lines), 1_000):
        journal.append(lines[start : start + 1_000])
    return journal


def _fold(lines: list[bytes]) -> float:
    """The ingest's own steps: read, fold, facts to the dialer's queue, live state, announcements. The recorder's share
    is the row below."""
    journalled(lines)
    one = fakes.ingest()
    begun = time.perf_counter()
    count = fakes.drain(one)
    took = time.perf_counter() - begun
    assert count == len(lines), f"{count} of {len(lines)}"
    one.lease.release()
    return took


def _read(lines: list[bytes]) -> float:
    journal = journalled(lines)
    client = streams.connect()
    begun, count = time.perf_counter(), 0
    while found := journal.read_new(block_ms=None):
        client.xack(streams.JOURNAL, GROUP, *[entry.id for entry in found])
        count += len(found)
    assert count == len(lines)
    return time.perf_counter() - begun


def _store(lines: list[bytes]) -> float:
    """What `default` workers do with batches of the ingest's size: rows, processing status, batch, transitions."""
    journal = journalled(lines)
    one = fakes.ingest()
    fakes.drain(one)
    fakes.record(one)
    one.lease.release()
    del journal
    waiting = list(EventBatch.objects.order_by("id").values_list("batch_id", flat=True))
    begun = time.perf_counter()
    for batch_id in waiting:
        batches.store_batch(str(batch_id))
    took = time.perf_counter() - begun
    empty()
    return took


def _copy(lines: list[bytes]) -> float:
    """COPY of the same rows and nothing else, in the same transactions' size, made before the clock starts."""
    return _copied(_as_text(lines), "text")


def _copy_binary(lines: list[bytes]) -> float:
    return _copied([b"".join(map(copying.record, values)) for values in _values(lines)], "binary")


def _values(lines: list[bytes]) -> list[list[tuple[copying.Value, ...]]]:
    """What COPY is to write, by the transaction."""
    at = int(time.time() * 1000)
    made = [rows.from_entry(Entry(f"{at}-{n}", line)) for n, line in enumerate(lines, 1)]
    values = [(n, *row.columns) for n, row in enumerate(made)]
    return [values[start : start + READ_COUNT] for start in range(0, len(values), READ_COUNT)]


def _as_text(lines: list[bytes]) -> list[bytes]:
    """The rows in COPY's own words, but for the events, whose JSON stays as the switch wrote it."""
    parts, json = [], iter(lines)
    for values in _values(lines):
        told = io.BytesIO()
        with connection.cursor() as cursor:
            store._copy(cursor, store.EVENTS, COPIED, values)
            cursor.copy_expert(f"COPY (SELECT {', '.join(COPIED)} FROM {store.EVENTS} ORDER BY id) TO STDOUT", told)
        empty()
        cells = [line.split(b"\t") for line in told.getvalue().splitlines()]
        for row in cells:
            row[COPIED.index("event_data")] = next(json).replace(b"\\", b"\\\\")
        parts.append(b"".join(b"\t".join(row) + b"\n" for row in cells))
    return parts


def _copied(parts: list[bytes], form: str) -> float:
    begun = time.perf_counter()
    for part in parts:
        source = io.BytesIO(copying.BEGIN + part + copying.END if form == "binary" else part)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {store.EVENTS} ({', '.join(COPIED)}) FROM STDIN WITH (FORMAT {form})", source)
    took = time.perf_counter() - begun
    empty()
    return took


def empty() -> None:
    with connection.cursor() as cursor:
        own = (store.EVENTS, store.STATUSES, store.TRANSITIONS, store.BATCH_EVENTS, "events_eventbatch")
        cursor.execute(f"TRUNCATE {', '.join(own)}")
