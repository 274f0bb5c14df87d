"""What a run consists of, decided from options and environment alone. Pure: nothing is started or opened here."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError
from .supervisor import Service

SWITCHES = ("simulator", "freeswitch")
# A real switch dials real people: nothing of this may come from a default.
_REAL_SWITCH_NEEDS = ("FREESWITCH_ESL_HOST", "FREESWITCH_ESL_PORT", "FREESWITCH_ESL_PASSWORD", "DIAL_ALLOWED_PREFIXES")
# What a command beside the stack must see as the stack does, besides the servers themselves.
PUBLIC = (
    *("DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECRET_KEY", "SWITCH", "PORT"),
    *("FREESWITCH_ESL_HOST", "FREESWITCH_ESL_PORT", "FREESWITCH_ESL_PASSWORD"),
    *("ORIGINATE_CUSTOMER", "ORIGINATE_AGENT", "DIAL_ALLOWED_PREFIXES", "CALLER_ID_NUMBER", "CALLER_ID_NAME"),
)
# The web server first, so that no new commands come in; then who decides, who records, and last who holds the link.
STOP_ORDER = ("web", "dialer", "default", "ingest", "floor", "bridge", "simulator", "redis", "postgres")
# Connections that wait to be taken on by the web process.
BACKLOG = 1024
_DATABASE_NAMES = {"freeswitch": "voice_orchestrator", "simulator": "voice_orchestrator_demo"}


@dataclass(frozen=True)
class Options:
    host: str
    port: int
    switch: str
    var: Path


def embeds_postgres(environ: Mapping[str, str]) -> bool:
    """A server named in the environment wins."""
    return not (environ.get("DB_HOST") or environ.get("DB_PORT"))


def embeds_redis(environ: Mapping[str, str]) -> bool:
    return not environ.get("CELERY_BROKER_URL")


def database_name(options: Options) -> str:
    """The demo's own database: its active campaigns must never be there when a real switch is attached."""
    return _DATABASE_NAMES[options.switch]


def check(options: Options, environ: Mapping[str, str]) -> None:
    """Raises StackError if this cannot work."""
    if options.switch not in SWITCHES:
        raise StackError(f"SWITCH must be {' or '.join(SWITCHES)}, not {options.switch}")
    if options.switch == "freeswitch":
        missing = [name for name in _REAL_SWITCH_NEEDS if not environ.get(name)]
        if missing:
            raise StackError(f"SWITCH=freeswitch needs {', '.join(missing)} in the environment")
        port = environ["FREESWITCH_ESL_PORT"]
        if not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise StackError(f"FREESWITCH_ESL_PORT must be a port number, not {port}")


def database_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The documented defaults for what the environment leaves out."""
    defaults = {
        "DB_NAME": "voice_orchestrator",
        "DB_USER": "postgres",
        "DB_PASSWORD": "postgres",
        "DB_HOST": "localhost",
        "DB_PORT": "5432",
    }
    return {name: environ.get(name) or default for name, default in defaults.items()}


def redis_settings(environ: Mapping[str, str]) -> dict[str, str]:
    broker = environ["CELERY_BROKER_URL"]
    names = ("CELERY_RESULT_BACKEND", "REDIS_URL")
    return {"CELERY_BROKER_URL": broker} | {name: environ.get(name) or broker for name in names}


def services(options: Options, environ: Mapping[str, str], python: str, base: Path) -> list[Service]:
    """The orchestrator's processes in the order of their start."""

    def manage(name: str, *arguments: str) -> Service:
        return Service(name, [python, str(base / "manage.py"), *arguments], environ, base)

    def worker(name: str, queue: str, concurrency: int) -> Service:
        command = [
            python,
            "-m",
            "celery",
            "--quiet",
            "-A",
            "orchestrator",
            "worker",
            "-Q",
            queue,
            "-c",
            str(concurrency),
        ]
        command += ["-n", f"{name}@%h", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        # The warning is about pickled messages; ours are JSON only.
        quiet = {**environ, "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
        # SIGTERM lets the tasks at hand finish, SIGQUIT gives them back to the queue.
        return Service(name, command, quiet, base, stops=((signal.SIGTERM, 10.0), (signal.SIGQUIT, 5.0)))

    application = "orchestrator.asgi:application"
    found = [
        manage("bridge", "run_esl_bridge"),
        manage("ingest", "run_event_ingest"),
        manage("floor", "run_floor_publisher"),
        worker("default", "default", 2),
        worker("dialer", "dialer_queue", 1),
        Service(
            "web",
            [python, "-m", "daphne", "-e", endpoint(options.host, options.port), "-v", "0", application],
            environ,
            base,
        ),
    ]
    if options.switch == "simulator":
        found.insert(0, manage("simulator", "run_switch_simulator"))
    return found


def endpoint(host: str, port: int) -> str:
    """Where daphne listens, in Twisted's words. Its own queue of 50 connections makes boards that all come back at once
    find a closed door."""
    return f"tcp:port={port}:interface={host.replace(':', chr(92) + ':')}:backlog={BACKLOG}"


def preparations(options: Options, environ: Mapping[str, str], python: str, base: Path) -> list[tuple[Service, float]]:
    """Commands that must succeed before the processes start, each with its limit in seconds."""
    manage = [python, str(base / "manage.py")]
    found = [(Service("migrate", [*manage, "migrate", "-v", "0", "--no-input"], environ, base), 600.0)]
    # The demo's users have known passwords and its campaigns dial: only where no real switch is.
    if options.switch == "simulator":
        found.append((Service("seed", [*manage, "seed_demo"], environ, base), 600.0))
    return found


def banner(options: Options, environ: Mapping[str, str], loopback: bool) -> Sequence[str]:
    """What the operator reads when it answers."""
    shown = "localhost" if options.host in {"127.0.0.1", "0.0.0.0", "::"} else options.host  # noqa: S104 - compared only
    lines = [f"  Voice Orchestrator is ready: http://{shown}:{options.port}/"]
    if options.switch == "simulator":
        lines += ["", "  login        password          sees"]
        for user, sees in (
            ("supervisor", "the floor: agents, calls, campaigns"),
            ("agent_101", "an agent's own panel"),
            ("admin", "the administration, too"),
        ):
            lines.append(f"  {user:<12} {user + '-demo':<17} {sees}")
        lines += ["", "  The switch is simulated: nobody is called."]
    else:
        address = f"{environ.get('FREESWITCH_ESL_HOST')}:{environ.get('FREESWITCH_ESL_PORT')}"
        prefixes = environ.get("DIAL_ALLOWED_PREFIXES")
        lines += [
            "",
            f"  The switch is FreeSWITCH at {address}: numbers that start with {prefixes} are really called.",
            "  Logins: .venv/bin/python manage.py createsuperuser",
        ]
    if not loopback and not environ.get("ALLOWED_HOSTS"):
        lines += ["", "  Other machines are refused until ALLOWED_HOSTS names the address they use."]
    return [*lines, "  Ctrl-C stops everything."]
