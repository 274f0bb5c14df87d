"""Many websockets that read all they are sent, in one process that costs little: bytes are counted, not parsed as JSON.

`python -m tests.bench.speed.drain PORT PATH COUNT`, one header value a line on stdin (`Bearer ...`, for ten sockets,
an empty line: no header), then a line `stop`. Prints `open`, then a line of JSON {"messages", "bytes", "closed"}.
"""

from __future__ import annotations

import json
import socket
import sys

from tests.bench.speed import crowd

READ_BYTES = 262_144


class Counted:
    """A socket after its handshake, and where in its messages it is."""

    __slots__ = ("buffer", "left", "messages", "sock", "total")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.buffer, self.left = sock, b"", 0
        self.messages = self.total = 0

    def take(self, data: bytes) -> None:
        self.total += len(data)
        if self.left >= len(data):
            self.left -= len(data)
            return
        data = self.buffer + data[self.left :]
        self.left = place = 0
        while len(data) - place >= 2:
            size, head = data[place + 1] & 0x7F, 2
            if size == 126:
                head = 4
            elif size == 127:
                head = 10
            if len(data) - place < head:
                break
            if head > 2:
                size = int.from_bytes(data[place + 2 : place + head], "big")
            self.messages += data[place] & 0x0F == 1
            place += head
            self.left = max(0, size - (len(data) - place))
            place = min(len(data), place + size)
        self.buffer = data[place:] if not self.left else b""


def main(port: int, path: str, count: int) -> None:
    clients: list[Counted] = []
    closed: list[None] = []

    def make(sock: socket.socket) -> Counted:
        clients.append(Counted(sock))
        return clients[-1]

    def word(said: str) -> bool:
        result = {
            "messages": sum(client.messages for client in clients),
            "bytes": sum(client.total for client in clients),
            "closed": len(closed),
        }
        print(json.dumps(result), flush=True)
        return said == "count"

    crowd.run([port], path, make, count, word=word, closed=lambda: closed.append(None), read_bytes=READ_BYTES)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
