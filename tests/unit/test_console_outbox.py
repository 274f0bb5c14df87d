"""A client gets all it missed or a snapshot, never a part; whoever does not read costs nothing and is let go."""

import asyncio
import contextlib
import gc
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
from console.scopes import FLOOR
from tests.conftest import wait_until

RING, BEHIND = 6, 4


@pytest.fixture
def small(monkeypatch):
    """The same limits at a size that a test reaches."""
    monkeypatch.setattr(hub, "RING", RING)
    monkeypatch.setattr(protocol, "FRAMES_BEHIND", BEHIND)


class Socket:
    """As transport.Straight: takes all of a message, `room` bytes of it, or nothing while the stand is closed."""

    def __init__(self, stand: "Stand") -> None:
        self.stand, self.told, self.room = stand, [], None
        self.begun = self.rest = b""
        self.disturbed = lambda: None

    @property
    def free(self) -> bool:
        return not self.rest

    def send(self, data: bytes) -> int:
        if not self.stand.open:
            raise BlockingIOError
        assert self.free, "something waits"
        if self.room is None or self.room >= len(data):
            self.stand.take(data)
            return len(data)
        self.begun = data[: self.room]
        return self.room

    def write(self, data: bytes) -> None:
        self.disturbed()
        self.rest += data

    def flush(self) -> None:
        """There is room again."""
        whole, self.begun, self.rest, self.room = self.begun + self.rest, b"", b"", None
        if whole:
            self.stand.take(whole)


class Stand:
    """A hub whose frames are said by hand, and one client that folds what it is told as docs/protocol.md says."""

    def __init__(self, beside: "Stand | None" = None, **client: Any) -> None:
        self.hub = beside.hub if beside else Hub("redis://nowhere")
        self.open = True
        self.told: list[dict[str, Any]] = []
        self.closed: list[int] = []
        self.dropped = 0
        self.epoch, self.seq, self.rows, self.lied = "", -1, {}, False
        self.straight = Socket(self)
        self.client = Client(
            self.hub, Json(), 1, self._send, self._close, congested=lambda: not self.open, straight=self.straight,
            drop=self._drop, **client,
        )  # fmt: skip
        self.hub.register(self.client)
        if not beside:
            self.begin("1.1")

    async def _send(self, text: str) -> None:
        self.straight.disturbed()
        self.straight.flush()  # what the server beneath has kept goes first
        self.told.append(msgspec.json.decode(text))
        self._fold(self.told[-1])

    def take(self, packed: bytes) -> None:
        """A whole message, past the writer."""
        self.told.append(msgspec.json.decode(packed[packed.index(b"{") :]))
        self.straight.told.append(self.told[-1]["seq"])
        self._fold(self.told[-1])

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
        self.hub._wake()

    def frame(self) -> None:
        state = self.hub.state
        seq = state.seq + 1
        row = AgentRow(id=f"a{seq % 3}", name="x", extension="1", status="available", version=seq)
        assert self.hub._take(protocol.encode(protocol.Frame(epoch=state.epoch, seq=seq, at=seq, agents=(row,))))
        self.hub._wake()

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
    st.tuples(st.just("room"), st.integers(0, 40)),
    st.tuples(st.just("flush"), st.just(0)),
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
                    stand.straight.flush()
                    stand.client.resume(stand.epoch, stand.seq, FLOOR)
            case "lie":
                stand.straight.flush()
                # Had it been there, it would have these rows.
                held = {key: row for key, row in stand.hub.state.agents.items() if row.version <= count}
                stand.epoch, stand.seq, stand.rows = liar, count, msgspec.to_builtins(held)
                # A place that has not been yet: nobody has its rows, and said again later it may be one.
                stand.lied = count > stand.hub.state.seq
                stand.client.resume(liar, count, FLOOR)
            case "congested":
                stand.open = not count
            case "room":
                stand.straight.room = count
            case "flush":
                stand.straight.flush()
            case "rest":
                await turns(count)
    stand.open = True
    stand.straight.flush()
    stand.frame()
    stand.straight.flush()
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
    stand.client.resume(epoch, seq, FLOOR)
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
    stand.client.resume(stand.epoch, 0, FLOOR)
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
    stand.client.resume("1.1", seq, FLOOR)
    await turns()
    assert stand.told == []
    stand.hub.state, stand.hub.ready = read, True
    stand.hub._wake()
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


async def level(*stands: Stand) -> None:
    """Until all of them have been told everything past their writers."""
    for stand in stands:
        stand.client.subscribe(stand.client.scope)
    await turns()
    stands[0].frame()
    seq = stands[0].hub.state.seq
    assert all(stand.straight.told[-1:] == [seq] for stand in stands)


async def test_what_happens_to_one_of_those_who_are_level_is_nothing_to_the_others():
    """Full, half full, written to by the server beneath, answered, gone: each has every frame once and in order."""
    full = Stand()
    half, disturbed, answered, gone, calm = others = [Stand(beside=full) for _ in range(5)]
    await level(full, *others)
    writers_turn = calm.hub.state.seq + 1
    full.open, half.straight.room = False, 7
    disturbed.straight.write(b"")
    disturbed.straight.rest = b"ping"
    answered.client.post(protocol.Pong(server_time=1))
    gone.hub.unregister(gone.client)
    calm.frame()
    assert calm.straight.told[-1] == writers_turn, "at once"
    assert half.straight.rest and half.straight.told[-1] == writers_turn - 1, "the rest of it waits in the server"
    full.open = True
    disturbed.straight.rest = b""
    half.straight.flush()
    await turns()
    assert writers_turn not in full.straight.told and writers_turn not in disturbed.straight.told
    for stand in (full, half, disturbed, answered, calm):
        assert stand.current
        assert [message["seq"] for message in stand.told if message["type"] == "frame"] == [1, 2]
    assert [message["type"] for message in answered.told[-2:]] == ["pong", "frame"]
    assert gone.seq == 1
    # And those who have been apart are level again.
    calm.frame()
    for stand in (full, half, disturbed, answered, calm):
        assert stand.straight.told[-1] == 3
        stand.client.gone()


async def test_those_who_are_level_are_told_a_new_epoch_and_a_jump_by_a_snapshot():
    one = Stand()
    two = Stand(beside=one)
    await level(one, two)
    one.begin("2.1")
    await turns()
    assert [stand.told[-1]["type"] for stand in (one, two)] == ["snapshot", "snapshot"]
    assert one.current and two.current
    await level(one, two)
    for stand in (one, two):
        stand.client.gone()


async def test_frames_that_come_together_are_each_told():
    one = Stand()
    two = Stand(beside=one)
    await level(one, two)
    wake, one.hub._wake = one.hub._wake, lambda: None
    for _ in range(3):
        one.frame()
    one.hub._wake = wake
    one.frame()
    await turns()
    for stand in (one, two):
        assert [message["seq"] for message in stand.told] == [0, 1, 2, 3, 4, 5]
        stand.client.gone()


async def test_a_part_of_the_floor_costs_nothing_once_nobody_looks_at_it():
    stand = Stand()
    await level(stand)
    assert len(stand.hub._lanes) == 1
    stand.hub.unregister(stand.client)
    stand.client = stand.straight = None
    await turns()
    gc.collect()
    assert len(stand.hub._lanes) == 0
