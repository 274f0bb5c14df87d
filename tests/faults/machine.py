"""The machine of PostgreSQL and Redis, whose network or power can be taken away: `--counts network=3,power=3`.

A namespace of its own stands for it, at the end of a wire; a relay there hands connections on to the servers. Once the
wire is down nothing comes back, not even a reset: the other side has to notice for itself, as with a real one. Linux
only, as root, with iproute2.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.wire import hang_up
from tests.faults.servers import Servers

HERE, THERE = "10.199.0.1", "10.199.0.2"
_CLONE_NEWNET = 0x40000000
# Of connections that are closed without a word once the wire is down.
_AT_ONCE = struct.pack("ii", 1, 0)


class Machine:
    """`with Machine(servers) as machine`. `environment`: the settings that lead to the servers over the wire."""

    def __init__(self, servers: Servers) -> None:
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            raise SystemExit("network and power are taken away on Linux only, by root")
        self._servers, self._name = servers, f"faults{os.getpid()}"
        ports = (urlsplit(servers.environment["REDIS_URL"]).port, servers.environment["DB_PORT"])
        self._command = [sys.executable, "-m", "tests.faults.machine", self._name, *map(str, ports)]
        self.environment = _over_the_wire(servers.environment)

    def __enter__(self) -> Machine:
        near, far = f"a{self._name}", f"b{self._name}"
        _ip("netns", "add", self._name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far)
        _ip("link", "set", far, "netns", self._name)
        _ip("addr", "add", f"{HERE}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", self._name, "addr", "add", f"{THERE}/30", "dev", far)
        self._far = far
        self._wire("up")
        self._relay = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._relay.stdout is not None and self._relay.stdout.readline(), "the relay did not start"
        return self

    def __exit__(self, *error: object) -> None:
        self._relay.kill()
        self._relay.wait()
        _ip("netns", "del", self._name)  # and the wire with it

    def _wire(self, state: str) -> None:
        _ip("-n", self._name, "link", "set", self._far, state)

    def network(self, seconds: float) -> None:
        """Out of reach for so long, and back with all its connections."""
        self._wire("down")
        try:
            time.sleep(seconds)
        finally:
            self._wire("up")

    def power(self, seconds: float) -> None:
        """Off for so long; back, it knows of no connection."""
        self._wire("down")
        try:
            self._relay.send_signal(signal.SIGUSR1)
            self._servers.redis.kill()
            self._servers.postgres.kill()
            time.sleep(seconds)
            self._servers.redis.start()
            self._servers.postgres.start()
        finally:
            self._wire("up")


def _over_the_wire(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value.replace("127.0.0.1", THERE) if name == "DB_HOST" or "://" in value else value
        for name, value in environment.items()
    }


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Relay:
    """Listens on the machine, and hands on to the same port of ours."""

    def __init__(self, namespace: str, port: int) -> None:
        self._port, self._open = port, list[tuple[socket.socket, socket.socket]]()
        made: list[socket.socket] = []
        # A thread has a namespace of its own; a socket stays where it was made.
        there = threading.Thread(target=lambda: made.append(_listening_in(namespace, port)))
        there.start()
        there.join()
        threading.Thread(target=self._accept, args=made, daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            client, _ = listening.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._port), timeout=2)
            except OSError:
                _forget(client)
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append((client, server))
            for way in ((client, server), (server, client)):
                threading.Thread(target=_carry, args=way, daemon=True).start()

    def forget(self, *_: Any) -> None:
        both, self._open = self._open, []
        for client, server in both:
            _forget(client)
            _forget(server)


def _listening_in(namespace: str, port: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/var/run/netns/{namespace}") as place:
        if libc.setns(place.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"no way into the namespace {namespace}")
    return socket.create_server((THERE, port), backlog=512)


def _carry(one: socket.socket, other: socket.socket) -> None:
    try:
        while said := one.recv(65536):
            other.sendall(said)
    except OSError:
        pass
    hang_up(one, other)


def _forget(one: socket.socket) -> None:
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        one.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    one.close()


def main() -> None:
    relays = [Relay(sys.argv[1], int(port)) for port in sys.argv[2:]]
    signal.signal(signal.SIGUSR1, lambda *_: [relay.forget() for relay in relays])
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
