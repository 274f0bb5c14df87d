"""The FreeSWITCH nodes of this installation: one, or several with a bridge each (docs/operations.md, "Scaling").

    FREESWITCH_NODES=main=10.0.0.5:8021/1000-1999,east=10.0.0.6:8021/2000-2499+2600-2699

A name, the event socket, and the extensions of the softphones that register there. An agent's node is where their
softphone is; a call's, where its agent is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from django.conf import settings

_NODE: Final = re.compile(
    r"([a-z][a-z0-9-]{0,30})=([A-Za-z0-9.:_-]+|\[[0-9a-f:]+\]):(\d{1,5})/(\d+-\d+(?:\+\d+-\d+)*)\Z"
)
# A bridge whose heartbeat is older than this is not there, seconds. They come every 2 s.
SILENT_SECONDS: Final = 8.0
# What adds up over the bridges.
_ADDED: Final = ("queue", "events", "orders_in_flight", "orders_executed", "unreadable", "repaired")


class Node(NamedTuple):
    """`extensions`: inclusive ranges."""

    name: str
    host: str
    port: int
    extensions: tuple[tuple[int, int], ...]


def parse(text: str) -> tuple[Node, ...]:
    """The setting; () for none. Raises ValueError with what is wrong."""
    found: list[Node] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _NODE.match(part)
        if match is None:
            raise ValueError(f"{part!r} is not name=host:port/first-last")
        ranges = tuple((int(first), int(last)) for first, _, last in (r.partition("-") for r in match[4].split("+")))
        found.append(Node(match[1], match[2].strip("[]"), int(match[3]), ranges))
    if len({node.name for node in found}) < len(found):
        raise ValueError("a node is named twice")
    ends = sorted(ends for node in found for ends in node.extensions)
    if any(first > last for first, last in ends) or any(
        following[0] <= before[1] for before, following in pairwise(ends)
    ):
        raise ValueError("an extension belongs to one node only, and a range begins with the smaller number")
    return tuple(found)


def names() -> tuple[str, ...]:
    return tuple(node.name for node in settings.FREESWITCH_NODES) or (settings.FREESWITCH_NODE,)


def several() -> bool:
    return len(settings.FREESWITCH_NODES) > 1


def of_extension(extension: str) -> str:
    """The node of a softphone; what is in no range belongs to the first."""
    if several() and extension.isdecimal():
        number = int(extension)
        for node in settings.FREESWITCH_NODES:
            if any(first <= number <= last for first, last in node.extensions):
                return str(node.name)
    return names()[0]


def heartbeat(node: str) -> str:
    """The component under which the bridge of a node shows that it lives."""
    return f"bridge:{node}" if several() else "bridge"


def lease(node: str) -> str:
    """What the bridge of a node holds. Without FREESWITCH_NODES one for all, whatever they call their node: two
    that served two switches would take each other's orders, and each other's legs for lost."""
    return heartbeat(node)


def together(beats: Mapping[str, dict[str, Any] | None], now: float) -> dict[str, Any] | None:
    """What the bridges say, as if they were one: `down` names the nodes without a link. `now`: s since 1970."""
    heard = {name: beat for name, beat in beats.items() if beat is not None and now - _at(beat) < SILENT_SECONDS}
    if not heard:
        return next(filter(None, beats.values()), None)
    reasons = {
        name: str(heard[name].get("reason") or heard[name].get("link")) if name in heard else "not running"
        for name in beats
        if name not in heard or heard[name].get("link") != "up"
    }
    newest = max(heard.values(), key=_at)
    lags = [beat["lag_ms"] for beat in heard.values() if isinstance(beat.get("lag_ms"), int)]
    last = [beat["last_event_at"] for beat in heard.values() if beat.get("last_event_at")]
    return {
        **newest,
        **{name: sum(int(beat.get(name) or 0) for beat in heard.values()) for name in _ADDED},
        "link": "down" if reasons else "up",
        "reason": "; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        "down": sorted(reasons),
        "compared": all(beat.get("compared", True) for beat in heard.values() if beat.get("link") == "up"),
        "lag_ms": max(lags, default=None),
        "last_event_at": min(last, default=None),
    }


def _at(beat: Mapping[str, Any]) -> float:
    at = beat.get("at")
    return float(at) if isinstance(at, int | float) else 0.0
