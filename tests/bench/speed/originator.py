"""The anchor of placing: one bare client sends ready originates down one socket, as fast as the switch takes them.

`python -m tests.bench.speed.originator PORT FILE FIRST EVENTS`: a command and its Job-UUID a line, tab between; the
FIRST lines a second before the others, to warm the switch up. It subscribes to EVENTS on a second connection, as every
client must who wants to know what becomes of its calls, and reads and drops them. Prints when it began to send the
others (s since 1970), and reads on until stdin ends.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

PASSWORD = "ClueCon"
SECONDS = 30.0
WARM_SECONDS = 1.0


def connect(port: int, events: str = "") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    said = b""
    for command in ("", f"auth {PASSWORD}", *([f"event json {events}"] if events else [])):
        if command:
            sock.sendall(f"{command}\n\n".encode())
        while b"\n\n" not in said:
            said += sock.recv(65_536)
        said = said.partition(b"\n\n")[2]
    sock.settimeout(None)
    return sock


def drop(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


def main(port: int, file: str, first: int, events: str) -> None:
    lines = [line.split("\t") for line in Path(file).read_text().splitlines()]
    listening, commanding = connect(port, events), connect(port)
    for sock in (listening, commanding):
        threading.Thread(target=drop, args=(sock,), daemon=True).start()
    commands = [f"bgapi {line}\nJob-UUID: {job}\n\n".encode() for line, job in lines]
    commanding.sendall(b"".join(commands[:first]))
    time.sleep(WARM_SECONDS)
    print(time.time(), flush=True)
    commanding.sendall(b"".join(commands[first:]))
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
