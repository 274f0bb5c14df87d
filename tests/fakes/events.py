"""What tests of the events room share: a captured call of ours, the queues' contents, a database that is away."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from django.db import connection
from django.db.utils import OperationalError

from events import batches, streams
from events.ingest import Ingest
from tests.fakes import captures
from tests.fakes.processes import free_port

# The two legs of capture 02, as if we had originated them.
CALL = "4c024dda-2909-493a-a447-15a6414fc251"
AGENT = "8bbba0ba-bcfe-4c2f-a89b-a84a6d80cde7"
ROLES = {
    CALL: {"role": "customer", "call": CALL, "agent": "agent_101", "campaign": "spring"},
    AGENT: {"role": "agent", "agent": "agent_101"},
}
BRIDGED = [captures.with_roles(line, ROLES) for line in captures.lines("02_answered_bridged_agent_hangs_up")]
# Up to the bridge: both legs are live.
TALKING = BRIDGED[: next(place for place, line in enumerate(BRIDGED) if b'"CHANNEL_BRIDGE"' in line) + 1]


def ingest(**options: Any) -> Ingest:
    """One that is active at once; its steps are then called one by one."""
    one = Ingest(streams.connect(), **options)
    assert one.lease.keep()
    one.take_over()
    return one


def drain(one: Ingest) -> int:
    """Fold all that is there."""
    count = 0
    while step := one.step(block_ms=None):
        count += step
    return count


def record(one: Ingest) -> int:
    count = 0
    while step := one.recorder.record():
        count += step
    return count


def tasks(client: "redis.Redis", queue: str, name: str = "") -> list[tuple[str, list[Any], dict[str, Any]]]:
    """(task name, args, kwargs) of everything that waits in a queue, the oldest first."""
    found = []
    for raw in reversed(client.lrange(queue, 0, -1)):
        message = json.loads(raw)
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        if name in ("", message["headers"]["task"]):
            found.append((message["headers"]["task"], args, kwargs))
    return found


def facts_sent(client: "redis.Redis") -> list[dict[str, Any]]:
    """What waits for the dialer, in order."""
    return [json.loads(fields[streams.FACTS_FIELD.encode()]) for _, fields in client.xrange(streams.FACTS)]


def store_sent(client: "redis.Redis") -> list[str]:
    """Do what the `default` workers would: run every store_batch in the queue; returns how each went."""
    return [batches.store_batch(kw["batch_id"]) for _, _, kw in tasks(client, "default", "events.tasks.store_batch")]


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody answers where the database was; connections that were open are cut."""
    port = connection.settings_dict["PORT"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()
    connection.settings_dict["PORT"] = str(free_port())
    try:
        try:
            connection.ensure_connection()
            raise AssertionError("the database is still there")
        except OperationalError:
            pass
        yield
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port


@contextmanager
def database_locked(table: str) -> Iterator[None]:
    """Somebody else holds a lock on the table, as one who makes an index does, and nobody waits for it for long."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        yield
    finally:
        other.close()
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@contextmanager
def database_read_only() -> Iterator[None]:
    """There, and takes no writes: a stand-by, or a full disk."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")
