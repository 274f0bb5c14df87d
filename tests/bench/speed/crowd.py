"""Many websockets in one process that costs little, for as long as the bench that has started it wants them."""

from __future__ import annotations

import base64
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

HANDSHAKE_SECONDS = 30.0
SOCKETS_PER_HEADER = 10
MOST_SECONDS = 300.0


class Client(Protocol):
    """One socket, and what becomes of what it is sent."""

    sock: socket.socket

    def take(self, data: bytes) -> None: ...


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


def run(
    ports: Sequence[int],
    path: str,
    make: Callable[[socket.socket], Client],
    count: int,
    *,
    word: Callable[[str], bool],
    closed: Callable[[], None],
    read_bytes: int,
) -> None:
    """Header values on stdin, one a line, then `go`; prints `open` when all sockets are. `word`: what to do for a line
    that comes then, and whether to go on. `closed`: what to do when the far end has closed one."""
    headers = []
    for line in sys.stdin:
        if line.strip() == "go":
            break
        headers.append(line.strip())
    picker = selectors.DefaultSelector()
    for n in range(count):
        sock = connect(ports[n % len(ports)], path, headers[n // SOCKETS_PER_HEADER % len(headers)])
        sock.setblocking(False)
        picker.register(sock, selectors.EVENT_READ, make(sock))
    picker.register(sys.stdin, selectors.EVENT_READ, None)
    print("open", flush=True)
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        for key, _ in picker.select(1.0):
            if key.data is None:
                if not word(sys.stdin.readline().strip()):
                    return
                continue
            try:
                data = key.data.sock.recv(read_bytes)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                key.data.take(data)
            else:
                picker.unregister(key.data.sock)
                closed()
