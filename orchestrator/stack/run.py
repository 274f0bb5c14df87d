"""`python -m orchestrator.stack run`: every process of the orchestrator, from an empty folder to a live board."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping

from orchestrator import servers

from . import plan, preflight
from .children import adopt_orphans, end_descendants
from .embedded import Embedded
from .errors import StackError
from .instance import Instance
from .minder import Minder
from .output import Output
from .postgres import create_database
from .supervisor import Supervisor

_STILL_WAITING_SECONDS = 30.0
_HEALTH_SECONDS = 3.0
_DISK_SECONDS = 30.0
_LITTLE_DISK_BYTES = 100 * 1024 * 1024


def run(options: plan.Options, environ: Mapping[str, str]) -> int:
    """Run until a signal. Raises StackError in one line if it cannot."""
    plan.check(options, environ)
    with Minder() as minder, Instance(options.var) as instance:
        adopt_orphans()
        output = Output()
        # Before the port is looked at: one of them may hold it.
        for name in instance.end_orphans():
            output.say(f"ended {name}, left over from a run that was killed")
        preflight.port_is_free(options.host, options.port)
        preflight.enough_disk(options.var)
        instance.announce(f"http://{options.host}:{options.port}/")
        try:
            return asyncio.run(_Run(options, environ, instance, minder, output).main())
        finally:
            end_descendants()
            servers.remove(options.var)


class _Run:
    def __init__(
        self, options: plan.Options, environ: Mapping[str, str], instance: Instance, minder: Minder, output: Output
    ) -> None:
        self._options = options
        self._environ = dict(environ)
        self._output = output
        self._stop = asyncio.Event()
        self._supervisor = Supervisor(output, minder.tell, instance.record)

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Started with nohup, a closed terminal is no reason to stop.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                loop.add_signal_handler(signum, self._signalled)
        self._output.on_closed = self._stop.set
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            await asyncio.wait({work})
        finally:
            stopped.cancel()
            self._stop.set()
            self._output.say("stopping")
            await self._supervisor.stop_all(plan.STOP_ORDER)
            self._output.say("stopped")
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error
        return 0

    def _signalled(self) -> None:
        if self._stop.is_set():
            # Asked twice: no more patience.
            self._supervisor.hurry.set()
        self._stop.set()

    async def _work(self) -> None:
        environ = await self._servers()
        base, python = servers.BASE_DIR, sys.executable
        for service, limit in plan.preparations(self._options, environ, python, base):
            self._output.say(f"{service.name}: {' '.join(service.command[2:])}")
            await self._supervisor.once(service, limit)
        for service in plan.services(self._options, environ, python, base):
            await self._supervisor.start(service)
        await self._answering(environ)
        self._output.block(plan.banner(self._options, environ, preflight.is_loopback(self._options.host)))
        await self._watch_disk()

    async def _watch_disk(self) -> None:
        """For the rest of the run: servers on a full disk fail in many ways, and say so in as many words."""
        while True:
            await asyncio.sleep(_DISK_SECONDS)
            try:
                preflight.enough_disk(self._options.var, _LITTLE_DISK_BYTES)
            except (StackError, OSError) as error:
                self._output.say(f"WARNING: {error}")

    async def _servers(self) -> dict[str, str]:
        """Start the servers, write down where they are, and make the database."""
        options, var = self._options, self._options.var
        embedded = Embedded(var, self._output, self._supervisor)
        # A demo's queued orders must not reach a real switch that is attached later: each has its own Redis files.
        found = await embedded.start(self._environ, plan.database_name(options), var / f"redis-{options.switch}")
        found |= {"SECRET_KEY": embedded.secrets.django, "SWITCH": options.switch, "PORT": str(options.port)}
        if options.switch == "simulator":
            found |= embedded.switch()
        else:
            self._check_switch()
        environ = {**found, **self._environ, "SWITCH": options.switch, "PORT": str(options.port)}
        if options.switch == "simulator":
            # A real switch's address that lies in the environment is not for the simulator.
            environ |= {name: found[name] for name in found if name.startswith("FREESWITCH_ESL_")}
        environ |= {"PYTHONUNBUFFERED": "1", "VAR_DIR": str(var), "DJANGO_SETTINGS_MODULE": "orchestrator.settings"}
        await asyncio.to_thread(create_database, {**plan.database_settings(environ)})
        told = {*found, *plan.PUBLIC} & environ.keys()
        servers.write(var, {name: environ[name] for name in sorted(told)})
        return environ

    def _check_switch(self) -> None:
        host, port = self._environ["FREESWITCH_ESL_HOST"], int(self._environ["FREESWITCH_ESL_PORT"])
        self._output.hide(self._environ["FREESWITCH_ESL_PASSWORD"])
        if trouble := preflight.switch_answers(host, port):
            self._output.say(f"WARNING: {trouble}; the bridge keeps trying, nothing is dialled until then")

    async def _answering(self, environ: Mapping[str, str]) -> None:
        """Wait until /healthz answers; say every half minute that it does not yet."""
        name = next((host for host in environ.get("ALLOWED_HOSTS", "").split(",") if host.strip("*. ")), "localhost")
        said = time.monotonic()
        while (status := await self._health(name.strip())) != 200:
            if time.monotonic() - said > _STILL_WAITING_SECONDS:
                said = time.monotonic()
                self._output.say(f"still waiting for /healthz ({status or 'no answer'})")
            await asyncio.sleep(0.25)

    async def _health(self, name: str) -> int:
        host = "127.0.0.1" if self._options.host in {"0.0.0.0", ""} else self._options.host  # noqa: S104 - compared only
        host = "::1" if host == "::" else host
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                reader, writer = await asyncio.open_connection(host, self._options.port)
                try:
                    writer.write(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                    await writer.drain()
                    return int((await reader.readline()).split()[1])
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError, IndexError):
            return 0


def options_from(host: str, port: str, switch: str, environ: Mapping[str, str]) -> plan.Options:
    if not port.isdecimal():
        raise StackError(f"PORT must be a number, not {port}")
    return plan.Options(host, int(port), switch, servers.var_dir(environ))


def main(host: str, port: str, switch: str) -> int:
    return run(options_from(host, port, switch, os.environ), os.environ)
