"""The product's processes, each started again when it ends, as `make run` does; and the ways to break them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakes.processes import Processes

WATCH_SECONDS = 0.2
# Two workers on the sequential queue: one acts, the other stands by.
WORKERS = ("dialer-a", "dialer-b")


class Crew:
    """`with Crew(folder, options, environment) as crew`: all started. Names: simulator, bridge, ingest, floor, web,
    default, dialer-a, dialer-b."""

    def __init__(self, folder: Path, simulator: list[str], environment: dict[str, str]) -> None:
        self.run = Processes(folder, **environment)
        self._start: dict[str, Callable[[], object]] = {
            "simulator": lambda: self.run.simulator(*simulator),
            "bridge": lambda: self.run.manage("bridge", "run_esl_bridge"),
            "ingest": lambda: self.run.manage("ingest", "run_event_ingest"),
            "floor": lambda: self.run.manage("floor", "run_floor_publisher"),
            "web": self.run.web,
            "default": lambda: self.run.worker("default", 1),
            **{name: (lambda name=name: self._worker(name)) for name in WORKERS},
        }
        self._locks = {name: threading.Lock() for name in self._start}
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self.ended_by_itself: list[tuple[float, str]] = []

    def _worker(self, name: str) -> subprocess.Popen[bytes]:
        """Its connections to PostgreSQL say which process it is: see floor.watch_writes."""
        with open(self.run.logs / f"{name}.log", "ab") as log:
            command = 'PGAPPNAME=dialer-$$ exec "$0" -m celery -A orchestrator worker -Q dialer_queue -c 1 "$@"'
            process = subprocess.Popen(
                ["sh", "-c", command, sys.executable, "-n", f"{name}@faults", "--without-gossip", "--without-mingle",
                 "-l", "INFO"],
                cwd=Path(__file__).resolve().parents[2], env=self.run.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.run.running[name] = process
        return process

    def __enter__(self) -> Crew:
        self.run.__enter__()
        for start in self._start.values():
            start()
        self._keeper.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._keeper.join()
        # Frozen ones do not hear a request to end.
        for name in (*WORKERS, "web", "default", "ingest", "floor", "bridge"):
            with self._locks[name]:
                if name in self.run.running:
                    self.run.kill(name)
        self.run.__exit__(None, None, None)

    def stop_switch(self) -> None:
        """At the very end: an orderly stop, so that its log is whole. Nothing is started again from here on."""
        self._ending.set()
        self._keeper.join()
        self.run.stop("simulator")

    def _keep(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            for name, lock in self._locks.items():
                if lock.acquire(blocking=False):
                    try:
                        if self.run.running[name].poll() is not None:
                            self.ended_by_itself.append((time.time(), name))
                            self.run.kill(name)
                            self._start[name]()
                    finally:
                        lock.release()

    # --- ways to break them -------------------------------------------------------------------------------------------

    def kill(self, name: str, *, between: float = 0.0) -> None:
        """kill -9, and start it again after so many seconds."""
        with self._locks[name]:
            self.run.kill(name)
            time.sleep(between)
            if not self._ending.is_set():  # a fault that outlives its run leaves nothing behind
                self._start[name]()

    def freeze(self, name: str) -> subprocess.Popen[bytes]:
        process = self.run.running[name]
        os.killpg(process.pid, signal.SIGSTOP)
        return process

    @staticmethod
    def thaw(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def named(self, pid: int) -> str | None:
        """Which of the workers has this process id."""
        running = dict(self.run.running)
        return next((name for name in WORKERS if name in running and running[name].pid == pid), None)
