"""Who reads an event socket, each in a process of its own: `python -m tests.bench.speed.readers NAME PORT EVENTS`.

Prints the seconds from the subscription to the last event handed over. Ours frames and types; the others do what their
users get.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

PASSWORD = "any"
MOST_SECONDS = 120


def ours(port: int, events: int) -> float:
    from gevent import monkey

    monkey.patch_all()
    import gevent.event

    from esl_bridge import normalise
    from esl_bridge.client import ESLClient

    done, seen = gevent.event.Event(), 0

    def take(frame):
        nonlocal seen
        event = normalise.event_of(frame)
        seen += bool(event.name)
        if seen >= events:
            done.set()
        return True

    client = ESLClient("127.0.0.1", port, PASSWORD, on_frame=take, silence=None)
    client.connect()
    begun = time.perf_counter()
    client.send("event json ALL")
    assert done.wait(MOST_SECONDS), f"{seen} of {events}"
    return time.perf_counter() - begun


def greenswitch(port: int, events: int) -> float:
    from gevent import monkey

    monkey.patch_all()
    import gevent.event
    from greenswitch import InboundESL

    done, seen = gevent.event.Event(), 0

    def take(event):
        nonlocal seen
        seen += "Event-Name" in event.headers
        if seen >= events:
            done.set()

    client = InboundESL("127.0.0.1", port, PASSWORD)
    client.register_handle("*", take)
    client.connect()
    begun = time.perf_counter()
    client.send("event plain ALL")
    assert done.wait(MOST_SECONDS), f"{seen} of {events}"
    return time.perf_counter() - begun


def genesis(port: int, events: int) -> float:
    import asyncio

    from genesis import Inbound

    async def read() -> float:
        seen, done = 0, asyncio.Event()

        async def take(event):
            nonlocal seen
            seen += 1
            if seen >= events:
                done.set()

        async with Inbound("127.0.0.1", port, PASSWORD) as client:
            client.on("*", take)
            begun = time.perf_counter()
            await client.send("events plain ALL")
            await asyncio.wait_for(done.wait(), MOST_SECONDS)
        return time.perf_counter() - begun

    return asyncio.run(read())


def to_stream(port: int, events: int) -> float:
    """The bridge's path: read, type, mark, append and publish."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    import redis
    from django.conf import settings

    from esl_bridge import normalise
    from esl_bridge.client import ESLClient
    from esl_bridge.writer import JournalWriter
    from events import streams

    seen = 0
    writer = JournalWriter(redis.Redis.from_url(settings.REDIS_URL), settings.FREESWITCH_EVENT_CHANNEL)

    def take(frame):
        nonlocal seen
        event = normalise.event_of(frame)
        seen += 1
        return writer.put(normalise.with_header(event.raw, streams.JOURNALLED_HEADER, "bench"))

    gevent.spawn(writer.run)
    client = ESLClient("127.0.0.1", port, PASSWORD, on_frame=take, silence=None)
    client.connect()
    begun = time.perf_counter()
    client.send("event json ALL")
    until = time.monotonic() + MOST_SECONDS
    while writer.written < events:
        assert client.connected and time.monotonic() < until, f"{writer.written} of {events}: {client.reason}"
        gevent.sleep(0.002)
    return time.perf_counter() - begun


READERS: dict[str, Callable[[int, int], float]] = {
    "ours": ours, "greenswitch": greenswitch, "genesis": genesis, "to_stream": to_stream,
}  # fmt: skip

if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    print(READERS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3])))
