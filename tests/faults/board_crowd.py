"""Many boards in one process: each keeps the floor by the protocol's own rules, is dropped, comes back and resumes.

`python -m tests.faults.board_crowd`, for tests/faults/boards.py: a line of JSON on stdin says how (`Orders`), then one
word a line is answered with a line of JSON: `drop` (a round of drops), `figures` (since the last time), `end` (no more
drops; everyone is compared with a socket that has just been opened).
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
import time
from collections import Counter, OrderedDict
from typing import Any, Final

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect

KINDS: Final = ("agents", "calls", "campaigns", "alerts")
# How a connection ends without a word: reset, closed by the system, or left open by a machine that has vanished.
DROPS: Final = ("reset", "reset", "reset", "close", "close", "close", "close", "vanish")
# A board that has been dropped comes back after so many seconds: at once, soon, or after a while.
AWAY: Final = (0.0, 0.2, 1.0, 3.0)
HANDSHAKE_SECONDS: Final = 30.0
TRY_AGAIN_SECONDS: Final = 0.5
# A receive buffer so small that a machine that has vanished is none that goes on taking megabytes.
RECEIVE_BYTES: Final = 65_536
# What it has missed comes late by itself: the way to the board is measured when it has been there so long.
MEASURED_AFTER_SECONDS: Final = 2.0
# Different texts kept in the read form: what one board has been told, hundreds are told.
READ_KEPT: Final = 1_500
# Whoever is told something no older has caught up.
CAUGHT_UP_MS: Final = 1_000
# To reach the same place in the end.
SETTLE_SECONDS: Final = 60.0
TROUBLES_TOLD: Final = 20


class Orders(msgspec.Struct):
    """`headers`: one Authorization a user. `parts`: of the floor, as `subscribe` and `resume` name them; {} is all."""

    url: str
    headers: list[str]
    parts: list[dict[str, Any]]
    clients: int
    share: float
    seed: int
    away: tuple[float, ...] = AWAY


class Crowd:
    def __init__(self, orders: Orders) -> None:
        self.orders, self.chance = orders, random.Random(orders.seed)
        self.counts: Counter[str] = Counter()
        self.troubles: list[str] = []
        self.waits: list[float] = []
        self.ghosts: list[ClientConnection] = []
        self._read: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
        self.boards = [Board(self, n) for n in range(orders.clients)]

    def trouble(self, words: str) -> None:
        self.counts["troubles"] += 1
        if len(self.troubles) < TROUBLES_TOLD:
            self.troubles.append(words)

    def read(self, raw: bytes) -> dict[str, Any]:
        """The message, rows by id; shared by all who are told the same, and changed by nobody."""
        found = self._read.get(raw)
        if found is None:
            found = msgspec.json.decode(raw)
            if found["type"] in ("snapshot", "frame"):
                for kind in KINDS:
                    found[kind] = {row["id"]: row for row in found[kind]}
            self._read[raw] = found
            if len(self._read) > READ_KEPT:
                self._read.popitem(last=False)
        return found

    async def open(self) -> None:
        """Waits until everyone is connected; there may be nothing to be told yet."""
        for board in self.boards:
            board.task = asyncio.create_task(board.live())
        async with asyncio.timeout(10 * HANDSHAKE_SECONDS):
            while not all(board.connected for board in self.boards):
                await asyncio.sleep(0.05)

    async def drop(self) -> dict[str, Any]:
        """A round: a share of all boards, each in its own way; returns when those of the last round are back."""
        wanted = max(1, round(self.orders.share * len(self.boards)))
        open_ones = [board for board in self.boards if board.current]
        for board in self.chance.sample(open_ones, min(wanted, len(open_ones))):
            board.drop(self.chance.choice(DROPS), self.chance.choice(self.orders.away))
        return {"dropped": wanted, "open": len(open_ones)}

    def figures(self) -> dict[str, Any]:
        waits, self.waits = sorted(self.waits), []
        return {
            "counts": dict(self.counts), "troubles": self.troubles, "messages": len(waits),
            "p50_ms": _at(waits, 0.5), "p99_ms": _at(waits, 0.99), "max_ms": _at(waits, 1.0),
            "current": sum(board.current for board in self.boards),
        }  # fmt: skip

    async def end(self) -> dict[str, Any]:
        """Every board beside one that was opened now and knows nothing of the past, at the same place."""
        fresh = [Board(self, 0, part) for part in self.orders.parts]
        for board in fresh:
            board.header = self.orders.headers[-1]
            board.task = asyncio.create_task(board.live())
        everyone = [*self.boards, *fresh]
        until = time.monotonic() + SETTLE_SECONDS
        while not all(board.current for board in everyone) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        place = max(board.place for board in everyone)
        place = (place[0], place[1] + 3)
        for board in everyone:
            board.until = place
        while not all(board.place == place for board in everyone) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        differ = 0
        for board in everyone:
            if board.place != place:
                self.trouble(f"board {board.n} is at {board.place}, not at {place}")
            reference = fresh[self.orders.parts.index(board.part)]
            for kind, rows in board.floor.items():
                if rows != reference.floor[kind]:
                    differ += 1
                    self.trouble(f"board {board.n} differs in {kind} at {place}")
        for board in everyone:
            if board.task is not None:
                board.task.cancel()
        await asyncio.gather(*(board.task for board in everyone if board.task), return_exceptions=True)
        calls = {key: row["state"] for key, row in fresh[0].floor["calls"].items()}
        return {**self.figures(), "differ": differ, "compared": len(self.boards), "calls": calls}


class Board:
    """One client. `place`: (order of the floor's epoch, seq) of what it holds."""

    def __init__(self, crowd: Crowd, n: int, part: dict[str, Any] | None = None) -> None:
        self.crowd, self.n = crowd, n
        orders = crowd.orders
        self.part = orders.parts[n % len(orders.parts)] if part is None else part
        self.header = orders.headers[n % len(orders.headers)]
        self.floor: dict[str, Any] = {}
        self.epoch, self.seq = "", -1
        self.current = False
        self.until: tuple[tuple[int, int], int] | None = None
        self.task: asyncio.Task[None] | None = None
        self._connection: ClientConnection | None = None
        self._away = self._opened = 0.0

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def place(self) -> tuple[tuple[int, int], int]:
        first, _, second = self.epoch.partition("/")[0].partition(".")
        return ((int(first or 0), int(second or 0)), self.seq)

    async def live(self) -> None:
        while True:
            try:
                sock = socket.create_connection(_address(self.crowd.orders.url), HANDSHAKE_SECONDS)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
                self._connection = await connect(
                    self.crowd.orders.url, sock=sock, additional_headers={"Authorization": self.header},
                    open_timeout=HANDSHAKE_SECONDS, close_timeout=1, ping_interval=None, max_size=None,
                    compression=None,
                )  # fmt: skip
                self._opened = time.monotonic()
                await self._listen(self._connection)
            except websockets.ConnectionClosed as closed:
                self.crowd.counts[f"closed {closed.rcvd.code if closed.rcvd else 'without a word'}"] += 1
            except (OSError, TimeoutError, websockets.InvalidHandshake) as error:
                self.crowd.counts[f"not opened: {type(error).__name__}"] += 1
            self.current, self._connection = False, None
            await asyncio.sleep(self._away or TRY_AGAIN_SECONDS * self.crowd.chance.random())
            self._away = 0.0

    async def _listen(self, connection: ClientConnection) -> None:
        answered = False
        while True:
            message = self.crowd.read(await connection.recv(decode=False))
            match message["type"]:
                case "hello":
                    place = {"type": "resume", "epoch": self.epoch, "seq": self.seq} if self.epoch else {
                        "type": "subscribe"
                    }  # fmt: skip
                    await connection.send(json.dumps(place | self.part))
                case "snapshot":
                    self._replace(message, answered)
                    answered = True
                case "frame":
                    if not answered:
                        self.crowd.counts["resumed by frames"] += 1
                    answered = True
                    self._follow(message)
                case other:
                    self.crowd.counts[f"{other} {message.get('code', '')}"] += 1

    def _replace(self, snapshot: dict[str, Any], answered: bool) -> None:
        self.crowd.counts["snapshots later" if answered else "resumed by a snapshot" if self.epoch else "begun"] += 1
        before = self.place
        if self.until is not None and before >= self.until:
            return
        self.epoch, self.seq = snapshot["epoch"], snapshot["seq"]
        if self.place < before:
            self.crowd.trouble(f"board {self.n}: a snapshot of {self.place} after {before}")
        self.floor = {kind: dict(snapshot[kind]) for kind in KINDS} | {"kpis": snapshot["kpis"]}
        self.current = True

    def _follow(self, frame: dict[str, Any]) -> None:
        if self.until is not None and self.place >= self.until:
            return
        if frame["epoch"] == self.epoch and frame["seq"] <= self.seq:
            # The protocol's own word for it; ignored.
            self.crowd.counts["repeated"] += 1
            return
        if frame["epoch"] != self.epoch or frame["seq"] != self.seq + 1:
            self.crowd.trouble(
                f"board {self.n}: frame {frame['epoch']}/{frame['seq']} after {self.epoch}/{self.seq}: a part"
            )
            return
        for kind in KINDS:
            self.floor[kind].update(frame[kind])
            for key in frame["gone"][kind]:
                self.floor[kind].pop(key, None)
        if frame["kpis"] is not None:
            self.floor["kpis"] = frame["kpis"]
        self.seq = frame["seq"]
        late = time.time() * 1000 - frame["at"]
        self.current = self.current or late < CAUGHT_UP_MS
        if time.monotonic() - self._opened > MEASURED_AFTER_SECONDS:
            self.crowd.waits.append(late)

    def drop(self, how: str, away: float) -> None:
        connection, self.current, self._away = self._connection, False, away
        if connection is None:
            return
        self.crowd.counts[f"dropped: {how}"] += 1
        if how == "vanish":
            connection.transport.pause_reading()
            self.crowd.ghosts.append(connection)
            assert self.task is not None
            self.task.cancel()
            self.task = asyncio.create_task(self._return())
            return
        if how == "reset":
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()

    async def _return(self) -> None:
        away, self._away = self._away, 0.0
        await asyncio.sleep(away)
        await self.live()


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.split("/")[2].partition(":")
    return host, int(port)


def _at(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None


async def main() -> None:
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    crowd = Crowd(orders)
    await crowd.open()
    print(json.dumps(crowd.figures()), flush=True)
    loop = asyncio.get_running_loop()
    while word := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        match word:
            case "drop":
                answer = await crowd.drop()
            case "figures":
                answer = crowd.figures()
            case "end":
                answer = await crowd.end()
            case _:
                raise SystemExit(f"unknown: {word}")
        print(json.dumps(answer), flush=True)
        if word == "end":
            return


if __name__ == "__main__":
    asyncio.run(main())
