"""Machines that vanish without a word are noticed, and what was under way then is not lost."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import redis
from celery import current_app
from django.conf import settings
from django.db import connection

from console import answers, connections
from events import listener, streams, vanished
from events.ingest import Ingest
from tests.conftest import wait_until
from tests.fakes.events import BRIDGED, drain
from tests.fakes.wire import Wire, wire


def options(number: int) -> dict[int, int]:
    with socket.socket(fileno=number) as one:
        found = {option: one.getsockopt(socket.IPPROTO_TCP, option) for option in vanished.TCP}
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        one.detach()
    return found


def test_celerys_connections_notice() -> None:
    with current_app.connection_for_read() as broker:
        link = broker.default_channel.client.connection_pool.get_connection()
        assert options(link._sock.fileno()) == vanished.TCP


@pytest.mark.django_db
def test_connections_to_postgresql_notice() -> None:
    connection.ensure_connection()
    assert options(connection.connection.fileno()) == vanished.TCP


@pytest.fixture
def cut() -> Iterator[tuple[Wire, str]]:
    """A wire to Redis, and the address of its near end."""
    url = urlsplit(settings.REDIS_URL)
    with wire(str(url.hostname), int(url.port or 6379)) as made:
        user, at, _ = url.netloc.rpartition("@")
        yield made, url._replace(netloc=f"{user}{at}127.0.0.1:{made.port}").geturl()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("block_ms", [streams.BLOCK_MS, None])
def test_events_whose_reading_was_cut_off_are_folded_first(redis_empty: redis.Redis, cut, block_ms) -> None:
    """Redis had given them to us, and they wait among the pending: to read on would be to leave them out."""
    broken, near = cut
    one = Ingest(streams.connect(), streams.connect(near, blocking=True))
    assert one.lease.keep()
    one.take_over()
    assert not one.step(block_ms=None)  # connected
    one.journal.append(BRIDGED[:5])
    broken.cut_at_answer.set()
    with pytest.raises(redis.ConnectionError):
        one.step(block_ms)
    one.journal.append(BRIDGED[5:])
    assert drain(one) == len(BRIDGED)
    assert one.counts["events"] == len(BRIDGED)


async def test_what_a_web_process_asks_of_redis_has_a_limit(redis_empty: redis.Redis, cut) -> None:
    """Open panels are told by it: an agent whose panel nobody tells of is set offline."""
    broken, near = cut
    client = connections.connect(near, 0.2)
    assert await client.get("nothing") is None
    broken.mute.set()
    async with asyncio.timeout(30):
        with pytest.raises(redis.TimeoutError):
            await client.get("nothing")
    await client.aclose()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def test_a_channel_of_answers_that_has_fallen_silent_is_opened_again(redis_empty: redis.Redis, cut, monkeypatch):
    broken, near = cut
    monkeypatch.setattr(streams, "CHANNEL_SECONDS", 0.3)
    monkeypatch.setattr(answers, "READ_SECONDS", 0.05)
    one = answers.Answers(near)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(30):
        await one.listening.wait()
        await until(lambda: broken.answered > 12)
        assert broken.taken == 1, "longer than a silence may last: it is there, and says so when it is asked"
        broken.mute.set()
        await until(lambda: broken.taken > 1)
        broken.mute.clear()
        await one.listening.wait()
    task.cancel()


def test_a_channel_of_events_that_has_fallen_silent_is_opened_again(redis_empty: redis.Redis, cut, monkeypatch):
    broken, near = cut
    monkeypatch.setattr(settings, "REDIS_URL", near)
    monkeypatch.setattr(streams, "CHANNEL_SECONDS", 0.3)
    monkeypatch.setattr(streams, "BLOCK_MS", 50)
    monkeypatch.setattr(listener, "RECONNECT_SECONDS", 0.05)
    one, stop = listener.Listener(), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,))
    thread.start()
    try:
        wait_until(one.subscribed.is_set, "subscribed")
        began, answered = broken.taken, broken.answered
        wait_until(lambda: broken.answered > answered + 12, "longer than a silence may last")
        assert broken.taken == began, "it is there, and says so when it is asked"
        broken.mute.set()
        wait_until(lambda: broken.taken > began, "opened again")
        broken.mute.clear()
        wait_until(one.subscribed.is_set, "subscribed again")
    finally:
        stop.set()
        thread.join(15)
