"""What a disposition does with the contact and the wrap-up, by values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.dispositions import (
    CORRECTABLE,
    Appointment,
    AtMaximum,
    Complete,
    End,
    Exhausted,
    Flags,
    Keep,
    Refused,
    Retry,
    Stay,
    ToBreak,
    WrapUp,
    at_wrap_up_end,
    following,
    refusal,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def follow(flags: Flags, **more):
    return following(flags, **{"now": NOW, "attempts": 1, "max_retries": 3, "retry_delay": HOUR, **more})


def test_a_contact_is_done_tried_again_or_left_to_the_outcome_as_the_flags_say():
    assert follow(Flags(complete=True)) == Complete()
    assert follow(Flags(do_not_call=True)) == Complete()
    assert follow(Flags(retry=True)) == Retry(NOW + HOUR)
    assert follow(Flags(retry=True, retry_delay=timedelta(minutes=5))) == Retry(NOW + timedelta(minutes=5))
    assert follow(Flags()) == Keep()


def test_a_retry_keeps_to_the_campaigns_number_of_attempts_and_an_appointment_does_not():
    assert follow(Flags(retry=True), attempts=4) == Exhausted()
    assert follow(Flags(retry=True), attempts=3) == Retry(NOW + HOUR)
    at = NOW + HOUR
    assert follow(Flags(callback=True), attempts=9, callback_at=at) == Appointment(at, True, None)


def test_a_personal_appointment_falls_back_to_anyone_and_a_shared_one_is_anyones_at_once():
    at = NOW + HOUR
    assert follow(Flags(callback=True), callback_at=at, fallback=HOUR) == Appointment(at, True, at + HOUR)
    assert follow(Flags(callback=True), callback_at=at, fallback=HOUR, personal=False) == Appointment(at, False, None)


@pytest.mark.parametrize(
    ("flags", "at", "word"),
    [
        (Flags(callback=True), None, "needs its time"),
        (Flags(callback=True), NOW, "has passed"),
        (Flags(callback=True), NOW + timedelta(days=91), "90 days"),
        (Flags(complete=True), NOW + HOUR, "makes no appointment"),
    ],
)
def test_an_appointment_that_cannot_be_kept_is_refused_with_what_to_do(flags, at, word):
    answer = follow(flags, callback_at=at)
    assert isinstance(answer, Refused) and word in answer.reason


def test_only_an_answered_call_is_disposed_of_and_it_is_corrected_for_half_an_hour():
    assert "nobody answered" in refusal(answered=False, disposed_at=None, now=NOW)
    assert refusal(answered=True, disposed_at=None, now=NOW) == ""
    assert refusal(answered=True, disposed_at=NOW - CORRECTABLE, now=NOW) == ""
    assert "30 min" in refusal(answered=True, disposed_at=NOW - CORRECTABLE - timedelta(seconds=1), now=NOW)


def end(rules: WrapUp, seconds: int, *, disposed: bool = False):
    return at_wrap_up_end(rules, disposed=disposed, began=NOW, now=NOW + timedelta(seconds=seconds))


def test_without_a_required_disposition_time_ends_the_wrap_up():
    assert end(WrapUp(10, maximum=60, then=AtMaximum.BREAK, reason="x"), 10) == End()


@pytest.mark.parametrize(
    ("then", "after"),
    [(AtMaximum.AVAILABLE, End()), (AtMaximum.BREAK, ToBreak("slow")), (AtMaximum.ALERT, Stay(None))],
)
def test_a_required_disposition_holds_the_wrap_up_until_its_maximum_and_then_the_campaign_decides(then, after):
    rules = WrapUp(10, required=True, maximum=60, then=then, reason="slow")
    assert end(rules, 10) == Stay(NOW + timedelta(seconds=60))
    assert end(rules, 59) == Stay(NOW + timedelta(seconds=60))
    assert end(rules, 60) == after
    assert end(rules, 10, disposed=True) == End()


def test_without_a_maximum_only_the_disposition_ends_it():
    assert end(WrapUp(10, required=True), 86_400) == Stay(None)
    assert WrapUp(10, required=True).over_at(NOW) is None


def test_a_call_disposed_of_while_it_lasted_has_wrap_up_only_where_disposing_does_not_end_it():
    assert WrapUp(10).length(disposed=True) == 0
    assert WrapUp(10, ends=False).length(disposed=True) == 10
    assert WrapUp(10).length(disposed=False) == 10
    assert not WrapUp(10, ends=False).ends_when_disposed(NOW, NOW + timedelta(seconds=9))
    assert WrapUp(10, ends=False).ends_when_disposed(NOW, NOW + timedelta(seconds=10))


@given(
    st.integers(0, 3600), st.booleans(), st.booleans(), st.none() | st.integers(0, 86_400), st.sampled_from(AtMaximum),
    st.booleans(), st.integers(0, 100_000),
)  # fmt: skip
def test_a_wrap_up_never_asks_for_a_moment_that_has_passed_and_ends_once_disposed(
    seconds, required, ends, maximum, then, disposed, elapsed
):
    rules = WrapUp(seconds, required, ends, maximum, then, "slow")
    after = end(rules, elapsed, disposed=disposed)
    if isinstance(after, Stay):
        assert rules.owes(disposed=disposed)
        assert after.until is None or after.until > NOW + timedelta(seconds=elapsed)
    if disposed:
        assert after == End()
