"""What the server beneath a websocket can tell and limit.

daphne's `send` never waits: it buffers for a stalled client without bound. Its transport knows when more than 64
KiB wait to be written (`producerPaused`), so an outermost wrapper hands that knowledge to the consumers in the
scope. Servers whose `send` does wait need nothing of this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from console.protocol import MESSAGE_BYTES

Congested = Callable[[], bool]
CONGESTED = "console.congested"
# Takes a framed message; False: not now, by the ordinary way.
Direct = Callable[[bytes], bool]
DIRECT = "console.direct"
# Above our own limit, so that a message that is a little too long gets a polite answer first.
HARD_MESSAGE_BYTES = 4 * MESSAGE_BYTES


def never() -> bool:
    return False


def nowhere(framed: bytes) -> bool:
    return False


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
        if transport is not None and hasattr(transport, "producerPaused"):
            congested = partial(_congested, transport)
        if hasattr(protocol, "maxMessagePayloadSize"):
            # autobahn drops the connection before it has buffered more.
            protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = HARD_MESSAGE_BYTES
            protocol.sendMessage = _unlimited(protocol)
            if all(hasattr(transport, name) for name in ("writeSomeData", "dataBuffer", "_tempDataBuffer")):
                direct = partial(_straight, protocol, transport)
        await app({**scope, CONGESTED: congested, DIRECT: direct}, receive, send)

    return application


def _unlimited(protocol: Any) -> Callable[..., None]:
    """autobahn holds what we send to the same limit, and the snapshot of a floor of 200 agents is larger than that."""
    send = protocol.sendMessage

    def send_message(*args: Any, **options: Any) -> None:
        limit, protocol.maxMessagePayloadSize = protocol.maxMessagePayloadSize, 0
        try:
            send(*args, **options)
        finally:
            protocol.maxMessagePayloadSize = limit

    return send_message


def _straight(protocol: Any, transport: Any, framed: bytes) -> bool:
    """Hand a framed message to the socket, past the six layers that would each copy and schedule it: one frame for all
    boards costs little more than the system's own call. Only where nothing of an earlier message waits."""
    if protocol.state != protocol.STATE_OPEN or protocol.send_queue or transport.TLS:
        return False
    if transport.dataBuffer or transport._tempDataBuffer or transport.disconnecting:
        return False
    written = transport.writeSomeData(framed)
    if not isinstance(written, int):
        return False  # lost: the ordinary way finds out
    if written < len(framed):
        transport.write(framed[written:])
    return True


def _congested(transport: Any) -> bool:
    return bool(transport.producerPaused)
