"""Events for registered handlers, as greenswitch offers them, from a queue that has an end."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
import gevent.event
from greenswitch.esl import ESLEvent

log = logging.getLogger(__name__)


class SwitchEvent(ESLEvent):
    """greenswitch's event: `headers` and, for replies, `data`; made of what was split and decoded already."""

    def __init__(self, headers: dict[str, Any], data: str | None = None) -> None:
        self.headers = headers
        self.data = data


Handler = Callable[[SwitchEvent], None]


class HandlerQueue:
    """`handlers`: event name (of CUSTOM ones the subclass; DISCONNECT, log; * for the rest) -> handlers."""

    def __init__(self, handlers: Mapping[str | None, Sequence[Handler]], limit: int) -> None:
        self._handlers, self._limit = handlers, limit
        self._events: collections.deque[SwitchEvent] = collections.deque()
        self._ready = gevent.event.Event()
        self._ended: SwitchEvent | None = None

    def put(self, event: SwitchEvent) -> bool:
        """Does not wait; False when the queue is full."""
        if len(self._events) >= self._limit:
            return False
        self._events.append(event)
        self._ready.set()
        return True

    def end(self, last: SwitchEvent) -> None:
        """Nothing more will come; `last` is handled after what is queued."""
        self._ended = last
        self._ready.set()

    def run(self) -> None:
        """Handles events until the end; a handler that fails harms nobody."""
        while True:
            if self._events:
                self._dispatch(self._events.popleft())
                gevent.sleep(0)
            elif self._ended is not None:
                self._dispatch(self._ended)
                return
            else:
                self._ready.clear()
                self._ready.wait()

    def _dispatch(self, event: SwitchEvent) -> None:
        name = event.headers.get("Event-Name")
        if name == "CUSTOM":
            name = event.headers.get("Event-Subclass")
        elif event.headers.get("Content-Type") == "text/disconnect-notice":
            name = "DISCONNECT"
        elif event.headers.get("Content-Type") == "log/data":
            name = "log"
        for handler in self._handlers.get(name) or self._handlers.get("*") or ():
            try:
                handler(event)
            except Exception:  # the headers stay out of the log: they hold numbers
                log.exception("a handler of %s failed", name or "an event")
