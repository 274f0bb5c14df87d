"""A snapshot and the frames after it are a fresh snapshot: for the whole floor and for every part of it."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.campaign_counts import COUNTS_MS
from console.floor_state import Delta, FloorState, OutOfSequence, apply_frame, epoch_order
from console.projection import Projection, Unreadable
from console.protocol import Frame, Kind, read_frame, read_snapshot, text
from console.rows import Health
from console.scopes import FLOOR, Part, Scope
from tests.fakes.rows import AGENTS, CAMPAIGNS, TEAMS, agent, call, campaign, changes, fresh, leg, tell


def catch_up(clients: dict[Scope, FloorState], waiting: list[Delta], hub: FloorState) -> None:
    for delta in waiting:
        for scope, client in clients.items():
            frame = read_frame(text(scope.frame(delta, lambda scope=scope: scope.kpis(hub))))
            apply_frame(client, frame)
            outside = [row for row in frame.agents if not scope.sees_agent(row)]
            outside += [row for row in frame.calls if not scope.sees_call(row)]
            assert not outside
    waiting.clear()


def some(values: list[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


parts = st.one_of(st.none(), st.builds(Part, teams=some(TEAMS), campaigns=some(CAMPAIGNS)))
scopes = st.one_of(
    st.builds(Scope, agent=st.sampled_from(AGENTS)),
    st.builds(
        Scope, campaigns=some([*CAMPAIGNS, "nobody"]), teams=some(TEAMS), kinds=some([*get_args(Kind)]), part=parts
    ),
)


@given(
    st.lists(st.lists(changes, max_size=6), max_size=12),
    st.sets(scopes, min_size=1, max_size=6),
    st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_snapshot_then_frames_is_a_fresh_snapshot_for_every_scope(batches, parts_of_it, delays):
    """Whoever reads late gets figures of the latest state with older frames, and ends with the same."""
    projection = Projection()
    projection.start_epoch("7.1", 0)
    scopes = {FLOOR, *parts_of_it}
    clients = {scope: FloorState.of(read_snapshot(text(scope.snapshot(projection.floor)))) for scope in scopes}
    waiting = []
    hub = FloorState.of(projection.floor.snapshot())
    for at, batch in enumerate(batches):
        for change in batch:
            tell(projection, change)
        frame = read_frame(text(projection.frame(at)))
        waiting.append(apply_frame(hub, frame))
        if not delays[at]:
            catch_up(clients, waiting, hub)
    catch_up(clients, waiting, hub)
    for scope, client in clients.items():
        assert client.snapshot() == scope.snapshot(projection.floor)
    # And what frames have built is what a publisher that starts now would build.
    end = len(batches) + 2 * COUNTS_MS  # by then counts are as fresh as a newcomer's
    apply_frame(hub, projection.frame(end))
    again = begun_anew(projection, end)
    again.floor.seq = hub.seq
    assert again.floor.snapshot() == hub.snapshot()


def begun_anew(projection: Projection, at: int) -> Projection:
    """A publisher that has just read what the other one knows."""
    again = Projection()
    told = {
        "agent": projection.agents,
        "campaign": projection.campaigns,
        "call": projection.records,
        "leg": {**projection._ended, **projection.legs},
    }
    for kind, rows in told.items():
        for key, row in rows.items():
            again.change(kind, key, msgspec.to_builtins(row))
    again.set_round_trips(projection.round_trips)
    again.start_epoch(projection.floor.epoch, at)
    return again


def test_a_frame_of_another_epoch_or_after_a_gap_is_refused_and_changes_nothing():
    floor = fresh(("agent", "a1", agent("a1"))).floor
    before = floor.snapshot()
    for frame in (Frame(epoch="2.1", seq=floor.seq + 1, at=9), Frame(epoch="1.1", seq=floor.seq + 2, at=9)):
        with pytest.raises(OutOfSequence):
            apply_frame(floor, frame)
    assert floor.snapshot() == before


def test_nothing_changed_gives_an_empty_frame_with_the_next_seq():
    projection = fresh(("agent", "a1", agent("a1")))
    projection.change("agent", "a1", agent("a1"))
    frame = projection.frame(5)
    assert (frame.seq, frame.agents, frame.kpis) == (2, (), None)


def test_many_changes_of_a_row_leave_as_one_row_with_the_last_value():
    projection = fresh()
    for version, status in enumerate(("available", "break", "busy")):
        projection.change("agent", "a1", agent("a1", version, status=status))
    assert [row.status for row in projection.frame(2).agents] == ["busy"]


def test_an_older_version_never_overwrites_a_newer_one():
    projection = fresh(("agent", "a1", agent("a1", 4, status="break")))
    assert not projection.change("agent", "a1", agent("a1", 3, status="available"))
    assert projection.floor.agents["a1"].status == "break"


def test_a_call_joins_its_record_and_its_leg_whichever_comes_first():
    told = [("call", "c1", call("c1")), ("leg", "c1", leg("c1", "alerting"))]
    for order in (told, told[::-1]):
        row = fresh(*order).floor.calls["c1"]
        assert (row.source, row.state, row.since, row.contact) == ("call", "alerting", 10, "Ann")


def test_an_answered_customer_waits_until_bridged():
    projection = fresh(("call", "c1", call("c1")), ("leg", "c1", leg("c1", "answered", since=700)))
    assert projection.floor.calls["c1"].waiting_since == 700
    assert projection.floor.kpis.waiting.count == 1
    assert projection.floor.kpis.waiting.oldest_since == 700
    projection.change("leg", "c1", leg("c1", "bridged", since=900))
    projection.frame(2)
    assert projection.floor.calls["c1"].waiting_since is None
    assert projection.floor.kpis.waiting.oldest_since is None


def test_a_customer_who_hung_up_is_not_waiting_though_the_dialer_has_not_heard():
    projection = fresh(("call", "c1", call("c1", answered_at=600)), ("leg", "c1", leg("c1", "answered")))
    projection.change("leg", "c1", leg("c1", "ended"))
    projection.frame(2)
    row = projection.floor.calls["c1"]
    assert (row.state, row.waiting_since) == ("ended", None)
    projection.change("call", "c1", call("c1", 1, ended_at=900))
    assert projection.frame(3).gone.calls == ("c1",)


def test_a_leg_of_no_call_is_shown_as_a_call_of_its_own_with_its_number_masked():
    row = fresh(("leg", "x1", leg("x1", role="other", call_id="", number="+12125550123"))).floor.calls["x1"]
    assert (row.source, row.number) == ("leg", "+1212***23")


@pytest.mark.parametrize("role", ["agent", "supervisor"])
def test_legs_of_our_own_people_are_no_calls(role):
    assert fresh(("leg", "x1", leg("x1", role=role, call_id=""))).floor.calls == {}


def test_a_full_reading_mends_what_was_never_announced():
    projection = fresh(("agent", "a1", agent("a1")), ("agent", "a2", agent("a2")))
    as_of = projection.count
    assert projection.replace("agent", [("a1", agent("a1", status="break")), ("a.3", agent("a.3"))], as_of) == []
    frame = projection.frame(3)
    assert {row.id: row.status for row in frame.agents} == {"a1": "break", "a.3": "available"}
    assert frame.gone.agents == ("a2",)


def test_what_was_announced_during_a_reading_is_newer_than_the_reading():
    projection = fresh(("leg", "c1", leg("c1", "alerting")))
    as_of = projection.count
    projection.change("leg", "c1", leg("c1", "answered"))
    projection.change("leg", "c2", leg("c2", "alerting"))
    projection.replace("leg", [("c1", leg("c1", "alerting"))], as_of)
    assert projection.legs["c1"].state == "answered"
    assert "c2" in projection.legs


def test_one_unreadable_row_is_reported_and_the_others_stay():
    projection = fresh()
    complaints = projection.replace("agent", [("a1", {"id": "a1", "status": "flying"}), ("a2", agent("a2"))], 0)
    assert len(complaints) == 1 and "a1" in complaints[0]
    assert set(projection.agents) == {"a2"}
    with pytest.raises(Unreadable):
        projection.change("weather", "x", {})


def test_fields_that_only_a_newer_room_knows_are_ignored():
    assert fresh(("agent", "a1", agent("a1", mood="fine"))).floor.agents["a1"].name == "A1"


def test_figures_count_wrap_up_apart_and_a_zero_denominator_is_unknown():
    projection = fresh(
        ("agent", "a1", agent("a1", status="busy", reason="wrap_up")),
        ("agent", "a2", agent("a2", status="busy", reason="paperwork")),
        ("agent", "a.3", agent("a.3", status="break")),
    )
    kpis = projection.floor.kpis
    assert (kpis.agents.total, kpis.agents.wrap_up, kpis.agents.busy, kpis.agents.on_break) == (3, 1, 1, 1)
    assert (kpis.abandon_rate.value, kpis.abandon_rate.denominator) == (None, 0)
    projection.change(
        "campaign", "k1", campaign("k1", today={"attempts": 10, "answered": 9, "people": 8, "abandoned": 2})
    )
    projection.change("campaign", "k2", campaign("k2", today={"attempts": 10}))
    kpis = projection.frame(4).kpis
    assert (kpis.abandon_rate.numerator, kpis.abandon_rate.denominator, kpis.abandon_rate.value) == (2, 8, 0.25)
    assert kpis.answer_rate.value == 0.45
    assert kpis.answer_rate.window == "today (UTC)"


def test_health_alone_makes_a_frame_with_figures():
    projection = fresh()
    projection.set_health({"bridge": Health(ok=False, detail="link down")}, 300)
    frame = projection.frame(2)
    assert frame.kpis.health["bridge"].detail == "link down"
    assert frame.kpis.behind_ms == 300


def test_epochs_only_grow_and_nonsense_is_the_oldest():
    assert epoch_order("18.1") > epoch_order("17.9") > epoch_order("17.2") > epoch_order("") == epoch_order("x.y")
