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
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final

from console import codes, protocol
from console.lanes import Encoding, Place
from console.scopes import FLOOR, Scope
from console.transport import Congested, Drop, Straight, Taken, never, untold
from events import counters

if TYPE_CHECKING:
    from console.hub import Hub
    from console.permissions import Actor
    from console.watch import Right

log = logging.getLogger(__name__)

# Answers not yet taken by the client (ack, result and confirmation of each command): more than it may ask for in a
# minute can only mean that it does not read.
CONTROLS: Final = 3 * protocol.COMMANDS_PER_MINUTE
CONGESTION_POLL_SECONDS: Final = 0.05
# With SLOW_CLIENT_SECONDS and one of these, whoever reads nothing is gone within 5 s.
LOOK_SECONDS: Final = 0.5


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
        straight: Straight | None = None,
        taken: Taken = untold,
        drop: Drop = untold,
        slow_seconds: float = protocol.SLOW_CLIENT_SECONDS,
    ) -> None:
        self.hub, self.encoding, self.user_id = hub, encoding, user_id
        self._lane, self._place = hub.lane(encoding, scope), Place()
        # What its rights rest on, for the hub to look at again (watch.py); None: nobody looks.
        self.right: Right | None = None
        self.judged: tuple[Actor | None, Scope] = (None, self.scope)  # by whose rights it was found to be in order
        self._send, self._close, self._congested, self._slow = send, close, congested, slow_seconds
        self._taken, self._drop = taken, drop
        self._took: int | None = None  # what it had taken at the last look, and since when it is no more
        self._took_at, self._stuck = 0.0, False
        self._straight, self._resting = straight, False  # resting: the writer waits, all said so far is on its way
        if straight is not None:
            straight.disturbed = self._leave
        self.live = False  # has asked for the floor
        self.closed = False
        self._catch_up = -1  # up to here every frame was promised by `resume`
        self._resuming = False  # asked to resume before the hub knew where the floor is
        self._controls: deque[str] = deque()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._write(), name="client-writer")

    @property
    def scope(self) -> Scope:
        return self._lane.scope

    def _see(self, scope: Scope) -> None:
        self._leave()
        self._lane = self.hub.lane(self.encoding, scope)

    # --- what the consumer says ---

    def subscribe(self, scope: Scope) -> None:
        """A snapshot of this part, then its frames."""
        self._see(scope)
        self.live, self._resuming = True, False
        self._place, self._catch_up = Place(), -1
        self._wake.set()

    def change(self, scope: Scope) -> None:
        """What it may see has changed: from now on this part, beginning with a snapshot."""
        if self.live:
            self.subscribe(scope)
        else:
            self._see(scope)

    def resume(self, epoch: str, seq: int, scope: Scope) -> None:
        """Every frame of this part after `seq`, or a snapshot: also when the place is one in another part."""
        self._see(scope)
        self._wake.set()
        self.live = self._resuming = True
        self._place = Place(epoch, seq)
        if self.hub.ready:
            self._promise()

    def _promise(self) -> None:
        """A process that has just begun is asked before it has read the floor: the place is judged once it has."""
        self._resuming = False
        # A place that has not been yet must not come true by the frames that follow.
        if self._place.seq > self.hub.state.seq:
            self._place = Place()
        self._catch_up = self.hub.state.seq

    def post(self, message: protocol.FromServer, about: str = "") -> None:
        """An answer for this client alone. `about`: what the command was, in words."""
        if self.closed:
            return
        if len(self._controls) >= CONTROLS:
            self._end(codes.CLOSE_SLOW)
            return
        self._controls.append(self.encoding.control(message, about))
        self.stir()

    def follow(self) -> None:
        """There is something new, and it is not level. Whoever has had all before it is from now on, and gets it with
        the others; the writer looks after the rest."""
        if self._resting and self.live and self._straight and not self.closed and not self._wake.is_set():
            if self._lane.join(self, self._place, self._straight):
                self._place = self._lane.place
                self.hub.apart.discard(self)
                return
        self._wake.set()

    def stir(self) -> None:
        """There is something for it alone, or it cannot keep level: the writer's turn."""
        self._leave()
        self._wake.set()

    def _leave(self) -> None:
        if self._lane.level.pop(self, None) is not None:
            self._place = Place(self._place.epoch, self._place.seq)
            self.hub.apart.add(self)

    def end(self, code: int, message: protocol.Error | None = None) -> None:
        """Close with `code`, after `message` where the client still reads."""
        if message is not None and not self.closed:
            self._controls.append(self.encoding.control(message, ""))
        self._end(code)

    def gone(self) -> None:
        """The socket is closed already."""
        self._leave()
        self.closed = True
        self._task.cancel()

    def look(self, now: float) -> None:
        """Whether its machine still takes what it is sent; `now`: monotonic. To be called every LOOK_SECONDS."""
        taken = self._taken()
        if taken is None or taken != self._took:
            self._took, self._took_at = taken, now
        elif now - self._took_at >= self._slow and not self._stuck:
            self._stuck = True
            self.stir()

    # --- what the writer does ---

    def _end(self, code: int) -> None:
        counters.count("sockets_ended", code=str(code))
        self._code = code
        self._ending = True
        self.stir()

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
        place = self._place
        if (
            place.epoch != self.scope.epoch(hub.state.epoch)
            or place.seq > hub.state.seq
            or not hub.can_follow(place.seq, self.scope)
        ):
            return self._snapshot()
        if place.seq == hub.state.seq:
            return None
        if hub.state.seq - place.seq > protocol.FRAMES_BEHIND and place.seq >= self._catch_up:
            counters.count("outbox_skips")
            return self._snapshot()
        place.seq += 1
        return self.encoding.frame(hub, hub.ring[place.seq], self.scope)

    def _snapshot(self) -> str:
        state = self.hub.state
        self._place = Place(self.scope.epoch(state.epoch), state.seq)
        return self.encoding.snapshot(self.hub, self.scope)


async def look_after(clients: Collection[Client]) -> None:
    """For ever; `clients` is the hub's own set."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = time.monotonic()
        for client in list(clients):
            client.look(now)
