"""The one writer of the journal: a bounded buffer, and a greenlet that empties it into Redis in batches.

Each event is appended to the stream and published; a report that settles an order also acknowledges that order, in one
atomic step, so that an order still pending in the group is one whose fate was never reported.
"""

from __future__ import annotations

import collections
import logging
import time
from itertools import chain
from typing import Final, NamedTuple

import gevent
import gevent.event
import redis

from events import streams

log = logging.getLogger(__name__)

# What may wait while Redis is away: a minute of a busy floor. Beyond it the link is closed, and the comparison with the
# switch's own channels on reconnect makes good what was missed; the memory stays bounded.
BUFFER_EVENTS: Final = 50_000
BUFFER_BYTES: Final = 64 * 1024 * 1024
# One pipeline: large enough to reach 17,000 pairs a second, small enough to take a few ms.
BATCH_EVENTS: Final = 400
BATCH_BYTES: Final = 2 * 1024 * 1024
# Waits between attempts while Redis does not take what we write (s).
RETRY_FIRST: Final = 0.1
RETRY_LONGEST: Final = 2.0
# A connection may be made again once the buffer is emptier than this part of its limit.
READY_PART: Final = 0.25
# How much of an unreadable event is kept for people.
MALFORMED_BYTES: Final = 64 * 1024

# Entries of one command: so few that Redis serves everybody else within a millisecond or two.
TOGETHER: Final = 50

UNREADABLE: Final = b"-"
# One command for many: an event's kilobytes cross the wire once. It ends at the first entry that Redis refuses, so the
# order is kept. ARGV after the first four: a mark and the text of each entry; the mark is '' for an event, '-' for what
# was unreadable, else the entry of the order that the report settles.
_WRITE = """
for at = 5, #ARGV, 2 do
  local mark, text, said = ARGV[at], ARGV[at + 1], nil
  if mark == '-' then
    said = redis.pcall('xadd', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', ARGV[1], text)
  else
    said = redis.pcall('xadd', KEYS[1], '*', ARGV[1], text)
  end
  if type(said) == 'table' and said.err then return (at - 5) / 2 end
  if mark ~= '-' then redis.call('publish', ARGV[2], text) end
  if mark ~= '-' and mark ~= '' then redis.call('xack', KEYS[2], ARGV[3], mark) end
end
return (#ARGV - 4) / 2
"""


class Entry(NamedTuple):
    """`mark`: see _WRITE."""

    mark: bytes
    raw: bytes


class JournalWriter:
    """`put*` never wait. Events are refused when the buffer is full; reports are few and always taken."""

    def __init__(
        self,
        connection: redis.Redis,
        channel: str,
        *,
        orders: str = streams.ORDERS,
        buffer_events: int = BUFFER_EVENTS,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.written = 0
        self.unsettled: set[bytes] = set()  # ids of order entries whose report waits in the buffer
        self.trouble = ""
        self._connection = connection
        self._channel, self._orders = channel, orders
        self._limit_events, self._limit_bytes = buffer_events, buffer_bytes
        self._entries: collections.deque[Entry] = collections.deque()
        self._bytes = 0
        self._filled = gevent.event.Event()
        self._emptied = gevent.event.Event()
        self._emptied.set()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def ready(self) -> bool:
        """Room enough to connect to the switch (again)."""
        return len(self._entries) <= self._limit_events * READY_PART and self._bytes <= self._limit_bytes * READY_PART

    def put(self, raw: bytes) -> bool:
        """An event's JSON; False when there is no room."""
        if len(self._entries) >= self._limit_events or self._bytes >= self._limit_bytes:
            return False
        self._append(Entry(b"", raw))
        return True

    def report(self, raw: bytes, order_entry: bytes = b"") -> None:
        """Our own report; with `order_entry` (a stream id) it settles that order."""
        if order_entry:
            self.unsettled.add(order_entry)
        self._append(Entry(order_entry, raw))

    def put_malformed(self, raw: bytes) -> bool:
        self._append(Entry(UNREADABLE, raw[:MALFORMED_BYTES]))
        return len(self._entries) < self._limit_events

    def _append(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.raw)
        self._emptied.clear()
        self._filled.set()

    def run(self) -> None:
        """For ever, until the greenlet is killed (after `drain`)."""
        wait = RETRY_FIRST
        while True:
            if not self._entries:
                self._emptied.set()
                self._filled.clear()
                self._filled.wait()
            batch = self._batch()
            try:
                refused = self._write(batch)
            except redis.RedisError as error:
                refused, trouble = batch, f"{type(error).__name__}: {error}"
            else:
                trouble = "Redis refused the write" if refused else ""
            for _ in batch:
                self._bytes -= len(self._entries.popleft().raw)
            self.written += len(batch) - len(refused)
            if refused:
                self._entries.extendleft(reversed(refused))
                self._bytes += sum(len(entry.raw) for entry in refused)
                if not self.trouble:
                    log.error("the journal cannot be written (%s); %d events wait, trying on", trouble, len(self))
                self.trouble = trouble
                gevent.sleep(wait)
                wait = min(wait * 2, RETRY_LONGEST)
            elif self.trouble:
                log.warning("the journal is written again; %d events still wait", len(self))
                self.trouble, wait = "", RETRY_FIRST

    def drain(self, seconds: float) -> bool:
        """Wait until everything is written; False when it was not within `seconds`."""
        deadline = time.monotonic() + seconds
        while self._entries and time.monotonic() < deadline:
            self._emptied.wait(timeout=max(0.0, deadline - time.monotonic()))
        return not self._entries

    def _batch(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        for entry in self._entries:
            batch.append(entry)
            size += len(entry.raw)
            if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                break
        return batch

    def _write(self, batch: list[Entry]) -> list[Entry]:
        """Those Redis refused (out of memory, read-only). Raises redis.RedisError when none is known to be written."""
        parts = [batch[start : start + TOGETHER] for start in range(0, len(batch), TOGETHER)]
        pipe = self._connection.pipeline(transaction=False)
        for part in parts:
            pipe.execute_command(*self._command(part))
        refused = []
        for part, reply in zip(parts, pipe.execute(raise_on_error=False), strict=True):
            written = 0 if isinstance(reply, Exception) else int(reply)
            self.unsettled.difference_update(entry.mark for entry in part[:written])
            refused += part[written:]
        return refused

    def _command(self, part: list[Entry]) -> list[str | bytes | int]:
        keys = (streams.JOURNAL, self._orders, streams.MALFORMED)
        fixed = (streams.JOURNAL_FIELD, self._channel, streams.ORDERS_GROUP, streams.MALFORMED_LIMIT)
        return ["EVAL", _WRITE, len(keys), *keys, *fixed, *chain.from_iterable(part)]
