"""Clients that are told the same, and how a frame reaches all of them at once.

Most boards, most of the time, have had every message and wait for the next. They are *level*: they share one place,
and a frame goes to their sockets in one loop that touches nothing else of them. Whatever else happens to a client (a
command of its own, a message of the server beneath, a socket that is full) takes it out first, with its own place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from console import protocol
from console.scopes import Scope
from console.transport import Straight

if TYPE_CHECKING:
    from console.hub import Entry, Hub
    from console.outbox import Client


class Encoding(Protocol):
    """How a kind of client wants the floor told."""

    def snapshot(self, hub: Hub, scope: Scope) -> str: ...
    def frame(self, hub: Hub, entry: Entry, scope: Scope) -> str: ...
    def packed(self, hub: Hub, entry: Entry, scope: Scope) -> bytes | None: ...
    def control(self, message: protocol.FromServer, about: str) -> str: ...


class Place:
    """The last that was told."""

    __slots__ = ("epoch", "seq")

    def __init__(self, epoch: str = "", seq: int = -1) -> None:
        self.epoch, self.seq = epoch, seq

    def same(self, other: Place) -> bool:
        return self.seq == other.seq and self.epoch == other.epoch


class Lane:
    """All clients that are told `scope` in `encoding`; made by `Hub.lane`."""

    def __init__(self, encoding: Encoding, scope: Scope) -> None:
        self.encoding, self.scope = encoding, scope
        self.place = Place()
        self.level: dict[Client, Straight] = {}
        self._ready: tuple[str, int, bytes | None] = "", -1, None

    def join(self, client: Client, place: Place, straight: Straight) -> bool:
        """Whether the newest frame is the next one after `place`, and `tell` will send it: then the client's place is
        the lane's from now on."""
        newest = self._newest(client.hub)
        if newest is None or not place.same(newest[0]) or not straight.free:
            return False
        if not self.level:
            self.place = newest[0]
        elif not self.place.same(place):
            return False  # the others are behind, and about to be sent away
        self.level[client] = straight
        return True

    def tell(self, hub: Hub) -> None:
        """There is something new: to all who are level."""
        if not self.level or self.place.same(Place(self.scope.epoch(hub.state.epoch), hub.state.seq)):
            return
        newest = self._newest(hub)
        if newest is None or not self.place.same(newest[0]):
            for client in list(self.level):
                client.stir()
            return
        packed = newest[1]
        size, refused, halved = len(packed), [], []
        for client, straight in self.level.items():
            try:
                written = straight.send(packed)
            except OSError:
                refused.append(client)  # full, or lost: the ordinary way finds out
                continue
            if written < size:
                halved.append((straight, written))
        for client in refused:
            client.stir()
        self.place.seq += 1
        for straight, written in halved:
            straight.write(packed[written:])

    def _newest(self, hub: Hub) -> tuple[Place, bytes] | None:
        """The newest frame, and the place it follows; None: it is not told the same to all, or not at hand."""
        epoch, seq = hub.state.epoch, hub.state.seq
        if self._ready[:2] != (epoch, seq):
            packed = None
            if hub.can_follow(seq - 1, self.scope):
                packed = self.encoding.packed(hub, hub.ring[seq], self.scope)
            self._ready = epoch, seq, packed
        packed = self._ready[2]
        return (Place(self.scope.epoch(epoch), seq - 1), packed) if packed is not None else None
