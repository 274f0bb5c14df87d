"""Events that an external dispatcher only publishes: heard here and put on the journal, so that they take the one path.

Publish/subscribe keeps nothing for those who are away; a dispatcher that must not lose events uses the bridge.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import Any, Final

import redis
from django.conf import settings

from events import streams
from events.journal import Journal

log = logging.getLogger(__name__)

# The bridge has journalled these already. As a key, with its colon: inside a value the quotes would be escaped, and a
# caller who has that very name as a value is followed by a comma.
_JOURNALLED: Final = re.compile(rb'"' + streams.JOURNALLED_HEADER.encode() + rb'"\s*:')
# No event of a switch comes near this; what does is dropped and counted: the journal keeps what it is given.
EVENT_BYTES: Final = 1_048_576
GATHER: Final = 200
RECONNECT_SECONDS: Final = 1.0


def is_foreign(payload: bytes) -> bool:
    """Whether nobody has journalled this event yet."""
    return _JOURNALLED.search(payload) is None


class Listener:
    """Counts: `accepted` events put on the journal, `oversized` ones dropped."""

    def __init__(self) -> None:
        self.accepted = self.oversized = 0
        self.subscribed = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`: subscribe, journal what is foreign, reconnect when the link breaks. Never raises."""
        while not stop.is_set():
            try:
                self._listen(stop)
            except redis.RedisError as error:
                log.warning("%s is not heard, reconnecting: %s", settings.FREESWITCH_EVENT_CHANNEL, error)
                stop.wait(RECONNECT_SECONDS)
            except Exception:
                log.exception("listening to %s failed", settings.FREESWITCH_EVENT_CHANNEL)
                stop.wait(RECONNECT_SECONDS)
            finally:
                self.subscribed.clear()

    def _listen(self, stop: threading.Event) -> None:
        # Their own connections: publishing and subscribing do not mix on one.
        incoming, outgoing = streams.connect(blocking=True), streams.connect()
        journal = Journal(outgoing)
        channel: Any = incoming.pubsub()  # type: ignore[no-untyped-call]
        try:
            channel.subscribe(settings.FREESWITCH_EVENT_CHANNEL)
            foreign: list[bytes] = []
            heard = time.monotonic()
            while not stop.is_set():
                # With something in hand, only take what is there already; else wait.
                message: Any = channel.get_message(timeout=0 if foreign else streams.BLOCK_MS / 1000)
                if message is not None:
                    heard = time.monotonic()
                elif time.monotonic() - heard > streams.CHANNEL_SECONDS:
                    raise redis.TimeoutError("the channel is silent")
                elif not foreign:
                    channel.ping()
                if message is not None and message["type"] == "subscribe":
                    self.subscribed.set()
                elif message is not None and message["type"] == "message" and is_foreign(message["data"]):
                    if len(message["data"]) > EVENT_BYTES:
                        self.oversized += 1
                        log.error("an event of %d bytes on %s was dropped", len(message["data"]), message["channel"])
                    else:
                        foreign.append(message["data"])
                if foreign and (message is None or len(foreign) >= GATHER):
                    journal.append(foreign)
                    self.accepted += len(foreign)
                    foreign = []
        finally:
            channel.close()
            incoming.close()
            outgoing.close()
