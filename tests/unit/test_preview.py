"""What is decided about calls that agents place, by value."""

import datetime as dt

import pytest

from dialer import preview
from dialer.eligibility import Gate
from dialer.preview import Inputs

NOW = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("inputs", "reason", "words"),
    [
        (Inputs("preview", 3, 3, offered=3), "agents_dial", "offered 3 contacts for preview: one for each idle agent"),
        (Inputs("preview", 3, 3, offered=1), "agents_dial", "offered 1 contact for preview: 3 agents idle, no more"),
        (Inputs("preview", 3, 0, previewing=1), "agents_dial", "offered none: 1 agent has a contact before them"),
        (Inputs("preview", 3, 0), "no_agents", "offered none: no idle agent with an open softphone among 3 logged in"),
        (Inputs("preview", 3, 2, rate_limited=2), "rate_limit", "offered none: 2 agents idle, all at their hourly"),
        (Inputs("preview", 3, 2), "list_empty", "offered none: 2 agents idle, but no contact is due"),
        (Inputs("preview", 3, 2, closed_gate="schedule", closed="over"), "calling_window", "placed none: over"),
        (Inputs("preview", 3, 2, link_ok=False), "stale_state", "placed none: the link to the switch is down"),
        (Inputs("manual", 3, 2), "agents_dial", "placed none: in manual mode only agents dial"),
        (Inputs("manual", 3, 2, closed_gate="status", closed="paused"), "not_active", "placed none: paused"),
    ],
)
def test_the_dialer_places_nothing_where_agents_dial_and_says_why(inputs, reason, words):
    decision = preview.decide(inputs)
    assert (decision.place, decision.reason, decision.mode) == (0, reason, inputs.mode)
    assert decision.summary.startswith(words) and len(decision.summary) <= 300


def test_a_skipped_contact_waits_and_goes_behind_all_others_at_the_limit():
    assert preview.after_skip(2, 3, 7, NOW, HOUR) == preview.Skipped(NOW + HOUR, 7)
    assert preview.after_skip(3, 3, 7, NOW, HOUR) == preview.Skipped(NOW + HOUR, preview.LAST_PRIORITY)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (None, "needs a time"),
        (NOW, "in the past"),
        (NOW - HOUR, "in the past"),
        (NOW + preview.LONGEST_AHEAD + HOUR, "90 days"),
        (NOW + HOUR, ""),
    ],
)
def test_an_appointment_is_soon_and_not_past(at, words):
    found = preview.wrong_time(at, NOW)
    assert words in found and bool(found) == bool(words)


def test_a_refusal_is_one_sentence_with_every_gate_and_its_time():
    gates = [Gate("do_not_call", "the number is not to be called"), Gate("calling_hours", "outside hours", NOW)]
    assert preview.told(gates) == "the number is not to be called; outside hours (until 2026-03-02 15:00 UTC)"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"active": False}, "deactivated"),
        ({"has_call": True}, "has a call already"),
        ({"status": "break", "reason": "lunch_time"}, "not available: break (lunch time)"),
        ({"pending": "break"}, "asked for break"),
        ({"softphone": "lost"}, "softphone is not connected"),
    ],
)
def test_why_an_agent_cannot_take_a_call(changed, words):
    idle = {
        "active": True, "status": "available", "reason": "", "softphone": "open", "pending": "", "has_call": False
    }  # fmt: skip
    found = preview.not_idle(**{**idle, **changed})
    assert words in found and bool(found) == bool(words)
