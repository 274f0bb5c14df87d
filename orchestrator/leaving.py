"""How a web process goes: at SIGTERM it takes nothing new, finishes what it has in hand, ends its sockets with 1012
("service restart": boards come back at once, to another process) and then stops. daphne alone would cut all of it off.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

from console import hub

log = logging.getLogger(__name__)

# Longest wait for requests and commands under way, and for sockets to take their last words (s).
FINISH_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.02

_Application = Callable[..., Awaitable[None]]
_under_way = 0


def counted(pages: _Application) -> _Application:
    """The HTTP application, whose requests under way are counted."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        global _under_way
        _under_way += 1
        try:
            await pages(scope, receive, send)
        finally:
            _under_way -= 1

    return application


def watch_signals() -> None:
    """Under daphne: take over SIGTERM and SIGINT once it runs. Elsewhere (a test, another server) nothing happens."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is not None and "daphne.server" in sys.modules:
        # After its own handlers are in place.
        reactor.callWhenRunning(reactor.callLater, 0, _install, reactor)


def _install(reactor: Any) -> None:
    loop = asyncio.get_event_loop()
    tasks: list[asyncio.Task[None]] = []

    def told(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)

    def begin() -> None:
        if tasks:
            _stop(reactor)  # Asked twice: no more patience.
        else:
            tasks.append(loop.create_task(_leave(reactor)))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


async def _leave(reactor: Any) -> None:
    try:
        _close_doors(reactor)
        await _until(lambda: not _under_way and not hub.commands_under_way(), FINISH_SECONDS)
        hub.send_away()
        if not await _until(lambda: not hub.clients_left(), CLOSE_SECONDS):
            log.info("%d sockets did not take their leave in time", hub.clients_left())
    except Exception:  # whatever it was, the process was told to stop
        log.exception("not everything was finished")
    finally:
        _stop(reactor)


def _stop(reactor: Any) -> None:
    from twisted.internet.error import ReactorNotRunning

    try:
        reactor.stop()
    except ReactorNotRunning:
        pass  # It stops already.


def _close_doors(reactor: Any) -> None:
    """New connections are refused at once, so that whoever spreads them takes another process."""
    from twisted.internet.tcp import Port

    for reader in reactor.getReaders():
        if isinstance(reader, Port):
            reader.stopListening()


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True
