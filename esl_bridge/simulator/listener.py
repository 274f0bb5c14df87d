"""One client of the event socket: what it subscribed to, its queue, its commands."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import uuid as uuids
from collections import deque
from typing import TYPE_CHECKING

from esl_bridge.simulator import applications, hangup
from esl_bridge.simulator.protocol import (
    AUTH_REQUEST,
    GOODBYE,
    LOST_EVENTS,
    Block,
    Command,
    CommandParser,
    CommandTooLong,
    Event,
    Value,
    api_response,
    disconnect_notice,
    reply,
)
from esl_bridge.simulator.tables import EVENT_NAMES

if TYPE_CHECKING:
    from esl_bridge.simulator.server import Server

_TRANSPORT_HEADERS = ("event-subclass", "content-length")
# Compared by their beginning, so `EVENTS PLAIN ALL` is as good as `event plain all`.
_PREFIXES = ("nixevent", "noevents", "event", "exit", "nolinger", "linger", "sendevent", "sendmsg", "divert_events")
MAX_LOST = 500
"""Events lost in a row after which a listener is killed."""
STUCK_SECONDS = 600
"""How long the notice to a killed listener is tried while everybody waits."""
WRITE_BUFFER = 3 * 1024 * 1024
"""Bytes in flight before events queue up, about the socket buffers of the real one."""
_LOG_LEVELS = ("console", "alert", "crit", "err", "warning", "notice", "info", "debug")


def _log_level(text: str) -> int | None:
    """What `log TEXT` asks for, None if it is no level."""
    if re.fullmatch(r"-?\d+", text):
        return max(0, int(text))
    if not text:
        return len(_LOG_LEVELS) - 1
    return _LOG_LEVELS.index(text.lower()) if text.lower() in _LOG_LEVELS else None


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.parser = CommandParser()
        self.authenticated = False
        self.format = "plain"
        self.events: set[str] = set()
        self.subclasses: set[str] = set()
        self.filters: list[tuple[str, str]] = []
        self.queue: deque[Event] = deque()
        self.lost = 0
        self.stuck = False
        self.closing = False
        self._writable = True
        self._flushing = False
        self._held: list[bytes] = []
        self._commands: deque[Command] = deque()
        self._handlers = {
            "api": self._do_api,
            "bgapi": self._do_bgapi,
            "divert_events": self._do_divert_events,
            "event": self._do_event,
            "exit": self._do_exit,
            "filter": self._do_filter,
            "linger": self._do_linger,
            "log": self._do_log,
            "nixevent": self._do_nixevent,
            "noevents": self._do_noevents,
            "nolinger": self._do_linger,
            "nolog": self._do_nolog,
            "sendevent": self._do_sendevent,
            "sendmsg": self._do_sendmsg,
        }
        self._logging = False
        self._blocked = False
        """A blocking `api` is running: neither commands nor events are handled meanwhile."""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.server.clients.add(self)
        self.send(AUTH_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.server.clients.discard(self)
        self.server.subscriptions_changed()
        if self.stuck:
            self.stuck = False
            self.server.thaw()

    def data_received(self, data: bytes) -> None:
        try:
            self._commands.extend(self.parser.feed(data))
        except CommandTooLong:
            self.abort()
            return
        self._work()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self.stuck:
            self.stuck = False
            self.server.thaw()
            self.close()
        self.resume()

    # Sending

    def send(self, data: bytes) -> None:
        """Write at once, or keep while the server is frozen."""
        if self.server.frozen:
            self._held.append(data)
        elif not self.closing:
            self.transport.write(data)

    def enqueue(self, event: Event) -> None:
        """Queue an event. When full, events are lost in silence until the listener is killed."""
        if self.closing or self.stuck:
            return
        if len(self.queue) >= self.server.config.queue_limit:
            self.lost += 1
            if self.lost > MAX_LOST:
                self._kill()
            return
        self.lost = 0
        self.queue.append(event)
        if not self._flushing:
            self._flushing = True
            self.server.loop.call_soon(self._flush)

    def resume(self) -> None:
        """Go on after a freeze or a full socket."""
        held, self._held = self._held, []
        for data in held:
            self.send(data)
        self._flush()
        self._work()

    def _flush(self) -> None:
        self._flushing = False
        if self._blocked or self.server.frozen or self.closing:
            return
        while self.queue and self._writable:
            # A bounded batch, so that pause_writing can stop us.
            count = min(len(self.queue), 200)
            frames = [self.queue.popleft().frame(self.format) for _ in range(count)]
            self.transport.write(b"".join(frames))

    def _kill(self) -> None:
        """Kill a listener that lost too much. While its socket is full, everybody is frozen."""
        self.queue.clear()
        self.events.clear()
        self.server.subscriptions_changed()
        self.transport.write(disconnect_notice(LOST_EVENTS))
        if self._writable:
            self.close()
        else:
            self.stuck = True
            self.server.freeze()
            self.server.loop.call_later(STUCK_SECONDS, self.abort)

    def close(self) -> None:
        """End of file once everything written has gone out."""
        self.closing = True
        self.transport.close()

    def abort(self, *, reset: bool = False) -> None:
        """End of file at once, or a reset."""
        self.closing = True
        if reset:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # Subscriptions

    def wants(self, event: Event) -> bool:
        """Whether this client gets an event: by name, subclass and filters."""
        if event.name not in self.events and "ALL" not in self.events:
            return False
        if event.subclass and "ALL" not in self.events and event.subclass not in self.subclasses:
            return False
        return not self.filters or self._passes(event)

    def _passes(self, event: Event) -> bool:
        passes = False
        for header, wanted in self.filters:
            value = event.get(header)
            positive = True
            while wanted[:1] in ("+", "-"):
                positive = wanted[0] == "+"
                wanted = wanted[1:]
            if value is None or (passes and positive):
                continue
            if wanted.startswith("/"):
                hit = re.search(wanted.strip("/"), value) is not None
            else:
                hit = value.lower() == wanted.lower()
            if hit and not positive:
                return False
            passes = passes or hit
        return passes

    # Commands

    def _work(self) -> None:
        while self._commands and not self._blocked and not self.closing:
            if self.server.frozen:
                return
            self._flush()
            self._handle(self._commands.popleft())

    def _handle(self, command: Command) -> None:
        if not self.authenticated:
            self._authenticate(command)
            return
        name = next((verb for verb in _PREFIXES if command.verb.startswith(verb)), command.verb)
        handler = self._handlers.get(name)
        if handler is None:
            self.send(reply("-ERR command not found"))
        else:
            handler(command)

    def _authenticate(self, command: Command) -> None:
        if command.verb == "exit":
            self._do_exit(command)
        elif command.verb != "auth":
            self.send(reply("-ERR command not found"))
        elif command.argument == self.server.config.password:
            self.authenticated = True
            self.send(reply("+OK accepted"))
        else:
            self.send(reply("-ERR invalid"))
            self.send(disconnect_notice(GOODBYE))
            self.close()

    def _do_exit(self, command: Command) -> None:
        self.send(reply("+OK bye"))
        self.send(disconnect_notice(GOODBYE))
        self.close()

    def _do_event(self, command: Command) -> None:
        known, custom = False, False
        for position, word in enumerate(command.argument.split()):
            if position == 0 and word.lower() in ("plain", "json", "xml"):
                self.format = word.lower()
            elif custom:
                self.subclasses.add(word)
            elif word.upper() in EVENT_NAMES:
                known = True
                self.events.add(word.upper())
                custom = word.upper() == "CUSTOM"
        if not known:
            self.send(reply("-ERR no keywords supplied"))
            return
        self.server.subscriptions_changed()
        self.send(reply(f"+OK event listener enabled {self.format}"))

    def _do_nixevent(self, command: Command) -> None:
        known, custom = False, False
        for word in command.argument.split():
            name = word.upper()
            if custom:
                self.subclasses.discard(word)
            elif name in EVENT_NAMES:
                known = True
                custom = name == "CUSTOM"
                if name == "ALL":
                    self.events.clear()
                elif "ALL" in self.events:
                    self.events = set(EVENT_NAMES) - {"ALL", name}
                else:
                    self.events.discard(name)
        self.server.subscriptions_changed()
        self.send(reply("+OK events nixed" if known else "-ERR no keywords supplied"))

    def _do_noevents(self, command: Command) -> None:
        if not self.events:
            self.send(reply("-ERR not listening for events"))
            return
        self.events.clear()
        self.subclasses.clear()
        self.queue.clear()
        self.server.subscriptions_changed()
        self.send(reply("+OK no longer listening for events"))

    def _do_filter(self, command: Command) -> None:
        words = command.argument.split(" ", 2)
        if words[0].lower() == "delete" and len(words) > 1:
            header, value = words[1], words[2] if len(words) > 2 else ""
            if header.lower() == "all":
                self.filters.clear()
            else:
                self.filters = [
                    (h, v) for h, v in self.filters if h.lower() != header.lower() or (value and v != value)
                ]
            self.send(reply(f"+OK filter deleted. [{header}][{value}]"))
            return
        header, _, value = command.argument.partition(" ")
        if not header or not value:
            self.send(reply("-ERR invalid syntax" if header else "-ERR command not found"))
            return
        self.filters.append((header, value))
        self.send(reply(f"+OK filter added. [{header}]=[{value}]"))

    def _do_linger(self, command: Command) -> None:
        self.send(reply("-ERR not controlling a session"))

    def _do_divert_events(self, command: Command) -> None:
        self.send(reply("-ERR not controlling a session."))

    def _do_log(self, command: Command) -> None:
        level = _log_level(command.argument)
        if level is None:
            self.send(reply("-ERR invalid log level"))
            return
        self._logging = True
        self.send(reply(f"+OK log level {command.argument} [{level}]"))

    def _do_nolog(self, command: Command) -> None:
        # The real one spells it so.
        self.send(reply("+OK no longer logging" if self._logging else "-ERR not loging"))
        self._logging = False

    def _do_api(self, command: Command) -> None:
        name, _, argument = command.argument.partition(" ")
        if not name:
            self.send(reply("-ERR command not found"))
            return
        self._blocked = True
        self.server.run_api(name, argument.strip(), self._api_done)

    def _api_done(self, answer: str) -> None:
        if self.closing:
            return
        self.send(api_response(answer or "-ERR no reply\n"))
        self._blocked = False
        self.server.loop.call_soon(self.resume)

    def _do_bgapi(self, command: Command) -> None:
        name, _, argument = command.argument.partition(" ")
        if not name:
            self.send(reply("-ERR command not found"))
            return
        job = command.header("Job-UUID") or str(uuids.uuid4())
        self.send(reply(f"+OK Job-UUID: {job}", Job_UUID=job))
        switch = self.server.switch
        first: dict[str, Value] = {"Job-UUID": job, "Job-Command": name}
        if argument.strip():
            first["Job-Command-Arg"] = argument.strip()

        # The answer is for everybody subscribed, also when this connection has gone.
        def done(answer: str) -> None:
            job_done = switch.reserve("BACKGROUND_JOB", first, body=answer)
            if job_done is not None:
                switch.fire(job_done)

        self.server.run_api(name, argument.strip(), done)

    def _do_sendmsg(self, command: Command) -> None:
        switch = self.server.switch
        leg = switch.legs.get(command.argument)
        if leg is None:
            self.send(reply(f"-ERR invalid session id [{command.argument}]"))
            return
        self.send(reply("+OK"))
        match command.header("call-command").lower():
            case "hangup":
                hangup.hangup(switch, leg, command.header("hangup-cause") or "NORMAL_CLEARING")
            case "execute":
                name = command.header("execute-app-name")
                data = command.header("execute-app-arg") or command.body
                applications.execute(switch, leg, name, data)

    def _do_sendevent(self, command: Command) -> None:
        name = command.argument.upper() or "CUSTOM"
        if name not in EVENT_NAMES:
            self.send(reply("-ERR invalid event"))
            return
        uuid = str(uuids.uuid4())
        subclass = command.header("Event-Subclass")
        # The sender's headers come before Event-Name, as on the real one.
        own: dict[str, Value] = {"Event-Subclass": subclass} if subclass else {}
        own["Command"] = f"sendevent {name}"
        own.update((k, v) for k, v in command.headers.items() if k.lower() not in _TRANSPORT_HEADERS)
        own["Event-UUID"] = uuid
        switch = self.server.switch
        event = switch.make(name, subclass=subclass, fired_at="CUSTOM", body=command.body)
        event.blocks.insert(0, Block(own))
        switch.fire(event)
        self.send(reply(f"+OK {uuid}"))
