"""Keeps processes running: starts them again when they crash, stops them in order, leaves none behind."""

import asyncio
import collections
import os
import random
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .backoff import Backoff
from .children import spawn
from .errors import StackError
from .instance import Known, kill
from .output import Lines, Output
from .privileges import Account

_READ_BYTES = 65536
_KEPT_LINES = 5


@dataclass(frozen=True)
class Service:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    # Each signal with the seconds it has to work before the next; after the last comes SIGKILL.
    noise: re.Pattern[str] | None = None  # Lines that are of no interest to the operator.
    stops: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)


@dataclass
class _Running:
    service: Service
    backoff: Backoff
    process: asyncio.subprocess.Process | None = None
    known: Known | None = None
    crashes: int = 0
    last_lines: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=_KEPT_LINES))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    keeper: "asyncio.Task[None] | None" = None


class Supervisor:
    """Each of `on_change` is told the processes that live after each start and end. Use it within one event loop."""

    def __init__(
        self,
        output: Output,
        *on_change: Callable[[list[Known]], None],
        rng: random.Random | None = None,
    ) -> None:
        self._output = output
        self._on_change = on_change
        self._random = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._running: dict[str, _Running] = {}
        self.hurry = asyncio.Event()

    async def start(self, service: Service) -> None:
        """Start it and keep it running until `stop`. Raises StackError when its program cannot be run at all."""
        running = _Running(service, Backoff(self._random))
        self._running[service.name] = running
        try:
            await self._spawn(running)
        except OSError as error:
            del self._running[service.name]
            raise StackError(f"cannot start {service.name}: {error.strerror} ({service.command[0]})") from error
        running.keeper = asyncio.create_task(self._keep(running), name=f"keep {service.name}")

    async def until_ready(self, name: str, ready: Callable[[], bool], limit: float) -> None:
        """Wait until `ready()`. Raises StackError with the process's last words if it ends first or takes too long."""
        running = self._running[name]
        deadline = time.monotonic() + limit
        while not await asyncio.to_thread(ready):
            if running.crashes:
                raise StackError(f"{name} does not start: {' / '.join(running.last_lines) or 'it says nothing'}")
            if time.monotonic() > deadline:
                raise StackError(f"{name} is not ready after {limit:.0f} s: {' / '.join(running.last_lines)}")
            await asyncio.sleep(0.05)

    async def once(self, service: Service, limit: float) -> None:
        """Run a command to its end. Raises StackError if it fails or takes longer than `limit` seconds."""
        running = _Running(service, Backoff(self._random))
        await self._spawn(running)
        try:
            code = await asyncio.wait_for(self._to_end(running), limit)
        except TimeoutError:
            raise StackError(f"{service.name} was not done after {limit:.0f} s") from None
        finally:
            if running.process is not None and running.process.returncode is None:
                await self._end(running)
        if code != 0:
            last = next((line for line in reversed(running.last_lines) if line.strip()), "it says nothing")
            raise StackError(f"{service.name} failed with {describe(code)}: {last.strip()}")

    async def stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is None:
            return
        running.stopping.set()
        await self._end(running)
        if running.keeper is not None:
            await running.keeper
        self._tell()

    async def stop_all(self, order: Sequence[str] = ()) -> None:
        """Stop in this order, then the rest in the reverse of their start."""
        for name in [*order, *reversed(list(self._running))]:
            await self.stop(name)

    def crashes(self, name: str) -> int:
        return self._running[name].crashes if name in self._running else 0

    async def _spawn(self, running: _Running) -> None:
        service = running.service
        running.process = await spawn(
            service.command,
            service.environ,
            service.cwd,
            account=service.account,
            death_signal=service.stops[0][0],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        running.known = Known.of(service.name, running.process.pid)
        self._tell()

    def _tell(self) -> None:
        known = [running.known for running in self._running.values() if running.known is not None]
        try:
            for tell in self._on_change:
                tell(known)
        except OSError as error:
            # A full disk must not look like a process that could not be started.
            self._output.say(f"WARNING: cannot record the running processes: {error.strerror}")

    async def _to_end(self, running: _Running) -> int:
        """Pass its lines on until it ends; its exit code."""
        process = running.process
        assert process is not None  # Set by _spawn.
        assert process.stdout is not None
        waiting = asyncio.ensure_future(process.wait())
        pump = asyncio.ensure_future(self._pump(running, process.stdout))
        try:
            await waiting
            # A grandchild may hold the pipe open: what the process itself wrote is there at once.
            await asyncio.wait({pump}, timeout=1.0)
        finally:
            waiting.cancel()
            pump.cancel()
        return await process.wait()

    async def _pump(self, running: _Running, stream: asyncio.StreamReader) -> None:
        lines = Lines()
        while data := await stream.read(_READ_BYTES):
            self._print(running, lines.feed(data))
        self._print(running, lines.end())

    def _print(self, running: _Running, lines: Sequence[str]) -> None:
        for line in lines:
            running.last_lines.append(line)
            noise = running.service.noise
            if line.strip() and (noise is None or not noise.search(line)):
                self._output.line(running.service.name, line)

    async def _keep(self, running: _Running) -> None:
        name = running.service.name
        while True:
            began = time.monotonic()
            code = await self._to_end(running)
            if running.process is not None:
                _kill_group(running.process.pid)
            if running.stopping.is_set():
                return
            running.crashes += 1
            while True:
                delay = running.backoff.after(time.monotonic() - began)
                self._output.say(f"{name} ended with {describe(code)}; starting it again in {delay:.1f} s")
                try:
                    await asyncio.wait_for(running.stopping.wait(), delay)
                    return
                except TimeoutError:
                    pass
                try:
                    await self._spawn(running)
                    break
                except OSError as error:
                    code, began = error.errno or 1, time.monotonic()
            if running.stopping.is_set():
                # The stop came while the process was being made, and so found nothing to signal.
                await self._end(running)

    async def _end(self, running: _Running) -> None:
        """Signal, wait, signal harder, kill; with it everything in its process group and below it."""
        process = running.process
        if process is None or process.returncode is not None:
            return
        family = _family(process.pid)
        for signum, grace in running.service.stops:
            if self.hurry.is_set():
                break
            try:
                process.send_signal(signum)
            except ProcessLookupError:
                break
            if await self._gone(process, grace):
                break
        else:
            self._output.say(f"{running.service.name} does not stop by itself: killed")
        _kill_group(process.pid)
        await asyncio.to_thread(kill, [member for member in family if member.is_running()])
        await process.wait()

    async def _gone(self, process: asyncio.subprocess.Process, grace: float) -> bool:
        ended = asyncio.ensure_future(process.wait())
        hurried = asyncio.ensure_future(self.hurry.wait())
        try:
            await asyncio.wait({ended, hurried}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            return ended.done()
        finally:
            ended.cancel()
            hurried.cancel()


def describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _kill_group(pid: int) -> None:
    """A crashed process must not leave half of itself (a worker pool) to work beside its successor."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
