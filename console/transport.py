"""What the server beneath a websocket can tell and limit.

daphne's `send` never waits: it buffers for a stalled client without bound. Its transport knows when more than 64
KiB wait to be written (`producerPaused`), so an outermost wrapper hands that knowledge to the consumers in the
scope. Servers whose `send` does wait need nothing of this. Beneath both the system takes megabytes for a client that
reads nothing, or whose machine has vanished; Linux tells how much the other side has acknowledged.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from console.protocol import MESSAGE_BYTES

Congested = Callable[[], bool]
CONGESTED = "console.congested"
# A `Straight`, where there is one.
STRAIGHT = "console.straight"
# Closes with a code that the server's own way refuses; False: not possible here.
Leave = Callable[[int], bool]
LEAVE = "console.leave"
# How many bytes the client's machine has acknowledged, while more wait for it; None: nothing waits, or nobody can tell.
Taken = Callable[[], int | None]
TAKEN = "console.taken"
# Ends the connection without a word, and forgets what waits for it.
Drop = Callable[[], None]
DROP = "console.drop"
# `tcpi_bytes_acked` in Linux's struct tcp_info.
_ACKED_AT, _INFO_BYTES = 120, 128
# Above our own limit, so that a message that is a little too long gets a polite answer first.
HARD_MESSAGE_BYTES = 4 * MESSAGE_BYTES


def never() -> bool:
    return False


def stay(code: int) -> bool:
    return False


def untold() -> None:
    return None


def framed(text: bytes) -> bytes:
    """A whole text message as a server sends it (RFC 6455, 5.2): one frame, unmasked."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


class Straight:
    """A socket without the six layers above it that would each copy and schedule a message: one frame for all boards
    costs little more than the system's own call. Only framed messages, and only while nothing of an earlier one waits.
    """

    __slots__ = ("_protocol", "_transport", "_write", "disturbed", "send")

    def __init__(self, protocol: Any, transport: Any) -> None:
        self._protocol, self._transport, self._write = protocol, transport, transport.write
        # How much of it the system takes; OSError: nothing.
        self.send: Callable[[bytes], int] = transport.socket.send
        # Called before anything goes by the ordinary way, from whomever.
        self.disturbed: Callable[[], None] = untold
        transport.write, transport.writeSequence = self.write, self._write_all

    @property
    def free(self) -> bool:
        """Nothing waits, and the connection is open: stays so until `disturbed`, or `send` raises."""
        protocol, transport = self._protocol, self._transport
        if protocol.state != protocol.STATE_OPEN or protocol.send_queue:
            return False
        return not (transport.dataBuffer or transport._tempDataBuffer or transport.disconnecting or transport.TLS)

    def write(self, data: bytes) -> None:
        """By the ordinary way, which waits for room."""
        self.disturbed()
        self._write(data)

    def _write_all(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))


def aware(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap a websocket application: puts `congested()` into the scope and bounds what a client may make us buffer."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        protocol = send.args[0] if isinstance(send, partial) and send.args else None
        transport = getattr(protocol, "transport", None)
        congested: Congested = never
        straight: Straight | None = None
        leave: Leave = stay
        if hasattr(protocol, "sendCloseFrame"):
            leave = partial(_leave, protocol)
        taken: Taken = untold
        drop: Drop = untold
        if transport is not None and hasattr(transport, "producerPaused"):
            congested = partial(_congested, transport)
        if transport is not None and hasattr(transport, "abortConnection"):
            drop = transport.abortConnection
            if sys.platform == "linux":
                taken = partial(_taken, transport)
        if hasattr(protocol, "maxMessagePayloadSize"):
            # autobahn drops the connection before it has buffered more.
            protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = HARD_MESSAGE_BYTES
            protocol.sendMessage = _unlimited(protocol)
            if all(hasattr(transport, name) for name in ("socket", "dataBuffer", "_tempDataBuffer")):
                straight = Straight(protocol, transport)
        ways = {CONGESTED: congested, STRAIGHT: straight, LEAVE: leave, TAKEN: taken, DROP: drop}
        await app({**scope, **ways}, receive, send)

    return application


def _leave(protocol: Any, code: int) -> bool:
    """The code of the RFC itself: `sendClose` allows applications no more than their own range."""
    if protocol.state != protocol.STATE_OPEN:
        return False
    protocol.sendCloseFrame(code=code, isReply=False)
    return True


def _unlimited(protocol: Any) -> Callable[..., None]:
    """autobahn holds what we send to the same limit, and the snapshot of a floor of 200 agents is larger than that."""
    send = protocol.sendMessage

    def send_message(*args: Any, **options: Any) -> None:
        if protocol.state != protocol.STATE_OPEN:
            return  # closed a moment ago; the consumer is told by itself
        limit, protocol.maxMessagePayloadSize = protocol.maxMessagePayloadSize, 0
        try:
            send(*args, **options)
        finally:
            protocol.maxMessagePayloadSize = limit

    return send_message


def _congested(transport: Any) -> bool:
    return bool(transport.producerPaused)


def _taken(transport: Any) -> int | None:
    try:
        sock: socket.socket = transport.socket
        if not int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
            return None
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        return int(struct.unpack_from("=Q", info, _ACKED_AT)[0])
    except (AttributeError, OSError, ValueError, struct.error):
        return None  # closed meanwhile, or a system that tells less
