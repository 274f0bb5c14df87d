"""How many connections to PostgreSQL the pages of a web process hold at once, and when they let go of them.

Each request has a thread of its own, and with it a connection of its own that no other request ever finds. Kept open,
as that of a worker is, it would stay until the garbage collector comes by: a burst of pages would take them all from
the dialer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

# Requests that are answered at once, so connections, too; the others wait. More would not be faster: they share a core.
AT_ONCE: Final = 20
# Asks no server, and must be answered however long the others take: whoever asks would end the process.
_ALIVE: Final = "/healthz"

_Application = Callable[..., Awaitable[None]]


def bounded(pages: _Application) -> _Application:
    """The HTTP application, each request of which closes what it has opened. Sockets have a thread outside of it."""
    room = asyncio.Semaphore(AT_ONCE)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == _ALIVE:
            await pages(scope, receive, send)
            return
        await room.acquire()
        async with ThreadSensitiveContext():
            try:
                await pages(scope, receive, send)
            finally:
                # In its thread, so behind what that still does for a client who has gone: daphne cancels us meanwhile.
                closing = asyncio.ensure_future(sync_to_async(connections.close_all)())
                closing.add_done_callback(lambda _: room.release())
                await asyncio.shield(closing)

    return application
