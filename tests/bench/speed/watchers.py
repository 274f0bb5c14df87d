"""Many boards in one cheap process, each with the time at which it had each frame.

`python -m tests.bench.speed.watchers PORT[,PORT] PATH COUNT`, headers on stdin (crowd.py), then `go`. Prints
`open`; the lines `begin`, `end` (any number of times) and `stop` on stdin say what is measured. At `end` it prints
JSON: {"p50", "p99", "worst"} ms from a leg's new state, by the switch's clock, to each board that shows it; "changes"
shown, "frames", of them "whole" that every board had, "bytes", "snapshots" sent to boards that were late.

All boards get the same bytes, so each text is parsed once.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter

import orjson

from tests.bench.speed import crowd

READ_BYTES = 1 << 20


class Text:
    """One frame: the times (ms) of the changes that it shows, and when each board had it."""

    __slots__ = ("at", "changes", "kind")

    def __init__(self, kind: str, changes: list[int]) -> None:
        self.kind, self.changes, self.at = kind, changes, Counter[int]()


class Boards:
    def __init__(self) -> None:
        self.texts: dict[bytes, Text] = {}
        self.known: dict[str, int] = {}
        self.bytes = 0

    def forget(self) -> None:
        self.texts.clear()
        self.bytes = 0

    def had(self, raw: bytes, now_ms: int) -> None:
        self.bytes += len(raw)
        text = self.texts.get(raw)
        if text is None:
            text = self.texts[raw] = self._read(raw)
        text.at[now_ms] += 1

    def _read(self, raw: bytes) -> Text:
        message = orjson.loads(raw)
        changes = []
        for row in message.get("calls", ()):
            if row["since"] and self.known.get(row["id"]) != row["since"]:
                self.known[row["id"]] = row["since"]
                changes.append(row["since"])
        for key in message.get("gone", {}).get("calls", ()):
            self.known.pop(key, None)
        return Text(message["type"], changes)

    def result(self, boards: int) -> dict[str, float]:
        waits: Counter[int] = Counter()
        frames = [text for text in self.texts.values() if text.kind == "frame"]
        for text in frames:
            for since, many in Counter(text.changes).items():
                for at, had in text.at.items():
                    waits[at - since] += many * had
        return {
            "p50": _quantile(waits, 0.5),
            "p99": _quantile(waits, 0.99),
            "worst": max(waits, default=0),
            "changes": sum(len(text.changes) for text in frames),
            "frames": len(frames),
            # All but those that were on their way when it began and when it ended.
            "whole": sum(sum(text.at.values()) == boards for text in frames),
            "snapshots": sum(sum(text.at.values()) for text in self.texts.values() if text.kind == "snapshot"),
            "bytes": self.bytes,
        }


def _quantile(counted: Counter[int], share: float) -> int:
    passed, total = 0, sum(counted.values())
    for value in sorted(counted):
        passed += counted[value]
        if passed >= share * total:
            return value
    return 0


class Board:
    """One socket and what of its next message has come."""

    def __init__(self, sock: socket.socket, boards: Boards) -> None:
        self.sock, self.boards, self.waiting = sock, boards, b""

    def take(self, data: bytes) -> None:
        now_ms = int(time.time() * 1000)
        data = self.waiting + data if self.waiting else data
        place = 0
        while len(data) - place >= 2:
            size, head = data[place + 1] & 0x7F, 2
            if size > 125:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[place + 2 : place + head], "big")
            if len(data) - place < head + size:
                break
            if data[place] & 0x0F == 1:
                self.boards.had(data[place + head : place + head + size], now_ms)
            place += head + size
        self.waiting = data[place:]


def main(ports: list[int], path: str, count: int) -> None:
    boards = Boards()

    def word(said: str) -> bool:
        if said == "end":
            print(json.dumps(boards.result(count)), flush=True)
        boards.forget()
        return said in ("begin", "end")

    def closed() -> None:
        raise SystemExit("a board was closed")

    crowd.run(ports, path, lambda sock: Board(sock, boards), count, word=word, closed=closed, read_bytes=READ_BYTES)


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1].split(",")], sys.argv[2], int(sys.argv[3]))
