"""One stack per data folder; what a killed one left behind is found again and ended."""

import fcntl
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from orchestrator import servers

from .errors import StackError
from .preflight import prepare

_END_SECONDS = 10.0  # PostgreSQL needs a moment to write its checkpoint.


class BusyError(StackError):
    """Another live stack owns the folder."""


@dataclass(frozen=True)
class Known:
    """A process of ours: its number alone would not do, the system gives numbers again."""

    name: str
    pid: int
    started: str

    @classmethod
    def of(cls, name: str, pid: int) -> "Known":
        return cls(name, pid, servers.process_started(pid))

    def lives(self) -> bool:
        return self.started != "" and servers.process_started(self.pid) == self.started


class Instance:
    """The lock on a data folder, held by this process until it ends, however it ends."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.folder = var / "run"
        self._handle: int | None = None

    def __enter__(self) -> Self:
        prepare(self.var, shared=True)
        prepare(self.folder)
        handle = os.open(self.folder / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            raise BusyError(
                f"already running ({owner or 'starting'}): stop it first, or set VAR_DIR to use another folder"
            ) from error
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def announce(self, text: str) -> None:
        """What a second run is told about this one."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"process {os.getpid()}, {text}".encode(), 0)

    def record(self, known: Iterable[Known]) -> None:
        """Remember the processes that live now, for the run after a crash of this one."""
        target = self.folder / "processes.json"
        text = json.dumps([[item.name, item.pid, item.started] for item in known])
        part = target.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)

    def orphans(self) -> list[Known]:
        """Processes of an earlier run that are still alive although its stack is gone (we hold its lock)."""
        try:
            rows = json.loads((self.folder / "processes.json").read_text(encoding="utf-8"))
            known = [Known(str(name), int(pid), str(started)) for name, pid, started in rows]
        except (OSError, ValueError, TypeError):
            return []
        return [item for item in known if item.lives()]

    def end_orphans(self) -> list[str]:
        """End them and all their children; their names."""
        found = self.orphans()
        family: list[psutil.Process] = []
        for item in found:
            try:
                process = psutil.Process(item.pid)
                family += [process, *process.children(recursive=True)]
                # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
                process.send_signal(signal.SIGINT if item.name == "postgres" else signal.SIGTERM)
            except psutil.Error:
                continue
        _, rest = psutil.wait_procs(family, timeout=_END_SECONDS)
        kill(rest)
        return [item.name for item in found]


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, and wait until they are gone (or three seconds have passed: a process may hang in the kernel)."""
    processes = list(processes)
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes, timeout=3)
