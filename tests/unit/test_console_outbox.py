"""A client gets all it missed or a snapshot, never a part; whoever does not read costs nothing and is let go."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console import codes, hub, outbox, protocol, transport
from console.encodings import Json
from console.floor_state import FloorState
from console.hub import Hub
from console.outbox import CONTROLS, Client
from console.rows import AgentRow
from tests.conftest import wait_until

RING, BEHIND = 6, 4


@pytest.fixture
def small(monkeypatch):
    """The same limits at a size that a test reaches."""
    monkeypatch.setattr(hub, "RING", RING)
    monkeypatch.setattr(protocol, "FRAMES_BEHIND", BEHIND)


class Stand:
    """A hub whose frames are said by hand, and one client that folds what it is told as docs/protocol.md says."""

    def __init__(self, **client: Any) -> None:
        self.hub = Hub("redis://nowhere")
        self.open = True
        self.told: list[dict[str, Any]] = []
        self.closed: list[int] = []
        self.dropped = 0
        self.epoch, self.seq, self.rows, self.lied = "", -1, {}, False
        self.client = Client(
            self.hub, Json(), 1, self._send, self._close, congested=lambda: not self.open, direct=self._straight,
            drop=self._drop, **client,
        )  # fmt: skip
        self.begin("1.1")

    async def _send(self, text: str) -> None:
        self.told.append(msgspec.json.decode(text))
        self._fold(self.told[-1])

    def _straight(self, packed: bytes) -> bool:
        if not self.open:
            return False
        self.told.append(msgspec.json.decode(packed[packed.index(b"{") :]))
        self._fold(self.told[-1])
        return True

    async def _close(self, code: int) -> None:
        self.closed.append(code)

    def _drop(self) -> None:
        self.dropped += 1

    def _fold(self, message: dict[str, Any]) -> None:
        if message["type"] == "snapshot":
            self.rows, self.lied = {row["id"]: row for row in message["agents"]}, False
        elif message["type"] == "frame":
            assert (message["epoch"], message["seq"]) == (self.epoch, self.seq + 1), "a part"
            self.rows |= {row["id"]: row for row in message["agents"]}
        else:
            return
        self.epoch, self.seq = message["epoch"], message["seq"]

    def begin(self, epoch: str) -> None:
        """A new publisher's epoch, as Hub._load takes it in."""
        self.hub.state = FloorState(epoch=epoch)
        self.hub.ring, self.hub._first, self.hub._first_delta, self.hub.ready = {}, 1, 1, True
        self.client.follow({})

    def frame(self) -> None:
        state = self.hub.state
        seq = state.seq + 1
        row = AgentRow(id=f"a{seq % 3}", name="x", extension="1", status="available", version=seq)
        assert self.hub._take(protocol.encode(protocol.Frame(epoch=state.epoch, seq=seq, at=seq, agents=(row,))))
        self.client.follow({})

    @property
    def current(self) -> bool:
        held = {key: row.version for key, row in self.hub.state.agents.items()}
        return (self.epoch, self.seq) == (self.hub.state.epoch, self.hub.state.seq) and held == {
            key: row.get("version", 0) for key, row in self.rows.items()
        }


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(stand: Stand) -> None:
    """Until the client's writer rests; it looks every CONGESTION_POLL_SECONDS whether it may write again."""
    async with asyncio.timeout(20):
        while not stand.current:
            assert not stand.closed
            await asyncio.sleep(0.005)


Step = tuple[str, int]
STEPS = st.one_of(
    st.tuples(st.just("frames"), st.integers(1, 2 * RING)),
    st.tuples(st.just("epoch"), st.integers(2, 5)),
    st.tuples(st.just("resume"), st.just(0)),
    # A place that nobody has ever been at: negative, far too large, of an epoch that is none.
    st.tuples(st.just("lie"), st.one_of(st.integers(-(2**70), 2**70), st.integers(-3, 12))),
    st.tuples(st.just("congested"), st.booleans().map(int)),
    st.tuples(st.just("rest"), st.integers(0, 30)),
)


@pytest.mark.usefixtures("small")
def test_whatever_is_resumed_from_and_however_it_reads_a_client_ends_up_with_the_floor():
    @given(st.lists(STEPS, max_size=25), st.sampled_from(["1.1", "2.1", "", "x", "1.1/part"]))
    @settings(max_examples=80, deadline=None)
    def holds(steps: list[Step], liar: str) -> None:
        asyncio.run(_play(steps, liar))

    holds()


async def _play(steps: list[Step], liar: str) -> None:
    stand = Stand()
    stand.client.subscribe(stand.client.scope)
    epochs = 1
    for what, count in steps:
        match what:
            case "frames":
                for _ in range(count):
                    stand.frame()
            case "epoch":
                epochs += count
                stand.begin(f"{epochs}.1")
            case "resume":
                if not stand.lied:
                    stand.client.resume(stand.epoch, stand.seq)
            case "lie":
                # Had it been there, it would have these rows.
                held = {key: row for key, row in stand.hub.state.agents.items() if row.version <= count}
                stand.epoch, stand.seq, stand.rows = liar, count, msgspec.to_builtins(held)
                # A place that has not been yet: nobody has its rows, and said again later it may be one.
                stand.lied = count > stand.hub.state.seq
                stand.client.resume(liar, count)
            case "congested":
                stand.open = not count
            case "rest":
                await turns(count)
    stand.open = True
    stand.frame()
    try:
        await settled(stand)
    finally:
        stand.client.gone()
        await stand.hub._redis.aclose()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("epoch", "seq"), [("1.1", 1), ("1.1", -1), ("1.1", 2**70), ("0.1", 2 * RING - 1), ("", 2 * RING), ("1.1/x", RING)]
)
async def test_a_place_that_is_not_at_hand_is_answered_with_a_snapshot(epoch, seq):
    stand = Stand()
    for _ in range(2 * RING):
        stand.frame()
    stand.client.resume(epoch, seq)
    await settled(stand)
    assert [message["type"] for message in stand.told] == ["snapshot"]
    stand.client.gone()


@pytest.mark.usefixtures("small")
async def test_a_floor_that_has_gone_back_within_its_epoch_is_told_anew():
    """As after a Redis that has lost its last second, until the publisher begins another epoch."""
    stand = Stand()
    stand.client.subscribe(stand.client.scope)
    for _ in range(3):
        stand.frame()
    await settled(stand)
    stand.begin("1.1")
    await settled(stand)
    assert stand.told[-1]["type"] == "snapshot" and not stand.closed
    stand.client.gone()


@pytest.mark.usefixtures("small")
async def test_who_falls_behind_gets_the_latest_state_and_who_resumes_gets_every_frame():
    stand = Stand()
    stand.client.subscribe(stand.client.scope)
    await turns()
    stand.open = False
    for _ in range(BEHIND + 1):
        stand.frame()
    stand.open = True
    await settled(stand)
    assert [message["type"] for message in stand.told] == ["snapshot", "snapshot"]
    stand.client.resume(stand.epoch, 0)
    stand.seq = 0
    await settled(stand)
    assert [message["seq"] for message in stand.told[2:]] == list(range(1, BEHIND + 2))
    stand.client.gone()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("seq", "told"), [(1, ["frame"] * (BEHIND + 1)), (BEHIND + 3, ["snapshot"]), (-1, ["snapshot"])]
)
async def test_who_resumes_at_a_process_that_has_not_read_the_floor_yet_is_answered_once_it_has(seq, told):
    stand = Stand()
    for _ in range(BEHIND + 2):
        stand.frame()
    read, stand.hub.state, stand.hub.ready = stand.hub.state, FloorState(), False
    stand.epoch, stand.seq = "1.1", seq
    stand.client.resume("1.1", seq)
    await turns()
    assert stand.told == []
    stand.hub.state, stand.hub.ready = read, True
    stand.client.follow({})
    await turns()
    assert [message["type"] for message in stand.told] == told
    stand.client.gone()


async def test_answers_that_nobody_takes_are_not_kept_without_end():
    stand = Stand(slow_seconds=0.05)
    stand.open = False
    await turns()
    for _ in range(2 * CONTROLS):
        stand.client.post(protocol.Pong(server_time=1))
        assert len(stand.client._controls) <= CONTROLS
    async with asyncio.timeout(20):
        while not stand.closed:
            await asyncio.sleep(0.01)
    assert stand.closed == [codes.CLOSE_SLOW]


class Line:
    """What the system says of a connection: bytes that the other side has taken, None when nothing waits."""

    def __init__(self) -> None:
        self.taken: int | None = None

    def __call__(self) -> int | None:
        return self.taken


async def looked(stand: Stand, line: Line, at: float, taken: int | None) -> list[int]:
    line.taken = taken
    stand.client.look(at)
    await turns()
    return stand.closed


async def test_a_client_whose_machine_takes_nothing_is_closed_and_its_connection_dropped():
    line = Line()
    stand = Stand(taken=line)
    slow = protocol.SLOW_CLIENT_SECONDS
    assert await looked(stand, line, 100, 5) == []
    assert await looked(stand, line, 100 + slow - 0.1, 6) == [], "it has taken a byte"
    assert await looked(stand, line, 100 + slow + 1, None) == [], "nothing waits for it"
    assert await looked(stand, line, 200, 7) == []
    assert await looked(stand, line, 200 + slow - 0.1, 7) == []
    assert await looked(stand, line, 200 + slow, 7) == [codes.CLOSE_SLOW]
    assert (stand.dropped, stand.client.closed) == (1, True)
    # Whatever is looked at in the moment before it is closed, and a look is never late by more than this.
    assert slow + outbox.LOOK_SECONDS < 5


async def test_one_that_is_written_to_right_now_is_closed_too_when_it_takes_nothing():
    line = Line()
    stand = Stand(taken=line)
    stand.open = False
    stand.client.subscribe(stand.client.scope)
    await turns()
    await looked(stand, line, 100, 7)
    stand.client.look(100 + protocol.SLOW_CLIENT_SECONDS)
    async with asyncio.timeout(20):
        while not stand.closed:
            await asyncio.sleep(0.005)
    assert (stand.closed, stand.dropped) == ([codes.CLOSE_SLOW], 1)


def test_the_system_tells_how_much_the_other_side_has_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        reader.connect(server.getsockname())
        ours, _ = server.accept()
    with ours, reader:
        ours.setblocking(False)
        reader.settimeout(20)

        def taken() -> int | None:
            return transport._taken(SimpleNamespace(socket=ours))

        def more_once_it_is_read() -> bool:
            return bool(reader.recv(4_096)) and (taken() or 0) > full

        assert taken() is None
        with contextlib.suppress(BlockingIOError):
            while ours.send(bytes(65_536)):
                pass
        full = wait_until(taken, "some of it taken by the other machine, more waiting")
        wait_until(more_once_it_is_read, "more taken when somebody reads")
    assert transport._taken(SimpleNamespace(socket=ours)) is None
    assert transport._taken(SimpleNamespace()) is None
