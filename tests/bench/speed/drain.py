"""Many websockets that read all they are sent, in one process that costs little: bytes are counted, not parsed as JSON.

`python -m tests.bench.speed.drain PORT PATH COUNT`, one header value a line on stdin (`Bearer ...`, for ten sockets,
an empty line: no header), then a line `stop`. Prints `open`, then a line of JSON {"messages", "bytes", "closed"}.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import sys
import time

HANDSHAKE_SECONDS = 30.0
SOCKETS_PER_HEADER = 10
MOST_SECONDS = 300.0


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


def connect(port: int, path: str, header: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), HANDSHAKE_SECONDS)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    lines += [f"Authorization: {header}"] * bool(header)
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        got = sock.recv(1)
        if not got:
            raise SystemExit(f"refused: {answer[:100]!r}")
        answer += got
    if b" 101 " not in answer[:20]:
        raise SystemExit(f"refused: {answer[:100]!r}")
    return sock


def main(port: int, path: str, count: int) -> None:
    headers = []
    for line in sys.stdin:
        if line.strip() == "go":
            break
        headers.append(line.strip())
    picker, closed = selectors.DefaultSelector(), 0
    clients = [Counted(connect(port, path, headers[n // SOCKETS_PER_HEADER % len(headers)])) for n in range(count)]
    for client in clients:
        client.sock.setblocking(False)
        picker.register(client.sock, selectors.EVENT_READ, client)
    picker.register(sys.stdin, selectors.EVENT_READ, None)
    print("open", flush=True)
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        for key, _ in picker.select(1.0):
            if key.data is None:
                line = sys.stdin.readline().strip()
                result = {
                    "messages": sum(client.messages for client in clients),
                    "bytes": sum(client.total for client in clients),
                    "closed": closed,
                }
                print(json.dumps(result), flush=True)
                if line != "count":
                    return
                continue
            try:
                data = key.data.sock.recv(262_144)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                key.data.take(data)
            else:
                closed += 1
                picker.unregister(key.data.sock)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
