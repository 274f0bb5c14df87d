"""A process that is an event socket: it admits anybody and then writes what it was given, as fast as it is read.

`python -m tests.bench.speed.feeder FILE`: prints its port, serves one client after another, ends with its parent.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

# It ends by itself should nobody come any more.
IDLE_SECONDS = 120.0


def main(file: str) -> None:
    data = Path(file).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(IDLE_SECONDS)
        print(server.getsockname()[1], flush=True)
        while True:
            try:
                peer, _ = server.accept()
            except TimeoutError:
                return
            with peer:
                try:
                    serve(peer, data)
                except OSError:
                    pass


def serve(peer: socket.socket, data: bytes) -> None:
    peer.settimeout(IDLE_SECONDS)
    peer.sendall(b"Content-Type: auth/request\n\n")
    waiting = b""
    while True:
        while b"\n\n" in waiting:
            command, _, waiting = waiting.partition(b"\n\n")
            if command.startswith(b"auth "):
                peer.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
            else:
                peer.sendall(b"Content-Type: command/reply\nReply-Text: +OK event listener enabled\n\n")
            if command.startswith(b"event"):
                peer.sendall(data)
                peer.recv(1)  # until the client goes
                return
        received = peer.recv(65_536)
        if not received:
            return
        waiting += received


if __name__ == "__main__":
    main(sys.argv[1])
