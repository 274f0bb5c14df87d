"""One per web process: reads the numbered frames once and lets every client's cursor follow.

Each frame is encoded once per process and kind of client, however many watch. Results of commands are routed to the
socket that waits for them. While Redis is away the clients keep what they have and see it grow old; afterwards they get
what they missed, or a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec
from django.conf import settings
from redis.exceptions import RedisError

from console import codes, connections, meters, panels, protocol, watch
from console.answers import Answers
from console.floor_state import Delta, FloorState, apply_frame, epoch_order
from console.lanes import Encoding, Lane
from console.outbox import Client, look_after
from console.round_trips import RoundTrips
from console.rows import Kpis
from console.scopes import Scope, one_of
from events import streams

log = logging.getLogger(__name__)
_Key = TypeVar("_Key", bound=Hashable)
_Made = TypeVar("_Made")

# Frames kept for `resume`: at full speed two and a half minutes, on a quiet floor a quarter of an hour.
RING: Final = 1_000
RING_BYTES: Final = 32 * 1024 * 1024
# Frames whose ready texts are kept.
TEXTS: Final = 20
# Parts of the floor whose snapshot and figures are kept for the present state.
PARTS_KEPT: Final = 200
READ_COUNT: Final = 200
RETRY_SECONDS: Final = 0.5
# Handshakes that ask the database at a time; they share a thread.
DOOR: Final = 2
# A publisher that lives is heard every second.
SILENT_EPOCH_SECONDS: Final = 3.0
# A read that blocks for BLOCK_MS and has not come back by now never will.
READ_SECONDS: Final = streams.BLOCK_MS / 1000 + 4


class Entry:
    """A frame in the ring. `delta` is None when it was read from before this process's first snapshot."""

    __slots__ = ("delta", "frame", "raw", "texts")

    def __init__(self, raw: bytes, frame: protocol.Frame, delta: Delta | None) -> None:
        self.raw, self.frame, self.delta = raw, frame, delta
        self.texts: dict[Hashable, str] = {}

    def text(self, key: Hashable, make: Callable[[], str]) -> str:
        """What `make` gives, made once per key."""
        found = self.texts.get(key)
        if found is None:
            found = self.texts[key] = make()
        return found


class NotReady(Exception):
    """There is no snapshot that the frames at hand follow."""


class Hub:
    """`start` once; `register` clients. All in one event loop."""

    def __init__(self, url: str = "") -> None:
        self.url = url or settings.REDIS_URL
        self.state = FloorState()
        self.ready = False
        self.ring: dict[int, Entry] = {}
        self._first = self._first_delta = 1
        self._position = "0-0"
        self._heard = 0.0
        self._bytes = 0
        self._snapshots: dict[Hashable, tuple[tuple[str, int], str]] = {}
        self._figures: dict[Scope, tuple[tuple[str, int], Kpis | None]] = {}
        self.clients: set[Client] = set()
        self.apart: set[Client] = set()  # those of them that are not level with a lane
        self._lanes: WeakValueDictionary[Hashable, Lane] = WeakValueDictionary()
        self.under_way = 0  # commands that have come and are not answered with an ack or a refusal
        self.leaving = False  # the process stops: no more messages are read
        self.door = asyncio.Semaphore(DOOR)
        self.answers = Answers(self.url)
        self.round_trips = RoundTrips()
        self._tasks: list[asyncio.Task[Any]] = []
        self._redis = connections.connect(self.url, READ_SECONDS)

    def start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._follow(), name="hub-frames"),
                asyncio.create_task(self.answers.run(), name="hub-results"),
                asyncio.create_task(watch.rights(self.clients), name="hub-rights"),
                asyncio.create_task(look_after(self.clients), name="hub-slow"),
                asyncio.create_task(panels.show(self.clients, self._redis), name="hub-panels"),
                asyncio.create_task(meters.tell(self.clients, self._redis), name="hub-meters"),
                asyncio.create_task(self.round_trips.write(self._redis), name="hub-round-trips"),
            ]

    async def stop(self) -> None:
        for client in list(self.clients):
            client.gone()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._redis.aclose()

    @contextmanager
    def working(self) -> Iterator[None]:
        """A command is under way: the process stays until it is acknowledged or refused."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def send_away(self) -> None:
        """End every socket, after what it has still to be told."""
        self.leaving = True
        for client in list(self.clients):
            client.end(codes.CLOSE_RESTART)

    def register(self, client: Client) -> None:
        self.clients.add(client)
        self.apart.add(client)

    def unregister(self, client: Client) -> None:
        self.answers.forget(client)
        client.gone()
        self.clients.discard(client)
        self.apart.discard(client)

    def sockets_of(self, user_id: int) -> int:
        return sum(client.user_id == user_id for client in self.clients)

    # --- what clients ask ---

    def lane(self, encoding: Encoding, scope: Scope) -> Lane:
        """One for all who are told the same, for as long as there is one of them."""
        # Scopes that are equal are one, and hashing one costs as much as a frame; the lane keeps its id from being
        # another's.
        scope = one_of(scope)
        key = type(encoding), id(scope)
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes[key] = Lane(encoding, scope)
        return found

    def can_follow(self, seq: int, scope: Scope) -> bool:
        """Whether every frame after `seq` is at hand, in a form that this scope can be cut from."""
        if seq == self.state.seq:
            return True
        return seq + 1 >= (self._first if scope.everything else self._first_delta)

    def snapshot_text(self, key: Hashable, make: Callable[[], str]) -> str:
        """What `make` gives for the present state, made once per key and state."""
        return self._made(self._snapshots, key, make)

    def figures(self, scope: Scope) -> Kpis | None:
        """The part's figures in the present state, computed once per part and state."""
        return self._made(self._figures, scope, lambda: scope.kpis(self.state))

    def _made(self, kept: dict[_Key, tuple[tuple[str, int], _Made]], key: _Key, make: Callable[[], _Made]) -> _Made:
        now = (self.state.epoch, self.state.seq)
        found = kept.get(key)
        if found is None or found[0] != now:
            if len(kept) > PARTS_KEPT:
                kept.clear()
            found = kept[key] = (now, make())
        return found[1]

    # --- frames ---

    async def _follow(self) -> None:
        loaded = False
        while True:
            try:
                if not loaded:
                    await self._load()
                    loaded = True
                    self._wake()
                read = self._redis.xread({streams.FRAMES: self._position}, count=READ_COUNT, block=streams.BLOCK_MS)
                found = await asyncio.wait_for(read, READ_SECONDS)
                for _, entries in found or ():
                    for entry_id, fields in entries:
                        self._position = entry_id.decode()
                        loaded = loaded and self._take(fields[b"f"])
                    self._wake()
            except NotReady as reason:
                log.debug("waiting for the floor publisher: %s", reason)
                await asyncio.sleep(RETRY_SECONDS)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("no frames: Redis is away (%s)", type(error).__name__)
                await self._redis.aclose()
                self._redis = connections.connect(self.url, READ_SECONDS)
                loaded = False
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # whatever one frame holds, the boards must go on
                log.exception("the frames could not be read; starting from a snapshot")
                loaded = False
                await asyncio.sleep(RETRY_SECONDS)

    async def _load(self) -> None:
        """Start from the last snapshot and the frames after it. Raises NotReady and keeps the old state if they do
        not fit."""
        raw = await asyncio.wait_for(self._redis.get(streams.SNAPSHOT), READ_SECONDS)
        if raw is None:
            raise NotReady("no snapshot")
        state = FloorState.of(protocol.read_snapshot(raw))
        entries = await asyncio.wait_for(self._redis.xrevrange(streams.FRAMES, count=RING), READ_SECONDS)
        ring: dict[int, Entry] = {}
        position, first_delta = "0-0", state.seq + 1
        for entry_id, fields in reversed(entries):
            position = entry_id.decode()
            frame = protocol.read_frame(fields[b"f"])
            if frame.epoch != state.epoch:
                continue
            delta = None
            if frame.seq > state.seq:
                if frame.seq != state.seq + 1:
                    raise NotReady(f"frame {frame.seq} does not follow snapshot {state.seq}")
                delta = apply_frame(state, frame)
            ring[frame.seq] = Entry(fields[b"f"], frame, delta)
        known = range(min(ring, default=state.seq + 1), state.seq + 1)
        if any(seq not in ring for seq in known):
            ring, first = {}, state.seq + 1
        else:
            first = known.start
        self.state, self.ring, self._position = state, ring, position
        self._bytes = sum(len(entry.raw) for entry in ring.values())
        self._first, self._first_delta = first, max(first, first_delta)
        self.ready, self._heard = True, time.monotonic()

    def _take(self, raw: bytes) -> bool:
        """Apply one frame. False: it does not follow, start from a snapshot."""
        try:
            frame = protocol.read_frame(raw)
        except msgspec.DecodeError as error:
            log.error("a frame could not be read: %s", error)
            return False
        if frame.epoch != self.state.epoch:
            # From a publisher that has been overtaken, or from the one that has overtaken it. Epochs grow with Redis's
            # clock; should that have been set back, the epoch that is still being told is the present one.
            overtaken = epoch_order(frame.epoch) < epoch_order(self.state.epoch)
            return overtaken and time.monotonic() - self._heard < SILENT_EPOCH_SECONDS
        if frame.seq <= self.state.seq:
            return True
        if frame.seq != self.state.seq + 1:
            return False
        self._heard = time.monotonic()
        self.ring[frame.seq] = Entry(raw, frame, apply_frame(self.state, frame))
        self._bytes += len(raw)
        while len(self.ring) > RING or (self._bytes > RING_BYTES and len(self.ring) > 1):
            self._bytes -= len(self.ring.pop(self._first).raw)
            self._first += 1
            self._first_delta = max(self._first_delta, self._first)
        # Everyone who keeps up has had them; who is late has them made again.
        if late := self.ring.get(frame.seq - TEXTS):
            late.texts.clear()
        return True

    def _wake(self) -> None:
        for client in list(self.apart):
            client.follow()
        for lane in list(self._lanes.values()):
            lane.tell(self)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """The hub of the running event loop, started."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    hub.start()
    return hub


def commands_under_way() -> int:
    """Of this process."""
    return sum(hub.under_way for hub in _hubs.values())


def send_away() -> None:
    """End all sockets of this process with codes.CLOSE_RESTART."""
    for hub in _hubs.values():
        hub.send_away()


def clients_left() -> int:
    """Sockets that have not taken their leave."""
    return sum(len(hub.clients) for hub in _hubs.values())


async def close_hub() -> None:
    """Stop the running loop's hub, for tests and shutdown."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.stop()
