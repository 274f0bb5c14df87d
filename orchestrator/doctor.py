"""What `manage.py doctor` looks at: each check asks one thing and says what to mend. Nothing here changes anything."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import redis
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.storage import Storage
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from console import health
from dialer import lease
from dialer.models import DIALS_AHEAD, Agent, CampaignStatus, DialerCampaign, Message
from esl_bridge.framing import Frame, FrameSplitter, FramingError
from events import streams
from orchestrator import checks
from orchestrator.health import beats_now

Level = Literal["ok", "warning", "fault"]

# A switch or a server that has not answered by then would not serve calls either.
ANSWER_SECONDS: Final = 5.0
OLDEST_REDIS: Final = (6, 2)
OLDEST_POSTGRES: Final = 140_000
# Clocks further apart make timers on the boards and calling hours wrong.
CLOCK_SECONDS: Final = 2.0
LEAST_DISK_BYTES: Final = 2 * 1024**3
QUEUE_WAITING: Final = 1_000
# Without these nothing is dialled; avmd only hears answering machines.
NEEDED_MODULES: Final = ("mod_commands", "mod_dptools", "mod_event_socket")


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `mend`: what to do, empty when all is well."""

    subject: str
    level: Level
    detail: str
    mend: str = ""


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which they are best mended."""
    for check in CHECKS:
        try:
            yield from check()
        except (DatabaseError, redis.RedisError, OSError) as error:
            name = check.__name__.strip("_").replace("_", " ")
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            yield Finding(name, "fault", said, "Mend what is named above it, then look again.")


def _settings() -> Iterator[Finding]:
    found = checks.problems(settings)
    for _, wrong, hint in found:
        yield Finding("settings", "fault", wrong, hint)
    if settings.DEBUG:
        yield Finding("settings", "warning", "DEBUG is on: for development only.", "Set DEBUG=0 where people work.")
    elif not found:
        yield Finding("settings", "ok", "safe for production")
    if not settings.DEBUG and not settings.METRICS_TOKEN:
        yield Finding("metrics", "warning", "/metrics answers nobody.", "Set METRICS_TOKEN to scrape it.")


def _postgresql() -> Iterator[Finding]:
    begun = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp()), current_setting('server_version_num')::int")
        at, version = cursor.fetchone()
    apart = float(at) - time.time()
    if version < OLDEST_POSTGRES:
        yield Finding("PostgreSQL", "fault", f"version {version // 10_000}", "Use PostgreSQL 14 or newer.")
    else:
        took = 1000 * (time.monotonic() - begun)
        yield Finding("PostgreSQL", "ok", f"version {version // 10_000}, answered in {took:.0f} ms")
    if abs(apart) > CLOCK_SECONDS:
        yield Finding("clocks", "fault", f"PostgreSQL's clock is {apart:+.1f} s from ours", "Run NTP on both machines.")
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{step.app_label}.{step.name}" for step, _ in plan[:4])
        yield Finding("migrations", "fault", f"{len(plan)} not applied: {names}", "Run manage.py migrate.")
    else:
        yield Finding("migrations", "ok", "all applied")


def _redis() -> Iterator[Finding]:
    client = streams.shared()
    info: dict[str, Any] = client.info()
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST_REDIS:
        yield Finding("Redis", "fault", f"version {info['redis_version']}", "Use Redis 6.2 or newer.")
    else:
        yield Finding("Redis", "ok", f"version {info['redis_version']}")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        policy = info.get("maxmemory_policy")
        yield Finding("Redis", "fault", f"maxmemory-policy {policy} may drop queued calls", "Set it to noeviction.")
    if not info.get("aof_enabled"):
        words = "appendonly is off: a restart of Redis loses events that are not stored yet."
        yield Finding("Redis", "warning", words, "Set appendonly yes, appendfsync everysec.")
    for queue in ("dialer_queue", "default"):
        waiting = client.llen(queue)
        if waiting > QUEUE_WAITING:
            yield Finding("queue", "fault", f"{waiting} tasks wait in {queue}", f"Is its worker running? See {queue}.")


def _processes() -> Iterator[Finding]:
    now = time.time()
    for name, part in health.assess(beats_now(now), now).items():
        mend = "" if part.ok else f"Start it, or read its log: {_START[name]}"
        yield Finding(health.PARTS[name], "ok" if part.ok else "fault", part.detail, mend)
    if not lease.is_held():
        words = "nobody holds the dialer's lease: nothing is dialled"
        yield Finding("Dialer lease", "fault", words, _START["dialer"])


_START: Final = {
    "bridge": "manage.py run_esl_bridge",
    "orders": "manage.py run_esl_bridge",
    "ingest": "manage.py run_event_ingest",
    "floor": "manage.py run_floor_publisher",
    "dialer": "celery -A orchestrator worker -Q dialer_queue -c 1",
    "default": "celery -A orchestrator worker -Q default -c 2",
}


def switches() -> list[tuple[str, int]]:
    """Where the event sockets of all nodes are."""
    several = [(node.host, node.port) for node in settings.FREESWITCH_NODES]
    return several or [(settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT)]


def _switch() -> Iterator[Finding]:
    for host, port in switches():
        yield from _one_switch(host, port)


def _one_switch(host: str, port: int) -> Iterator[Finding]:
    place = f"{host}:{port}"
    try:
        with Switch(host, port) as switch:
            if not switch.log_in(settings.FREESWITCH_ESL_PASSWORD):
                words = f"{place} refuses the password"
                yield Finding("FreeSWITCH", "fault", words, "Set FREESWITCH_ESL_PASSWORD as in event_socket.conf.xml.")
                return
            yield Finding("FreeSWITCH", "ok", f"{place}: {switch.api('version').strip()[:80]}")
            missing = [name for name in NEEDED_MODULES if not switch.has(name)]
            if missing:
                yield Finding("FreeSWITCH", "fault", f"without {', '.join(missing)}", "Load them in modules.conf.xml.")
            if not switch.has("mod_avmd"):
                words = "without mod_avmd: answering machines are not heard"
                yield Finding("FreeSWITCH", "warning", words, "Load mod_avmd where campaigns handle machines.")
            yield from _music(switch)
    except (OSError, FramingError, EOFError) as error:
        said = str(error) or type(error).__name__
        mend = "Is it running, does its ACL admit this machine, are FREESWITCH_ESL_HOST and _PORT right?"
        yield Finding("FreeSWITCH", "fault", f"{place}: {said[:120]}", mend)


def _music(switch: Switch) -> Iterator[Finding]:
    """What customers hear while they wait: on hold what the switch says itself, parked what our setting says."""
    on_hold = switch.api("global_getvar hold_music").strip()
    if not on_hold or on_hold == "silence" or on_hold.startswith("-ERR"):  # "no reply" to what it has not
        mend = "Set hold_music in vars.xml, as HOLD_MUSIC."
        yield Finding("FreeSWITCH", "warning", "its hold_music is not set: customers on hold hear nothing", mend)
    streamed = [music for music in (on_hold, settings.HOLD_MUSIC) if music.startswith("local_stream://")]
    if streamed and not switch.has("mod_local_stream"):
        words = f"without mod_local_stream: {streamed[0]} is silence"
        yield Finding("FreeSWITCH", "warning", words, "Load mod_local_stream, or name a sound file in HOLD_MUSIC.")


class Switch:
    """One short conversation with the event socket. Raises OSError, EOFError, FramingError; every wait is limited."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), ANSWER_SECONDS)
        self._until = time.monotonic() + 2 * ANSWER_SECONDS
        self._splitter, self._frames = FrameSplitter(), list[Frame]()

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def log_in(self, password: str) -> bool:
        self._next("auth/request")
        return self._say(f"auth {password}", "command/reply").headers.get("Reply-Text", "").startswith("+OK")

    def api(self, command: str) -> str:
        return self._say(f"api {command}", "api/response").body.decode("utf-8", "replace")

    def has(self, module: str) -> bool:
        return self.api(f"module_exists {module}").strip() == "true"

    def _say(self, line: str, answer: str) -> Frame:
        self._socket.sendall(f"{line}\n\n".encode())
        return self._next(answer)

    def _next(self, kind: str) -> Frame:
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.content_type == kind:
                    return frame
                if frame.content_type == "text/rude-rejection":
                    raise OSError("refused by its access list")
            if time.monotonic() > self._until:
                raise TimeoutError("no answer in time")
            data = self._socket.recv(65_536)
            if not data:
                raise EOFError("it closed the connection")
            self._frames += self._splitter.feed(data)


def _folders() -> Iterator[Finding]:
    for name in ("LOG_DIR", "IMPORT_DIR", "MESSAGES_DIR"):
        folder = Path(getattr(settings, name))
        # IMPORT_DIR and MESSAGES_DIR are made when first needed: then their parent must bear it.
        there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
        if not os.access(there, os.W_OK):
            yield Finding(
                name, "fault", f"{folder} cannot be written to", f"Give this user the right to write, or set {name}."
            )
    if not Path(settings.RECORDINGS_DIR).is_dir():
        words = f"{settings.RECORDINGS_DIR} is not there: recordings cannot be played or removed here"
        yield Finding("RECORDINGS_DIR", "warning", words, "Mount FreeSWITCH's folder under the same path.")
    free = shutil.disk_usage(settings.BASE_DIR).free
    if free < LEAST_DISK_BYTES:
        yield Finding("disk", "fault", f"{free // 1024**2} MiB free", "Make room: manage.py retention --dry-run.")


def _static_files() -> Iterator[Finding]:
    """With DEBUG off what was collected is served, and nothing else: after an upgrade, old scripts in new pages."""
    if settings.DEBUG:
        return
    mend = "manage.py collectstatic --no-input --clear, then restart the web processes."
    if not staticfiles_storage.exists("console/base.css"):
        yield Finding("static files", "fault", "not collected: pages come without style", mend)
    elif stale := _stale_static_files():
        names = ", ".join(stale[:4])
        yield Finding("static files", "fault", f"{len(stale)} not as this release has them: {names}", mend)


def _stale_static_files() -> list[str]:
    """By content: what was unpacked may be older than what was collected before it."""
    ignored = apps.get_app_config("staticfiles").ignore_patterns
    sources: dict[str, tuple[Storage, str]] = {}
    for finder in get_finders():
        for path, storage in finder.list(ignored):
            # The first one is collected.
            sources.setdefault(str(Path(getattr(storage, "prefix", None) or "") / path), (storage, path))
    return sorted(name for name, source in sources.items() if not _is_collected(name, *source))


def _is_collected(name: str, storage: Storage, path: str) -> bool:
    if not staticfiles_storage.exists(name):
        return False
    with storage.open(path) as source, staticfiles_storage.open(name) as collected:
        return bool(source.read() == collected.read())


def _floor() -> Iterator[Finding]:
    agents = Agent.objects.filter(is_active=True).count()
    active = DialerCampaign.objects.filter(status=CampaignStatus.ACTIVE)
    yield Finding("floor", "ok", f"{agents} agents, {active.count()} active campaigns")
    for campaign in active.filter(mode__in=DIALS_AHEAD, message=None):
        words = f"{campaign.name} dials ahead and has no message for customers without an agent"
        yield Finding("campaign", "warning", words, "Give it one; until then it dials progressively.")
    for message in Message.objects.all():
        if not message.is_recorded:
            words = f"the recording of {message.name} is not where the switch looks for it: it counts as none"
            yield Finding("message", "warning", words, "Upload its recording once more in the admin (Messages).")
    for campaign in active.filter(assigned_agents=None):
        yield Finding("campaign", "warning", f"{campaign.name} is active without agents", "Assign some in the admin.")
    over = active.filter(scheduled_end__lt=timezone.now())
    for campaign in over:
        yield Finding("campaign", "warning", f"{campaign.name} is past its end", "Is the dialer running?")
    if not get_user_model().objects.filter(is_superuser=True, is_active=True).exists():
        yield Finding("users", "warning", "there is no administrator", "manage.py createsuperuser")


CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    _settings, _postgresql, _redis, _processes, _switch, _folders, _static_files, _floor,
)  # fmt: skip
