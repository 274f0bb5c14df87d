"""A call's ladder: its legs side by side, what happened to each of them from top to bottom. Pure.

The state of each leg beside each event comes from the same fold that the live floor is made of (events/call_state.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console import cause_words
from events import call_state, facts

# The lane of what the orchestrator itself did: orders and commands.
OURS = ""
# event -> (word, icon of templates/console/icons.html, tone). Other events are not drawn: they say nothing to people.
_WORDS = {
    "CHANNEL_CREATE": ("Dialled", "dial", "quiet"),
    "CHANNEL_PROGRESS": ("Rings", "ring", "quiet"),
    "CHANNEL_PROGRESS_MEDIA": ("Sound before the answer", "ring", "quiet"),
    "CHANNEL_ANSWER": ("Answered", "call", "available"),
    "CHANNEL_BRIDGE": ("Joined", "done", "oncall"),
    "CHANNEL_UNBRIDGE": ("Parted", "off", "quiet"),
    "CHANNEL_HOLD": ("On hold", "pause", "break"),
    "CHANNEL_UNHOLD": ("Off hold", "call", "oncall"),
    "CHANNEL_PARK": ("Parked", "wait", "quiet"),
    "CHANNEL_HANGUP": ("Hangup", "hangup", "offline"),
    "RECORD_START": ("Recording begins", "ready", "trouble"),
    "RECORD_STOP": ("Recording ends", "off", "quiet"),
    # Which key is nobody's business: it may be of a card number.
    "DTMF": ("Key pressed", "ready", "quiet"),
    f"CUSTOM {facts.LEG_REPORT}": ("Corrected by comparison with the switch", "alert", "trouble"),
    f"CUSTOM {facts.MACHINE_BEEP}": ("A machine's beep", "alert", "break"),
}
# What `told` reads; the others of a leg need not be fetched.
EVENT_TYPES = (*_WORDS, "CHANNEL_HANGUP_COMPLETE")


@dataclass(frozen=True, slots=True)
class Lane:
    """One column. leg: the channel's uuid, OURS for the orchestrator's. role: customer, agent, supervisor or other."""

    leg: str
    title: str
    role: str = "other"


@dataclass(frozen=True, slots=True)
class Happening:
    """One row. at: when. leg: whose lane it stands in. peer: the other lane it is about, '' for none. states: what
    each leg was after it (call states by leg)."""

    at: dt.datetime
    leg: str
    word: str
    icon: str = "ready"
    tone: str = "quiet"
    detail: str = ""
    peer: str = ""
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    lane: Lane
    state: str = ""
    mark: bool = False
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """happening, with its cells in the order of the lanes; since: since the first row, after: since the row before."""

    happening: Happening
    since: str
    after: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What the switch's events say: the rows, the legs in the order of their appearance, each leg as it ended up."""

    happenings: tuple[Happening, ...]
    legs: Mapping[str, call_state.LegState]


def told(events: Iterable[Mapping[str, Any]]) -> Told:
    """events: whole switch events of the legs, in any order."""
    legs: dict[str, call_state.LegState] = {}
    happenings = []
    for event in sorted(events, key=lambda one: (facts.happened_at(one), facts.number(one, "Event-Sequence"))):
        name, leg = facts.event_name(event), facts.text(event, "Unique-ID")
        try:
            found = facts.facts_of(event)
        except facts.Malformed:
            continue
        peer = ""
        for fact in found:
            state, _ = call_state.fold(legs.get(fact.leg), fact)
            if state is not None and fact.leg:
                legs[fact.leg] = state
            if isinstance(fact, facts.LegBridged | facts.LegUnbridged) and fact.leg == leg:
                peer = fact.peer
        if name not in _WORDS or not leg or not facts.happened_at(event):
            continue
        word, icon, tone = _WORDS[name]
        states = {key: state.state for key, state in legs.items()}
        at = moment(facts.happened_at(event))
        happenings.append(Happening(at, leg, word, icon, tone, _detail(name, event), peer, states))
    return Told(tuple(happenings), legs)


def _detail(name: str, event: Mapping[str, Any]) -> str:
    if name == "CHANNEL_HANGUP":
        return cause_words.cause(facts.text(event, "Hangup-Cause"))
    if name == f"CUSTOM {facts.LEG_REPORT}":
        return "gone" if facts.text(event, "Leg-Status") == "gone" else "found"
    return ""


def rows(lanes: Sequence[Lane], happenings: Iterable[Happening]) -> list[Row]:
    """In the order of time, each with a cell for every lane."""
    known = {lane.leg for lane in lanes}
    states: Mapping[str, str] = {}
    found: list[Row] = []
    first = last = None
    for one in sorted(happenings, key=lambda happening: happening.at):
        if one.leg not in known:
            continue
        # What we did ourselves says nothing of the legs: they stay as they were.
        states = one.states or states
        cells = tuple(
            Cell(
                lane, states.get(lane.leg, ""), mark=lane.leg == one.leg, joined=bool(one.peer) and lane.leg == one.peer
            )
            for lane in lanes
        )
        first = first or one.at
        found.append(Row(one, span(_ms(one.at - first)), f"+{span(_ms(one.at - (last or one.at)))}", cells))
        last = one.at
    return found


def moment(us: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC)


def span(ms: float | None) -> str:
    """0.84 s, 12.3 s, 2:13, 1:02:13; a dash for what is not known."""
    if ms is None:
        return "–"
    seconds = ms / 1000
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def between(start: dt.datetime | None, end: dt.datetime | None) -> int | None:
    """Milliseconds from start to end; None when either is not known."""
    return None if start is None or end is None else max(0, _ms(end - start))


def _ms(delta: dt.timedelta) -> int:
    return round(delta.total_seconds() * 1000)
