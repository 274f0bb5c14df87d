"""From the stream: folded into live state in order, and stored."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from django.db import connection, transaction

from events import batches, rows, store, streams
from events.entries import Entry
from events.journal import GROUP, READ_COUNT, Journal
from events.models import EventBatch
from tests.bench.speed import material
from tests.bench.speed.rows import Row
from tests.fakes import events as fakes

EVENTS = 5_000
ROUNDS = 5


def measure() -> list[Row]:
    rates: dict[str, list[float]] = {}
    measured: tuple[Callable[[list[bytes]], float], ...] = (_fold, _read, _store, _copy)
    for _ in range(ROUNDS):
        for each in measured:
            rates.setdefault(each.__name__, []).append(EVENTS / each(material.events(EVENTS)))
    folded, read, stored, copied = (statistics.median(rates[each.__name__]) for each in measured)
    note = f"{EVENTS} events a round, medians of {ROUNDS}"
    return [
        Row("events ingested to live state, in order", folded, "events/s",
            f"XREADGROUP + XACK of {READ_COUNT}", read, at_least=5_000, note=note),
        Row("raw events stored", stored, "events/s", "bare COPY of the same rows", copied, floor=0.7,
            note=f"{note}; into the same table with the same indexes"),
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
    at = int(time.time() * 1000)
    made = [rows.from_entry(Entry(f"{at}-{n}", line)) for n, line in enumerate(lines, 1)]
    columns = ("id", *store.COLUMNS)
    texts = [
        [rows.copy_line((n, *row.columns)) for n, row in enumerate(made[start : start + READ_COUNT], start + 1)]
        for start in range(0, len(made), READ_COUNT)
    ]
    begun = time.perf_counter()
    for lines_ in texts:
        with transaction.atomic(), connection.cursor() as cursor:
            store._copy(cursor, store.EVENTS, columns, iter(lines_))
    took = time.perf_counter() - begun
    empty()
    return took


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {store.EVENTS}, events_eventbatch CASCADE")
