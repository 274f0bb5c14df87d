"""A handshake that has waited too long is turned away before it costs anything."""

import asyncio
from types import SimpleNamespace

import pytest

from console import consumers
from console.consumers import HANDSHAKE_SECONDS, FloorSocket


@pytest.mark.parametrize(("waited", "asked"), [(0.0, 1), (HANDSHAKE_SECONDS + 1, 0)])
async def test_who_has_waited_longer_than_the_server_waits_is_not_asked_for_in_the_database(
    monkeypatch, waited, asked
):  # fmt: skip
    now, looked, closed = [100.0], [], []

    async def identify(scope):
        looked.append(scope)

    async def close():
        closed.append(True)

    hub = SimpleNamespace(door=asyncio.Semaphore(1))
    monkeypatch.setattr(consumers, "get_hub", lambda: hub)
    monkeypatch.setattr(consumers, "identify", identify)
    monkeypatch.setattr(consumers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    socket = FloorSocket()
    socket.scope, socket.close = {}, close
    await hub.door.acquire()
    coming = asyncio.create_task(socket.connect())
    await asyncio.sleep(0)
    now[0] += waited
    hub.door.release()
    await coming
    assert (len(looked), closed) == (asked, [True])
