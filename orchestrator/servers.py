"""Where the servers are: the environment, then what a running `make run` has written down.

The stack starts PostgreSQL, Redis and the simulated switch on free ports with random passwords and records them in
`VAR_DIR/run/servers.json` (mode 0600). Any command beside it reads them from there, so it finds the same servers.
Nothing here needs Django: settings import this module.
"""

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

# Names that describe one server together. A server named in the environment is another server: a value of the
# file must never be mixed into it, or our password would be sent to a stranger.
GROUPS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (frozenset({"DB_HOST", "DB_PORT"}), frozenset({"DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT"})),
    (
        frozenset({"CELERY_BROKER_URL"}),
        frozenset({"CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL", "REDIS_URL"}),
    ),
    (
        frozenset({"FREESWITCH_ESL_HOST", "FREESWITCH_ESL_PORT"}),
        frozenset({"FREESWITCH_ESL_HOST", "FREESWITCH_ESL_PORT", "FREESWITCH_ESL_PASSWORD"}),
    ),
)
_PROBE_SECONDS = 0.3  # A server on this machine answers in a millisecond; settings must not wait for a dead one.


def var_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of everything that is kept between runs (`VAR_DIR`, by default `var/` in the project)."""
    named = (os.environ if environ is None else environ).get("VAR_DIR", "")
    return Path(named).expanduser().resolve() if named else BASE_DIR / "var"


def servers_file(var: Path) -> Path:
    return var / "run" / "servers.json"


def process_started(pid: int) -> str:
    """What tells this process from a later one with the same number, or "" if there is no such (living) process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def write(var: Path, values: Mapping[str, str], pid: int | None = None) -> None:
    """Record the servers of the stack `pid` (this process by default), readable by this user only.

    Raises OSError when the folder cannot be written.
    """
    pid = os.getpid() if pid is None else pid
    target = servers_file(var)
    text = json.dumps({"owner": {"pid": pid, "started": process_started(pid)}, "environment": dict(values)}, indent=1)
    # mkstemp makes it 0600; the rename shows readers the old file or the new one, never a part.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".servers-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def remove(var: Path) -> None:
    servers_file(var).unlink(missing_ok=True)


def read(var: Path) -> dict[str, str]:
    """The recorded values that hold now: all while the stack lives, else those of servers that still answer."""
    try:
        recorded = json.loads(servers_file(var).read_text(encoding="utf-8"))
        owner = recorded["owner"]
        values = {str(name): str(value) for name, value in recorded["environment"].items()}
        alive = process_started(int(owner["pid"])) == owner["started"] != ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    if alive:
        return values
    kept: set[str] = set()
    if _answers(values.get("DB_HOST", ""), values.get("DB_PORT", "")):
        kept |= GROUPS[0][1]
    broker = urlsplit(values.get("CELERY_BROKER_URL", ""))
    if _answers(broker.hostname or "", str(broker.port or "")):
        kept |= GROUPS[1][1]
    return {name: value for name, value in values.items() if name in kept}


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process environment, completed by the recorded servers for what it does not name."""
    own = dict(os.environ if environ is None else environ)
    return merge(own, read(var_dir(own)))


def merge(own: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """`own` wins name by name, and as a whole for each server that it names."""
    hidden: set[str] = set()
    for naming, group in GROUPS:
        if any(own.get(name) for name in naming):
            hidden |= group
    return {name: value for name, value in recorded.items() if name not in hidden} | dict(own)


def _answers(host: str, port: str) -> bool:
    try:
        with socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS):
            return True
    except (OSError, ValueError):
        return False
