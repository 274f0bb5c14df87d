"""Ends the stack's processes when the stack itself is killed.

The kernel gives each child its first signal then (children.die_with_parent), but nobody is left to notice one that
does not go by it: a worker whose broker went before it may wait for ever. So a small process of its own is told which
processes live, and outlives the stack for that one duty.
"""

import json
import os
import signal
import time
from collections.abc import Iterable
from types import TracebackType
from typing import NoReturn, Self

from orchestrator import servers

from .instance import Known

GRACE_SECONDS = 20.0  # As long as PostgreSQL may take for its checkpoint.
_POLL_SECONDS = 0.1
_READ_BYTES = 65536


class Minder:
    """Enter it first of all: the process is a fork, and shares whatever is open at that time."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._pipe = self._pid = -1

    def __enter__(self) -> Self:
        reading, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _mind(reading, self._grace)
        os.close(reading)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._pipe)
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass

    def tell(self, known: Iterable[Known]) -> None:
        """These processes live now; the last word counts."""
        line = json.dumps([[item.name, item.pid, item.started] for item in known]) + "\n"
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:  # Somebody killed it: then a killed stack is cleaned up by the next one.
            pass


def _mind(reading: int, grace: float) -> NoReturn:
    """The other process: listen until the stack is gone, then see to it that the rest goes."""
    os.setsid()  # The terminal's Ctrl-C is for the stack.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    said, rest = b"[]", b""  # A word that the stack's end cut off is none.
    while data := os.read(reading, _READ_BYTES):
        *words, rest = (rest + data).split(b"\n")
        said = words[-1] if words else said
    end([Known(*item) for item in json.loads(said)], grace)
    os._exit(0)


def end(known: Iterable[Known], grace: float) -> None:
    """Wait until all have gone and kill what is left after `grace` seconds; a dead one's pool goes with it."""
    left, until = list(known), time.monotonic() + grace
    while left:
        late = time.monotonic() > until
        for item in list(left):
            if late or not item.lives():
                left.remove(item)
                if servers.process_started(item.pid) not in {"", item.started}:
                    continue  # The number is somebody else's by now.
                try:
                    os.killpg(item.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue
        if left:
            time.sleep(_POLL_SECONDS)
