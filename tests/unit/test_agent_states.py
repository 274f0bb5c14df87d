"""The agent state machine, by values; and that no sequence of inputs breaks its rules."""

from hypothesis import given
from hypothesis import strategies as st

from dialer.agent_states import (
    WRAP_UP,
    CancelPending,
    Connected,
    Engagement,
    Refused,
    Released,
    SetState,
    SoftphoneLost,
    State,
    Status,
    WrapUpOver,
    step,
)

NONE, RESERVED, TALKING = Engagement
AVAILABLE = State(Status.AVAILABLE)
ON_CALL = State(Status.ON_CALL)
WRAPPING = State(Status.BUSY, WRAP_UP)
BREAK = SetState(Status.BREAK, "lunch")


def test_a_free_agent_goes_where_they_ask_at_once():
    assert step(AVAILABLE, NONE, BREAK) == State(Status.BREAK, "lunch")
    assert step(State(Status.OFFLINE), NONE, SetState(Status.AVAILABLE)) == AVAILABLE


def test_nobody_sets_on_call_or_wrap_up_by_hand():
    assert isinstance(step(AVAILABLE, NONE, SetState(Status.ON_CALL)), Refused)
    assert isinstance(step(AVAILABLE, NONE, SetState(Status.BUSY, WRAP_UP)), Refused)


def test_during_a_call_a_wish_waits_and_is_taken_back_by_available():
    waiting = step(ON_CALL, TALKING, BREAK)
    assert waiting == State(Status.ON_CALL, "", Status.BREAK, "lunch")
    assert step(waiting, TALKING, SetState(Status.AVAILABLE)) == ON_CALL
    assert step(waiting, TALKING, CancelPending()) == ON_CALL


def test_wrap_up_follows_a_conversation_and_the_wish_follows_wrap_up():
    waiting = State(Status.ON_CALL, "", Status.OFFLINE, "end_of_shift")
    wrapping = step(waiting, NONE, Released(talked=True, wrap_up=10))
    assert wrapping == State(Status.BUSY, WRAP_UP, Status.OFFLINE, "end_of_shift")
    assert step(wrapping, NONE, WrapUpOver()) == State(Status.OFFLINE, "end_of_shift")
    assert step(WRAPPING, NONE, WrapUpOver()) == AVAILABLE


def test_a_released_reservation_leaves_the_agent_as_they_were_or_wish():
    assert step(AVAILABLE, NONE, Released(talked=False, wrap_up=10)) == AVAILABLE
    assert step(step(AVAILABLE, RESERVED, BREAK), NONE, Released(talked=False, wrap_up=10)) == State(
        Status.BREAK, "lunch"
    )


def test_without_wrap_up_time_the_agent_is_available_at_once():
    assert step(ON_CALL, NONE, Released(talked=True, wrap_up=0)) == AVAILABLE


def test_a_deactivated_agent_cannot_become_available():
    assert isinstance(step(State(Status.OFFLINE), NONE, SetState(Status.AVAILABLE), active=False), Refused)


def test_a_late_end_of_wrap_up_changes_nothing_else():
    lunch = State(Status.BREAK, "lunch")
    assert step(lunch, NONE, WrapUpOver()) == lunch
    assert step(lunch, NONE, SoftphoneLost()) == lunch


inputs = st.one_of(
    st.builds(SetState, st.sampled_from(Status), st.sampled_from(["", "lunch", WRAP_UP])),
    st.just(CancelPending()),
    st.just(WrapUpOver()),
    st.just(SoftphoneLost()),
    st.sampled_from(["reserve", "connect", "end"]),
)


@given(st.lists(inputs, max_size=40))
def test_whatever_happens_in_whatever_order_the_rules_hold(happened):
    state, engagement = State(Status.OFFLINE), NONE
    for event in happened:
        if event == "reserve":
            if state == AVAILABLE and engagement is NONE:
                engagement = RESERVED
            continue
        if event == "connect":
            if engagement is not RESERVED:
                continue
            engagement, event = TALKING, Connected()
        elif event == "end":
            if engagement is NONE:
                continue
            talked, engagement = engagement is TALKING, NONE
            event = Released(talked=talked, wrap_up=5)
        elif isinstance(event, SoftphoneLost) and engagement is not NONE:
            continue  # the service says so only of agents without a call
        after = step(state, engagement, event)
        if isinstance(after, Refused):
            assert after.reason
            continue
        state = after
        # On a call exactly while joined; a wish waits only while something holds the agent.
        assert (state.status is Status.ON_CALL) == (engagement is TALKING)
        assert state.pending is None or engagement is not NONE or state.in_wrap_up
        assert state.pending is not Status.ON_CALL
        if engagement is RESERVED:
            assert state.status is Status.AVAILABLE
