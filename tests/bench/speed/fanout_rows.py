"""Frames to many boards: delivered for each second of the server's processor, beside `websockets` broadcast."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from console import protocol
from console.floor_state import FloorState
from console.kpis import compute
from console.rows import AgentRow, CallRow
from events import streams
from tests.bench.speed.rows import Row

CLIENTS = 500
# More than boards ever get: at their seven frames a second both servers would only idle.
RATE = 20.0
ROUNDS, ROUND_SECONDS = 3, 6.0


def measure() -> list[Row]:
    text = protocol.text(_frame(1))
    rates: dict[str, list[float]] = {"ours": [], "anchor": []}
    with TemporaryDirectory(prefix="bench-") as folder, _ours(Path(folder)) as ours, _broadcast(text) as anchor:
        for _ in range(ROUNDS):
            for name, deliver in (("ours", ours), ("anchor", anchor)):
                rates[name].append(deliver())
    note = f"{len(text)} bytes, {CLIENTS} clients, {RATE:g} frames/s; medians of {ROUNDS} rounds of {ROUND_SECONDS:g} s"
    return [
        Row(f"frames delivered to {CLIENTS} clients per second of CPU", statistics.median(rates["ours"]),
            "frames/CPU s", "websockets broadcast", statistics.median(rates["anchor"]), floor=0.7, note=note)
    ]  # fmt: skip


def _frame(seq: int, epoch: str = "1.1") -> protocol.Frame:
    """About a kilobyte: an agent and a call that have changed."""
    agent = AgentRow(id="agent_1", name="Ann", extension="1001", status="available", since=seq, version=seq)
    call = CallRow(id="call-1", agent_id="agent_1", number="+1212***34", contact="x" * 40, since=seq, version=seq)
    return protocol.Frame(epoch=epoch, seq=seq, at=int(time.time() * 1000), agents=(agent,), calls=(call,))


def _snapshot(epoch: str = "1.1") -> protocol.Snapshot:
    state = FloorState(epoch=epoch, seq=0, at=int(time.time() * 1000))
    state.kpis = compute((), (), (), {}, 0)
    return state.snapshot()


@contextmanager
def _ours(folder: Path) -> Iterator[Callable[[], float]]:
    """Yields `deliver()`: a round; frames delivered for each second of the web process's CPU."""
    from tests.fakes.processes import Processes

    client = streams.connect()
    client.flushdb()
    client.set(streams.SNAPSHOT, protocol.encode(_snapshot()))
    seq = 0
    with Processes(folder) as run:
        process = psutil.Process(run.web().pid)
        answering(run.web_port)
        with draining(run.web_port, "/ws/v1/floor/", tokens(CLIENTS)) as ask:

            def deliver() -> float:
                nonlocal seq
                had, before, at, first = _settled(ask, 0), _cpu(process), time.monotonic(), seq
                while time.monotonic() - at < ROUND_SECONDS:
                    seq += 1
                    fields = {"epoch": "1.1", "seq": seq, "f": protocol.encode(_frame(seq))}
                    client.xadd(streams.FRAMES, fields, maxlen=streams.FRAMES_LIMIT, approximate=True)
                    time.sleep(max(0.0, at + (seq - first) / RATE - time.monotonic()))
                return _settled(ask, had) / (_cpu(process) - before)

            yield deliver


@contextmanager
def _broadcast(text: str) -> Iterator[Callable[[], float]]:
    """The same of the anchor."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder, "text")
        file.write_text(text)
        command = [sys.executable, "-m", "tests.bench.speed.broadcast", str(file), str(RATE)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdin is not None and server.stdout is not None
            given, port, process = server.stdin, int(server.stdout.readline()), psutil.Process(server.pid)

            def say(word: str) -> None:
                given.write(word + "\n")
                given.flush()

            with draining(port, "/", [""]) as ask:

                def deliver() -> float:
                    had, before = _settled(ask, 0), _cpu(process)
                    say("begin")
                    time.sleep(ROUND_SECONDS)
                    say("end")
                    return _settled(ask, had) / (_cpu(process) - before)

                yield deliver
        finally:
            server.kill()
            server.wait()


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _settled(ask: Any, begun: int) -> int:
    """Messages since `begun`, once no more come."""
    seen, until = -1, time.monotonic() + 20
    while (now := ask("count")["messages"] - begun) != seen and time.monotonic() < until:
        seen = now
        time.sleep(0.5)
    return seen


def answering(port: int) -> None:
    from tests.fakes.console_web import answers

    until = time.monotonic() + 30
    while not answers(port):
        if time.monotonic() > until:
            raise SystemExit("daphne does not answer")
        time.sleep(0.1)


def tokens(clients: int) -> list[str]:
    """Bearer headers of as many supervisors as so many sockets need."""
    from console.models import ApiToken
    from tests.fakes.console import make_user

    count = -(-clients // protocol.SOCKETS_PER_USER)
    stamp = time.time_ns()
    return [f"Bearer {ApiToken.issue(make_user(f'b{stamp}-{n}', supervisor=True))[1]}" for n in range(count)]


@contextmanager
def draining(port: int, path: str, headers: list[str], clients: int = CLIENTS) -> Iterator[Any]:
    """So many sockets that read; yields `ask("count")`."""
    command = [sys.executable, "-m", "tests.bench.speed.drain", str(port), path, str(clients)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n".join([*headers, "go"]) + "\n")
        process.stdin.flush()
        said = process.stdout.readline().strip()
        if said != "open":
            raise SystemExit(f"the clients could not connect: {said}")

        def ask(word: str) -> dict[str, int]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(word + "\n")
            process.stdin.flush()
            found: dict[str, int] = json.loads(process.stdout.readline())
            return found

        yield ask
    finally:
        process.kill()
        process.wait()
