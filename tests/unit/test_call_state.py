"""The fold of one leg: monotonic, the same whatever the order, and never moved by what is old or said twice."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import call_state, facts
from events.call_state import LegState, fold
from events.facts import (
    LegAnswered,
    LegBridged,
    LegCreated,
    LegEnded,
    LegHeld,
    LegRinging,
    LegUnbridged,
    LegUnheld,
    RecordingStarted,
    RecordingStopped,
)

A, B, C = "leg-a", "leg-b", "leg-c"


def ms(count):
    """Facts are in microseconds."""
    return count * 1000


def told(*given_facts, state=None):
    """(the leg, the states passed through)"""
    passed = []
    for fact in given_facts:
        state, transition = fold(state, fact)
        if transition is not None:
            passed.append(transition.current)
    return state, passed


CREATED = LegCreated(leg=A, at=ms(1), role="customer", call_id="c1", agent_id="7", campaign_id="s", number="+1212")
RINGING = LegRinging(leg=A, at=ms(2))
ANSWERED = LegAnswered(leg=A, at=ms(5))
ENDED = LegEnded(leg=A, at=ms(90), cause="NORMAL_CLEARING")


def test_a_call_passes_through_its_states_and_each_transition_knows_how_long():
    state, steps = None, []
    for fact in (CREATED, RINGING, ANSWERED, LegBridged(leg=A, at=ms(8), peer=B), ENDED):
        state, step = fold(state, fact)
        steps.append((step.previous, step.current, step.at, step.duration_ms))
    assert steps == [
        ("", "initiated", 1, None),
        ("initiated", "alerting", 2, 1),
        ("alerting", "answered", 5, 3),
        ("answered", "bridged", 8, 3),
        ("bridged", "ended", 90, 82),
    ]
    assert (state.role, state.call_id, state.agent_id, state.campaign_id, state.number) == (
        "customer", "c1", "7", "s", "+1212",
    )  # fmt: skip
    assert (state.created_at, state.answered_at, state.bridged_at, state.ended_at) == (1, 5, 8, 90)
    assert state.peer == ""


def test_a_ring_after_the_answer_is_no_step_back():
    state, passed = told(CREATED, ANSWERED, RINGING)
    assert passed == ["initiated", "answered"]
    assert (state.state, state.ringing_at) == ("answered", 2)


def test_a_creation_after_the_answer_only_fills_in_who_it_is():
    state, passed = told(ANSWERED, CREATED)
    assert passed == ["answered"]
    assert (state.state, state.role, state.created_at, state.since) == ("answered", "customer", 1, 5)


def test_nothing_follows_the_end():
    state, passed = told(CREATED, ENDED, ANSWERED, LegBridged(leg=A, at=ms(95), peer=B), LegHeld(leg=A, at=ms(96)))
    assert passed == ["initiated", "ended"]
    assert (state.state, state.peer, state.answered_at) == ("ended", "", 5)


def test_it_ends_once_and_the_complete_word_fills_in_cause_and_times():
    first = LegEnded(leg=A, at=ms(90), cause="NORMAL_CLEARING")
    full = LegEnded(
        leg=A, at=ms(92), cause="USER_BUSY", sip_status="486", disposition="recv_refuse",
        created_at=ms(1), answered_at=ms(5), complete=True,
    )  # fmt: skip
    destroyed = LegEnded(leg=A, at=ms(99), cause="NONE")
    state, passed = told(CREATED, first, full, destroyed, first)
    assert passed == ["initiated", "ended"]
    assert (state.cause, state.sip_status, state.disposition, state.answered_at) == (
        "USER_BUSY",
        "486",
        "recv_refuse",
        5,
    )
    assert (state.ended_at, state.complete) == (92, True)


def test_a_real_cause_is_better_than_a_lost_leg():
    state, _ = told(CREATED, LegEnded(leg=A, at=ms(50), cause="LOST"), ENDED)
    assert (state.cause, state.ended_at) == ("NORMAL_CLEARING", 90)
    state, _ = told(CREATED, ENDED, LegEnded(leg=A, at=ms(50), cause="LOST"))
    assert (state.cause, state.ended_at) == ("NORMAL_CLEARING", 90)


def test_the_end_of_an_old_bridge_does_not_end_a_new_one():
    first, second = LegBridged(leg=A, at=ms(10), peer=B), LegBridged(leg=A, at=ms(20), peer=C)
    state, passed = told(CREATED, ANSWERED, first, second, LegUnbridged(leg=A, at=ms(21), peer=B))
    assert passed == ["initiated", "answered", "bridged"]
    assert (state.state, state.peer, state.since) == ("bridged", C, 20)
    state, _ = told(LegUnbridged(leg=A, at=ms(30), peer=C), LegUnbridged(leg=A, at=ms(31), peer=B), state=state)
    assert (state.state, state.peer) == ("answered", "")


def test_an_old_bridge_that_comes_late_does_not_replace_a_new_one():
    first, second = LegBridged(leg=A, at=ms(10), peer=B), LegBridged(leg=A, at=ms(20), peer=C)
    state, _ = told(CREATED, ANSWERED, second, first)
    assert (state.state, state.peer, state.since, state.bridged_at) == ("bridged", C, 20, 10)


def test_an_unbridge_that_overtakes_its_bridge_still_ends_it():
    state, _ = told(CREATED, ANSWERED, LegUnbridged(leg=A, at=ms(30), peer=B), LegBridged(leg=A, at=ms(20), peer=B))
    assert (state.state, state.since, state.bridged_at) == ("answered", 30, 20)


def test_bridge_and_unbridge_in_one_tick_of_the_switch_leave_it_apart():
    bridge, unbridge = LegBridged(leg=A, at=ms(20), peer=B), LegUnbridged(leg=A, at=ms(20), peer=B)
    assert told(CREATED, ANSWERED, bridge, unbridge)[0] == told(CREATED, ANSWERED, unbridge, bridge)[0]
    assert told(CREATED, ANSWERED, bridge, unbridge)[0].state == "answered"


def test_an_agents_open_leg_serves_one_customer_after_another():
    facts_of_a_day = [CREATED, ANSWERED]
    for call in range(40):
        facts_of_a_day += [
            LegBridged(leg=A, at=ms(100 + 10 * call), peer=f"customer-{call}"),
            LegUnbridged(leg=A, at=ms(105 + 10 * call), peer=f"customer-{call}"),
        ]
    state, passed = told(*facts_of_a_day)
    assert passed.count("bridged") == 40
    assert (state.state, state.since, state.bridged_at) == ("answered", 495, 100)
    assert len(state.unbridged) <= 1


def test_hold_and_back():
    bridged = (CREATED, ANSWERED, LegBridged(leg=A, at=ms(10), peer=B))
    state, _ = told(*bridged, LegHeld(leg=A, at=ms(20)))
    assert (state.state, state.since, state.peer) == ("held", 20, B)
    state, _ = told(LegUnheld(leg=A, at=ms(30)), LegHeld(leg=A, at=ms(20)), state=state)
    assert (state.state, state.since, state.peer) == ("bridged", 30, B)


def test_a_leg_on_hold_whose_peer_leaves_is_on_hold_no_more():
    state, _ = told(
        CREATED, ANSWERED, LegBridged(leg=A, at=ms(10), peer=B), LegHeld(leg=A, at=ms(20)),
        LegUnbridged(leg=A, at=ms(30), peer=B),
    )  # fmt: skip
    assert (state.state, state.since) == ("answered", 30)
    assert told(LegBridged(leg=A, at=ms(40), peer=C), state=state)[0].state == "bridged"


def test_a_recording_is_known_while_it_runs():
    start, stop = (
        RecordingStarted(leg=A, at=ms(10), path="/r/1.wav"),
        RecordingStopped(leg=A, at=ms(20), path="/r/1.wav"),
    )
    assert told(CREATED, start)[0].recording == "/r/1.wav"
    assert told(CREATED, start, stop)[0].recording == told(CREATED, stop, start)[0].recording == ""


def test_the_first_word_about_who_it_is_wins_over_silence_and_stays():
    state, _ = told(LegCreated(leg=A, at=ms(1)), CREATED, LegCreated(leg=A, at=ms(1), role="agent", agent_id="8"))
    assert (state.role, state.agent_id) == ("customer", "7")


@pytest.mark.parametrize(
    "fact",
    [
        facts.DigitPressed(leg=A, at=ms(3), digit="1"),
        facts.OrderReported(leg=A, at=ms(3), order_id="o", status="done"),
        facts.JobFinished(order_id="o", ok=False),
        facts.SwitchHeartbeat(at=ms(3)),
        LegAnswered(leg=B, at=ms(3)),
    ],
)
def test_facts_about_something_else_change_no_leg(fact):
    state, _ = told(CREATED)
    assert fold(state, fact) == (state, None)
    assert fact.leg == B or fold(None, fact) == (None, None)


def test_parking_is_no_state_and_is_news_once():
    state, _ = told(CREATED, LegAnswered(leg=A, at=ms(2)))
    parked, transition = fold(state, facts.LegParked(leg=A, at=ms(3)))
    assert (parked.state, parked.since, parked.parked_at, transition) == (state.state, state.since, 3, None)
    for again in (facts.LegParked(leg=A, at=ms(3)), facts.LegParked(leg=A, at=ms(1))):
        assert fold(parked, again)[0] is parked


def test_a_fact_said_twice_gives_back_the_same_object():
    state, _ = told(CREATED, RINGING, ANSWERED)
    for fact in (CREATED, RINGING, ANSWERED):
        again, transition = fold(state, fact)
        assert again is state
        assert transition is None


def test_a_leg_survives_its_journey_through_json():
    state, _ = told(CREATED, ANSWERED, LegBridged(leg=A, at=ms(10), peer=B), LegUnbridged(leg=A, at=ms(12), peer=B))
    assert call_state.from_json(call_state.to_json(state)) == state
    assert call_state.from_row(call_state.to_row(state)) == state
    with pytest.raises(msgspec.ValidationError):
        call_state.from_json(b'{"leg": 1}')


def test_what_is_known_of_a_leg_tells_a_newcomer_the_same_story():
    state, _ = told(CREATED, RINGING, ANSWERED, LegBridged(leg=A, at=ms(10), peer=B), LegHeld(leg=A, at=ms(12)))
    again, _ = told(CREATED, *call_state.known_so_far(state))
    assert again == state


# --- whatever the order ----------------------------------------------------------------------------------------------

TIMES = st.integers(min_value=1, max_value=60).map(ms)
PEERS = st.sampled_from(["p", "q", "r"])


@st.composite
def leg_facts(draw):
    """Facts of one leg. Two bridges to different peers never share a tick: a leg has one peer at a time."""
    bridged_at = draw(st.lists(TIMES, unique=True, max_size=4))
    found = [LegBridged(leg=A, at=at, peer=draw(PEERS)) for at in bridged_at]
    found += draw(st.lists(st.builds(LegUnbridged, leg=st.just(A), at=TIMES, peer=PEERS), max_size=4))
    for kind in (LegRinging, LegAnswered, LegHeld, LegUnheld, RecordingStopped):
        found += draw(st.lists(st.builds(kind, leg=st.just(A), at=TIMES), max_size=2))
    starts = st.builds(RecordingStarted, leg=st.just(A), at=TIMES, path=st.just("/r/1.wav"))
    found += draw(st.lists(starts, max_size=2))
    ends = st.builds(
        LegEnded, leg=st.just(A), at=TIMES, cause=st.sampled_from(["NORMAL_CLEARING", "USER_BUSY", "LOST", "NONE"]),
        answered_at=st.sampled_from([0, ms(5)]), complete=st.booleans(),
    )  # fmt: skip
    return [*found, CREATED, *draw(st.lists(ends, max_size=3))]


def seen(state: LegState):
    """What people see of a leg; the fold's own notes may keep more or less of what no longer counts."""
    return [getattr(state, name) for name in ("state", "since", "peer", "role", "created_at", "ringing_at",
            "answered_at", "bridged_at", "ended_at", "cause", "recording")]  # fmt: skip


@given(leg_facts(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter_in_the_end(found, random):
    straight, _ = told(*sorted(found, key=lambda fact: fact.at))
    shuffled = [*found, *random.sample(found, len(found) // 2)]
    random.shuffle(shuffled)
    assert seen(told(*shuffled)[0]) == seen(straight)


@given(leg_facts(), st.randoms(use_true_random=False))
def test_a_leg_ends_at_most_once_and_never_comes_back(found, random):
    random.shuffle(found)
    state, ended = None, False
    for fact in found:
        state, transition = fold(state, fact)
        assert not (ended and transition is not None)
        ended = ended or state.state == "ended"
    assert ended == any(isinstance(fact, LegEnded) for fact in found)


@given(leg_facts())
def test_every_transition_begins_where_the_last_one_led(found):
    state, last = None, ""
    for fact in found:
        state, transition = fold(state, fact)
        if transition is not None:
            assert transition.previous == last
            assert transition.current != last
            assert transition.current == state.state
            assert transition.duration_ms is None or transition.duration_ms >= 0
            last = transition.current
        assert state.state == last
