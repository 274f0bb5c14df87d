"""Why a campaign dials or not, as one sentence: the first thing that stands in the way is what it says."""

import datetime as dt

import pytest

from dialer.eligibility import Gate
from dialer.whydial import SILENT_AFTER, Last, answer

NOW = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=3)
PLACED = Last(NOW, 2, "progressive_base", "placed 2 calls: one for each idle agent")
NONE = Last(NOW, 0, "no_agents", "placed none: no idle agent")


def asked(*gates, **changed):
    known = {
        "assigned": 5, "idle": 2, "able": 2, "not_idle": [("with a call", 2), ("break (lunch)", 1)],
        "last": PLACED, "next_contact_at": None, "now": NOW,
    }  # fmt: skip
    return answer(gates, **(known | changed))


@pytest.mark.parametrize(
    ("changed", "words", "dialling"),
    [
        ({}, "Dialling: placed 2 calls", True),
        ({"last": None}, "nothing has been decided. Is the dialer worker running?", False),
        ({"last": Last(NOW - dt.timedelta(minutes=5), 2, "", "")}, "nothing was decided for 5 minutes", False),
        ({"last": Last(NOW - SILENT_AFTER, 2, "", "x")}, "Dialling", True),
        ({"assigned": 0}, "no agent is assigned", False),
        ({"last": NONE, "idle": 0, "able": 0}, "none of 5 is idle (2 with a call, 1 break (lunch))", True),
        ({"last": NONE, "able": 0}, "all 2 idle agents are at the hourly limit", False),
        ({"last": NONE, "idle": 1, "able": 0}, "the one idle agent is at the hourly limit", False),
        ({"last": Last(NOW, 0, "list_empty", "x")}, "2 agents idle, and no contact may be called now", False),
        ({"last": Last(NOW, 0, "trunks", "placed none: 9 of 9 lines are in use")}, "9 of 9 lines are in use", True),
    ],
)
def test_each_cause_has_its_sentence(changed, words, dialling):
    found = asked(**changed)
    assert words in found.text and found.dialling is dialling


def test_gates_come_before_everything_with_the_time_they_open():
    gate = Gate("schedule", "the campaign has not started yet", LATER)
    found = asked(gate, last=None, assigned=0)
    assert found.text == "Not dialling: the campaign has not started yet." and found.opens_at == LATER
    both = asked(gate, Gate("status", "the campaign is paused"))
    assert "not started yet and the campaign is paused" in both.text and both.opens_at is None


def test_an_empty_list_says_when_the_next_contact_may_be_called():
    assert asked(last=Last(NOW, 0, "list_empty", "x"), next_contact_at=LATER).opens_at == LATER
