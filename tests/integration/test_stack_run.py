"""The whole of `make run`, from an empty folder to the banner and back to no process at all."""

import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator import servers
from orchestrator.stack.instance import Known
from tests.fakes.processes import free_port
from tests.fakes.stack import STACK, clean_environ, eventually, open_folder

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
# A shared machine may need a while for nine processes that each import Django.
LIMIT = 180.0


class Run:
    """`python -m orchestrator.stack run`, and all that it prints."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.port = free_port()
        self.environ = clean_environ(var)
        self.text = ""
        self.process = subprocess.Popen(
            [*STACK, "run", "--port", str(self.port)],
            env=self.environ,
            cwd=servers.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.text
            return "is ready: http://localhost:" in self.text

        try:
            eventually(ready, LIMIT)
        except AssertionError:
            raise AssertionError(self.text[-5000:]) from None

    def family(self) -> list[Known]:
        stack = psutil.Process(self.process.pid)
        return [Known.of(process.name(), process.pid) for process in [stack, *stack.children(recursive=True)]]

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A `manage.py` command as somebody types it in another terminal."""
        command = [sys.executable, "manage.py", *arguments]
        environ = self.environ
        return subprocess.run(command, env=environ, cwd=servers.BASE_DIR, capture_output=True, text=True, timeout=LIMIT)

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self, signum: signal.Signals) -> int:
        self.process.send_signal(signum)
        code = self.process.wait(timeout=LIMIT)
        self._reader.join(timeout=LIMIT)
        return code


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    yield from open_folder()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path)
    yield started
    if started.process.poll() is None:
        family = started.family()
        started.stop(signal.SIGKILL)
        eventually(lambda: not [item for item in family if item.lives()], LIMIT)


def test_it_runs_everything_tells_the_logins_is_found_by_commands_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    run.until_ready()
    assert "supervisor-demo" in run.text
    assert run.status("/healthz") == 200
    family = run.family()

    found = servers.environment(run.environ)
    asked = run.manage(
        "shell", "--no-imports", "-c", "from dialer.models import Agent; print('agents:', Agent.objects.count())"
    )
    assert "agents: 20" in asked.stdout, asked.stderr
    second = subprocess.run(
        [*STACK, "run", "--port", str(free_port())], env=run.environ, capture_output=True, text=True, timeout=LIMIT
    )
    assert second.returncode == 1 and "already running" in second.stderr and second.stderr.count("\n") == 1

    commands = [command_line(process) for process in psutil.Process(run.process.pid).children(recursive=True)]
    assert run.stop(signal.SIGINT) == 0
    assert not [item for item in family if item.lives()]
    assert not servers.servers_file(tmp_path).exists()
    shown = run.text + "".join(commands)
    for name in ("DB_PASSWORD", "FREESWITCH_ESL_PASSWORD", "SECRET_KEY"):
        assert len(found[name]) >= 32 and found[name] not in shown
    assert redis_password(found) not in shown


def test_a_crashed_process_comes_back_and_what_was_stored_is_there_after_a_hard_kill(run: Run, tmp_path: Path) -> None:
    run.until_ready()
    victim = named(run, "run_event_ingest")
    victim.kill()
    eventually(lambda: "ingest ended with signal SIGKILL" in run.text.replace("  ", " "), LIMIT)
    eventually(lambda: named(run, "run_event_ingest").pid != victim.pid, LIMIT)

    family = run.family()
    made = run.manage(
        "shell", "--no-imports", "-c", "from dialer.models import ReasonCode as R; print('n:', R.objects.count())"
    )
    run.stop(signal.SIGKILL)
    eventually(lambda: not [item for item in family if item.lives()], LIMIT)

    again = Run(tmp_path)
    try:
        again.until_ready()
        asked = again.manage(
            "shell", "--no-imports", "-c", "from dialer.models import ReasonCode as R; print('n:', R.objects.count())"
        )
        assert asked.stdout == made.stdout != ""
        family = again.family()
        assert again.stop(signal.SIGTERM) == 0
        assert not [item for item in family if item.lives()]
    finally:
        again.process.kill()


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # or its zombie
        return ""


def named(run: Run, command: str) -> psutil.Process:
    """The living process of this command; a process that is just starting may not be there yet."""

    def find() -> list[psutil.Process]:
        children = psutil.Process(run.process.pid).children()
        return [child for child in children if command in " ".join(child.cmdline() or [])]

    eventually(find, LIMIT)
    return find()[0]


def redis_password(environ: dict[str, str]) -> str:
    found = re.fullmatch(r"redis://:([^@]+)@127\.0\.0\.1:\d+/0", environ["CELERY_BROKER_URL"])
    assert found
    return found.group(1)
