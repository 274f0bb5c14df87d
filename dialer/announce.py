"""Write, then tell: after the commit each changed agent, campaign and call is announced on the changes stream.

In the sequential worker a commit only notes what it touched; the Announcer, a thread beside the one that decides, reads
those rows together, several commits at a time, and leaves most of the time to that one. Elsewhere (a test, a shell) it
is told at once. Also refreshes the cache copies `agent_state:{agent_id}`. A lost announcement is mended by the floor
publisher, which compares itself with PostgreSQL.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, close_old_connections, connections, transaction

from dialer import floor_rows
from events import streams

log = logging.getLogger(__name__)

# (kind, primary key) of the rows changed in this thread's transaction; one announcement each, however often touched.
_changed = threading.local()
_deferred = False
# List of "kind:primary key" that commits have touched.
TOUCHED = "dialer:touched"
# A board shows frames every 150 ms; gathering this long costs it nothing and saves most of the reading.
GATHER_SECONDS = (0.04, 0.15)
# What the telling of a busy floor may take of the time is one part of three: the decisions wait for it.
GATHER_TIMES = 2.0
GATHER_LIMIT = 2_000
# A worker that was frozen between reading and telling would tell of calls as going on that have left the board since:
# what was read longer ago is read again. A database that is that slow is believed in the end.
FRESH_SECONDS = 1.0
READINGS = 3


def changed(kind: str, pk: int) -> None:
    """Say that the row will have changed once this transaction commits. kind: agent, campaign, call."""
    pending: dict[tuple[str, int], None] | None = getattr(_changed, "rows", None)
    if pending is None:
        pending = _changed.rows = {}
    pending[(kind, pk)] = None
    # Each time: a rolled-back transaction takes its callbacks with it. The first that runs announces for all.
    transaction.on_commit(_announce, robust=True)


def collected() -> dict[tuple[str, int], None]:
    """What this thread's transaction has to tell so far."""
    return dict(getattr(_changed, "rows", {}))


def forget(but: Mapping[tuple[str, int], None] | None = None) -> None:
    """Drop what a rolled-back transaction had collected. but: what was collected before the part that came to
    nothing."""
    _changed.rows = dict(but or {})


def _announce() -> None:
    pending: dict[tuple[str, int], None] = getattr(_changed, "rows", {})
    _changed.rows = {}
    if not pending:
        return
    if not _deferred:
        tell(pending)
        return
    try:
        streams.shared().rpush(TOUCHED, *(f"{kind}:{pk}" for kind, pk in pending))
    except redis.RedisError as error:
        log.warning("%d changes not announced (%s); the floor mends itself from the database", len(pending), error)


def defer() -> None:
    """From now on this process leaves the telling to the Announcer."""
    global _deferred
    _deferred = True


def tell(pending: Iterable[tuple[str, int]]) -> None:
    """Read the rows as they are now and announce them. pending: (kind, primary key). Raises DatabaseError."""
    rows, messages = list(pending), []
    for _ in range(READINGS):
        begun = time.monotonic()
        messages = _messages(rows)
        if time.monotonic() - begun < FRESH_SECONDS:
            break
    send(messages)


def _messages(pending: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    by_kind: dict[str, set[int]] = {"agent": set(), "call": set(), "campaign": set()}
    for kind, pk in pending:
        by_kind[kind].add(pk)
    messages: list[dict[str, Any]] = []
    if by_kind["agent"]:
        rows = floor_rows.agent_rows(by_kind["agent"])
        remember(rows)
        messages += [{"kind": "agent", "id": row["id"], "data": row if row["active"] else None} for row in rows]
    if by_kind["call"]:
        messages += [{"kind": "call", "id": row["id"], "data": row} for row in floor_rows.call_rows(by_kind["call"])]
    if by_kind["campaign"]:
        rows = floor_rows.campaign_rows(by_kind["campaign"])
        messages += [{"kind": "campaign", "id": row["id"], "data": row} for row in rows]
    return messages


class Announcer(threading.Thread):
    """Tells what the worker's commits have touched, until `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="announcer", daemon=True)
        self.stop = stop

    def run(self) -> None:
        reading, commands, took = streams.connect(blocking=True), streams.connect(), 0.0
        while not self.stop.is_set():
            try:
                found = reading.blpop([TOUCHED], timeout=1)
                if found is None:
                    continue
                # What is committed within this moment is told with it.
                shortest, longest = GATHER_SECONDS
                self.stop.wait(min(max(shortest, took * GATHER_TIMES), longest))
                begun = time.monotonic()
                close_old_connections()
                tell(_parsed([found[1], *(commands.lpop(TOUCHED, GATHER_LIMIT) or [])]))
                took = time.monotonic() - begun
            except redis.RedisError as error:
                log.warning("changes wait: %s", type(error).__name__)
                self.stop.wait(1.0)
            except (DatabaseError, InterfaceError) as error:
                log.warning("changes not announced (%s); the floor mends itself", str(error).splitlines()[0])
                connections.close_all()
                self.stop.wait(0.5)
            except Exception:
                log.exception("changes not announced; the floor mends itself")
        connections.close_all()


def _parsed(touched: Iterable[bytes]) -> set[tuple[str, int]]:
    return {(kind, int(pk)) for kind, _, pk in (item.decode().partition(":") for item in touched)}


def remember(rows: Iterable[dict[str, Any]]) -> None:
    """The documented cache copies, for outsiders; ours is PostgreSQL."""
    try:
        cache.set_many(
            {f"{settings.AGENT_STATE_CACHE_PREFIX}{row['id']}": row for row in rows}, settings.AGENT_STATE_CACHE_TIMEOUT
        )
    except redis.RedisError as error:
        log.warning("agent states not cached: %s", type(error).__name__)


def send(messages: list[dict[str, Any]]) -> None:
    if not messages:
        return
    try:
        pipe = streams.shared().pipeline(transaction=False)
        for message in messages:
            pipe.xadd(
                streams.CHANGES,
                {streams.CHANGES_FIELD: json.dumps(message)},
                maxlen=streams.CHANGES_LIMIT,
                approximate=True,
            )
        pipe.execute()
    except redis.RedisError as error:
        log.warning("%d changes not announced (%s); the floor mends itself from the database", len(messages), error)
