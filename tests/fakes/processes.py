"""The product's own processes beside a test, on the test's database and Redis, each with its log in a file."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import connection

from orchestrator.stack.plan import endpoint

BASE = Path(__file__).resolve().parents[2]
STOP_SECONDS = 15


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """`with Processes(tmp_path) as run: run.manage("bridge", "run_esl_bridge")`: all are stopped at the end."""

    def __init__(self, logs: Path, **environment: str) -> None:
        self.logs = logs
        self.switch_port = free_port()
        self.web_port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "DB_NAME": str(connection.settings_dict["NAME"]),
            "FREESWITCH_ESL_HOST": "127.0.0.1",
            "FREESWITCH_ESL_PORT": str(self.switch_port),
            "LOG_DIR": str(logs / "logs"),
            "DIAL_ALLOWED_PREFIXES": ",".join(settings.DIAL_ALLOWED_PREFIXES),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            **environment,
        }

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)
        if kind is not None:
            for log in sorted(self.logs.glob("*.log")):
                print(f"==== {log.name}\n{log.read_text(errors='replace')[-3000:]}")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=BASE,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.running[name] = process
        return process

    def manage(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self.start(name, "manage.py", *arguments)

    def simulator(self, *options: str) -> subprocess.Popen[bytes]:
        return self.manage(
            "simulator", "run_switch_simulator", "--port", str(self.switch_port), "--log", str(self.invites), *options
        )

    @property
    def invites(self) -> Path:
        return self.logs / "invites.jsonl"

    def worker(self, queue: str, concurrency: int = 1, name: str = "") -> subprocess.Popen[bytes]:
        name = name or queue
        return self.start(
            name, "-m", "celery", "-A", "orchestrator", "worker", "-Q", queue, "-c", str(concurrency), "-n",
            f"{name}@test",
            "--without-gossip", "--without-mingle", "-l", "INFO",
        )  # fmt: skip

    def web(self, port: int = 0, name: str = "web") -> subprocess.Popen[bytes]:
        """Without a port, on `web_port`."""
        where = endpoint("127.0.0.1", port or self.web_port)
        return self.start(name, "-m", "daphne", "-e", where, "orchestrator.asgi:application")

    def backend(self, *simulator_options: str) -> None:
        """Everything but the web."""
        self.simulator(*simulator_options)
        self.manage("bridge", "run_esl_bridge")
        self.manage("ingest", "run_event_ingest")
        self.worker("default", 2)
        self.worker("dialer_queue")

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        self._end_group(process)

    def kill(self, name: str) -> None:
        """kill -9 of the process and its children."""
        process = self.running.pop(name)
        self._end_group(process)
        process.wait(STOP_SECONDS)

    @staticmethod
    def _end_group(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def legs_of(log: Path) -> list[dict]:
    """The simulator's last word on every leg."""
    last: dict[str, dict] = {}
    for line in log.read_text().splitlines():
        leg = json.loads(line)
        last[leg["uuid"]] = leg
    return list(last.values())
