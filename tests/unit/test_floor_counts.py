"""What a campaign's agents and lines do now, how often a board is told, and what a panel has measured."""

import pytest

from console import alert_figures, round_trips
from console.campaign_counts import COUNTS_MS, NEARLY_FREE_MS
from console.rows import CampaignAgents, Lines
from tests.fakes.rows import agent, call, campaign, fresh, leg


def test_agents_of_a_campaign_are_counted_by_what_they_do():
    projection = fresh(
        ("campaign", "k1", campaign("k1")),
        ("campaign", "k2", campaign("k2")),
        ("agent", "a1", agent("a1")),
        ("agent", "a2", agent("a2", call_id="c1")),
        ("agent", "a3", agent("a3", status="on_call", campaigns=["k1", "k2"])),
        ("agent", "a4", agent("a4", status="busy", reason="wrap_up", wrap_up_until=5_000)),
        ("agent", "a5", agent("a5", status="busy", reason="wrap_up", wrap_up_until=10_000_000)),
        ("agent", "a6", agent("a6", status="busy", reason="paperwork")),
        ("agent", "a7", agent("a7", status="break")),
        ("agent", "a8", agent("a8", status="offline", campaigns=[])),
    )
    projection.frame(COUNTS_MS)
    now = projection.floor.campaigns["k1"].agents_now
    assert now == CampaignAgents(idle=1, reserved=1, talking=1, wrap_up=2, nearly_free=1, busy=1, on_break=1)
    assert projection.floor.campaigns["k2"].agents_now == CampaignAgents(talking=1)


@pytest.mark.parametrize(
    "why",
    [{"softphone": "none", "registered": "no"}, {"softphone": "ringing"}, {"softphone": "lost"},
     {"pending": {"status": "break"}}],
)  # fmt: skip
def test_who_is_available_and_cannot_be_given_a_call_is_not_idle_for_the_board_nor_for_an_alert(why):
    projection = fresh(
        ("campaign", "k1", campaign("k1", status="active", mode="progressive")),
        ("agent", "a1", agent("a1", **why)),
    )
    projection.frame(COUNTS_MS)
    assert projection.floor.campaigns["k1"].agents_now == CampaignAgents(unready=1)
    assert [one.what for one in not_dialling(projection)] == ["nobody dialled with 0 agents idle"]
    projection.change("agent", "a1", agent("a1", 2))
    projection.frame(2 * COUNTS_MS)
    assert projection.floor.campaigns["k1"].agents_now == CampaignAgents(idle=1)
    assert [one.what for one in not_dialling(projection)] == ["nobody dialled with 1 agent idle"]


def not_dialling(projection):
    found = alert_figures.measure(projection.floor, alert_figures.Onsets(), {}, COUNTS_MS)
    return [one for one in found if one.measure == "not_dialling"]


def test_a_wrap_up_becomes_nearly_free_as_time_passes_and_not_when_a_break_follows():
    until = NEARLY_FREE_MS + 5 * COUNTS_MS
    row = agent("a1", status="busy", reason="wrap_up", wrap_up_until=until)
    projection = fresh(
        ("campaign", "k1", campaign("k1")),
        ("agent", "a1", row),
        ("agent", "a2", {**row, "id": "a2", "pending": {"status": "break"}}),
    )
    projection.frame(2 * COUNTS_MS)
    assert projection.floor.campaigns["k1"].agents_now.nearly_free == 0
    projection.frame(5 * COUNTS_MS)
    assert projection.floor.campaigns["k1"].agents_now.nearly_free == 1


def test_lines_are_counted_by_stage():
    told = [("campaign", "k1", campaign("k1"))]
    for n, state in enumerate(("initiated", "alerting", "answered", "bridged", "held", "ended")):
        told += [("call", f"c{n}", call(f"c{n}")), ("leg", f"c{n}", leg(f"c{n}", state))]
    projection = fresh(*told)
    projection.frame(COUNTS_MS)
    assert projection.floor.campaigns["k1"].lines == Lines(dialling=1, ringing=1, waiting=1, live=2)


def test_a_campaign_is_sent_for_its_counts_at_most_once_a_second_however_much_happens():
    projection = fresh(("campaign", "k1", campaign("k1")), ("agent", "a1", agent("a1")))
    sent, told = 0, 0
    for n in range(1, 101):  # ten seconds of a frame every 100 ms, a change before each
        projection.change("agent", "a1", agent("a1", n, status="break" if n % 2 else "available"))
        frame = projection.frame(n * 100 + n % 2)
        told += len(frame.agents)
        sent += len(frame.campaigns)
    assert told >= 99
    assert 1 <= sent <= 10


def test_what_is_counted_late_is_counted_right_once_the_second_is_over():
    projection = fresh(("campaign", "k1", campaign("k1")), ("agent", "a1", agent("a1")))
    projection.frame(COUNTS_MS)
    projection.change("agent", "a1", agent("a1", 2, status="break"))
    assert projection.frame(COUNTS_MS + 150).campaigns == ()
    assert projection.frame(2 * COUNTS_MS).campaigns[0].agents_now == CampaignAgents(on_break=1)
    # A clock that is set back must not stop the counting.
    projection.change("agent", "a1", agent("a1", 3, status="busy"))
    assert projection.frame(10).campaigns[0].agents_now == CampaignAgents(busy=1)


def test_a_call_shows_its_agents_leg_and_since_when_it_rang():
    softphone = {"leg": "s1", "role": "agent", "agent_id": "a1", "since": 3}
    projection = fresh(
        ("call", "c1", call("c1")),
        ("leg", "c1", leg("c1", "alerting", ringing_at=10)),
        ("leg", "s1", {**softphone, "state": "answered"}),
    )
    row = projection.floor.calls["c1"]
    assert (row.agent_state, row.ringing_since) == ("answered", 10)
    projection.change("leg", "s1", {**softphone, "state": "bridged"})
    assert [row.agent_state for row in projection.frame(2).calls] == ["bridged"]
    projection.change("call", "c1", call("c1", 1, agent_id="a2"))
    assert projection.frame(3).calls[0].agent_state is None
    projection.change("call", "c1", call("c1", 2, agent_id="a1"))
    projection.frame(4)
    projection.change("leg", "s1", {**softphone, "state": "ended"})
    assert projection.frame(5).calls[0].agent_state is None


def test_round_trips_are_merged_into_agents_and_small_changes_make_no_frame():
    projection = fresh(("agent", "a1", agent("a1")), ("agent", "a2", agent("a2")))
    projection.set_round_trips({"a1": 100, "a9": 5})
    assert [(row.id, row.round_trip_ms) for row in projection.frame(2).agents] == [("a1", 100)]
    for unnoticed in (100, 119, 81):
        projection.set_round_trips({"a1": unnoticed, "a9": 5})
        assert projection.frame(3).agents == ()
    projection.set_round_trips({"a1": 121})
    assert projection.frame(4).agents[0].round_trip_ms == 121
    projection.change("agent", "a1", agent("a1", 1, status="break"))
    assert projection.frame(5).agents[0].round_trip_ms == 121
    projection.set_round_trips({})
    assert projection.frame(6).agents[0].round_trip_ms is None


def test_a_quick_round_trip_that_doubles_is_still_no_news():
    projection = fresh(("agent", "a1", agent("a1")))
    projection.set_round_trips({"a1": 4})
    projection.frame(2)
    projection.set_round_trips({"a1": 9})
    assert projection.frame(3).agents == ()


def test_old_and_unreadable_round_trips_are_forgotten():
    rows = {b"a1": b"80 1000", b"a2": b"80 900", b"a3": b"x", b"a4": b"80 5000"}
    assert round_trips.read(rows, 1_010.0) == ({"a1": 80}, [b"a2", b"a3", b"a4"])
