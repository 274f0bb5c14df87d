"""Keeping processes alive, and ending them with everything they started."""

import asyncio
import io
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from orchestrator import servers
from orchestrator.stack.errors import StackError
from orchestrator.stack.instance import Known
from orchestrator.stack.output import Output
from orchestrator.stack.supervisor import Service, Supervisor

LIMIT = 30.0
pytestmark = [pytest.mark.stack]


class Bench:
    """A supervisor, what it printed, and the processes that it said were alive."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.known: list[Known] = []
        self.supervisor = Supervisor(Output(self.stream), self._changed, rng=random.Random(1))
        self.history: list[list[str]] = []

    def _changed(self, known: list[Known]) -> None:
        self.known = known
        self.history.append([item.name for item in known])

    async def eventually(self, holds: Callable[[], object]) -> None:
        async def wait() -> None:
            while not holds():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(wait(), LIMIT)


def service(name: str, code: str, *stops: tuple[signal.Signals, float]) -> Service:
    return Service(
        name,
        [sys.executable, "-u", "-c", code],
        {"PATH": os.defpath},
        Path("/"),
        stops=stops or ((signal.SIGTERM, 10.0),),
    )


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def stopping(bench: Bench, work: Awaitable[None]) -> None:
    try:
        await work
    finally:
        await bench.supervisor.stop_all()


STAY = "import time; print('up', flush=True); time.sleep(600)"


async def test_a_crashed_process_is_started_again_and_says_so(bench: Bench) -> None:
    async def work() -> None:
        await bench.supervisor.start(service("bridge", "import sys; print('hello'); sys.exit(3)"))
        await bench.eventually(lambda: bench.stream.getvalue().count("bridge    | hello") >= 2)

    await stopping(bench, work())
    assert "bridge ended with exit code 3; starting it again in " in bench.stream.getvalue()
    assert bench.known == []


async def test_a_killed_process_is_replaced_by_another(bench: Bench) -> None:
    async def work() -> None:
        await bench.supervisor.start(service("web", STAY))
        first = bench.known[0]
        os.kill(first.pid, signal.SIGKILL)
        await bench.eventually(lambda: bench.known[0] != first and bench.known[0].lives())
        assert not first.lives()

    await stopping(bench, work())
    assert "web ended with signal SIGKILL" in bench.stream.getvalue()


async def test_processes_stop_in_the_order_asked_for_and_the_rest_backwards(bench: Bench) -> None:
    for name in ("postgres", "redis", "bridge", "web"):
        await bench.supervisor.start(service(name, STAY))
    known = list(bench.known)
    bench.history.clear()
    await bench.supervisor.stop_all(["web", "bridge"])
    assert bench.history == [["postgres", "redis", "bridge"], ["postgres", "redis"], ["postgres"], []]
    assert not [item for item in known if item.lives()]


async def test_a_process_that_ignores_every_signal_is_killed_with_all_it_started(bench: Bench, tmp_path: Path) -> None:
    # The grandchild leaves its process group, as PostgreSQL's and a browser's children do.
    code = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({str(tmp_path / "part")!r}, "w").write(str(child.pid))
os.rename({str(tmp_path / "part")!r}, {str(tmp_path / "pid")!r})
time.sleep(600)
"""
    await bench.supervisor.start(service("default", code, (signal.SIGTERM, 0.1)))
    await bench.eventually((tmp_path / "pid").exists)
    child = Known.of("child", int((tmp_path / "pid").read_text()))
    assert child.lives()
    await bench.supervisor.stop_all()
    assert "default does not stop by itself: killed" in bench.stream.getvalue()
    await bench.eventually(lambda: not child.lives())


async def test_impatience_cuts_the_time_of_grace_short(bench: Bench) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    await bench.supervisor.start(service("dialer", code, (signal.SIGTERM, 600.0)))
    await bench.eventually(lambda: "up" in bench.stream.getvalue())
    stop = asyncio.create_task(bench.supervisor.stop_all())
    bench.supervisor.hurry.set()
    await asyncio.wait_for(stop, LIMIT)
    assert bench.known == []


async def test_a_preparation_that_fails_is_said_with_its_last_words(bench: Bench) -> None:
    failing = service("migrate", "import sys; print('no such table'); sys.exit(2)")
    with pytest.raises(StackError, match="migrate failed with exit code 2: no such table"):
        await bench.supervisor.once(failing, LIMIT)


async def test_a_preparation_that_takes_too_long_is_ended(bench: Bench) -> None:
    with pytest.raises(StackError, match="seed was not done after"):
        await bench.supervisor.once(service("seed", STAY), 0.2)
    assert not servers.process_started(bench.known[0].pid) if bench.known else True


async def test_a_program_that_is_missing_is_said_at_once(bench: Bench) -> None:
    with pytest.raises(StackError, match="cannot start redis: No such file"):
        await bench.supervisor.start(Service("redis", ["/no/such/program"], {}, Path("/")))
    assert bench.known == []


async def test_a_server_that_ends_instead_of_getting_ready_is_said_with_its_last_words(bench: Bench) -> None:
    async def work() -> None:
        await bench.supervisor.start(service("postgres", "import sys; print('no space left'); sys.exit(1)"))
        with pytest.raises(StackError, match="postgres does not start: no space left"):
            await bench.supervisor.until_ready("postgres", lambda: False, LIMIT)

    await stopping(bench, work())
