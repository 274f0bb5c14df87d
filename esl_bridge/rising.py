"""Legs that are on their way up: called by us, not parked yet.

Between a leg's CHANNEL_ANSWER and its CHANNEL_PARK the thread that called it still has to send it to `park`. A
`uuid_bridge` that comes in between is answered with +OK and then undone: the customer ends up parked and the other leg,
an agent who had been waiting, is hung up with DESTINATION_OUT_OF_ORDER (FreeSWITCH 1.10.12: 5 of 1,230 joins ordered
at the answer, none of 1,200 ordered after the parking). So whatever moves a leg waits until it has parked, some 20 ms.
"""

from __future__ import annotations

import time
from typing import Final

import gevent.event

# Longest wait for CHANNEL_PARK. Should it never come (a lost event), the order leaves all the same: late is better.
PARK_SECONDS: Final = 1.0


class RisingLegs:
    def __init__(self) -> None:
        self._legs: dict[str, gevent.event.Event] = {}

    def __contains__(self, leg: str) -> bool:
        return leg in self._legs

    def __len__(self) -> int:
        return len(self._legs)

    def add(self, leg: str) -> None:
        self._legs.setdefault(leg, gevent.event.Event())

    def settled(self, leg: str) -> None:
        """It has parked, or it has ended: nothing waits for it any longer."""
        event = self._legs.pop(leg, None)
        if event is not None:
            event.set()

    def clear(self) -> None:
        for leg in list(self._legs):
            self.settled(leg)

    def wait(self, *legs: str) -> None:
        """Until none of them is rising, at most PARK_SECONDS in all; after that they count as settled."""
        deadline = time.monotonic() + PARK_SECONDS
        for leg in legs:
            event = self._legs.get(leg)
            if event is not None and not event.wait(max(0.0, deadline - time.monotonic())):
                self.settled(leg)
