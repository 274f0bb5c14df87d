"""A daphne beside the test, and the ways to open sockets at it."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from console.models import ApiToken
from tests.conftest import wait_until
from tests.fakes.console import Socket, session_cookie
from tests.fakes.processes import Processes


@contextmanager
def web_process(logs: Path, blocker: Any, **environment: str) -> Iterator[Processes]:
    """One daphne for a module: it lives through every test's empty database and Redis. `blocker`: django_db_blocker."""
    with blocker.unblock():
        # Its access lines go to stdout: in its log at once, not when so many have come.
        run = Processes(logs, **{"PYTHONUNBUFFERED": "1", **environment})
    with run:
        run.web()
        wait_until(lambda: answers(run.web_port), "daphne")
        yield run


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Door:
    """Opens sockets at this daphne."""

    def __init__(self, web: Processes) -> None:
        self.web = web
        self.own = f"http://127.0.0.1:{web.web_port}"

    def url(self, path: str = "/ws/v1/floor/") -> str:
        return f"ws://127.0.0.1:{self.web.web_port}{path}"

    def token(self, user: Any, path: str = "/ws/v1/floor/") -> Socket:
        _, secret = ApiToken.issue(user)
        return self.bearer(secret, path)

    def bearer(self, secret: str, path: str = "/ws/v1/floor/") -> Socket:
        return Socket(self.url(path), additional_headers={"Authorization": f"Bearer {secret}"})

    def cookie(self, user: Any, path: str = "/ws/v1/floor/", origin: str | None = "own") -> Socket:
        origin = self.own if origin == "own" else origin
        return Socket(self.url(path), additional_headers={"Cookie": session_cookie(user)}, origin=origin)


def refused(opening: Any) -> int:
    with pytest.raises(InvalidStatus) as answer:
        opening().connection.close()
    return answer.value.response.status_code


def closed_with(client: Socket, seconds: float = 20.0) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            client.next(max(0.01, end - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        except TimeoutError:
            break
    pytest.fail("not closed")


def connected(raw: socket.socket, port: int) -> bool:
    """Whether the server still has its end of this connection open, from the kernel's table."""
    local = f"{raw.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{local}"):
                return fields[3] == "01"
    return False


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
