"""Alerts are raised once, do not flap, get worse in place, and end."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import alerting
from console.alert_figures import duration
from console.alerting import Clear, Escalate, Evaluator, Open, Raise, Rule
from console.floor_state import FloorState
from console.kpis import compute
from console.rows import AgentRow, AgentToday, CallRow, CampaignRow, Decision, Drops, Health, Ratio, Today

T0 = 1_700_000_000_000
BREAK = Rule(1, "Break", "agent_state", warning=900, critical=1800, state="break")


class Floor:
    """A floor, its rules and what is open, stepped by hand."""

    def __init__(self, *rules: Rule) -> None:
        self.rules, self.state, self.evaluator = rules, FloorState(), Evaluator()
        self.open: dict[alerting.Key, Open] = {}
        self.now = T0

    def agent(self, key: str = "a", **fields: object) -> None:
        row = {"id": key, "name": "Ana", "extension": "1", "status": "available", "since": self.now, **fields}
        self.state.agents[key] = msgspec.convert(row, AgentRow)

    def campaign(self, **fields: object) -> None:
        row = {"id": "c", "name": "Spring", "status": "active", **fields}
        self.state.campaigns["c"] = CampaignRow(**row)

    def health(self, behind_ms: int | None = 0, **parts: Health) -> None:
        self.state.kpis = compute((), (), (), parts, behind_ms)

    def step(self, seconds: float = 0) -> list[alerting.Change]:
        self.now += int(seconds * 1000)
        changes = self.evaluator.step(self.rules, self.state, self.open, self.now)
        for change in changes:
            match change:
                case Clear(key):
                    del self.open[key]
                case Raise(key, level, _, measured):
                    self.open[key] = Open(level, measured.since)
        assert self.evaluator.step(self.rules, self.state, self.open, self.now) == []
        return changes


def test_it_is_raised_once_and_gets_worse_in_the_same_alert():
    floor = Floor(BREAK)
    floor.agent(status="break", reason="lunch")
    assert floor.step(899) == []
    (raised,) = floor.step(1)
    assert (raised.level, raised.text) == ("warning", "Ana: break (lunch) longer than 15 min")
    assert floor.step(899) == []
    (worse,) = floor.step(1)
    assert isinstance(worse, Escalate) and worse.key == raised.key and worse.level == "critical"
    assert floor.step(5000) == []
    floor.agent()
    assert floor.step(1) == [Clear(raised.key)]


def test_what_is_critical_at_first_sight_is_raised_as_critical():
    floor = Floor(BREAK)
    floor.agent(status="break", since=T0 - 3_600_000)
    (raised,) = floor.step()
    assert type(raised) is Raise and raised.level == "critical"


def test_an_agent_who_disappears_clears():
    floor = Floor(BREAK)
    floor.agent(status="break")
    (raised,) = floor.step(1000)
    del floor.state.agents["a"]
    assert floor.step() == [Clear(raised.key)]


def test_a_threshold_that_is_taken_away_clears():
    floor = Floor(BREAK)
    floor.agent(status="break")
    (raised,) = floor.step(1000)
    floor.rules = ()
    assert floor.step() == [Clear(raised.key)]


def test_between_raise_and_clear_value_nothing_happens():
    rule = Rule(1, "Behind", "behind", warning=5, clear=2, hold_seconds=3, clear_seconds=10)
    floor = Floor(rule)
    floor.health(6000)
    assert floor.step() == [] and floor.step(2.9) == []
    (raised,) = floor.step(0.1)
    for behind in (3000, 5500, 2100, 4000):
        floor.health(behind)
        assert floor.step(20) == []
    floor.health(2000)
    assert floor.step(1) == [] and floor.step(9.9) == []
    floor.health(2500)
    assert floor.step(5) == []
    floor.health(1000)
    assert floor.step(1) == [] and floor.step(10) == [Clear(raised.key)]


def test_a_spike_shorter_than_the_hold_is_not_raised():
    floor = Floor(Rule(1, "Behind", "behind", warning=5, hold_seconds=3))
    for behind in (6000, 0, 6000, 0, 6000):
        floor.health(behind)
        assert floor.step(2) == []


def test_a_resolved_alert_comes_back_only_when_it_gets_worse_or_after_it_was_over():
    floor = Floor(BREAK)
    floor.agent(status="break")
    (raised,) = floor.step(1000)
    floor.open[raised.key] = replace(floor.open[raised.key], dismissed=True)
    assert floor.step(100) == []
    (worse,) = floor.step(800)
    assert isinstance(worse, Escalate)


def test_the_narrowest_threshold_speaks_and_an_exception_silences():
    lunch = Rule(2, "Lunch", "agent_state", warning=3600, state="break", reason="lunch")
    team = Rule(3, "Night team", "agent_state", state="break", team="night")
    floor = Floor(BREAK, lunch, team)
    floor.agent("a", status="break", reason="lunch")
    floor.agent("b", status="break", reason="coffee")
    floor.agent("c", status="break", reason="lunch", team="night")
    assert [change.key for change in floor.step(1000)] == [(1, "agent", "b")]
    assert (2, "agent", "a") in [change.key for change in floor.step(3000)]
    assert not any(key[2] == "c" for key in floor.open)


def test_a_threshold_of_one_campaign_is_for_its_agents_only():
    floor = Floor(replace(BREAK, campaign_id="c1"))
    floor.agent("a", status="break", campaigns=("c1", "c2"))
    floor.agent("b", status="break", campaigns=("c2",))
    assert [change.key[2] for change in floor.step(1000)] == ["a"]


def test_a_lost_softphone_is_timed_from_when_it_was_seen_and_takes_over_where_another_left_off():
    rule = Rule(1, "Softphone", "softphone", warning=10, critical=60, clear=0, clear_seconds=5)
    floor = Floor(rule)
    floor.agent(softphone="lost")
    assert floor.step(5) == [] and floor.step(5) == []
    assert [change.text for change in floor.step(5)] == ["Ana: softphone lost for 10 s"]
    floor.evaluator = Evaluator()
    assert floor.step(1) == []
    (worse,) = floor.step(49)
    assert isinstance(worse, Escalate)
    floor.agent(softphone="open")
    assert floor.step(1) == []
    floor.agent(softphone="lost")
    assert floor.step(2) == [] and floor.step(4) == [], "lost again while it was being cleared: still the same alert"
    floor.agent(softphone="open")
    floor.step()
    assert floor.step(5) == [Clear(worse.key)]


def test_calls_wait_ring_and_last():
    floor = Floor(
        Rule(1, "Wait", "call_waiting", warning=2), Rule(2, "Ring", "call_ringing", warning=40),
        Rule(3, "Long", "call_length", warning=1800),
    )  # fmt: skip
    floor.state.calls = {
        "w": CallRow(id="w", contact="Kim", state="answered", waiting_since=T0),
        "r": CallRow(id="r", number="+1212***01", state="alerting", since=T0),
        "l": CallRow(id="l", state="bridged", bridged_at=T0),
    }
    assert [change.text for change in floor.step(2)] == ["Kim: waits longer than 2 s"]
    assert [change.text for change in floor.step(40)] == ["+1212***01: ringing longer than 40 s"]
    assert [change.text for change in floor.step(1800)] == ["Unknown: talking longer than 30 min"]
    floor.state.calls.clear()
    assert len(floor.step()) == 3


def test_campaign_figures_are_judged_with_their_parts_and_only_when_made_of_enough():
    floor = Floor(
        Rule(1, "Abandons", "abandon_cap", warning=80, critical=100, least=100),
        Rule(2, "Answers", "answer_rate", warning=10, least=50),
        Rule(3, "Contacts", "contacts_left", warning=100, critical=0),
    )
    drops = Drops(abandoned=3, answered=99, window="30 d", cap=0.03, left=0)
    floor.campaign(drops=drops, today=Today(attempts=40, answered=1), contacts_total=900, contacts_left=101)
    assert floor.step() == []
    drops = msgspec.structs.replace(drops, answered=100)
    floor.campaign(drops=drops, today=Today(attempts=50, answered=1), contacts_total=900, contacts_left=100)
    assert {change.text for change in floor.step()} == {
        "Spring: abandon rate 3.0 % (3 of 100, 30 d), cap 3 %",
        "Spring: answer rate 2.0 % (1 of 50, today (UTC))",
        "Spring: 100 of 900 contacts left",
    }
    assert floor.open[(1, "campaign", "c")].level == "critical"
    floor.campaign(status="paused", drops=drops, contacts_total=900)
    assert len(floor.step()) == 3 and not floor.open


def test_nobody_is_dialled_though_agents_are_idle():
    floor = Floor(Rule(1, "Silent", "not_dialling", warning=300, clear=0))
    said = Decision(at=T0, reason="calling_hours")
    floor.campaign(today=Today(attempts=7), decision=said)
    assert floor.step(900) == [], "nobody is idle: nobody is to be dialled for"
    floor.agent(campaigns=("c",), softphone="open")
    assert floor.step(0) == [] and floor.step(299) == []
    (raised,) = floor.step(1)
    assert raised.text == "Spring: nobody dialled with 1 agent idle (calling hours) for 5 min"
    floor.campaign(today=Today(attempts=8), decision=said)
    assert floor.step(1) == [Clear(raised.key)]
    floor.campaign(mode="manual", today=Today(attempts=8))
    assert floor.step(900) == []


def test_occupancy_is_that_of_the_campaigns_agents_together():
    floor = Floor(Rule(1, "Idle", "occupancy_low", warning=50, least=600), Rule(2, "Hot", "occupancy_high", warning=90))
    for key, busy in (("a", 300), ("b", 60)):
        share = Ratio(numerator=busy, denominator=400, window="today (UTC)", value=busy / 400)
        row = AgentRow(id=key, name=key, extension=key, status="available", campaigns=("c",))
        floor.state.agents[key] = msgspec.structs.replace(row, today=AgentToday(occupancy=share))
    floor.campaign()
    assert [change.text for change in floor.step()] == ["Spring: occupancy 45 %, today (UTC)"]


def test_the_floor_itself_is_watched():
    floor = Floor(
        Rule(1, "Silent", "component", warning=5, critical=30, clear=0),
        Rule(2, "Queue", "queue_delay", warning=10),
    )
    floor.health(dialer=Health(ok=False, detail="silent for 9 s"), default=Health(ok=True, delay_ms=12_000))
    assert [change.text for change in floor.step()] == ["Default worker: works 10 s behind"]
    assert [change.text for change in floor.step(6)] == ["Dialer worker: silent, for 5 s now"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "2 s"), (2.5, "2.5 s"), (90, "90 s"), (900, "15 min"), (5400, "1 h 30 min"), (7200, "2 h")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


values = st.lists(st.tuples(st.integers(0, 12_000), st.integers(100, 4000)), min_size=1, max_size=60)


@given(values, st.floats(0, 5), st.floats(0, 5))
def test_whatever_the_figure_does_alerts_are_raised_once_and_end_only_when_it_was_well(steps, hold, clear_after):
    rule = Rule(1, "B", "behind", warning=5, critical=10, clear=3, hold_seconds=hold, clear_seconds=clear_after)
    floor = Floor(rule)
    level, well_since = "", None
    for behind, after in steps:
        floor.health(behind)
        changes = floor.step(after / 1000)
        well_since = (floor.now if well_since is None else well_since) if behind <= 3000 else None
        assert len(changes) <= 1
        for change in changes:
            match change:
                case Clear():
                    assert level and well_since is not None and floor.now - well_since >= 1000 * clear_after
                    level = ""
                case Escalate():
                    assert level == "warning" and change.level == "critical" and behind >= 10_000
                    level = "critical"
                case Raise():
                    assert not level and behind >= 5000
                    level = change.level


@given(values)
def test_a_watcher_that_takes_over_raises_nothing_anew(steps):
    rule = Rule(1, "B", "behind", warning=5, clear=3, clear_seconds=1)
    floor = Floor(rule)
    for behind, after in steps:
        floor.health(behind)
        was = dict(floor.open)
        floor.evaluator = Evaluator()
        changes = floor.step(after / 1000)
        assert not any(type(change) is Raise and change.key in was for change in changes)
