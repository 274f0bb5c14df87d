"""Legs of which a word of the switch is awaited before anything else is done to them.

*Rising* ones were called by us and have not parked yet. Between a leg's CHANNEL_ANSWER and its CHANNEL_PARK the thread
that called it still has to send it to `park`. A `uuid_bridge` that comes in between is answered with +OK and then
undone: the customer ends up parked and the other leg, an agent who had been waiting, is hung up with
DESTINATION_OUT_OF_ORDER (FreeSWITCH 1.10.12: 5 of 1,230 joins ordered at the answer, none of 1,200 ordered after the
parking). So whatever moves a leg waits until it has parked, some 20 ms. Of an overloaded switch that thread was seen to
be seconds late; until the order to call has come back (*calling*) there is nothing to give up.

*Joining* ones are being joined by our order, and CHANNEL_BRIDGE has not come. The switch takes the order, says +OK and
joins a moment later; asked in between, it says that the leg is joined to nobody. Whoever is only to be played a message
or hung up if nobody talks with them would be, in the middle of the first word: a bridge that had been away found both
orders, the joining and what had been decided since it did not come.
"""

from __future__ import annotations

import time
from typing import Final

import gevent.event

# Longest waits for CHANNEL_PARK and for CHANNEL_BRIDGE. Should it never come (a lost event, a joining that failed), the
# order leaves, or the switch is asked, all the same: late is better.
PARK_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 2.0


class AwaitedLegs:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._legs: dict[str, gevent.event.Event] = {}

    def __contains__(self, leg: str) -> bool:
        return leg in self._legs

    def __len__(self) -> int:
        return len(self._legs)

    def add(self, leg: str) -> None:
        self._legs.setdefault(leg, gevent.event.Event())

    def settled(self, leg: str) -> None:
        """The word has come, or the leg has ended: nothing waits for it any longer."""
        event = self._legs.pop(leg, None)
        if event is not None:
            event.set()

    def clear(self) -> None:
        for leg in list(self._legs):
            self.settled(leg)

    def wait(self, *legs: str) -> None:
        """Until none of them is awaited, at most `seconds` in all; after that they count as settled."""
        deadline = time.monotonic() + self.seconds
        for leg in legs:
            if not self._came(leg, deadline):
                self.settled(leg)

    def came(self, *legs: str, within: float) -> bool:
        """Whether none of them is awaited any longer after at most so many seconds; they are awaited on."""
        deadline = time.monotonic() + within
        return all(self._came(leg, deadline) for leg in legs)

    def _came(self, leg: str, deadline: float) -> bool:
        event = self._legs.get(leg)
        return event is None or event.wait(max(0.0, deadline - time.monotonic()))
