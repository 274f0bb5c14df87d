"""A hardened `greenswitch.InboundESL`: the same public API, with receiving, handling, sending and connecting replaced.

What the original lacks and this one has: framing that no header value can break, a deadline on everything that waits,
pending commands that fail when the link does, a bounded event queue, the end of the stream noticed at once, silence
noticed after `silence` seconds, no line break in any argument, our own Job-UUID on `bgapi`.

It never stops reading: FreeSWITCH freezes *all* its listeners while one of them is stuck. When nobody takes the events
any more the socket is closed instead, and the owner reconnects and compares what it missed.
"""

from __future__ import annotations

import collections
import functools
import itertools
import logging
import socket as socket_names
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
import gevent.event
import gevent.lock
import gevent.socket as socket
from greenswitch.esl import InboundESL, NotConnectedError

from esl_bridge import normalise, pending
from esl_bridge.framing import Frame, FrameSplitter, FramingError
from esl_bridge.handlers import HandlerQueue, SwitchEvent
from esl_bridge.parts import Parts
from events import vanished

log = logging.getLogger(__name__)

# Longest wait for a reply. FreeSWITCH answers in under a millisecond; seconds only happen while a stuck listener
# freezes all of them, and then this connection is better given up than waited for.
COMMAND_SECONDS: Final = 10.0
# Longest wait for the socket to take one command; a switch that does not read for so long is stuck.
WRITE_SECONDS: Final = 5.0
# HEARTBEAT comes every 20 s; two missed and a little more is silence. For connections that subscribe to it.
SILENCE_SECONDS: Final = 45.0
# Events waiting for this client's own handlers: about 40 MB of real events, ten seconds of a very busy switch.
QUEUE_EVENTS: Final = 10_000
# Commands sent and not answered yet; at FreeSWITCH's 700 bgapi per second more would outlive COMMAND_SECONDS.
PENDING_COMMANDS: Final = 4_000
READ_BYTES: Final = 64 * 1024
# A busy stream never makes the socket wait, so the reader lets others run after this many reads.
READS_PER_TURN: Final = 4
STOP_SECONDS: Final = 2.0
# A reply this late is asked after: the answer to a later question shows that it was lost, and none that the switch is
# slow. How often is looked (s).
LATE_SECONDS: Final = 0.4
LOOK_SECONDS: Final = 0.2


class AuthenticationFailed(NotConnectedError, ValueError):
    """The switch refused the password (or our address). greenswitch raises ValueError for it, so this is one too."""


class ESLClient(InboundESL):
    """One connection. `connect()` raises NotConnectedError (AuthenticationFailed for the password) within `timeout` s.

    `on_frame`: called in the reader for every event frame, must not wait; returning False means "no room" and closes
    the connection. Without it events go to the handlers registered by `register_handle`, as with greenswitch.
    """

    def __init__(
        self,
        host: str,
        port: int,
        password: str,
        timeout: float = 5,
        *,
        on_frame: Callable[[Frame], bool] | None = None,
        silence: float | None = SILENCE_SECONDS,
        command_seconds: float = COMMAND_SECONDS,
        write_seconds: float = WRITE_SECONDS,
        queue_events: int = QUEUE_EVENTS,
    ) -> None:
        super().__init__(host, port, password, timeout)
        self.reason = ""  # why the link is down, for people
        self.closed = gevent.event.Event()  # set when it has gone down
        self.unexpected = 0  # frames nobody waited for
        self._on_frame = on_frame
        self._silence = silence
        self._command_seconds, self._write_seconds = command_seconds, write_seconds
        self._queue_events = queue_events
        self._queue = HandlerQueue(self.event_handlers, queue_events)
        self._write_lock = gevent.lock.Semaphore()
        self.parts = Parts(self.fail)
        self._echoes = itertools.count(1)
        self._splitter = FrameSplitter()
        self._told = self._logged_in = False  # the password; that it is right
        self.sock: Any = None

    # --- connecting ---------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect and log in; nothing of an earlier connection of this object remains."""
        if self.connected:
            raise NotConnectedError("already connected")
        self._reset()
        try:
            with gevent.Timeout(self.timeout, NotConnectedError(f"no login within {self.timeout} s")):
                try:
                    self.sock = socket.create_connection((self.host, self.port))
                except OSError as error:
                    raise NotConnectedError(f"cannot connect: {error}") from error
                self._tune(self.sock)
                self.connected = True
                self.start_event_handlers()
                self._auth_request_event.wait()
                if not self.connected:
                    raise NotConnectedError(self.reason)
                self.authenticate()
        except BaseException as error:
            self.fail(str(error) or type(error).__name__)
            raise

    def authenticate(self) -> None:
        self._told = True
        try:
            reply = self.send(f"auth {self.password}")
        except ValueError:
            raise AuthenticationFailed("the password holds a line break (FREESWITCH_ESL_PASSWORD)") from None
        if not _accepted(reply):
            raise AuthenticationFailed("the switch refused the password (FREESWITCH_ESL_PASSWORD)")

    def start_event_handlers(self) -> None:
        self.parts = Parts(self.fail)
        self._receive_events_greenlet = self.parts.lasting("reader", self.receive_events)
        self._process_events_greenlet = self.parts.lasting("handlers", self.process_events)
        self.parts.lasting("watch", self._watch)

    def _reset(self) -> None:
        self._run, self._told, self._logged_in = True, False, False
        self.reason = ""
        self.closed.clear()
        self._auth_request_event.clear()
        self._commands_sent: collections.deque[pending.Sent] = collections.deque()
        self._queue = HandlerQueue(self.event_handlers, self._queue_events)
        self._splitter = FrameSplitter()
        self._heard_at = time.monotonic()

    @staticmethod
    def _tune(sock: Any) -> None:
        sock.setsockopt(socket_names.IPPROTO_TCP, socket_names.TCP_NODELAY, 1)
        sock.setsockopt(socket_names.SOL_SOCKET, socket_names.SO_KEEPALIVE, 1)
        for option, value in vanished.TCP.items():
            sock.setsockopt(socket_names.IPPROTO_TCP, option, value)

    # --- receiving ----------------------------------------------------------------------------------------------------

    def receive_events(self) -> None:
        """Reads until the link is down. Only frames and queues."""
        sock, reads = self.sock, 0
        try:
            while self.connected:
                data = sock.recv(READ_BYTES)
                if not data:
                    where = self._splitter.waiting
                    self.fail("the switch closed the connection" + (f" inside a {where}" if where else ""))
                    return
                self._heard_at = time.monotonic()
                for frame in self._splitter.feed(data):
                    self.handle_event(frame)
                    if not self.connected:
                        return
                if self._splitter.broken:
                    raise self._splitter.broken
                reads += 1
                if reads % READS_PER_TURN == 0:
                    gevent.sleep(0)
        except FramingError as error:
            self.fail(f"the switch sent what is no frame: {self._quoted(str(error))}")
        except OSError as error:
            self.fail(f"connection lost: {error.strerror or error}")
        except Exception as error:  # a fault of ours must be a dead link that is noticed, not a deaf one that is not
            log.exception("the ESL reader failed; the connection is closed and will be made again")
            self.parts.failed += 1
            self.fail(f"reader failed: {type(error).__name__}")

    def handle_event(self, event: Frame) -> None:  # greenswitch's name; here it takes a frame
        match event.content_type:
            case normalise.JSON_TYPE | normalise.PLAIN_TYPE:
                if self._on_frame is not None:
                    if not self._on_frame(event):
                        self.fail("events are not taken fast enough; closed before the switch gets stuck on us")
                else:
                    self._queue_frame(event)
            case "command/reply":
                self._answer(SwitchEvent(dict(event.headers), event.headers.get("Reply-Text", "")))
            case "api/response":
                self._answer(SwitchEvent(dict(event.headers), event.body.decode("utf-8", "replace")))
            case "auth/request":
                self._auth_request_event.set()
            case "text/disconnect-notice":
                said = " ".join(event.body.decode("utf-8", "replace").split())[:120]
                self.fail(f"the switch says: {self._quoted(said) or 'disconnected'}")
            case "text/rude-rejection":
                self.fail("the switch rejects our address (its ESL access list)")
            case "log/data":
                self._enqueue(SwitchEvent(dict(event.headers), event.body.decode("utf-8", "replace")))
            case _:
                self.unexpected += 1

    def _quoted(self, said: str) -> str:
        """What the far end said, for the log and the board; whatever it is may give back the password it was told."""
        return "(not shown, it may hold the password)" if self._told and not self._logged_in else said

    def _answer(self, reply: SwitchEvent) -> None:
        if not self._commands_sent:
            self.unexpected += 1
            return
        sent = self._commands_sent[0]
        if not sent.may_have(reply):
            # Its own reply was lost, so every later one would be believed by the wrong command.
            self.fail("replies are out of step with commands: one was lost")
            return
        self._commands_sent.popleft()
        # Here, and not where it is waited for: what the switch says next may have come with it.
        self._logged_in = self._logged_in or (self._told and _accepted(reply))
        sent.command.replied(reply)

    def _queue_frame(self, frame: Frame) -> None:
        try:
            event = normalise.event_of(frame)
        except normalise.Unreadable as error:
            self.unexpected += 1
            log.warning("an unreadable event was dropped: %s", error)
            return
        self._enqueue(SwitchEvent(dict(event.headers)))

    def _enqueue(self, event: SwitchEvent) -> None:
        if not self._queue.put(event):
            self.fail(f"{self._queue_events} events wait for their handlers; closed before the switch gets stuck on us")

    def process_events(self) -> None:
        """Runs the handlers; what was queued when the link went down is still handled, then DISCONNECT."""
        self._queue.run()

    def _watch(self) -> None:
        """Silence, and replies that were lost: the later ones would go to wrong commands."""
        silence = self._silence or float("inf")
        while not self.closed.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now - self._heard_at >= silence:
                self.fail(f"nothing heard for {silence:g} s")
            elif self._waited(now) >= self._command_seconds:
                self.fail(f"no reply to a command within {self._command_seconds:g} s")
            elif self._logged_in and self._waited(now) >= LATE_SECONDS and not self._echo_sent():
                try:
                    self.submit(*pending.echo(next(self._echoes)))
                except NotConnectedError as error:
                    log.debug("a late reply cannot be asked after: %s", error)

    def _waited(self, now: float) -> float:
        """For how long the oldest unanswered command has been sent (s)."""
        return now - self._commands_sent[0].at if self._commands_sent else 0.0

    def _echo_sent(self) -> bool:
        return any(sent.echo for sent in self._commands_sent)

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, data: str) -> SwitchEvent:
        """The reply (`.headers`, `.data`) to one line. Raises NotConnectedError; ValueError for a line break."""
        return self.wait_for(self.submit(data))

    def api(self, command: str) -> str:
        """The reply's text. Raises NotConnectedError."""
        return str(self.send(f"api {command}").data)

    def bgapi(self, jobs: Sequence[tuple[str, str]], replied: Callable[[str, SwitchEvent], None]) -> None:
        """Start background jobs, each a command and our own id for it, in one write.

        `replied(id, reply)`: the command's reply, not the job's; called in the reader, must not wait, and not called
        when the link goes down first. Raises NotConnectedError: any of them may have left.
        """
        self._write([
            pending.Command((f"bgapi {command}", f"Job-UUID: {job}"), functools.partial(replied, job))
            for command, job in jobs
        ])  # fmt: skip

    def ask(self, commands: Sequence[str]) -> list[str]:
        """The replies to several `api` commands. Raises NotConnectedError.

        A reply does not say which command it belongs to, and a leg must not be declared gone by the reply to another
        question: the last question's answer is known beforehand, so that a lost or a strange reply shows.
        """
        answers = self._submit([*((f"api {command}",) for command in commands), pending.echo(next(self._echoes))])
        replies = [self.wait_for(answer) for answer in answers]
        return [str(reply.data) for reply in replies[:-1]]

    def submit(self, *lines: str) -> gevent.event.AsyncResult:
        """Write one command without waiting for its reply. Raises NotConnectedError when it cannot leave whole."""
        return self._submit([lines])[0]

    def _submit(self, commands: Sequence[tuple[str, ...]]) -> list[gevent.event.AsyncResult]:
        answers = [gevent.event.AsyncResult() for _ in commands]
        self._write([
            pending.Command(lines, answer.set, answer.set_exception)
            for lines, answer in zip(commands, answers, strict=True)
        ])  # fmt: skip
        return answers

    def _write(self, commands: Sequence[pending.Command]) -> None:
        """Write commands with none of another's between them."""
        text = "".join(["\n".join(command.lines) + "\n\n" for command in commands])
        if "\r" in text or text.count("\n") != sum(len(command.lines) + 1 for command in commands):
            raise ValueError("a command must not hold a line break")
        message = text.encode("utf-8")
        if not self._write_lock.acquire(timeout=self._write_seconds):
            raise NotConnectedError(f"other commands have been waiting to be written for {self._write_seconds:g} s")
        try:
            if not self.connected:
                raise NotConnectedError(self.reason or "not connected")
            if len(self._commands_sent) + len(commands) > PENDING_COMMANDS:
                raise NotConnectedError(f"{PENDING_COMMANDS} commands are waiting for their reply")
            now = time.monotonic()
            self._commands_sent += [pending.expecting(command, now) for command in commands]
            try:
                with gevent.Timeout(self._write_seconds, TimeoutError("not written in time")):
                    self.sock.sendall(message)
            except OSError as error:  # TimeoutError is one; a half-written command ends this connection
                self.fail(f"cannot write to the switch: {error}")
                raise NotConnectedError(self.reason) from error
        finally:
            self._write_lock.release()

    @staticmethod
    def wait_for(answer: gevent.event.AsyncResult) -> SwitchEvent:
        """The reply to a submitted command; the watch ends a link whose reply is missing. Raises NotConnectedError."""
        reply: SwitchEvent = answer.get()
        return reply

    # --- ending -------------------------------------------------------------------------------------------------------

    def fail(self, reason: str) -> None:
        """The link is down, for this reason: close the socket and fail every pending command. Does not wait."""
        if self.closed.is_set():
            return
        self.connected = self._run = self._logged_in = False
        self.reason = reason
        self.parts.over()
        self.closed.set()
        self._auth_request_event.set()
        self._queue.end(SwitchEvent({"Content-Type": "text/disconnect-notice", "Reason": reason}))
        if self.sock is not None:
            self.sock.close()
        waiting, self._commands_sent = self._commands_sent, collections.deque()
        for sent in waiting:
            sent.command.failed(NotConnectedError(reason))

    def stop(self) -> None:
        """Say goodbye and close; waits at most a few seconds."""
        if self.connected:
            try:
                self.submit("exit").get(timeout=STOP_SECONDS)
            except (NotConnectedError, gevent.Timeout):
                pass
        self.fail("stopped")
        self.parts.join(STOP_SECONDS)

    disconnect = stop


def _accepted(reply: SwitchEvent) -> bool:
    return bool(reply.headers.get("Reply-Text") == "+OK accepted")
