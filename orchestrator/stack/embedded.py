"""The two servers of a stack, its own or those that the environment names, and the settings that lead to them."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import plan, postgres, redis_server, secrets_store
from .errors import StackError
from .output import Output
from .preflight import choose_port, enough_disk
from .privileges import unprivileged
from .supervisor import Supervisor

_READY_SECONDS = 60.0  # PostgreSQL after a power failure replays its log first.
_MARK = "clean"


class Ports:
    """The ports of the last run, so that a client's bookmark of them stays true where it can."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ports.json"
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            self._last = {str(name): int(port) for name, port in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._last = {}

    def choose(self, name: str) -> int:
        port = choose_port(self._last.get(name, 0))
        if self._last.get(name) != port:
            self._last[name] = port
            self._path.write_text(json.dumps(self._last), encoding="utf-8")
        return port


class Embedded:
    """`durable` off (tests): faster, and begun anew unless the last run ended well."""

    def __init__(self, var: Path, output: Output, supervisor: Supervisor, *, durable: bool = True) -> None:
        self._var = var
        self._output = output
        self._supervisor = supervisor
        self._durable = durable
        self._home: Path | None = None
        self._ports = Ports(var / "run")
        self.secrets, self._new = secrets_store.load(var / "run")
        output.hide(*self.secrets.all())

    async def start(self, environ: Mapping[str, str], database: str, redis_home: Path) -> dict[str, str]:
        """Start what the environment does not name; the settings for all of it."""
        found: dict[str, str] = {}
        if plan.embeds_postgres(environ):
            found |= await self._postgres(environ.get("DB_NAME") or database)
        else:
            found |= plan.database_settings(environ)
        self._output.hide(found["DB_PASSWORD"])
        if plan.embeds_redis(environ):
            found |= await self._redis(redis_home)
        else:
            found |= plan.redis_settings(environ)
        return found

    async def _postgres(self, database: str) -> dict[str, str]:
        account = unprivileged()
        elsewhere = Path("/var/lib") if self._durable else Path(tempfile.gettempdir())
        home = postgres.find_home(self._var / "postgres", account, elsewhere)
        self._home = home
        enough_disk(home)
        programs = postgres.readable_programs(postgres.programs(), account, elsewhere)
        port = self._ports.choose("postgres")
        server = postgres.Postgres(home, programs, account, port, self.secrets.postgres, self._durable)
        if not self._durable and not (self._var / "run" / _MARK).exists():
            shutil.rmtree(server.data, ignore_errors=True)
        (self._var / "run" / _MARK).unlink(missing_ok=True)
        if not server.data.exists():
            self._output.say("making the database cluster")
        server.create(new_password=self._new)
        await self._supervisor.start(server.service())
        await self._supervisor.until_ready("postgres", server.ready, _READY_SECONDS)
        return server.environment(database)

    async def _redis(self, home: Path) -> dict[str, str]:
        if not self._durable:
            shutil.rmtree(home, ignore_errors=True)
        port = self._ports.choose("redis")
        server = redis_server.Redis(home, redis_server.program(), port, self.secrets.redis, self._durable)
        server.create()
        await self._supervisor.start(server.service())
        await self._supervisor.until_ready("redis", server.ready, _READY_SECONDS)
        return server.environment()

    def switch(self) -> dict[str, str]:
        """Settings for the simulator: a free port and a password of its own."""
        port = self._ports.choose("switch")
        return {
            "FREESWITCH_ESL_HOST": "127.0.0.1",
            "FREESWITCH_ESL_PORT": str(port),
            "FREESWITCH_ESL_PASSWORD": self.secrets.switch,
        }

    def ended_well(self) -> None:
        """Called after an orderly stop: a cluster without fsync may be used again, and none lies about elsewhere."""
        if self._home is not None and not self._durable and self._home.parent != self._var:
            shutil.rmtree(self._home, ignore_errors=True)
        try:
            (self._var / "run" / _MARK).touch()
        except OSError as error:
            raise StackError(f"cannot write to {self._var}: {error.strerror}") from error
