"""The JSON websockets through a real daphne: who gets in, what they see, how they resume, what limits hold."""

import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from console import codes, protocol
from console.floor_state import FloorState
from console.models import ApiToken
from dialer.models import Agent, CallLog
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import (
    Socket,
    announce_call,
    make_user,
    publishing,
    same,
    session_cookie,
    set_status,
    wait_published,
)
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.processes import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]


@pytest.fixture(scope="module")
def web(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[Processes]:
    """One daphne for the module: it lives through every test's empty database and Redis."""
    with django_db_blocker.unblock():
        run = Processes(tmp_path_factory.mktemp("web"))
    with run:
        run.web()
        wait_until(lambda: answers(run.web_port), "daphne")
        yield run


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Door:
    """Opens sockets at this daphne."""

    def __init__(self, web: Processes) -> None:
        self.web = web
        self.own = f"http://127.0.0.1:{web.web_port}"

    def url(self, path: str = "/ws/v1/floor/") -> str:
        return f"ws://127.0.0.1:{self.web.web_port}{path}"

    def token(self, user: Any, path: str = "/ws/v1/floor/") -> Socket:
        _, secret = ApiToken.issue(user)
        return self.bearer(secret, path)

    def bearer(self, secret: str, path: str = "/ws/v1/floor/") -> Socket:
        return Socket(self.url(path), additional_headers={"Authorization": f"Bearer {secret}"})

    def cookie(self, user: Any, path: str = "/ws/v1/floor/", origin: str | None = "own") -> Socket:
        origin = self.own if origin == "own" else origin
        return Socket(self.url(path), additional_headers={"Cookie": session_cookie(user)}, origin=origin)


@pytest.fixture
def door(web: Processes) -> Door:
    return Door(web)


@pytest.fixture
def supervisor() -> Any:
    return make_user("sup", supervisor=True)


def refused(opening: Any) -> int:
    with pytest.raises(InvalidStatus) as answer:
        opening().connection.close()
    return answer.value.response.status_code


def closed_with(client: Socket, seconds: float = 20.0) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            client.next(max(0.01, end - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        except TimeoutError:
            break
    pytest.fail("not closed")


# --- who gets in ---


def test_without_anything_nobody_gets_in(door):
    for path in ("/ws/v1/floor/", "/ws/v1/agent/", "/ws/console/board/", "/ws/console/agent/", "/ws/nowhere/"):
        assert refused(lambda path=path: Socket(door.url(path))) == 403


def test_a_session_gets_in_from_our_own_pages_only(door, supervisor):
    with door.cookie(supervisor) as client:
        assert client.next().protocol == 1
    port = door.web.web_port
    for origin in (
        None,
        "null",
        "http://evil.test",
        f"https://127.0.0.1:{port}",
        "http://127.0.0.1",
        f"http://localhost:{port}",
    ):
        assert refused(lambda origin=origin: door.cookie(supervisor, origin=origin)) == 403


def test_a_token_needs_no_origin_and_dies_when_it_expires_or_is_revoked(door, supervisor):
    token, secret = ApiToken.issue(supervisor)
    assert secret not in ApiToken.objects.values_list("digest", flat=True)
    with door.bearer(secret) as client:
        assert client.next().protocol == 1
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert refused(lambda: door.bearer(secret + "x")) == 403
    assert refused(lambda: door.bearer("")) == 403
    ApiToken.objects.update(expires_at=timezone.now())
    assert refused(lambda: door.bearer(secret)) == 403
    ApiToken.objects.update(expires_at=None, revoked_at=timezone.now())
    assert refused(lambda: door.bearer(secret)) == 403


def test_a_wrong_authorization_is_not_saved_by_a_good_cookie(door, supervisor):
    headers = {"Authorization": "Bearer nonsense", "Cookie": session_cookie(supervisor)}
    assert refused(lambda: Socket(door.url(), additional_headers=headers, origin=door.own)) == 403


def test_agents_see_their_panel_but_not_the_floor_and_others_see_nothing(door):
    agent = make_agents(1)[0]
    ann, bob = make_user("ann", agent=agent), make_user("bob")
    assert refused(lambda: door.token(ann)) == 403
    assert refused(lambda: door.token(ann, "/ws/console/board/")) == 403
    assert refused(lambda: door.token(bob)) == 403
    assert refused(lambda: door.token(bob, "/ws/v1/agent/")) == 403
    with door.token(ann, "/ws/v1/agent/") as client:
        client.until(protocol.Hello)
    bob.is_active = False
    bob.save()


def test_whoever_signs_out_loses_the_socket_within_seconds(door, supervisor):
    with door.cookie(supervisor) as client:
        client.until(protocol.Hello)
        Session.objects.all().delete()
        assert closed_with(client) == codes.CLOSE_SIGNED_OUT


def test_whoever_loses_the_right_loses_the_socket_within_seconds(door, supervisor):
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        supervisor.groups.clear()
        assert closed_with(client) == codes.CLOSE_FORBIDDEN


def test_a_revoked_token_closes_its_socket(door, supervisor):
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        ApiToken.objects.update(revoked_at=timezone.now())
        assert closed_with(client) == codes.CLOSE_SIGNED_OUT


def test_the_eleventh_socket_of_a_user_is_told_why_it_is_closed(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    clients = [door.bearer(secret) for _ in range(protocol.SOCKETS_PER_USER)]
    for client in clients:
        client.until(protocol.Hello)
    with door.bearer(secret) as late:
        assert late.until(protocol.Error).code == codes.RATE_LIMITED
        assert closed_with(late) == codes.CLOSE_TOO_MANY
    for client in clients:
        client.connection.close()


# --- what they see ---


def test_hello_then_a_snapshot_then_frames_that_add_up(door, supervisor):
    agents = make_agents(5)
    make_campaign(agents)
    with publishing(), door.token(supervisor) as client:
        assert isinstance(client.next(), protocol.Hello)
        client.until_current()
        for agent in agents:
            set_status(agent, "break")
        client.until_floor(lambda f: all(row.status == "break" for row in f.agents.values()))
        with door.token(supervisor) as late:
            late.say(protocol.Subscribe())
            late.until_current()
            client.until_floor(lambda f: f.seq >= late.floor.seq)
            late.until_floor(lambda f: f.seq >= client.floor.seq)
        assert same(client.floor, late.floor)
    seqs = [frame.seq for frame in client.frames]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def versions(floor: FloorState) -> int:
    return sum(row.version for row in floor.agents.values())


def test_resume_gives_every_missed_frame(door, supervisor):
    agents = make_agents(3)
    with publishing():
        with door.token(supervisor) as client:
            client.until_current()
            client.until(protocol.Frame)
            kept, epoch, seq = client.floor, client.floor.epoch, client.floor.seq
        for n in range(30):
            set_status(agents[n % 3], "break" if n % 2 else "available", "lunch" if n % 2 else "")
            wait_published(
                lambda f, n=n: sum(row.version for row in f.agents.values()) == n + 1, "each change in a frame"
            )
        with door.token(supervisor) as again:
            again.floor = kept
            again.say(protocol.Resume(epoch=epoch, seq=seq))
            again.until_floor(lambda f: versions(f) == 30)
            assert not [message for message in again.seen if isinstance(message, protocol.Snapshot)]
            seqs = [frame.seq for frame in again.frames]
            assert seqs == list(range(seq + 1, seq + 1 + len(seqs))) and len(seqs) >= 30
            with door.token(supervisor) as fresh:
                fresh.until_current()
                again.until_floor(lambda f: f.seq >= fresh.floor.seq)
                fresh.until_floor(lambda f: f.seq >= again.floor.seq)
            assert same(again.floor, fresh.floor)


def test_resume_across_an_epoch_is_a_fresh_snapshot(door, supervisor):
    make_agents(1)
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        client.until(protocol.Frame)
        epoch, seq = client.floor.epoch, client.floor.seq
    with publishing(), door.token(supervisor) as again:
        again.say(protocol.Resume(epoch=epoch, seq=seq))
        snapshot = again.until_floor(lambda f: f.epoch not in ("", epoch))
        assert snapshot.epoch != epoch
        assert not [frame for frame in again.frames if frame.epoch == epoch and frame.seq > seq + 5]


@pytest.mark.parametrize("seq", [0, 10**9])
def test_resume_from_a_place_that_is_not_at_hand_is_a_fresh_snapshot(door, supervisor, seq):
    with publishing():
        floor = wait_published(lambda f: f.seq >= 2, "frames")
        with door.token(supervisor) as client:
            client.until_current()
            client.say(protocol.Resume(epoch=floor.epoch if seq else "0.0", seq=seq))
            client.until(protocol.Snapshot)


def test_a_socket_that_stays_gets_the_next_epochs_snapshot_by_itself(door, supervisor):
    agents = make_agents(2)
    with door.token(supervisor) as client:
        with publishing():
            first = client.until_current()
            epoch = first.epoch
        with publishing():
            second = client.until_floor(lambda f: f.epoch not in ("", epoch))
            assert set(second.agents) == {agent.agent_id for agent in agents}
            set_status(agents[0], "break")
            client.until_floor(lambda f: f.agents[agents[0].agent_id].status == "break")


def test_a_flushed_redis_brings_every_socket_a_new_epoch(door, supervisor):
    make_agents(2)
    with publishing(lease_seconds=1.0), door.token(supervisor) as client:
        epoch = client.until_current().epoch
        client.until(protocol.Frame)
        streams.shared().flushdb()
        after = client.until_floor(lambda f: f.epoch not in ("", epoch))
        assert len(after.agents) == 2
        client.until(protocol.Frame)


def test_subscribe_narrows_to_campaigns_and_rows_that_leave_are_gone(door, supervisor):
    agents = make_agents(4)
    spring = make_campaign(agents[:2], name="Spring")
    make_campaign(agents[2:], name="Autumn", offset=100)
    with publishing(), door.token(supervisor) as client:
        client.until_current()
        client.say(protocol.Subscribe(campaigns=(str(spring.campaign_id),)))
        client.until(protocol.Snapshot)
        client.frames.clear()
        assert set(client.floor.agents) == {agent.agent_id for agent in agents[:2]}
        assert set(client.floor.campaigns) == {str(spring.campaign_id)}
        spring.assigned_agents.remove(agents[0])
        set_status(agents[0], "break")
        set_status(agents[3], "break")
        client.until_floor(lambda f: set(f.agents) == {agents[1].agent_id})
        seqs = [frame.seq for frame in client.frames]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_an_agents_socket_shows_that_agent_and_their_call_only(door):
    agents = make_agents(3)
    make_campaign(agents)
    ann = make_user("ann", agent=agents[0])
    mine, other = (
        CallLog.objects.create(
            to_number=f"+1212555010{n}", freeswitch_uuid=str(n), agent=agent, initiated_at=timezone.now()
        )
        for n, agent in enumerate(agents[:2])
    )
    with publishing(), door.token(ann, "/ws/v1/agent/") as client:
        floor = client.until_current()
        assert set(floor.agents) == {agents[0].agent_id}
        assert set(floor.calls) == {str(mine.call_id)}
        assert floor.kpis is None and floor.campaigns == {}
        set_status(agents[1], "break")
        for call in (mine, other):
            call.ended_at, call.status = timezone.now(), "completed"
            call.save()
            announce_call(call)
        set_status(agents[0], "break")
        client.until_floor(lambda f: f.agents[agents[0].agent_id].status == "break" and not f.calls)
        shown = {row.id for frame in client.frames for row in frame.agents}
        assert shown == {agents[0].agent_id}
        assert {key for frame in client.frames for key in frame.gone.calls} <= {str(mine.call_id)}
        assert all(frame.kpis is None for frame in client.frames)
        client.say(protocol.Subscribe())
        assert client.until(protocol.Error).code == codes.FORBIDDEN


# --- limits ---


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


def test_a_far_longer_message_drops_the_connection_before_it_is_buffered(door, supervisor):
    with door.token(supervisor) as client:
        client.until(protocol.Hello)
        try:
            client.say_raw("x" * 10 * 1024 * 1024)
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


def connected(raw: socket.socket, port: int) -> bool:
    """Whether the server still has its end of this connection open, from the kernel's table."""
    local = f"{raw.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{local}"):
                return fields[3] == "01"
    return False


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_resets_the_connection_leaves_nothing_behind(door, supervisor):
    _, secret = ApiToken.issue(supervisor)
    for _ in range(protocol.SOCKETS_PER_USER + 2):
        raw = handshake(door, secret)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    wait_until(lambda: not refused_now(door, secret), "room for another socket")


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
