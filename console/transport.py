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
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from console.protocol import MESSAGE_BYTES

Congested = Callable[[], bool]
CONGESTED = "console.congested"
# Takes a framed message; False: not now, by the ordinary way.
Direct = Callable[[bytes], bool]
DIRECT = "console.direct"
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


def nowhere(framed: bytes) -> bool:
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


def aware(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap a websocket application: puts `congested()` into the scope and bounds what a client may make us buffer."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        protocol = send.args[0] if isinstance(send, partial) and send.args else None
        transport = getattr(protocol, "transport", None)
        congested: Congested = never
        direct: Direct = nowhere
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
                direct = _straight(protocol, transport)
        ways = {CONGESTED: congested, DIRECT: direct, LEAVE: leave, TAKEN: taken, DROP: drop}
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


def _straight(protocol: Any, transport: Any) -> Direct:
    """Hands a framed message to the socket, past the six layers that would each copy and schedule it: one frame for all
    boards costs little more than the system's own call. Only where nothing of an earlier message waits."""
    to_socket, is_open = transport.socket.send, protocol.STATE_OPEN

    def straight(framed: bytes) -> bool:
        if protocol.state != is_open or protocol.send_queue:
            return False
        if transport.dataBuffer or transport._tempDataBuffer or transport.disconnecting or transport.TLS:
            return False
        try:
            written = to_socket(framed)
        except OSError:
            return False  # full, or lost: the ordinary way finds out
        if written < len(framed):
            transport.write(framed[written:])
        return True

    return straight


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
