"""What the switch says of its channels against what the floor believes. Pure: the asking is done by sync.py.

The listing is fed by a thread of its own inside FreeSWITCH and lags behind; the floor's belief lags behind the journal.
So a difference is only a question: a leg is gone when `uuid_exists` says so twice and no hang-up came meanwhile, and a
channel is new to us when neither the floor nor the event stream has shown it lately. One that both know is asked how
far it has come (`uuid_dump`, which does not lag): an answer, a joining, a parting, a hold or its end that nobody heard
is missed when both still say the same a moment later.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import orjson

from events import call_state, facts

# A leg this young may be missing from the listing, or from the floor, only because either lags.
YOUNG_SECONDS: Final = 2.0
# A channel the event stream showed within this time reaches the floor by itself.
FRESH_SECONDS: Final = 10.0
# From the switch's word that a leg has ended until the floor has it, and a little more.
ENDING_SECONDS: Final = 3.0
# Legs remembered by the tracker, the oldest forgotten first: minutes of the fastest dialling one switch can do.
TRACKED_LEGS: Final = 20_000

# A leg's name is mostly a uuid; an installation may also take the Call-ID of who calls in, or set one of its own. Only
# what cannot be more than one word is ever put into a question to the switch.
_NAME = re.compile(r"[A-Za-z0-9@._-]{1,128}\Z")
# What `uuid_getvar` says of a variable that is not set.
_UNSET: Final = "_undef_"

CAUSE_LOST: Final = "LOST"
CAUSE_RESTARTED: Final = "SYSTEM_SHUTDOWN"


class BadListing(ValueError):
    """The reply is not a list of channels; nothing may be concluded from it."""


@dataclass(frozen=True)
class Differences:
    """`missing`: believed live, not listed. `unknown`: listed, not believed. Both to be asked about, in order."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]


def channels_in(reply: str) -> frozenset[str]:
    """The names in a reply to `show channels as json`. Raises BadListing (a refusal is not an empty switch)."""
    try:
        listing = orjson.loads(reply)
        if not isinstance(listing, dict) or "row_count" not in listing:
            raise BadListing("no row_count")
        rows = listing.get("rows", [])
        count = int(listing["row_count"])
        names = frozenset(row["uuid"] for row in rows if _NAME.match(row["uuid"]))
    except BadListing:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadListing(f"not a channel list: {type(error).__name__}") from None
    if count > 0 and not rows:
        raise BadListing(f"{count} channels announced, none listed")
    return names


def live_legs(entries: Mapping[bytes, bytes], node: str = "") -> frozenset[str]:
    """The legs believed live, from the hash of leg states; an unreadable entry is asked about like the others. `node`:
    those of this one only, where there are several: what is not in this switch is in another."""
    return frozenset(leg for leg in _believed_live(entries, node) if _NAME.match(leg))


def beyond_asking(entries: Mapping[bytes, bytes], node: str = "") -> frozenset[str]:
    """Those of them whose names are put into no question: only the end of the switch's process ends them for us."""
    return frozenset(leg for leg in _believed_live(entries, node) if not _NAME.match(leg))


def _believed_live(entries: Mapping[bytes, bytes], node: str) -> Iterator[str]:
    for key, value in entries.items():
        try:
            entry = orjson.loads(value)
            state, there = entry.get("state"), entry.get("node", "")
        except (ValueError, AttributeError):
            state, there = None, ""
        if node and there != node:
            continue
        if state != "ended":
            yield key.decode("utf-8", "replace")


class Condition(NamedTuple):
    """How far a leg that lives has come. `peer`: whom it is joined to, '' for nobody. `held`: FreeSWITCH ends a hold
    itself whenever it moves the leg, and says so."""

    answered: bool
    peer: str
    held: bool = False


class Belief(NamedTuple):
    """`since`: of its state, ms since 1970: what came before is known."""

    condition: Condition
    since: int


def believed(raw: bytes | None) -> Belief | None:
    """What the floor believes of a leg, from its entry among the live ones; None: nothing that could be compared."""
    try:
        leg = call_state.from_json(raw) if raw else None
    except msgspec.MsgspecError:
        return None
    if leg is None or leg.state == "ended":
        return None
    answered = leg.state in {"answered", "bridged", "held"}
    return Belief(Condition(answered, leg.peer, leg.state == "held"), leg.since)


def said(dump: facts.Event, held_by_belief: bool = False) -> Condition:
    """The same from the switch's `uuid_dump`, with our own belief of a hold where that does not tell. Early media may
    join a leg before its answer; the floor, too, counts who is joined as answered."""
    peer, held = facts.joined_to(dump), facts.held(dump)
    answered = facts.text(dump, "Answer-State") == "answered" or bool(peer)
    return Condition(answered, peer, held_by_belief if held is None else held)


class LegTracker:
    """What the event stream itself has shown of each leg lately. Times are seconds of one steady clock."""

    def __init__(self) -> None:
        self._begun: OrderedDict[str, float] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()

    def begun(self, leg: str, at: float) -> None:
        self._remember(self._begun, leg, at)

    def ended(self, leg: str, at: float) -> None:
        self._remember(self._ended, leg, at)

    def has_ended(self, leg: str) -> bool:
        """Its hang-up is in the journal already: whatever an older question found out no longer counts."""
        return leg in self._ended

    def ends_now(self, leg: str, now: float) -> bool:
        """Its hang-up is on its way through the journal. Long after that, whoever still believes in the leg has lost
        it: Redis was emptied, or killed with its last second."""
        return now - self._ended.get(leg, float("-inf")) < ENDING_SECONDS

    def age(self, leg: str, now: float) -> float:
        """Seconds since the stream showed it begin; endless when it did not."""
        begun = self._begun.get(leg)
        return float("inf") if begun is None else now - begun

    @staticmethod
    def _remember(legs: OrderedDict[str, float], leg: str, at: float) -> None:
        legs[leg] = at
        legs.move_to_end(leg)
        if len(legs) > TRACKED_LEGS:
            legs.popitem(last=False)


def compare(
    listed: Iterable[str], believed: Iterable[str], tracker: LegTracker, now: float, opened: float = float("-inf")
) -> Differences:
    """What to ask about. `now` and `opened`, when the link was made, by the tracker's clock.

    A leg from before the link is not too young to be missing: it may have ended, with its switch even, unheard.
    """
    listed, believed = frozenset(listed), frozenset(believed)
    young = min(YOUNG_SECONDS, now - opened)
    missing = (leg for leg in believed - listed if tracker.age(leg, now) >= young and not tracker.ends_now(leg, now))
    unknown = (
        leg for leg in listed - believed if tracker.age(leg, now) >= FRESH_SECONDS and not tracker.has_ended(leg)
    )
    return Differences(tuple(sorted(missing)), tuple(sorted(unknown)))


def names_a_leg(reply: str) -> bool:
    """Whether the answer of `uuid_getvar` is a leg's name, and not that the variable is unset or the leg is gone."""
    name = reply.strip()
    return name != _UNSET and bool(_NAME.match(name))


def leg_exists(reply: str) -> bool | None:
    """The answer of `uuid_exists`; None when it is no answer."""
    return {"true": True, "false": False}.get(reply.strip())
