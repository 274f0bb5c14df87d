"""A journalled event as rows of the database. Pure. Beside events/facts.py the only reader of header names.

What PostgreSQL could refuse is put right here or was when the event was parsed: lengths, times out of range, NULs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from events import facts
from events.entries import LATEST_US, Entry, identity_of, parse
from events.facts import Event, number, text

# The columns that COPY fills, in the order of `Row.columns`; `id` comes before them.
COLUMNS: Final = (
    "event_id", "event_type", "channel_uuid", "channel_name", "caller_id_number", "caller_id_name",
    "destination_number", "timestamp", "freeswitch_timestamp", "event_data", "hangup_cause", "call_duration_ms",
    "answer_epoch", "hangup_epoch", "core_uuid", "event_sequence", "journal_id",
)  # fmt: skip


class Row(NamedTuple):
    """One event, ready to be stored. `key`: (core_uuid, event_sequence); `event`: as parsed, for the enrichment."""

    key: tuple[str, int]
    journal_id: str
    event: dict[str, Any]
    columns: tuple[str | int | None, ...]


class Once:
    """The rows of an iterable, each event once (the first delivery of it), no more than `most`. Each is made when it is
    first asked for, so while the database works on those before it, and kept."""

    def __init__(self, found: Iterable[Row], most: int) -> None:
        self.most = most
        self._found = iter(found)
        self._kept: dict[tuple[str, int], Row] = {}

    def __iter__(self) -> Iterator[Row]:
        yield from self._kept.values()
        for row in self._found:
            if row.key not in self._kept:
                self._kept[row.key] = row
                yield row


def from_entry(entry: Entry) -> Row:
    """The row of a journal entry. Raises ValueError when it is no event at all (the ingest has kept it aside)."""
    if entry.raw is None:
        raise ValueError("the journal no longer holds it")
    event, repaired = parse(entry.raw)
    raw = orjson.dumps(event) if repaired else entry.raw
    key = identity_of(event)
    core = _fit(key[0], 64)
    columns = (
        ordered_uuid(entry.ms),
        _fit(facts.event_name(event), 100),
        _fit(text(event, "Unique-ID"), 100),
        _fit(text(event, "Channel-Name"), 255),
        _fit(text(event, "Caller-Caller-ID-Number"), 64),
        _fit(text(event, "Caller-Caller-ID-Name"), 255),
        _fit(text(event, "Caller-Destination-Number"), 64),
        _time(entry.ms * 1000),
        _time(facts.happened_at(event)),
        raw.decode(),
        _fit(text(event, "Hangup-Cause"), 64),
        number(event, "variable_mduration") or None,
        _seconds(event, "Caller-Channel-Answered-Time"),
        _seconds(event, "Caller-Channel-Hangup-Time"),
        core,
        key[1],
        entry.id,
    )
    return Row((core, key[1]), entry.id, event, columns)


def stripped(row: Row, reason: str) -> Row:
    """The same row with its content as harmless text, for an event that the database refuses as it is."""
    kept = {"refused": reason[:500], "event": ascii(row.event)[:100_000]}
    columns = list(row.columns)
    for place, name in enumerate(COLUMNS):
        value = columns[place]
        if name == "event_data":
            columns[place] = orjson.dumps(kept).decode()
        elif name in {"call_duration_ms", "answer_epoch", "hangup_epoch", "freeswitch_timestamp"}:
            columns[place] = None
        elif isinstance(value, str) and name not in {"timestamp", "event_id", "core_uuid"}:
            columns[place] = value.encode("ascii", "replace").decode()
    return row._replace(columns=tuple(columns))


def copy_line(columns: Iterable[str | int | None]) -> str:
    """One line of COPY's text format."""
    return "\t".join(["\\N" if value is None else _escape(value) for value in columns]) + "\n"


def _escape(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    value = value.replace("\\", "\\\\")
    # JSON as FreeSWITCH and orjson write it has none of these raw; other writers may.
    if "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return value


def ordered_uuid(ms: int) -> str:
    """A random UUID that begins with the time (version 7): neighbours in time are neighbours in the unique index."""
    head, tail = f"{ms & 0xFFFF_FFFF_FFFF:012x}", os.urandom(10).hex()
    return f"{head[:8]}-{head[8:]}-7{tail[:3]}-{'89ab'[int(tail[3], 16) & 3]}{tail[4:7]}-{tail[7:19]}"


def _fit(value: str, length: int) -> str:
    return value[:length]


def _time(us: int) -> str | None:
    """Microseconds since 1970 as PostgreSQL reads them; None for 0 and for the impossible."""
    return f"{_second(us // 1_000_000)}.{us % 1_000_000:06d}+00:00" if 0 < us < LATEST_US else None


@lru_cache(maxsize=1_024)
def _second(seconds: int) -> str:
    # Thousands of events share their second, and the calendar is slow.
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def _seconds(event: Event, name: str) -> int | None:
    return number(event, name) // 1_000_000 or None
