"""The agent state machine, by values; and that no sequence of inputs breaks its rules."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dialer.agent_states import (
    LIMIT_OVER,
    PANEL_LOST,
    WRAP_UP,
    CancelPending,
    Connected,
    Disposed,
    Engagement,
    LimitOver,
    PanelLost,
    Refused,
    Released,
    SetState,
    SoftphoneLost,
    State,
    Status,
    WrapUpExceeded,
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


def test_who_owes_a_disposition_stays_in_wrap_up_and_what_they_ask_for_waits():
    assert isinstance(step(WRAPPING, NONE, SetState(Status.AVAILABLE), owes=True), Refused)
    waiting = step(WRAPPING, NONE, BREAK, owes=True)
    assert waiting == State(Status.BUSY, WRAP_UP, Status.BREAK, "lunch")
    assert step(waiting, NONE, CancelPending(), owes=True) == WRAPPING
    assert step(waiting, NONE, Disposed()) == State(Status.BREAK, "lunch")
    assert step(WRAPPING, NONE, Disposed()) == AVAILABLE
    # Nobody else is held: a supervisor sends them anywhere.
    assert step(WRAPPING, NONE, BREAK) == State(Status.BREAK, "lunch")


def test_an_owed_disposition_makes_wrap_up_follow_even_where_it_has_no_seconds():
    assert step(ON_CALL, NONE, Released(talked=True, wrap_up=0, owes=True)) == WRAPPING
    assert step(AVAILABLE, NONE, Released(talked=False, wrap_up=0, owes=True)) == AVAILABLE


def test_the_longest_wrap_up_ends_in_a_break_or_in_what_was_asked_for():
    assert step(WRAPPING, NONE, WrapUpExceeded("slow")) == State(Status.BREAK, "slow")
    waiting = State(Status.BUSY, WRAP_UP, Status.OFFLINE, "end_of_shift")
    assert step(waiting, NONE, WrapUpExceeded("slow")) == State(Status.OFFLINE, "end_of_shift")
    assert step(ON_CALL, TALKING, WrapUpExceeded("slow")) == ON_CALL


def test_a_break_over_its_limit_ends_offline_and_wrap_up_does_not():
    assert step(State(Status.BREAK, "lunch"), NONE, LimitOver()) == State(Status.OFFLINE, LIMIT_OVER)
    assert step(WRAPPING, NONE, LimitOver()) == WRAPPING
    assert step(AVAILABLE, NONE, LimitOver()) == AVAILABLE


def test_a_lost_panel_sends_on_a_break_who_waits_and_leaves_calls_and_wishes_alone():
    assert step(AVAILABLE, NONE, PanelLost()) == State(Status.BREAK, PANEL_LOST)
    assert step(AVAILABLE, RESERVED, PanelLost()) == State(Status.AVAILABLE, "", Status.BREAK, PANEL_LOST)
    asked = State(Status.AVAILABLE, "", Status.OFFLINE)
    assert step(asked, RESERVED, PanelLost()) == asked
    assert step(ON_CALL, TALKING, PanelLost()) == ON_CALL
    assert step(WRAPPING, NONE, PanelLost()) == WRAPPING


class AgentMachine(RuleBasedStateMachine):
    """Every input in every order, as the services may give them, with what the services know beside the state."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.engagement = State(Status.OFFLINE), NONE
        self.owing = self.active = False

    def give(self, event, **more):
        before = self.state
        after = step(before, self.engagement, event, active=self.active, **more)
        if isinstance(after, Refused):
            assert after.reason
            assert isinstance(event, SetState | CancelPending), "the switch, the clock and panels are never refused"
            return
        self.state = after
        if not after.in_wrap_up:
            self.owing = False

    @initialize(active=st.booleans())
    def begins(self, active):
        self.active = active

    @rule(status=st.sampled_from(Status), reason=st.sampled_from(["", "lunch", WRAP_UP]), own=st.booleans())
    def a_person_asks(self, status, reason, own):
        before = self.state
        owes = own and self.owing
        self.give(SetState(status, reason), owes=owes)
        if owes and before.in_wrap_up:
            assert self.state.in_wrap_up, "who owes a disposition got away without it"
        if self.engagement is not NONE:
            assert self.state.status is before.status, "a wish takes nobody off a call"

    @rule()
    def they_take_it_back(self):
        before = self.state
        self.give(CancelPending())
        assert (self.state.status, self.state.reason, self.state.pending) == (before.status, before.reason, None)

    @precondition(lambda self: self.state == AVAILABLE and self.engagement is NONE)
    @rule()
    def a_call_is_reserved(self):
        assert self.active, "a deactivated agent came to work"
        self.engagement = RESERVED

    @precondition(lambda self: self.engagement is RESERVED)
    @rule()
    def the_switch_joins_them(self):
        self.engagement = TALKING
        self.give(Connected())

    @precondition(lambda self: self.engagement is not NONE)
    @rule(wrap_up=st.sampled_from([0, 5]), owes=st.booleans())
    def the_call_ends(self, wrap_up, owes):
        talked, wish, self.engagement = self.engagement is TALKING, self.state.pending, NONE
        self.give(Released(talked=talked, wrap_up=wrap_up, owes=owes))
        self.owing = owes and self.state.in_wrap_up
        if talked and (wrap_up or owes):
            assert self.state.in_wrap_up and self.state.pending is wish
        else:
            assert self.state.status is (wish or Status.AVAILABLE)

    @rule()
    def the_call_is_disposed_of(self):
        # The campaign may say that it ends the wrap-up; then it ends whatever is owed.
        self.owing = False
        self.give(Disposed())
        assert not self.state.in_wrap_up

    @rule()
    def wrap_up_time_is_over(self):
        if not self.owing:
            self.give(WrapUpOver())

    @rule()
    def the_longest_wrap_up_is_over(self):
        self.give(WrapUpExceeded("slow"))
        assert not self.state.in_wrap_up

    @rule()
    def a_limit_is_over(self):
        self.give(LimitOver())

    @precondition(lambda self: self.engagement is NONE)
    @rule()
    def the_softphone_is_lost(self):
        self.give(SoftphoneLost())

    @rule()
    def the_panel_is_lost(self):
        before = self.state
        self.give(PanelLost())
        if before.pending is not None:
            assert self.state.pending is before.pending, "a wish of their own is not overwritten"

    @invariant()
    def on_a_call_exactly_while_joined(self):
        assert (self.state.status is Status.ON_CALL) == (self.engagement is TALKING)

    @invariant()
    def a_wish_waits_only_while_something_holds_them(self):
        assert self.state.pending is None or self.engagement is not NONE or self.state.in_wrap_up
        assert self.state.pending not in {Status.ON_CALL, Status.AVAILABLE}
        assert self.state.pending is not None or self.state.pending_reason == ""

    @invariant()
    def a_reserved_agent_is_available(self):
        if self.engagement is RESERVED:
            assert self.state.status is Status.AVAILABLE

    @invariant()
    def the_deactivated_do_not_work(self):
        if not self.active:
            assert self.state.status not in {Status.AVAILABLE, Status.ON_CALL}


TestAgentMachine = AgentMachine.TestCase
TestAgentMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
