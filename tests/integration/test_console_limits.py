"""The limits of the JSON websockets through a real daphne: size, rate, slowness, broken clients."""

import json
import os
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from console import codes, protocol
from console.models import ApiToken
from console.transport import HARD_MESSAGE_BYTES
from dialer.models import Agent
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import publishing, set_status, wait_published
from tests.fakes.console_web import Door, closed_with, connected, resident
from tests.fakes.floor import make_agents

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


def test_nonsense_is_answered_and_does_not_close_the_socket(door, supervisor):
    with door.token(supervisor) as client:
        for text in ("", "nonsense", '{"type": "fly"}', '{"type": "ping", "more": 1}', b"\xff\xfe"):
            client.say_raw(text)
            assert client.until(protocol.Error).code == codes.INVALID_MESSAGE
        client.say(protocol.Ping())
        assert client.until(protocol.Pong).server_time > 0


def test_a_message_over_64_kib_closes_the_socket(door, supervisor):
    with door.token(supervisor) as client:
        client.say_raw("x" * (protocol.MESSAGE_BYTES + 1))
        assert client.until(protocol.Error).code == codes.TOO_LARGE
        assert closed_with(client) == codes.CLOSE_TOO_LARGE


@pytest.mark.parametrize("size", [HARD_MESSAGE_BYTES + 1, 10 * 1024 * 1024])
def test_a_far_longer_message_drops_the_connection_before_it_is_buffered(door, supervisor, size):
    """The server beneath has a limit of its own, of a megabyte."""
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        try:
            client.say_raw("x" * size)
        except ConnectionClosed:
            pass
        assert closed_with(client) is None


def test_the_hundred_and_first_message_of_a_minute_is_refused(door, supervisor):
    with door.token(supervisor) as client:
        for _ in range(protocol.MESSAGES_PER_MINUTE + 5):
            client.say(protocol.Ping())
        assert client.until(protocol.Error).code == codes.RATE_LIMITED
        for _ in range(2 * protocol.MESSAGES_PER_MINUTE):
            try:
                client.say(protocol.Ping())
            except ConnectionClosed:
                break
        assert closed_with(client) == codes.CLOSE_RATE


def handshake(door: Door, secret: str) -> socket.socket:
    """A websocket by hand, so that nothing reads for us. Its receive buffer is small."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", door.web.web_port))
    raw.sendall(
        (
            f"GET /ws/v1/floor/ HTTP/1.1\r\nHost: 127.0.0.1:{door.web.web_port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {secret}\r\n\r\n"
        ).encode()
    )
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def flood(stop_at: Any) -> None:
    """Frames of 200 KB each, as a very large floor would make them, until `stop_at()`."""
    epoch = f"{time.time_ns() // 1000}.1"
    row = {"id": "x", "name": "n" * 200_000, "extension": "1", "status": "available"}
    snapshot = {"type": "snapshot", "epoch": epoch, "seq": 0, "at": 1, "agents": [row]}
    streams.shared().set(streams.SNAPSHOT, json.dumps(snapshot))
    seq = 0

    def one_more() -> bool:
        nonlocal seq
        seq += 1
        frame = {"type": "frame", "epoch": epoch, "seq": seq, "at": seq, "agents": [row]}
        streams.shared().xadd(streams.FRAMES, {"epoch": epoch, "seq": seq, "f": json.dumps(frame)}, maxlen=20)
        return bool(stop_at())

    wait_until(one_more, "the slow client closed", 30, every=0.05)


def test_a_client_that_reads_nothing_is_closed_within_seconds_and_costs_no_memory(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    raw = handshake(door, secret)
    pid = door.web.running["web"].pid
    before = resident(pid)
    began = time.monotonic()
    with door.bearer(secret) as reader:

        def dropped() -> bool:
            reader.until_floor(lambda f: f.seq > reader.floor.seq - 1)
            return not connected(raw, door.web.web_port)

        flood(dropped)
        # The one that reads has lost nothing by the other.
        reader.until(protocol.Frame)
    assert time.monotonic() - began < 20
    assert resident(pid) - before < 60_000_000
    raw.close()


def test_a_client_that_resets_the_connection_leaves_nothing_behind(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    for _ in range(protocol.SOCKETS_PER_USER + 2):
        raw = handshake(door, secret)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    wait_until(lambda: not refused_now(door, secret), "room for another socket")


def test_of_many_sockets_that_a_user_opens_at_once_no_more_than_ten_stay(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    with ThreadPoolExecutor(STORM) as pool:
        sockets = list(pool.map(lambda _: door.bearer(secret), range(STORM)))
        first = list(pool.map(lambda one: one.until((protocol.Hello, protocol.Error)), sockets))
        refused = [one for one, said in zip(sockets, first, strict=True) if isinstance(said, protocol.Error)]
        assert len(refused) == STORM - protocol.SOCKETS_PER_USER
        assert set(pool.map(closed_with, refused)) == {codes.CLOSE_TOO_MANY}
        for one in sockets:
            one.connection.close()


STORM = 30


def refused_now(door: Door, secret: str) -> bool:
    with door.bearer(secret) as client:
        return isinstance(client.until((protocol.Hello, protocol.Error)), protocol.Error)


def test_a_frozen_web_process_resumes_its_sockets(door, supervisor):
    """SIGSTOP for a while: afterwards the socket has every frame or a snapshot, never a part."""
    agents = make_agents(1)
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        os.kill(door.web.running["web"].pid, signal.SIGSTOP)
        try:
            set_status(agents[0], "break")
            wait_published(lambda f: f.agents[agents[0].agent_id].status == "break", "the change")
        finally:
            os.kill(door.web.running["web"].pid, signal.SIGCONT)
        client.until_floor(lambda f: f.agents[agents[0].agent_id].status == "break")
    assert Agent.objects.count() == 1
