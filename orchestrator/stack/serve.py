"""`python -m orchestrator.stack servers -- CMD`: a PostgreSQL and a Redis for the time of one command."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator import servers

from . import plan
from .children import adopt_orphans, die_with_parent, end_descendants
from .embedded import Embedded
from .errors import StackError
from .instance import BusyError, Instance
from .minder import Minder
from .output import Output
from .preflight import enough_disk
from .supervisor import Supervisor

_SIBLINGS = 9  # So many test runs side by side in one tree; then the operator has lost track.
_GRACE_SECONDS = 30.0  # A test runner that is told to stop closes its browsers and databases.


def main(data: Path, command: Sequence[str]) -> int:
    """The command's exit code. Raises StackError if the servers or the command cannot be started."""
    if not command:
        raise StackError("no command given: python -m orchestrator.stack servers --data DIR -- COMMAND")
    data = data.expanduser().resolve()
    for number in range(1, _SIBLINGS + 1):
        instance = Instance(data if number == 1 else data.with_name(f"{data.name}-{number}"))
        try:
            with Minder() as minder, instance:
                return _serve(instance, minder, command)
        except BusyError:
            continue
    raise StackError(f"{_SIBLINGS} others already use {data}: stop them first")


def _serve(instance: Instance, minder: Minder, command: Sequence[str]) -> int:
    enough_disk(instance.var)
    adopt_orphans()
    instance.end_orphans()
    instance.announce("servers for a command")
    with (instance.var / "servers.log").open("w", encoding="utf-8") as log:
        try:
            return asyncio.run(_Serve(instance, minder, command, Output(log)).main())
        finally:
            end_descendants()
            servers.remove(instance.var)


class _Serve:
    def __init__(self, instance: Instance, minder: Minder, command: Sequence[str], output: Output) -> None:
        self._instance = instance
        self._command = command
        self._output = output
        self._supervisor = Supervisor(output, minder.tell, instance.record)
        self._stop = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                loop.add_signal_handler(signum, self._signalled, signum)
        embedded: Embedded | None = None
        try:
            embedded = Embedded(self._instance.var, self._output, self._supervisor, durable=False)
            return await self._with_servers(embedded)
        finally:
            await self._supervisor.stop_all(plan.STOP_ORDER)
            if embedded is not None:
                embedded.ended_well()

    async def _with_servers(self, embedded: Embedded) -> int:
        var = self._instance.var
        starting = asyncio.create_task(embedded.start(os.environ, "voice_orchestrator", var / "redis"))
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return 130
        return await self._run(self._settings(starting.result()))

    def _settings(self, found: Mapping[str, str]) -> dict[str, str]:
        var = self._instance.var
        # With a VAR_DIR of its own the command cannot stray to the servers of a `make run` beside it.
        own = {"VAR_DIR": str(var), "LOG_DIR": os.environ.get("LOG_DIR") or str(var / "logs")}
        return {**found, **os.environ, **own}

    async def _run(self, environ: Mapping[str, str]) -> int:
        parent = os.getpid()
        try:
            # In our own session and with our streams: a debugger in it can read the terminal.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=dict(environ), preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent)
            )
        except OSError as error:
            raise StackError(f"cannot run {self._command[0]}: {error.strerror}") from error
        ended = asyncio.create_task(self._process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            await asyncio.wait({ended}, timeout=_GRACE_SECONDS)
            if not ended.done():
                self._process.kill()
        code = await ended
        return code if code >= 0 else 128 - code

    def _signalled(self, signum: signal.Signals) -> None:
        self._stop.set()
        # A Ctrl-C of the terminal has reached the command too; twice would cut its own clean-up short.
        from_terminal = signum == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
        if self._process is not None and self._process.returncode is None and not from_terminal:
            self._process.send_signal(signum)
