"""One connected client: what it has seen, and what it gets next.

Frames are not queued per client: each client is a cursor into the process's ring of recent frames, so a slow one
costs no memory and, once it can be written to again, gets the latest value (a fresh snapshot when it is far
behind). Only answers meant for it alone wait in a short queue. A client that cannot be written to for
SLOW_CLIENT_SECONDS is closed, and so is one whose machine has taken nothing of what waits for it for so long: the
system's own buffers would hide that from us for minutes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import TYPE_CHECKING, Final, Protocol

from console import codes, protocol
from console.scopes import FLOOR, Scope, one_of
from console.transport import Congested, Direct, Drop, Taken, never, nowhere, untold
from events import counters

if TYPE_CHECKING:
    from console.hub import Entry, Hub
    from console.permissions import Actor
    from console.watch import Right

log = logging.getLogger(__name__)

# Answers not yet taken by the client (ack, result and confirmation of each command): more than it may ask for in a
# minute can only mean that it does not read.
CONTROLS: Final = 3 * protocol.COMMANDS_PER_MINUTE
CONGESTION_POLL_SECONDS: Final = 0.05
# With SLOW_CLIENT_SECONDS and one of these, whoever reads nothing is gone within 5 s.
LOOK_SECONDS: Final = 0.5


# The epoch as a kind of client is told it, and the newest frame as it goes over the wire; None: by the writer.
Ready = tuple[str, bytes | None]


class Encoding(Protocol):
    """How a kind of client wants the floor told."""

    def snapshot(self, hub: Hub, scope: Scope) -> str: ...
    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str: ...
    def packed(self, hub: Hub, entry: Entry, scope: Scope) -> bytes | None: ...
    def control(self, message: protocol.FromServer, about: str) -> str: ...


class Client:
    """`send` and `close` write to the socket; `congested` tells that the server buffers for it."""

    def __init__(
        self,
        hub: Hub,
        encoding: Encoding,
        user_id: int,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        *,
        scope: Scope = FLOOR,
        congested: Congested = never,
        direct: Direct = nowhere,
        taken: Taken = untold,
        drop: Drop = untold,
        slow_seconds: float = protocol.SLOW_CLIENT_SECONDS,
    ) -> None:
        self.hub, self.encoding, self.user_id = hub, encoding, user_id
        self._see(scope)
        # What its rights rest on, for the hub to look at again (watch.py); None: nobody looks.
        self.right: Right | None = None
        self.judged: tuple[Actor | None, Scope] = (None, self.scope)  # by whose rights it was found to be in order
        self._send, self._close, self._congested, self._slow = send, close, congested, slow_seconds
        self._taken, self._drop = taken, drop
        self._took: int | None = None  # what it had taken at the last look, and since when it is no more
        self._took_at, self._stuck = 0.0, False
        self._direct, self._resting = direct, False  # resting: the writer waits, everything said so far is on its way
        self.live = False  # has asked for the floor
        self.closed = False
        self.epoch, self.seq = "", -1
        self._catch_up = -1  # up to here every frame was promised by `resume`
        self._resuming = False  # asked to resume before the hub knew where the floor is
        self._controls: deque[str] = deque()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._write(), name="client-writer")

    def _see(self, scope: Scope) -> None:
        self.scope = one_of(scope)
        # Scopes that are equal are one, and hashing one costs as much as a frame.
        self._kind = type(self.encoding), id(self.scope)

    # --- what the consumer says ---

    def subscribe(self, scope: Scope) -> None:
        """A snapshot of this part, then its frames."""
        self._see(scope)
        self.live, self._resuming = True, False
        self.epoch, self.seq, self._catch_up = "", -1, -1
        self._wake.set()

    def change(self, scope: Scope) -> None:
        """What it may see has changed: from now on this part, beginning with a snapshot."""
        self._see(scope)
        if self.live:
            self.subscribe(scope)

    def resume(self, epoch: str, seq: int) -> None:
        """Every frame after `seq`, or a snapshot: also when the place is one in another part of the floor."""
        self.live = self._resuming = True
        self.epoch, self.seq = epoch, seq
        if self.hub.ready:
            self._promise()
        self._wake.set()

    def _promise(self) -> None:
        """A process that has just begun is asked before it has read the floor: the place is judged once it has."""
        self._resuming = False
        # A place that has not been yet must not come true by the frames that follow.
        if self.seq > self.hub.state.seq:
            self.epoch, self.seq = "", -1
        self._catch_up = self.hub.state.seq

    def post(self, message: protocol.FromServer, about: str = "") -> None:
        """An answer for this client alone. `about`: what the command was, in words."""
        if self.closed:
            return
        if len(self._controls) >= CONTROLS:
            self._end(codes.CLOSE_SLOW)
            return
        self._controls.append(self.encoding.control(message, about))
        self._wake.set()

    def follow(self, ready: dict[Hashable, Ready]) -> None:
        """There is a new frame. Whoever has had all before it gets it at once; the writer looks after the others.
        ready: what each kind of client is told, made for the first of them."""
        if self._resting and self.live and self.seq == self.hub.state.seq - 1:
            if (told := ready.get(self._kind)) is None:
                told = ready[self._kind] = self._ready()
            epoch, packed = told
            if packed is not None and self.epoch == epoch and not self._controls and not self._wake.is_set():
                # Refuses where anything of an earlier message waits.
                if self._direct(packed):
                    self.seq += 1
                    return
        self._wake.set()

    def _ready(self) -> Ready:
        hub, scope = self.hub, self.scope
        seq = hub.state.seq
        packed = self.encoding.packed(hub, hub.ring[seq], scope) if hub.can_follow(seq - 1, scope) else None
        return scope.epoch(hub.state.epoch), packed

    def end(self, code: int, message: protocol.Error | None = None) -> None:
        """Close with `code`, after `message` where the client still reads."""
        if message is not None and not self.closed:
            self._controls.append(self.encoding.control(message, ""))
        self._end(code)

    def gone(self) -> None:
        """The socket is closed already."""
        self.closed = True
        self._task.cancel()

    def look(self, now: float) -> None:
        """Whether its machine still takes what it is sent; `now`: monotonic. To be called every LOOK_SECONDS."""
        taken = self._taken()
        if taken is None or taken != self._took:
            self._took, self._took_at = taken, now
        elif now - self._took_at >= self._slow and not self._stuck:
            self._stuck = True
            self._wake.set()

    # --- what the writer does ---

    def _end(self, code: int) -> None:
        counters.count("sockets_ended", code=str(code))
        self._code = code
        self._ending = True
        self._wake.set()

    _ending = False
    _code = 1000

    async def _write(self) -> None:
        try:
            while not self.closed:
                self._resting = True
                await self._wake.wait()
                self._resting = False
                self._wake.clear()
                while await self._writable() and (text := self._next()) is not None:
                    # Not wait_for: it may swallow the cancellation of a socket that closes meanwhile, and lets others
                    # run between the making of a text and its sending.
                    async with asyncio.timeout(self._slow):
                        await self._send(text)
                if self._ending:
                    self.closed = True
                    await self._close(self._code)
                    return
        except TimeoutError:
            self.closed = True
            log.info("a client that does not read was closed (user %d)", self.user_id)
            counters.count("sockets_ended", code=str(codes.CLOSE_SLOW))
            await self._close(codes.CLOSE_SLOW)
            if self._stuck:
                self._drop()  # it would not take the close either
        except Exception:  # its socket may fail in ways of the server's own; the others go on
            self.closed = True
            log.exception("a client's writer failed")
            await self._close(codes.CLOSE_BROKEN)

    async def _writable(self) -> bool:
        """Waits until the server no longer buffers for this client. Raises TimeoutError."""
        until = time.monotonic() + self._slow
        while self._stuck or self._congested():
            if self._stuck or time.monotonic() > until:
                raise TimeoutError
            await asyncio.sleep(CONGESTION_POLL_SECONDS)
        return True

    def _next(self) -> str | None:
        if self._controls:
            return self._controls.popleft()
        hub = self.hub
        if self._ending or not self.live or not hub.ready:
            return None
        if self._resuming:
            self._promise()
        if (
            self.epoch != self.scope.epoch(hub.state.epoch)
            or self.seq > hub.state.seq
            or not hub.can_follow(self.seq, self.scope)
        ):
            return self._snapshot()
        if self.seq == hub.state.seq:
            return None
        if hub.state.seq - self.seq > protocol.FRAMES_BEHIND and self.seq >= self._catch_up:
            counters.count("outbox_skips")
            return self._snapshot()
        self.seq += 1
        return self.encoding.frame(hub, hub.ring[self.seq], self.scope)

    def _snapshot(self) -> str:
        state = self.hub.state
        self.epoch, self.seq = self.scope.epoch(state.epoch), state.seq
        return self.encoding.snapshot(self.hub, self.scope)


async def look_after(clients: Collection[Client]) -> None:
    """For ever; `clients` is the hub's own set."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = time.monotonic()
        for client in list(clients):
            client.look(now)
