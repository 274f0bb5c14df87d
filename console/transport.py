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
# Above our own limit, so that a message that is a little too long gets a polite answer first.
HARD_MESSAGE_BYTES = 4 * MESSAGE_BYTES


def never() -> bool:
    return False


def aware(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap a websocket application: puts `congested()` into the scope and bounds what a client may make us buffer."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        protocol = send.args[0] if isinstance(send, partial) and send.args else None
        transport = getattr(protocol, "transport", None)
        congested: Congested = never
        if transport is not None and hasattr(transport, "producerPaused"):
            congested = partial(_congested, transport)
        if hasattr(protocol, "maxMessagePayloadSize"):
            # autobahn drops the connection before it has buffered more.
            protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = HARD_MESSAGE_BYTES
        await app({**scope, CONGESTED: congested}, receive, send)

    return application


def _congested(transport: Any) -> bool:
    return bool(transport.producerPaused)
