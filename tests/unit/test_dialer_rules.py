"""Hangup causes, retries, gates, limits, pacing and orders: values in, values out."""

import datetime as dt
import time
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import eligibility, hangup_causes, limits, orders, pacing, retry
from dialer.calling_hours import ALL_HOURS
from dialer.hangup_causes import Outcome

NOW = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("USER_BUSY", Outcome.BUSY),
        ("NO_ANSWER", Outcome.NO_ANSWER),
        ("NO_USER_RESPONSE", Outcome.NO_ANSWER),
        ("CALL_REJECTED", Outcome.FAILED),
        ("UNALLOCATED_NUMBER", Outcome.INVALID),
        ("NORMAL_TEMPORARY_FAILURE", Outcome.FAILED),
        ("SYSTEM_SHUTDOWN", Outcome.FAILED),
        ("ORIGINATOR_CANCEL", Outcome.CANCELLED),
        ("SOMETHING_NEW", Outcome.FAILED),
    ],
)
def test_an_unanswered_attempt_ends_as_its_cause_says(cause, outcome):
    assert hangup_causes.outcome_of(cause, answered=False) is outcome


def test_an_answered_attempt_is_completed_whatever_ended_it():
    assert hangup_causes.outcome_of("USER_BUSY", answered=True) is Outcome.COMPLETED


def test_our_own_hang_up_of_a_ringing_call_is_a_cancellation():
    assert hangup_causes.outcome_of("NORMAL_CLEARING", answered=False, cancelled_by_us=True) is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("reply", "cause"),
    [("-ERR USER_BUSY", "USER_BUSY"), ("-ERR No such channel!", "REFUSED"), ("-USAGE: x", "REFUSED"), ("", "REFUSED")],
)
def test_the_cause_in_a_reply(reply, cause):
    assert hangup_causes.cause_in_reply(reply) == cause


def after(
    outcome: Outcome, attempts: int, *, reached: bool = True, connected: bool = True
) -> retry.Finished | retry.TryAgain:
    kind = retry.kind_of(outcome, "", reached=reached, connected=connected)
    rule = retry.RetryRule(HOUR)
    return retry.after_attempt(kind, attempts=attempts, max_retries=2, rule=rule, count=attempts, now=NOW)


def test_retries_come_after_the_delay_until_they_are_used_up():
    assert after(Outcome.BUSY, 1) == retry.TryAgain(NOW + HOUR)
    assert after(Outcome.NO_ANSWER, 2) == retry.TryAgain(NOW + HOUR)
    assert after(Outcome.NO_ANSWER, 3) == retry.Finished("exhausted")


def test_whoever_answered_without_being_joined_to_an_agent_is_called_again():
    assert after(Outcome.COMPLETED, 1, connected=False) == retry.TryAgain(NOW + HOUR)
    assert after(Outcome.COMPLETED, 3, connected=False) == retry.Finished("exhausted")


def test_some_outcomes_are_final_and_a_refusal_does_not_count():
    assert after(Outcome.COMPLETED, 1) == retry.Finished("completed")
    assert after(Outcome.INVALID, 1) == retry.Finished("invalid")
    assert after(Outcome.FAILED, 3, reached=False) == retry.TryAgain(NOW + retry.NOT_DIALLED_DELAY, counts=False)


def test_every_closed_gate_is_named_with_the_time_it_opens():
    campaign = eligibility.CampaignView("paused", False, NOW + HOUR, None)
    gates = eligibility.campaign_gates(campaign, NOW)
    assert [gate.name for gate in gates] == ["status", "list", "schedule"]
    assert gates[2].opens_at == NOW + HOUR
    assert eligibility.campaign_gates(eligibility.CampaignView("active", True, NOW, NOW + HOUR), NOW) == ()
    assert (
        eligibility.campaign_gates(eligibility.CampaignView("active", True, NOW - HOUR, NOW), NOW)[0].name == "schedule"
    )


def test_a_contact_is_dialled_only_when_ready_due_allowed_and_not_on_a_call():
    free = eligibility.ContactView("+12125551234", "ready", NOW)
    rules = eligibility.Rules(week=ALL_HOURS)
    assert eligibility.contact_gates(free, ["+1212"], NOW, rules) == ()
    blocked = eligibility.ContactView("+12125551234", "dialing", NOW + HOUR, number_is_on_a_call=True)
    names = [gate.name for gate in eligibility.contact_gates(blocked, ["+44"], NOW, rules)]
    assert names == ["status", "prefix", "on_call", "retry_delay"]
    assert [gate.name for gate in eligibility.contact_gates(free, [], NOW, rules)] == ["prefix"]


def test_the_hourly_limit_leaves_what_is_left():
    assert [limits.calls_left(n, 10) for n in (0, 9, 10, 11)] == [10, 1, 0, 0]


counts = st.integers(0, 400)


@given(
    st.builds(
        pacing.Observation,
        at=st.just(0.0), assigned=counts, idle=counts, waiting=counts,
        ringing=st.dictionaries(st.integers(1, 3), st.lists(counts, max_size=3)),
        ceilings=st.builds(pacing.Ceilings, lines=st.integers(-5, 400), per_hour=counts, contacts=counts),
        closed_gate=st.sampled_from(["", "status", "schedule"]), link_ok=st.booleans(),
    )
)  # fmt: skip
def test_progressive_never_places_more_than_agents_lines_or_contacts_allow(seen):
    decision = pacing.Progressive().decide(seen)
    assert 0 <= decision.place <= max(0, seen.idle - seen.waiting - seen.ringing_calls)
    assert decision.place <= max(0, seen.ceilings.lines)
    assert decision.place <= min(seen.ceilings.per_hour, seen.ceilings.contacts)
    if seen.closed_gate or not seen.link_ok:
        assert decision.place == 0
    assert decision.summary and decision.reason


LEG = str(uuid.uuid4())
HEADER = {"order_id": LEG, "expires_at": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"number": "+1212555\n1234"}, {"number": "12125551234"}, {"number": "+12125551234}"}, {"number": "+1 212"},
        {"leg": LEG + "\n"}, {"leg": "x"}, {"caller_id_name": "a,b"}, {"caller_id_name": "a'b"},
        {"caller_id_name": "a\nb"},
        {"agent_id": "a,b"}, {"timeout": 0}, {"timeout": 301}, {"caller_id_number": "anything"},
    ],
)  # fmt: skip
def test_an_order_with_a_field_outside_its_alphabet_is_refused(change):
    fields = {**HEADER, "leg": LEG, "number": "+12125551234", "call_id": LEG, "caller_id_number": "+12125550100"}
    orders.validated(orders.OriginateCustomer(**fields))
    with pytest.raises(msgspec.ValidationError):
        orders.validated(orders.OriginateCustomer(**{**fields, **change}))


@given(st.text())
def test_any_text_becomes_an_allowed_caller_name(text):
    fields = {**HEADER, "leg": LEG, "number": "+12125551234", "call_id": LEG, "caller_id_number": "+12125550100"}
    orders.validated(orders.OriginateCustomer(**fields, caller_id_name=orders.caller_name(text)))


def test_an_order_survives_the_outbox_and_the_wire():
    order = orders.Hangup(order_id=LEG, expires_at=time.time(), leg=LEG)
    assert orders.from_payload(msgspec.to_builtins(order)) == order == orders.decode(orders.encode(order))
