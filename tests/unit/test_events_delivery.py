"""However the switch's events are delivered, twice, late, across restarts and comparisons, the legs end up the same."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events import facts
from events.call_state import LegState
from events.entries import Entry, Window
from events.intake import Legs, Outcome, take_in
from tests.fakes.histories import BEGUN_US, CAPTURED, captured, histories

# What people and the dialer see of a leg; the rest are the fold's own notes.
SEEN = ("state", "peer", "role", "call_id", "agent_id", "number", "created_at", "ringing_at", "answered_at",
        "bridged_at", "ended_at", "cause", "sip_status", "disposition", "recording")  # fmt: skip


def seen(leg: LegState) -> dict[str, Any]:
    return {name: getattr(leg, name) for name in SEEN}


class Delivery(RuleBasedStateMachine):
    """`happened`: what the switch has done, in order. Delivered is any part of it, in any order, any number of times;
    what the ingest keeps is as in Redis: the live legs, and the lately ended ones (live.recall)."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[bytes] = []
        self.coming: list[bytes] = []
        self.delivered: list[bytes] = []
        self.compared: set[str] = set()
        self.legs, self.window, self.entry = Legs(), Window(), 0
        self.live: dict[str, LegState] = {}
        self.ended: dict[str, LegState] = {}
        self.passed: dict[str, list[str]] = {}

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(CAPTURED))
    def a_captured_call(self, name: str) -> None:
        self._happen([line for line in captured(name) if line not in self.happened])

    @precondition(lambda self: len(self.happened) < 400)
    @rule(told=histories())
    def a_call(self, told: tuple[bytes, ...]) -> None:
        """By a process of the switch that counts its events from 1, as all the others do."""
        known, said = self._names(self.happened), self._names(told)
        if known.isdisjoint(said):
            self._happen(list(told))

    @staticmethod
    def _names(lines: Sequence[bytes]) -> set[str]:
        """Of legs and of processes of the switch."""
        events = [orjson.loads(line) for line in lines]
        return {event.get(name, "") for event in events for name in ("Unique-ID", "Core-UUID")} - {""}

    def _happen(self, lines: list[bytes]) -> None:
        self.happened += lines
        self.coming += lines

    # --- how it is delivered ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.coming)
    @rule(data=st.data(), count=st.integers(1, 12))
    def some_of_it_comes_in_whatever_order(self, data: st.DataObject, count: int) -> None:
        places = [st.integers(0, min(30, left)) for left in range(len(self.coming) - 1, -1, -1)[:count]]
        self._deliver([self.coming.pop(data.draw(place)) for place in places])

    @precondition(lambda self: self.coming)
    @rule()
    def the_next_come_in_order(self) -> None:
        lines, self.coming = self.coming[:20], self.coming[20:]
        self._deliver(lines)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data(), count=st.integers(1, 8))
    def some_come_again(self, data: st.DataObject, count: int) -> None:
        self._deliver([data.draw(st.sampled_from(self.delivered)) for _ in range(count)])

    @precondition(lambda self: self.coming)
    @rule(count=st.integers(1, 12))
    def the_ingest_dies_before_it_has_written_down_what_it_read(self, count: int) -> None:
        take_in(self._entries(self.coming[:count]), self.legs, self.window, self._recall)
        self.the_ingest_starts_again()

    @rule()
    def the_ingest_starts_again(self) -> None:
        self.legs, self.window = Legs(dict(self.live)), Window()

    @precondition(lambda self: self.live)
    @rule()
    def redis_loses_the_live_legs_and_the_ingest_writes_them_down_again(self) -> None:
        self.live = dict(self.legs.live)

    @precondition(lambda self: self.happened)
    @rule()
    def the_bridge_compares_with_the_switch(self) -> None:
        """Legs that the switch has and we do not, and those that it has no more: see esl_bridge/resync.py."""
        truth = clean(self.happened)
        reports = [found(leg) for name, leg in truth.items() if leg.state != "ended" and name not in self.live]
        reports += [gone(name) for name in self.live if name in truth and truth[name].state == "ended"]
        self.compared |= {name for name, leg in truth.items() if leg.state != "ended" and name not in self.live}
        if reports:
            self._deliver(reports, remember=False)

    def _deliver(self, lines: list[bytes], *, remember: bool = True) -> None:
        outcome = take_in(self._entries(lines), self.legs, self.window, self._recall)
        assert outcome.malformed == []
        self.legs.keep(outcome.changed.values())
        self.window.add(outcome.identities)
        for name, leg in outcome.changed.items():
            if leg.state == "ended":
                self.live.pop(name, None)
                self.ended[name] = leg
            else:
                self.live[name] = leg
        for rows in outcome.transitions.values():
            for row in rows:
                assert row["previous"] == (self.passed.setdefault(row["leg"], [""]))[-1]
                self.passed[row["leg"]].append(row["current"])
        self.delivered += lines if remember else []

    def _entries(self, lines: list[bytes]) -> list[Entry]:
        self.entry += len(lines)
        return [Entry(f"{BEGUN_US // 1000}-{self.entry + n}", line) for n, line in enumerate(lines)]

    def _recall(self, legs: set[str]) -> dict[str, LegState]:
        return {leg: self.ended[leg] for leg in legs if leg in self.ended}

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        assert self.ended.keys().isdisjoint(self.live)
        assert all(path.count("ended") <= 1 for path in self.passed.values())

    def teardown(self) -> None:
        self._deliver(self.coming) if self.coming else None
        truth = clean(self.happened)
        ours = {**self.ended, **self.live}
        assert ours.keys() == truth.keys()
        for name, leg in truth.items():
            assert seen(ours[name]) == seen(leg) | self._known_otherwise(name, ours[name])

    def _known_otherwise(self, name: str, ours: LegState) -> dict[str, Any]:
        """A leg that a comparison has found may have begun to ring or be joined, for us, when it was found."""
        return {} if name not in self.compared else {"ringing_at": ours.ringing_at, "bridged_at": ours.bridged_at}


def clean(lines: Sequence[bytes]) -> dict[str, LegState]:
    """Each event once, in order, by one ingest that never stops."""
    return folded(lines).changed if lines else {}


def folded(lines: Sequence[bytes]) -> Outcome:
    return take_in([Entry(f"{n + 1}-0", line) for n, line in enumerate(lines)], Legs(), Window())


def found(leg: LegState) -> bytes:
    """As the bridge reports a leg that it has found: the channel's own variables, and how far it has come."""
    later = (max(at for at in (leg.created_at, leg.since, leg.bridge_at, leg.held_at) if at) + 1) * 1000
    answered = leg.answered_at is not None
    event = {
        "Event-Name": "CUSTOM", "Event-Subclass": facts.LEG_REPORT, "Leg-Status": "found", "Unique-ID": leg.leg,
        "Event-Date-Timestamp": str(later), "Caller-Channel-Created-Time": str((leg.created_at or 0) * 1000),
        "Caller-Channel-Answered-Time": str((leg.answered_at or 0) * 1000),
        "Caller-Channel-Progress-Time": str((leg.ringing_at or 0) * 1000),
        "Answer-State": "answered" if answered else "ringing", "variable_orch_role": leg.role,
        "variable_orch_call": leg.call_id, "variable_orch_agent": leg.agent_id, "variable_bridge_to": leg.peer,
        "Caller-Destination-Number": leg.number, "Call-Direction": leg.direction,
        "Channel-Call-State": "HELD" if leg.state == "held" else "",
    }  # fmt: skip
    return orjson.dumps(event)


def gone(leg: str) -> bytes:
    event = {
        "Event-Name": "CUSTOM", "Event-Subclass": facts.LEG_REPORT, "Leg-Status": "gone", "Unique-ID": leg,
        "Hangup-Cause": "LOST", "Event-Date-Timestamp": str(BEGUN_US + 10**12),
    }  # fmt: skip
    return orjson.dumps(event)


class TestDelivery(Delivery.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_the_made_up_histories_pass_through_every_state() -> None:
    """Or the machine above would prove less than it says."""
    for state in ("alerting", "answered", "bridged", "held", "ended"):
        find(histories(), lambda told, state=state: state in states_of(told))


def states_of(lines: Sequence[bytes]) -> set[str]:
    return {row["current"] for rows in folded(lines).transitions.values() for row in rows}
