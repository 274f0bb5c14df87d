"""What one read of the journal means: parse, drop duplicates, fold. Values in, values out; the ingest does the rest.

Nothing here changes what it is given, so a read whose effects could not be written down is simply taken in again.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from events import call_state, facts
from events.call_state import LegState, Transition
from events.entries import LATEST_US, Entry, Identity, Window, identity_of, parse

log = logging.getLogger(__name__)

# Ended legs remembered, so that their late events (CHANNEL_DESTROY, a redelivery) do not bring them back to life.
ENDED_KEPT: Final = 20_000

# Facts about legs that the dialer acts on, for legs of a role; and facts about no leg, always.
_FOR_DIALER_LEG: Final = (
    facts.LegCreated, facts.LegRinging, facts.LegAnswered, facts.LegBridged, facts.LegUnbridged, facts.LegHeld,
    facts.LegUnheld, facts.LegParked, facts.LegEnded, facts.RecordingStarted, facts.RecordingStopped,
)  # fmt: skip
_FOR_DIALER: Final = (
    facts.OrderReported, facts.LinkReported, facts.SyncFinished, facts.MachineHeard, facts.SoftphoneRegistration,
)  # fmt: skip

Lookup = Callable[[set[str]], Mapping[str, LegState]]


class Malformed(NamedTuple):
    entry: Entry
    reason: str


class Outcome(msgspec.Struct):
    """Everything that follows from one read. `last`: the last entry's id; `at`: its newest event's own time, us."""

    last: str
    at: int = 0
    events: int = 0
    duplicates: int = 0
    repaired: int = 0
    lost: int = 0
    identities: list[Identity] = []
    changed: dict[str, LegState] = {}
    transitions: dict[str, list[dict[str, Any]]] = {}
    for_dialer: list[dict[str, Any]] = []
    malformed: list[Malformed] = []


class Legs:
    """The legs in memory: the live ones, and the lately ended ones up to `ended_kept`."""

    def __init__(self, live: Mapping[str, LegState] | None = None, ended_kept: int = ENDED_KEPT) -> None:
        self.live: dict[str, LegState] = dict(live or {})
        self._ended: OrderedDict[str, LegState] = OrderedDict()
        self._ended_kept = ended_kept

    def get(self, leg: str) -> LegState | None:
        return self.live.get(leg) or self._ended.get(leg)

    def keep(self, states: Iterable[LegState]) -> None:
        for state in states:
            if state.state != "ended":
                self.live[state.leg] = state
                continue
            self.live.pop(state.leg, None)
            self._ended[state.leg] = state
            self._ended.move_to_end(state.leg)
            if len(self._ended) > self._ended_kept:
                self._ended.popitem(last=False)

    def restart(self, live: Mapping[str, LegState]) -> None:
        """Replace the live legs by what is written down; the ended ones stay ended."""
        self.live = {leg: state for leg, state in live.items() if leg not in self._ended}


def _nothing_more(_legs: set[str]) -> Mapping[str, LegState]:
    return {}


def take_in(entries: Sequence[Entry], legs: Legs, window: Window, lookup: Lookup = _nothing_more) -> Outcome:
    """Fold one read, in order. `lookup` is asked once for legs not in memory (an ended one must not rise again)."""
    outcome = Outcome(last=entries[-1].id)
    told = _read(entries, window, outcome)
    about_legs = {fact.leg for _, fact in told if fact.leg and isinstance(fact, call_state.LEG_FACTS)}
    strangers = {leg for leg in about_legs if legs.get(leg) is None}
    states: dict[str, LegState | None] = dict(lookup(strangers)) if strangers else {}
    for entry, fact in told:
        try:
            _fold_one(entry, fact, legs, states, outcome)
        except Exception as error:  # One bad event never blocks the others, whatever is wrong with it or with us.
            log.exception("could not fold %s of journal entry %s", type(fact).__name__, entry.id)
            outcome.malformed.append(Malformed(entry, f"not folded: {error!r}"))
    return outcome


def _read(entries: Sequence[Entry], window: Window, outcome: Outcome) -> list[tuple[Entry, facts.AnyFact]]:
    """The facts of the read, each with the entry that told it."""
    told: list[tuple[Entry, facts.AnyFact]] = []
    seen: set[Identity] = set()
    for entry in entries:
        if entry.raw is None:
            outcome.lost += 1
            continue
        try:
            event, repaired = parse(entry.raw)
            identity = identity_of(event)
            if identity in window or identity in seen:
                outcome.duplicates += 1
                continue
            seen.add(identity)
            outcome.identities.append(identity)
            outcome.events += 1
            outcome.repaired += repaired
            outcome.at = max(outcome.at, facts.happened_at(event))
            told.extend((entry, fact) for fact in facts.facts_of(event))
        except ValueError as error:
            outcome.malformed.append(Malformed(entry, str(error)))
        except Exception as error:
            log.exception("could not read journal entry %s", entry.id)
            outcome.malformed.append(Malformed(entry, f"not read: {error!r}"))
    return told


def _fold_one(
    entry: Entry, fact: facts.AnyFact, legs: Legs, states: dict[str, LegState | None], outcome: Outcome
) -> None:
    if isinstance(fact, _FOR_DIALER) or (isinstance(fact, facts.JobFinished) and not fact.ok):
        outcome.for_dialer.append(facts.to_json(fact))
        return
    if not isinstance(fact, call_state.LEG_FACTS):
        return
    if not 0 < fact.at < LATEST_US:
        # No time, or one that no clock shows: when it reached the journal is the next best.
        fact = msgspec.structs.replace(fact, at=entry.ms * 1000)
    before = states[fact.leg] if fact.leg in states else legs.get(fact.leg)
    after, transition = call_state.fold(before, fact)
    if after is before or after is None:
        return
    states[fact.leg] = outcome.changed[fact.leg] = after
    if transition is not None:
        outcome.transitions.setdefault(entry.id, []).append(_transition_row(transition, after))
    if after.role != "other" and isinstance(fact, _FOR_DIALER_LEG):
        outcome.for_dialer.append(facts.to_json(fact))
        if before is not None and before.role == "other":
            # Its role came late: what happened before was of no interest to the dialer then, and is now.
            outcome.for_dialer.extend(facts.to_json(earlier) for earlier in call_state.known_so_far(before))


def _transition_row(transition: Transition, leg: LegState) -> dict[str, Any]:
    """What CallStateEvent keeps of a transition; plain values."""
    about = {name: getattr(leg, name) for name in ("role", "agent_id", "campaign_id", "peer", "cause")}
    return {
        **msgspec.to_builtins(transition),
        "call_id": leg.call_id,
        "metadata": {name: value for name, value in about.items() if value},
    }
