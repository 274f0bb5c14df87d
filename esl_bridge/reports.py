"""What the bridge itself has to say, in the shape of switch events, so that the journal has one kind of entry.

Pure. Each process has a Core-UUID of its own and counts its reports, so (Core-UUID, Event-Sequence) is unique for them
as it is for the switch's events. The header names are those that events/facts.py reads.
"""

from __future__ import annotations

from collections.abc import Callable

from esl_bridge import normalise
from esl_bridge.normalise import Headers
from events import facts, streams

# A reply of the switch is one short line; a stray long one (a usage text, a listing) is cut.
MAX_REPLY_CHARACTERS = 500


class Reporter:
    """`clock`: seconds since the epoch. `core_uuid`: new for each process start."""

    def __init__(self, node: str, core_uuid: str, clock: Callable[[], float]) -> None:
        self.node, self.core_uuid = node, core_uuid
        self._clock = clock
        self._sequence = 0

    def order(
        self, order_id: str, kind: str, leg: str, status: str, reply: str = "", leg_exists: bool | None = None
    ) -> bytes:
        headers: Headers = {
            "Order-ID": order_id,
            "Order-Kind": kind,
            "Order-Status": status,
            "Order-Reply": reply.strip()[:MAX_REPLY_CHARACTERS],
            "Unique-ID": leg,
        }
        if leg_exists is not None:
            headers["Leg-Exists"] = _flag(leg_exists)
        return self._event(facts.ORDER_REPORT, headers)

    def link(self, up: bool, reason: str = "", switch_uuid: str = "") -> bytes:
        return self._event(
            facts.LINK_REPORT, {"Link-Up": _flag(up), "Link-Reason": reason, "Switch-Core-UUID": switch_uuid}
        )

    def leg_gone(self, leg: str, cause: str) -> bytes:
        return self._event(facts.LEG_REPORT, {"Unique-ID": leg, "Leg-Status": "gone", "Hangup-Cause": cause})

    def leg_found(self, leg: str, dump: Headers) -> bytes:
        """`dump`: the channel's own headers (uuid_dump); ours go over them."""
        return self._event(facts.LEG_REPORT, {**dump, "Unique-ID": leg, "Leg-Status": "found"})

    def leg_changed(self, leg: str, dump: Headers, joined_before: str, held_before: bool, known_since: int) -> bytes:
        """A leg of which something was missed. *_before: to whom we believed it joined, and whether held; known_since:
        ms."""
        ours: Headers = {
            "Leg-Joined-Before": joined_before,
            "Leg-Held-Before": _flag(held_before),
            "Leg-Known-Since": str(known_since),
        }
        return self.leg_found(leg, {**dump, **ours})

    def sync(self, channels: int, gone: int, found: int, changed: int) -> bytes:
        headers = {"Channels": channels, "Gone": gone, "Found": found, "Changed": changed}
        return self._event(facts.SYNC_REPORT, {f"Sync-{name}": str(count) for name, count in headers.items()})

    def _event(self, subclass: str, headers: Headers) -> bytes:
        self._sequence += 1
        return normalise.to_json(
            {
                **headers,
                "Event-Name": "CUSTOM",
                "Event-Subclass": subclass,
                "Core-UUID": self.core_uuid,
                "Event-Sequence": str(self._sequence),
                "Event-Date-Timestamp": str(int(self._clock() * 1_000_000)),
                streams.JOURNALLED_HEADER: self.node,
            }
        )


def _flag(value: bool) -> str:
    return "true" if value else "false"
