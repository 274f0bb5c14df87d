"""One entry of the journal, and what makes two of them the same event. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

from events import facts

# How many events are remembered to tell a second delivery from a first: a minute of a very busy switch. Duplicates
# from longer ago fold to nothing and meet the unique key of the database.
WINDOW: Final = 50_000
# The Core-UUID of events that carry no identity; their sequence is then made from their content.
DIGEST: Final = "digest"
# 9999-01-01: what calls itself later is a defect of the sender, and no calendar could show it.
LATEST_US: Final = 253_370_764_800_000_000

Identity = tuple[str, int]


class Entry(NamedTuple):
    """One journal entry. `raw` is None when the stream no longer holds what was delivered."""

    id: str
    raw: bytes | None

    @property
    def ms(self) -> int:
        """When it was appended, milliseconds since 1970."""
        return int(self.id.partition("-")[0])


def order(journal_id: str) -> tuple[int, int]:
    """A journal id as something that compares in journal order."""
    ms, _, sequence = journal_id.partition("-")
    return int(ms), int(sequence or 0)


def parse(raw: bytes) -> tuple[dict[str, Any], bool]:
    """(event, repaired): one event from its JSON. `repaired`: it held bytes that are not UTF-8, or NUL characters
    (allowed in JSON and refused by PostgreSQL); each is now a U+FFFD. Raises ValueError when it is no JSON object.
    """
    repaired = False
    try:
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            text = raw.decode("utf-8", "replace").encode()
            if text == raw:
                raise
            event, repaired = orjson.loads(text), True
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(event, dict):
        raise ValueError(f"an event must be a JSON object, not {type(event).__name__}")
    if b"\\u0000" in raw:
        event, repaired = _without_nul(event), True
    return event, repaired


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    return value


def identity_of(event: dict[str, Any]) -> Identity:
    """The switch's own identity of the event, or one made from its content (63 bits) when it carries none."""
    known = facts.identity(event)
    if known is not None:
        return known
    canonical = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    return DIGEST, int.from_bytes(hashlib.blake2b(canonical, digest_size=8).digest(), "big") >> 1


class Window:
    """The identities of the last `size` events."""

    def __init__(self, size: int = WINDOW) -> None:
        self._size = size
        self._order: deque[Identity] = deque()
        self._known: set[Identity] = set()

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._known

    def add(self, identities: Iterable[Identity]) -> None:
        for identity in identities:
            if identity not in self._known:
                self._known.add(identity)
                self._order.append(identity)
        while len(self._order) > self._size:
            self._known.discard(self._order.popleft())
