"""The journal of switch events: a Redis stream that the bridge appends to and the ordered ingest reads as one consumer.

Order holds only with a single consumer, so every ingest uses the same consumer name and the lease says who it is. What
a dead ingest had read and not acknowledged is therefore the next one's own pending entries, which it reads first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import redis

from events import streams
from events.entries import Entry, order

GROUP: Final = "ingest"
CONSUMER: Final = "ingest"
START: Final = "0-0"
# Entries per read: large enough that one round trip costs nothing beside the folding, small enough (about 2 MB of
# events) that a read never delays the board noticeably.
READ_COUNT: Final = 500
# The same where somebody else works on what was read before.
BETWEEN_COUNT: Final = 100
# Entries that wait are counted up to this many, as Redis does nothing else meanwhile: some 10 us an entry.
DEPTH_COUNTED: Final = 1_000

# Redis 6.2 cannot tell how many entries a group has not read yet; counted there, so that no event crosses the wire.
# Where there are more than are counted: with the ids of the first and last of these and of the newest, and the length.
_WAITING = """
local found = redis.call('xrange', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
if #found < tonumber(ARGV[2]) then return {#found} end
local newest = redis.call('xrevrange', KEYS[1], '+', '-', 'COUNT', 1)
return {#found, found[1][1], found[#found][1], newest[1][1], redis.call('xlen', KEYS[1])}
"""


class Journal:
    """The stream through one connection. `blocking` serves the reads of the group, `plain` everything else."""

    def __init__(self, plain: redis.Redis, blocking: redis.Redis | None = None) -> None:
        self._redis = plain
        self._blocking = blocking if blocking is not None else plain
        self._waiting = plain.register_script(_WAITING)

    def ensure_group(self) -> bool:
        """Make the group, from the journal's beginning; True when it did not exist (a first start, or a flush)."""
        try:
            self._redis.xgroup_create(streams.JOURNAL, GROUP, id=START, mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" in str(error):
                return False
            raise
        return True

    def append(self, events: Sequence[bytes]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for raw in events:
            pipe.xadd(streams.JOURNAL, {streams.JOURNAL_FIELD: raw})
        pipe.execute()

    def read_new(self, count: int = READ_COUNT, block_ms: int | None = streams.BLOCK_MS) -> list[Entry]:
        """Entries never delivered before, oldest first; waits up to `block_ms` for the first (None: not at all)."""
        return _entries(self._blocking.xreadgroup(GROUP, CONSUMER, {streams.JOURNAL: ">"}, count=count, block=block_ms))

    def read_pending(self, after: str, count: int = READ_COUNT) -> list[Entry]:
        """Entries delivered before and not acknowledged, newer than `after`."""
        return _entries(self._blocking.xreadgroup(GROUP, CONSUMER, {streams.JOURNAL: after}, count=count))

    def unacknowledged(self, upto: str, count: int = READ_COUNT) -> list[str]:
        """Ids delivered and not acknowledged, up to and with `upto`, oldest first."""
        rows = self._redis.xpending_range(streams.JOURNAL, GROUP, min="-", max=upto, count=count)
        return [cast(bytes, row["message_id"]).decode() for row in rows]

    def acknowledge(self, ids: Sequence[str]) -> None:
        if ids:
            self._redis.xack(streams.JOURNAL, GROUP, *ids)

    def between(self, first: str, last: str) -> Iterator[Entry]:
        """The entries from `first` to `last`, both included; read as they are asked for."""
        while items := cast(list[Any], self._redis.xrange(streams.JOURNAL, first, last, count=BETWEEN_COUNT)):
            yield from map(_entry, items)
            first = f"({items[-1][0].decode()}"

    def depth(self, after: str) -> tuple[int, int]:
        """(delivered and not acknowledged, newer than `after`). The latter is reckoned beyond DEPTH_COUNTED: the
        question is "are we behind", and roughly by how much."""
        for group in self._redis.xinfo_groups(streams.JOURNAL):
            if group["name"] == GROUP.encode():
                count, *more = cast(list[Any], self._waiting(keys=[streams.JOURNAL], args=[after, DEPTH_COUNTED]))
                return int(group["pending"]), reckoned(count, *more) if more else int(count)
        return 0, 0

    def first_after(self, entry_id: str) -> str | None:
        """The oldest entry behind this one, delivered or not; None: there is none."""
        found = cast(list[Any], self._redis.xrange(streams.JOURNAL, f"({entry_id}", "+", count=1))
        return found[0][0].decode() if found else None

    def trim(self, stored_from: str | None) -> int:
        """Forget what is stored: entries older than `stored_from`, the first one of a batch that is not stored yet
        (None: there is no such batch), than the first unacknowledged one and than the last delivered one.

        By MINID and never by length: MAXLEN would drop entries that nobody has read. Returns how many went.
        """
        marks = [stored_from] if stored_from else []
        for group in self._redis.xinfo_groups(streams.JOURNAL):
            marks.append(group["last-delivered-id"].decode())
            # Another group is another reader: its unread entries are not ours to drop.
            pending = self._redis.xpending(streams.JOURNAL, group["name"])
            if pending["min"]:
                marks.append(pending["min"].decode())
        mark = min(marks, key=order)
        return int(self._redis.xtrim(streams.JOURNAL, minid=mark, approximate=True))


def reckoned(count: int, first: bytes, last: bytes, newest: bytes, length: int) -> int:
    """How many entries wait, when `count` came from `first` to `last` and the others, up to `newest`, as fast."""
    begun, counted, ends = (order(entry_id.decode())[0] for entry_id in (first, last, newest))
    return min(length, count + count * (ends - counted) // max(1, counted - begun))


def _entries(answer: Any) -> list[Entry]:
    """What XREADGROUP returned, in redis-py's list or map form."""
    if not answer:
        return []
    items = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
    return [_entry(item) for item in items]


def _entry(item: Any) -> Entry:
    entry_id, fields = item
    raw = fields.get(streams.JOURNAL_FIELD.encode()) if fields else None
    return Entry(entry_id.decode(), raw if raw is not None else (b"" if fields else None))
