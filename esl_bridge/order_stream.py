"""The stream of orders as the bridge reads it: entries, claims, what dead readers left, and what may be forgotten."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final

import redis

from events import streams

# Orders read in one go; their claims cost one round trip together.
BATCH_ORDERS: Final = 100
# Settled orders stay readable for people this long, then leave the stream.
KEEP_ORDERS_SECONDS: Final = 3600

# Of each key who holds it: '' when it was free, and is claimed now for its entry.
_CLAIM: Final = """
local found = {}
for at, key in ipairs(KEYS) do
  if redis.call('set', key, ARGV[at + 1], 'NX', 'EX', ARGV[1]) then
    found[at] = ''
  else
    found[at] = redis.call('get', key)
  end
end
return found
"""

Entry = tuple[bytes, dict[bytes, bytes]]


class Memory(enum.Enum):
    """EMPTY: new, or flushed with all the orders. RESTARTED: a killed Redis may have lost its last second or two, and
    gives orders again that were carried out."""

    WHOLE = enum.auto()
    EMPTY = enum.auto()
    RESTARTED = enum.auto()


@dataclass
class OrderStream:
    """`commands`, `blocking`: Redis connections, the second for reads that wait. All methods raise redis.RedisError."""

    commands: redis.Redis
    blocking: redis.Redis
    consumer: str
    key: str = streams.ORDERS

    def ensure_group(self) -> None:
        """From the beginning of the stream: orders sent before the first bridge ran count; old ones have expired."""
        try:
            self.commands.xgroup_create(self.key, streams.ORDERS_GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def memory(self) -> Memory:
        """What Redis still knows of the claims made since the last question."""
        now = str(self.commands.info("server")["run_id"])
        before = self.commands.set(self.key + streams.ORDERS_MEMORY, now, get=True)
        if before is None:
            return Memory.EMPTY
        return Memory.WHOLE if before.decode() == now else Memory.RESTARTED

    def read_new(self) -> list[Entry]:
        """Waits streams.BLOCK_MS at most."""
        reply = self.blocking.xreadgroup(
            streams.ORDERS_GROUP, self.consumer, {self.key: ">"}, count=BATCH_ORDERS, block=streams.BLOCK_MS
        )
        return [entry for _, entries in reply or () for entry in entries]

    def left_over(self, own: Set[bytes]) -> list[Entry]:
        """Entries read but never acknowledged, by whomever, except those we have in hand (`own`)."""
        found: list[Entry] = []
        start = "-"
        while True:
            pending = self.commands.xpending_range(
                self.key, streams.ORDERS_GROUP, min=start, max="+", count=BATCH_ORDERS
            )
            if not pending:
                return found
            ids = [item["message_id"] for item in pending]
            left = [entry for entry in ids if entry not in own]
            pipe = self.commands.pipeline(transaction=False)
            for entry in left:
                pipe.xrange(self.key, entry, entry, count=1)
            rows = dict(zip(left, pipe.execute(), strict=True))
            self.acknowledge([entry for entry, row in rows.items() if not row])  # trimmed away: nothing left to do
            found += [row[0] for row in rows.values() if row]
            start = "(" + ids[-1].decode()

    def claim(self, orders: Sequence[tuple[bytes, str]]) -> list[bytes | None]:
        """For each (entry, order id) the entry that holds the order already; None: claimed now, for this one."""
        if not orders:
            return []
        keys = [streams.ORDER_CLAIM_PREFIX + order_id for _, order_id in orders]
        entries = [entry for entry, _ in orders]
        found: list[bytes] = self.commands.eval(_CLAIM, len(keys), *keys, streams.ORDER_CLAIM_SECONDS, *entries)
        return [holder or None for holder in found]

    def stopped(self, targets: Iterable[str]) -> dict[str, float]:
        """Of campaigns (their ids) and numbers those whose calls may not leave, with the time of it (s since 1970)."""
        asked = list(dict.fromkeys(targets))
        found = self.commands.mget([streams.STOPPED_PREFIX + target for target in asked]) if asked else []
        return {target: float(raw) for target, raw in zip(asked, found, strict=True) if raw}

    def acknowledge(self, entries: Iterable[bytes]) -> None:
        ids = list(entries)
        if ids:
            self.commands.xack(self.key, streams.ORDERS_GROUP, *ids)

    def trim(self) -> None:
        """Forget settled orders older than an hour: behind the oldest pending one, and behind what was delivered."""
        if not self.commands.exists(self.key):
            return
        groups = self.commands.xinfo_groups(self.key)
        group = next((group for group in groups if group["name"] == streams.ORDERS_GROUP.encode()), None)
        if group is None:
            return
        pending = self.commands.xpending(self.key, streams.ORDERS_GROUP)
        bounds = [f"{int((time.time() - KEEP_ORDERS_SECONDS) * 1000)}-0".encode(), group["last-delivered-id"]]
        if pending["min"]:
            bounds.append(pending["min"])
        oldest = min(bounds, key=lambda entry: tuple(int(part) for part in entry.split(b"-")))
        self.commands.xtrim(self.key, minid=oldest.decode(), approximate=True)
