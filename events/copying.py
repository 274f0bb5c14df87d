"""Rows in the binary form of PostgreSQL's COPY: no byte of an event is looked at for signs to escape. Pure.

Of a row's values None, whole numbers (bigint) and text are written as they are; for columns of other types the value is
made by one of the functions here. The form: PostgreSQL's manual, COPY, "Binary Format"; of a type: its `_recv`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

Value = int | str | bytes | None

BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EIGHT: Final = b"\x00\x00\x00\x08"
# The format of JSONB that follows: its text.
_JSONB: Final = b"\x01"
# PostgreSQL counts from 2000-01-01, microseconds.
_SINCE_2000: Final = 946_684_800_000_000
# Rows handed to the connection at a time: about 40 KB of events.
_TOGETHER: Final = 10


def stamp(us: int) -> int:
    """A timestamptz: microseconds since 1970."""
    return us - _SINCE_2000


def integer(number: int) -> bytes:
    """An integer of four bytes."""
    return number.to_bytes(4, "big", signed=True)


def document(json: bytes) -> bytes:
    """A JSONB, of its text in UTF-8."""
    return _JSONB + json


def identifier(text: str | uuid.UUID) -> bytes:
    """A uuid. Raises ValueError when it is none."""
    return (text if isinstance(text, uuid.UUID) else uuid.UUID(text)).bytes


def record(values: Iterable[Value]) -> bytes:
    """One row."""
    parts = [b""]
    add, count = parts.append, 0
    for value in values:
        count += 1
        if value is None:
            add(_NULL)
        elif isinstance(value, int):
            add(_EIGHT)
            add(value.to_bytes(8, "big", signed=True))
        else:
            raw = value.encode() if isinstance(value, str) else value
            add(len(raw).to_bytes(4, "big"))
            add(raw)
    parts[0] = count.to_bytes(2, "big")
    return b"".join(parts)


class Source:
    """What `COPY ... FROM STDIN WITH (FORMAT binary)` reads: each row is made while the database already works on those
    before it."""

    def __init__(self, found: Iterable[Iterable[Value]]) -> None:
        self._left: Iterator[bytes] = chain([BEGIN], map(record, found), [END])

    def read(self, _size: int = 0) -> bytes:
        return b"".join(islice(self._left, _TOGETHER))
