"""Daphne's front door, with limits: how long a request may take to arrive, how large it may be, and how many
connections may stand there without one.

As it comes, any byte winds the clock of a connection up again, a body of any size is written to a temporary file before
anybody asks who sends it, and connections that say nothing are kept until the process has no file left for the next.
"""

from __future__ import annotations

from typing import Any, Final

import daphne.server
from daphne.http_protocol import HTTPFactory
from twisted.protocols.basic import LineReceiver
from twisted.web.http import HTTPChannel, Request

# From the connection, or the answer before, to the end of the headers; so long, too, may one stand idle.
HEAD_SECONDS: Final = 20.0
# For a whole body: the largest import over a slow line.
BODY_SECONDS: Final = 600.0
# The largest import (dialer/target_import/uploads.py) and what a form is besides.
BODY_BYTES: Final = 66 * 1024 * 1024
# Connections of this process without a request in hand; above it the one that has waited longest has to go.
MOST_WAITING: Final = 400

_TOO_LARGE: Final = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Channel(HTTPChannel):  # type: ignore[misc]  # of an untyped package
    """One connection. A websocket leaves it when its request has been read."""

    factory: Doorway
    abortTimeout = 1  # noqa: N815 - twisted's name; s: a client that does not read its goodbye is cut off
    _body = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.entered(self)

    def dataReceived(self, data: bytes) -> None:
        # Not as its parent, which winds the clock up with every byte.
        LineReceiver.dataReceived(self, data)

    def allHeadersReceived(self) -> None:
        self._body = 0
        super().allHeadersReceived()
        if self.length is not None and self.length > BODY_BYTES:
            self._too_large()
        else:
            self.setTimeout(BODY_SECONDS)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._handlingRequest:
            # Its length may be told piece by piece.
            self._body += len(data)
            if self._body > 2 * BODY_BYTES or (self.length is None and self._body > BODY_BYTES):
                self._too_large()
                return
        super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        self.factory.left(self)
        # What its parent puts aside, for when the answer has been given.
        self.setTimeout(self.timeOut and HEAD_SECONDS)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        if self.persistent:
            self.factory.entered(self)
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:
        self.factory.left(self)
        super().connectionLost(reason)

    def _too_large(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.loseConnection()


class Doorway(HTTPFactory):  # type: ignore[misc]
    """`waiting`: connections without a request in hand, the one that waits longest first."""

    protocol = Channel

    def __init__(self, server: daphne.server.Server) -> None:
        super().__init__(server)
        self.timeOut = HEAD_SECONDS
        self.waiting: dict[Channel, None] = {}

    def entered(self, channel: Channel) -> None:
        while len(self.waiting) >= MOST_WAITING:
            oldest = next(iter(self.waiting))
            self.left(oldest)
            oldest.transport.abortConnection()
        self.waiting[channel] = None

    def left(self, channel: Channel) -> None:
        self.waiting.pop(channel, None)


def guard() -> None:
    """From now on daphne's servers of this process have this door. Called before one is made."""
    daphne.server.HTTPFactory = Doorway  # type: ignore[misc]
