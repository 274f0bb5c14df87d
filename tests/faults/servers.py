"""A PostgreSQL and a Redis that may be killed: as durable as those of `make run`, each in a folder of the run's own."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from orchestrator.stack import postgres, redis_server
from orchestrator.stack.privileges import as_account, unprivileged
from orchestrator.stack.supervisor import Service
from tests.fakes.processes import free_port

READY_SECONDS = 60.0
DATABASE = "faults"


class Server:
    """One server process. `made`: what says how it is started and whether it answers."""

    def __init__(self, made: postgres.Postgres | redis_server.Redis, prepare: Callable[[], None], log: Path) -> None:
        self._made, self._prepare, self._log = made, prepare, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._prepare()
        service: Service = self._made.service()
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                service.command, env=dict(service.environ), cwd=service.cwd, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, **as_account(service.account),
            )  # fmt: skip
        until = time.monotonic() + READY_SECONDS
        while not self._made.ready():
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError(f"{service.name} does not answer; see {self._log}")
            time.sleep(0.02)

    def _helpers(self) -> list[psutil.Process]:
        """Those of PostgreSQL are in sessions of their own."""
        try:
            return psutil.Process(self._process.pid).children(recursive=True) if self._process else []
        except psutil.NoSuchProcess:
            return []

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, with its helpers, as on a machine that hangs: connections stay open and nobody answers."""
        assert self._process is not None
        family = [psutil.Process(self._process.pid), *self._helpers()]
        for one in family:
            one.suspend()
        try:
            yield
        finally:
            for one in family:
                try:
                    one.resume()
                except psutil.NoSuchProcess:
                    pass

    def kill(self) -> None:
        """kill -9, of its helpers too."""
        if self._process is None:
            return
        family = self._helpers()
        self._process.kill()
        self._process.wait()
        for child in family:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                pass
        psutil.wait_procs(family, timeout=10)
        self._process = None

    def break_for(self, seconds: float) -> None:
        """kill -9, and started again after so long; returns when it answers."""
        self.kill()
        time.sleep(seconds)
        self.start()


class Servers:
    """Both, started. `environment`: the settings that lead to them."""

    def __init__(self, folder: Path) -> None:
        account, elsewhere = unprivileged(), Path(tempfile.gettempdir())
        home = postgres.find_home(folder / "postgres", account, elsewhere)
        self.home = home
        programs = postgres.readable_programs(postgres.programs(), account, elsewhere)
        database = postgres.Postgres(home, programs, account, free_port(), "faults-only")
        keeper = redis_server.Redis(folder / "redis", redis_server.program(), free_port(), "faults-only")
        self.postgres = Server(database, lambda: database.create(new_password=False), folder / "postgres.log")
        self.redis = Server(keeper, keeper.create, folder / "redis.log")
        self.environment: dict[str, str] = {**database.environment(DATABASE), **keeper.environment()}

    def frozen(self, name: str) -> AbstractContextManager[None]:
        return {"postgres": self.postgres, "redis": self.redis}[name].frozen()

    def start(self) -> None:
        self.postgres.start()
        self.redis.start()
        postgres.create_database(self.environment)


@contextmanager
def of_a_run(folder: Path) -> Iterator[Servers]:
    """Started, and Django set up on them; import the product's modules within."""
    import shutil

    servers = Servers(folder)
    try:
        servers.start()
        os.environ.update(servers.environment)
        _set_up(folder)
        yield servers
    finally:
        servers.redis.kill()
        servers.postgres.kill()
        shutil.rmtree(servers.home, ignore_errors=True)


def _set_up(folder: Path) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings", "VAR_DIR": str(folder), "LOG_DIR": str(folder / "logs"),
        "SWITCH": "simulator", "DIAL_ALLOWED_PREFIXES": "+1",
    }  # fmt: skip
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


def patient(do: Callable[[], Any], seconds: float = READY_SECONDS) -> Any:
    """What `do` returns once the servers it needs are back."""
    import redis
    from django.db import DatabaseError, InterfaceError, connections

    until = time.monotonic() + seconds
    while True:
        try:
            return do()
        except (DatabaseError, InterfaceError, redis.RedisError, OSError):
            connections.close_all()
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
