"""The facts that wait: what the ingest has told and nobody has applied yet. Every task of the sequential queue begins
with them, so whatever it decides, it decides on what is known; a customer who has answered waits for no other task.

They are a stream, written by the ingest in the same step as the live state. Each is deleted by its id once it is
committed: one whose worker dies in between is applied again, which changes nothing.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any, cast

import msgspec
import redis
from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from dialer.services import facts
from events import counters, streams
from events import facts as f

log = logging.getLogger(__name__)
AT_ONCE = 200
# Longest that a task is kept waiting by them; the rest have a task of their own.
SECONDS = 1.0


def catch_up() -> int:
    """Apply what waits, in order; returns how many asked for something. Raises LeaseLost, OperationalError,
    InterfaceError, redis.RedisError: what is not deleted then waits on."""
    client, begun, count, heard = streams.shared(), time.monotonic(), 0, 0
    entries = cast(list[Any], client.xrange(streams.FACTS, count=AT_ONCE))
    # Until none is left: whoever writes into an empty stream asks for a task, and nobody else does.
    while entries:
        count += facts.apply_all(_understood(fields for _, fields in entries))
        heard, all_of_them = heard + len(entries), len(entries) < AT_ONCE
        pipe = client.pipeline(transaction=False)
        pipe.xdel(streams.FACTS, *(entry for entry, _ in entries))
        pipe.llen(streams.SEQUENTIAL_QUEUE)
        pipe.xrange(streams.FACTS, count=AT_ONCE)
        _, tasks, entries = pipe.execute()
        if tasks and all_of_them:
            break  # What has come meanwhile is the next task's: few of them cost nearly as much as many.
        if time.monotonic() - begun > SECONDS:
            _go_on()
            break
    if heard:
        counters.observe("dialer_task_seconds", time.monotonic() - begun, task="facts")
    return count


def _understood(said: Iterable[dict[bytes, bytes]]) -> list[f.AnyFact]:
    found = []
    for fields in said:
        try:
            found.append(f.decode(fields[streams.FACTS_FIELD.encode()]))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            log.error("a fact was not understood: %s", error)
    return found


def _go_on() -> None:
    try:
        current_app.send_task("dialer.tasks.handle_facts")
    except (redis.RedisError, BrokerError) as error:
        log.warning("facts wait for the next tick: %s", type(error).__name__)


def behind(client: redis.Redis, now: float) -> float:
    """How long the oldest fact that waits has done so, in seconds; 0 with none. now: seconds since 1970."""
    entries = cast(list[Any], client.xrange(streams.FACTS, count=1))
    return max(0.0, now - int(entries[0][0].split(b"-")[0]) / 1000) if entries else 0.0
