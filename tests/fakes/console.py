"""For console tests: users, sign-ins, announced changes, and a client that keeps the floor as an integrator would."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group, User
from django.test import Client as Browser
from websockets.sync.client import ClientConnection, connect

from console import permissions, protocol
from console.auth import Identity
from console.floor import Publisher
from console.floor_state import FloorState, apply_frame
from console.permissions import SUPERVISORS
from dialer import floor_rows
from dialer.models import Agent, CallLog, DialerCampaign, Team
from events import streams
from tests.conftest import PATIENCE, wait_until


def make_user(
    name: str, *, supervisor: bool = False, agent: Agent | None = None, group: str = "", **fields: Any
) -> User:
    # One round instead of a million: any hasher reads it, and a test does not wait a second for each user.
    password = PBKDF2PasswordHasher().encode("not-secret-1", "salt", 1)
    user = User.objects.create(username=name, password=password, **fields)
    if supervisor or group:
        user.groups.add(Group.objects.get_or_create(name=group or SUPERVISORS)[0])
    if agent is not None:
        agent.user = user
        agent.save()
    return user


def make_team(code: str, agents: Sequence[Agent] = (), supervisors: Sequence[User] = ()) -> Team:
    team = Team.objects.create(code=code, name=code.title())
    Agent.objects.filter(pk__in=[agent.pk for agent in agents]).update(team=team)
    team.supervisors.set(supervisors)
    return team


def session_of(user: User) -> str:
    """The key of a session in which they are signed in."""
    browser = Browser()
    browser.force_login(user)
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


def session_cookie(user: User) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={session_of(user)}"


def signed_in(user: User) -> Identity:
    """As a socket knows whoever opened it from a page."""
    actor = permissions.actor(user.pk)
    assert actor is not None
    return Identity(actor, "session", session_of(user), auth_hash=user.get_session_auth_hash())


def announce(kind: str, key: str, data: dict[str, Any] | None) -> None:
    """As the dialer and the ingest announce a change."""
    change = json.dumps({"kind": kind, "id": key, "data": data})
    streams.shared().xadd(streams.CHANGES, {streams.CHANGES_FIELD: change})


def announce_agent(agent: Agent) -> None:
    row = floor_rows.agent_rows([agent.pk])[0]
    announce("agent", row["id"], row if row["active"] else None)


def announce_call(call: CallLog) -> None:
    row = floor_rows.call_rows([call.pk])[0]
    announce("call", row["id"], row)


def announce_campaign(campaign: DialerCampaign) -> None:
    row = floor_rows.campaign_rows([campaign.pk])[0]
    announce("campaign", row["id"], row)


def set_status(agent: Agent, status: str, reason: str = "") -> None:
    """As the sequential worker does, without it: commit, then tell."""
    agent.refresh_from_db()
    agent.status, agent.status_reason, agent.version = status, reason, agent.version + 1
    agent.save()
    announce_agent(agent)


@contextmanager
def publishing(**options: Any) -> Iterator[Publisher]:
    """A real publisher in a thread; ready when its first snapshot is there."""
    stop = threading.Event()
    publisher = Publisher(stop, **options)
    thread = threading.Thread(target=publisher.run, name="publisher")
    thread.start()
    try:
        yield publisher
    finally:
        stop.set()
        thread.join(PATIENCE)
        publisher.reader.join(PATIENCE)
        publisher.watch.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def beating() -> Iterator[dict[str, Any]]:
    """Heartbeats of a switch link and an ingest that are well, as long as it lasts, or as the values given say."""
    stop = threading.Event()
    values: dict[str, Any] = {"link": "up", "reason": "", "lag_ms": 20, "depth": 0}

    def beat() -> None:
        while not stop.is_set():
            for name in ("bridge", "ingest"):
                value = json.dumps({"at": time.time(), **values})
                streams.shared().set(streams.HEARTBEAT_PREFIX + name, value, ex=streams.HEARTBEAT_SECONDS)
            stop.wait(1)

    thread = threading.Thread(target=beat, name="beats")
    thread.start()
    try:
        yield values
    finally:
        stop.set()
        thread.join(PATIENCE)


def published() -> FloorState | None:
    raw = streams.shared().get(streams.SNAPSHOT)
    return FloorState.of(protocol.read_snapshot(raw)) if raw else None


def wait_published(condition: Any, what: str) -> FloorState:
    """The floor as frames say it, once `condition(floor)` holds."""
    floor = wait_until(published, "a snapshot")
    position = "0-0"

    def follow() -> FloorState | None:
        nonlocal floor, position
        for _, entries in streams.shared().xread({streams.FRAMES: position}, count=1000) or ():
            for entry_id, fields in entries:
                position = entry_id.decode()
                frame = protocol.read_frame(fields[b"f"])
                if frame.epoch != floor.epoch:
                    fresh = published()
                    floor = fresh if fresh is not None and fresh.epoch == frame.epoch else floor
                if frame.epoch == floor.epoch and frame.seq == floor.seq + 1:
                    apply_frame(floor, frame)
        return floor if condition(floor) else None

    return wait_until(follow, what)


class Socket:
    """A JSON client of the live board. `floor`: its own state, kept by the protocol's rules."""

    def __init__(self, url: str, **options: Any) -> None:
        self._opening = connect(url, open_timeout=PATIENCE, close_timeout=2, max_size=None, **options)
        self.connection: ClientConnection = self._opening.__enter__()
        self.floor = FloorState()
        self.seen: list[protocol.FromServer] = []
        self.frames: list[protocol.Frame] = []

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def say(self, message: protocol.FromClient) -> None:
        self.connection.send(protocol.text(message))

    def say_raw(self, text: str | bytes) -> None:
        self.connection.send(text)

    def next(self, seconds: float = PATIENCE) -> protocol.FromServer:
        message = protocol.read_server(self.connection.recv(timeout=seconds))
        self.seen.append(message)
        match message:
            case protocol.Snapshot():
                self.floor = FloorState.of(message)
            case protocol.Frame():
                self.frames.append(message)
                if message.epoch == self.floor.epoch and message.seq > self.floor.seq:
                    apply_frame(self.floor, message)
        return message

    def until(self, kind: type, seconds: float = PATIENCE) -> Any:
        """The next message of this type; fails with what came instead."""
        end = time.monotonic() + seconds
        while True:
            message = self.next(max(0.01, end - time.monotonic()))
            if isinstance(message, kind):
                return message

    def until_current(self) -> FloorState:
        """The floor once it is of the epoch that is published now: a web process that lives longer than one test may
        still show the one before."""
        return self.until_floor(_is_current)

    def until_floor(self, condition: Any, seconds: float = PATIENCE) -> FloorState:
        end = time.monotonic() + seconds
        while not condition(self.floor):
            self.next(max(0.01, end - time.monotonic()))
        return self.floor


def _is_current(floor: FloorState) -> bool:
    now = published()
    return bool(now and floor.epoch.partition("/")[0] == now.epoch)


def same(one: FloorState, other: FloorState) -> bool:
    return one.snapshot() == other.snapshot()
