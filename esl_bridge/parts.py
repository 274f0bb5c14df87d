"""The greenlets that something is made of, so that none of them ends unnoticed while the rest goes on."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import gevent

log = logging.getLogger(__name__)


class Parts:
    """`ended(why)` is called, and must not wait, when a lasting part ends or any part raises before `over()`."""

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended
        self._lasting: dict[str, gevent.Greenlet] = {}
        self._over = False
        self.failed = 0  # ended before their time

    def lasting(self, name: str, task: Callable[..., Any], *args: Any) -> gevent.Greenlet:
        """One that is there as long as the whole is."""
        greenlet = self._lasting[name] = gevent.Greenlet(self._run, name, task, *args)
        greenlet.link(lambda ended: self._told(name, _why(ended) or "it has stopped"))
        greenlet.start()
        return greenlet

    def passing(self, name: str, task: Callable[..., Any], *args: Any) -> gevent.Greenlet:
        """One that has something to do and returns; only raising is its failure."""
        greenlet = gevent.Greenlet(self._run, name, task, *args)
        greenlet.link(lambda ended: self._told(name, why) if (why := _why(ended)) else None)
        greenlet.start()
        return greenlet

    def join(self, seconds: float) -> None:
        """Wait for the lasting ones, but for the caller itself."""
        gevent.joinall([each for each in self._lasting.values() if each is not gevent.getcurrent()], timeout=seconds)

    def over(self) -> None:
        """From here on they may end."""
        self._over = True

    def kill(self, seconds: float) -> None:
        self.over()
        gevent.killall(list(self._lasting.values()), timeout=seconds)

    def alive(self) -> dict[str, bool]:
        """Of each lasting part, whether it lives; nothing once it is over."""
        return {} if self._over else {name: not greenlet.dead for name, greenlet in self._lasting.items()}

    def _run(self, name: str, task: Callable[..., Any], *args: Any) -> str:
        """Why it failed, '' when it returned."""
        try:
            task(*args)
        except Exception as error:  # noqa: BLE001 - logged, and told
            # Neither its message nor its arguments: they hold what it was working on, numbers among it.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s failed with %s:\n%s", name, type(error).__name__, where)
            return type(error).__name__
        return ""

    def _told(self, name: str, why: str) -> None:
        if self._over:
            return
        self.failed += 1
        log.critical("a part of the bridge has ended: %s (%s)", name, why)
        # What is left of a whole is over with the first of its parts.
        self._ended(f"{name} has ended: {why}")


def _why(ended: gevent.Greenlet) -> str:
    """What `_run` has returned; '' when it was killed."""
    return ended.value if isinstance(ended.value, str) else ""
