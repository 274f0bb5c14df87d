"""A journalled event as rows of the database. Pure. Beside events/facts.py the only reader of header names.

What PostgreSQL could refuse is put right here or was when the event was parsed: lengths, times out of range, NULs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from events import copying, facts
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
    columns: tuple[copying.Value, ...]


class Once:
    """The rows of an iterable, each event once (the first delivery of it). Each is made when it is first asked for, so
    while the database works on those before it, and kept. More than `most` raise ValueError."""

    def __init__(self, found: Iterable[Row], most: int) -> None:
        self.most = most
        self._found = iter(found)
        self._kept: dict[tuple[str, int], Row] = {}

    def __iter__(self) -> Iterator[Row]:
        yield from self._kept.values()
        for row in self._found:
            if row.key not in self._kept:
                if len(self._kept) == self.most:
                    raise ValueError(f"more than the {self.most} events that there should be")
                self._kept[row.key] = row
                yield row


def from_entry(entry: Entry) -> Row:
    """The row of a journal entry. Raises ValueError when it is no event at all (the ingest has kept it aside)."""
    if entry.raw is None:
        raise ValueError("the journal no longer holds it")
    event, repaired = parse(entry.raw)
    raw = orjson.dumps(event) if repaired else entry.raw
    key = identity_of(event)
    core, happened = _fit(key[0], 64), facts.happened_at(event)
    columns = (
        ordered_uuid(entry.ms),
        _fit(facts.event_name(event), 100),
        _fit(text(event, "Unique-ID"), 100),
        _fit(text(event, "Channel-Name"), 255),
        _fit(text(event, "Caller-Caller-ID-Number"), 64),
        _fit(text(event, "Caller-Caller-ID-Name"), 255),
        _fit(text(event, "Caller-Destination-Number"), 64),
        copying.stamp(entry.ms * 1000),
        copying.stamp(happened) if 0 < happened < LATEST_US else None,
        copying.document(raw),
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
            columns[place] = copying.document(orjson.dumps(kept))
        elif name in {"call_duration_ms", "answer_epoch", "hangup_epoch", "freeswitch_timestamp"}:
            columns[place] = None
        elif isinstance(value, str) and name != "core_uuid":
            columns[place] = value.encode("ascii", "replace").decode()
    return row._replace(columns=tuple(columns))


def ordered_uuid(ms: int) -> bytes:
    """A random UUID that begins with the time (version 7): neighbours in time are neighbours in the unique index."""
    tail = bytearray(os.urandom(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    return (ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + tail


def _fit(value: str, length: int) -> str:
    return value[:length]


def _seconds(event: Event, name: str) -> int | None:
    return number(event, name) // 1_000_000 or None
