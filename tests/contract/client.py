"""A plain blocking event-socket client, and what a test waits for with it. Every wait has a limit."""

from __future__ import annotations

import json
import socket
import time
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote

LIMIT = 15.0
"""Seconds any wait may take. Far above what a passing test needs: the machine may be busy."""


class Gone(Exception):
    """The switch closed the connection."""


@dataclass(frozen=True)
class Frame:
    """One frame: its headers in order, and its body."""

    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Event:
    """One event: header pairs in order, duplicates kept, values decoded."""

    pairs: list[tuple[str, Any]]
    body: str = ""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"{self.name} has no {name}"
        return value

    def get(self, name: str) -> str | None:
        """The last value of a header."""
        return next((v for k, v in reversed(self.pairs) if k == name), None)

    @property
    def name(self) -> str:
        return self["Event-Name"]

    @property
    def uuid(self) -> str:
        return self.get("Unique-ID") or ""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.pairs]


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Cut bytes into whole frames and the rest."""
    frames: list[Frame] = []
    while True:
        end = data.find(b"\n\n")
        if end < 0:
            return frames, data
        headers: dict[str, str] = {}
        for line in data[:end].decode("utf-8", "surrogateescape").split("\n"):
            name, _, value = line.partition(": ")
            headers[name] = value
        length = int(headers.get("Content-Length", "0"))
        if len(data) < end + 2 + length:
            return frames, data
        frames.append(Frame(headers, data[end + 2 : end + 2 + length]))
        data = data[end + 2 + length :]


def parse_event(frame: Frame) -> Event:
    """A text/event-json or text/event-plain frame as an Event."""
    if frame.kind == "text/event-json":
        text = frame.body.decode("utf-8", "replace")
        pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
        body = next((v for k, v in pairs if k == "_body"), "")
        return Event([(k, v) for k, v in pairs if k not in ("_body", "Content-Length")], body)
    head, _, payload = frame.body.partition(b"\n\n")
    pairs = []
    for line in head.decode().split("\n"):
        name, _, value = line.partition(": ")
        if name != "Content-Length":
            pairs.append((name, unquote(value, errors="replace")))
    return Event(pairs, payload.decode("utf-8", "replace"))


@dataclass
class Client:
    """One connection. Replies and events are kept apart; events stay in `events` in wire order."""

    host: str
    port: int
    password: str
    events: list[Event] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    wire: list[str] = field(default_factory=list)
    """What came, in order: event names, and the types of all other frames."""

    def __post_init__(self) -> None:
        self._socket = socket.create_connection((self.host, self.port), LIMIT)
        self._rest = b""
        self._replies: list[Frame] = []
        self._seen = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    @property
    def receive_buffer(self) -> socket.socket:
        """The socket itself, for tests of slow readers."""
        return self._socket

    # Sending and replies

    def send(self, text: str | bytes) -> None:
        """Send one command; the blank line is added."""
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        self._socket.settimeout(LIMIT)
        self._socket.sendall(raw + b"\n\n")

    def reply(self, limit: float = LIMIT) -> Frame:
        """The next frame that is no event."""
        self.until(lambda: bool(self._replies), "a reply", limit)
        return self._replies.pop(0)

    def ask(self, text: str | bytes) -> Frame:
        """Send a command and return its reply."""
        self.send(text)
        return self.reply()

    def answer(self, text: str | bytes) -> str:
        """Send a command and return the Reply-Text of its reply."""
        return self.ask(text).headers["Reply-Text"]

    def api(self, text: str) -> str:
        """Run a blocking api command and return its body."""
        frame = self.ask(f"api {text}")
        assert frame.kind == "api/response"
        return frame.text

    def login(self) -> Client:
        """Authenticate."""
        assert self.reply().kind == "auth/request"
        assert self.answer(f"auth {self.password}") == "+OK accepted"
        return self

    def subscribe(self, text: str = "json ALL") -> Client:
        """Ask for events."""
        assert self.answer(f"event {text}").startswith("+OK")
        return self

    def bgapi(self, text: str) -> str:
        """Start a background command; returns its Job-UUID."""
        job = str(uuids.uuid4())
        assert self.answer(f"bgapi {text}\nJob-UUID: {job}") == f"+OK Job-UUID: {job}"
        return job

    def job(self, text: str, limit: float = LIMIT) -> str:
        """Run a background command and return the body of its BACKGROUND_JOB."""
        return self.job_done(self.bgapi(text), limit)

    def job_done(self, job: str, limit: float = LIMIT) -> str:
        """The body of a job's BACKGROUND_JOB."""
        event = self.wait(lambda e: e.name == "BACKGROUND_JOB" and e["Job-UUID"] == job, f"job {job}", limit)
        return event.body

    # Events

    def wait(self, wanted: Callable[[Event], bool], what: str = "an event", limit: float = LIMIT) -> Event:
        """The first event, past or to come, that is wanted."""
        found: list[Event] = []

        def look() -> bool:
            while self._position < len(self.events):
                event = self.events[self._position]
                self._position += 1
                if wanted(event):
                    found.append(event)
                    return True
            return False

        self._position = 0
        self.until(look, what, limit)
        return found[0]

    def wait_for(self, name: str, uuid: str, limit: float = LIMIT) -> Event:
        """The first event of a name and a leg."""
        return self.wait(lambda e: e.name == name and e.uuid == uuid, f"{name} of {uuid}", limit)

    def wait_gone(self, uuid: str, limit: float = LIMIT) -> Event:
        """CHANNEL_HANGUP_COMPLETE of a leg, after its very last event has come."""
        self.wait(
            lambda e: e.name == "CHANNEL_STATE" and e.uuid == uuid and e["Channel-State"] == "CS_DESTROY",
            f"the end of {uuid}",
            limit,
        )
        return self.wait_for("CHANNEL_HANGUP_COMPLETE", uuid)

    def leg(self, uuid: str) -> list[Event]:
        """All events of a leg so far."""
        return [event for event in self.events if event.uuid == uuid]

    def leg_names(self, uuid: str) -> list[str]:
        """The names of a leg's events so far, without CHANNEL_."""
        return [event.name.removeprefix("CHANNEL_") for event in self.leg(uuid)]

    def until(self, condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        """Read until a condition holds. Fails after `limit` seconds, raises Gone at end of file."""
        deadline = time.monotonic() + limit
        while not condition():
            remaining = deadline - time.monotonic()
            assert remaining > 0, f"waited {limit} s in vain for {what}"
            # Short reads: a condition may ask the switch itself, and no event tells of the change.
            self._read(min(remaining, 0.05))

    def wait_eof(self, limit: float = LIMIT) -> None:
        """Read until the switch closes or resets the connection."""
        deadline = time.monotonic() + limit
        while True:
            remaining = deadline - time.monotonic()
            assert remaining > 0, f"waited {limit} s in vain for the end of file"
            try:
                self._read(remaining)
            except (Gone, ConnectionResetError):
                return

    def quiet(self, seconds: float) -> list[Event]:
        """The events that arrive within some time; for promises that nothing happens."""
        before = len(self.events)
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            self._read(remaining)
        return self.events[before:]

    def _read(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            return
        if not data:
            raise Gone
        frames, self._rest = split_frames(self._rest + data)
        for frame in frames:
            if frame.kind.startswith("text/event"):
                self.raw.append(frame.body)
                self.events.append(parse_event(frame))
                self.wire.append(self.events[-1].name)
                continue
            self.wire.append(frame.kind)
            if frame.kind == "text/disconnect-notice":
                self.notices.append(frame.text)
            else:
                self._replies.append(frame)
