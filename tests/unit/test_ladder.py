"""A call's ladder from the events of a real FreeSWITCH, and an agent's day as a strip."""

import datetime as dt
import random

import pytest

from console import cause_words, day_strip, figure_text, ladder
from dialer import hangup_causes
from dialer.figures import Rate
from tests.fakes import captures

AT = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)


def said(name: str) -> list[str]:
    return [one.word for one in ladder.told(captures.events(name)).happenings]


def test_a_bridged_call_is_told_in_the_order_of_its_events():
    told = ladder.told(captures.events("02_answered_bridged_agent_hangs_up"))
    words = [one.word for one in told.happenings]
    assert words[:4] == ["Dialled", "Rings", "Answered", "Parked"]
    assert words[-4:] == ["Joined", "Hangup", "Parted", "Hangup"]
    joined = next(one for one in told.happenings if one.word == "Joined")
    assert set(joined.states.values()) == {"bridged"} and joined.peer in told.legs
    assert {leg.state for leg in told.legs.values()} == {"ended"}


def test_the_order_in_which_events_are_read_changes_nothing():
    events = captures.events("07_hold_unhold")
    told = ladder.told(events)
    for seed in range(5):
        shuffled = random.Random(seed).sample(events, len(events))
        assert ladder.told(shuffled) == told


@pytest.mark.parametrize("name", captures.NAMES)
def test_no_capture_is_too_strange_to_be_told(name):
    told = ladder.told(captures.events(name))
    lanes = [ladder.Lane(leg, leg[:4]) for leg in told.legs]
    rows = ladder.rows(lanes, told.happenings)
    assert len(rows) == len(told.happenings)
    assert all(len(row.cells) == len(lanes) for row in rows)


def test_what_we_did_stands_between_the_events_and_leaves_the_legs_as_they_were():
    rows = ladder.rows(
        [ladder.Lane(ladder.OURS, "Orchestrator"), ladder.Lane("a", "Customer")],
        [
            ladder.Happening(AT, "a", "Answered", states={"a": "answered"}),
            ladder.Happening(AT + dt.timedelta(seconds=70), ladder.OURS, "Hold"),
            ladder.Happening(AT, "b", "of a leg without a lane"),
        ],
    )
    assert [(row.happening.word, row.since, row.after) for row in rows] == [
        ("Answered", "0.00 s", "+0.00 s"),
        ("Hold", "1:10", "+1:10"),
    ]
    assert [cell.state for cell in rows[1].cells] == ["", "answered"]
    assert [cell.mark for cell in rows[1].cells] == [True, False]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (0, "0.00 s"), (840, "0.84 s"), (12_340, "12.3 s"), (133_000, "2:13"), (3_733_000, "1:02:13")],
)
def test_lengths_are_told_as_people_read_them(ms, text):
    assert ladder.span(ms) == text


def test_every_cause_that_decides_anything_has_words():
    known = hangup_causes.BUSY | hangup_causes.NO_ANSWER | hangup_causes.INVALID | hangup_causes.REJECTED
    for name in known | hangup_causes.CANCELLED | hangup_causes.NOT_DIALLED:
        assert name in cause_words.CAUSES, name
    assert cause_words.cause("SOME_NEW_CAUSE") == "some new cause"
    assert [cause_words.far_end(word) for word in ("recv_bye", "send_bye", "")] == [True, False, None]


# --- The day --------------------------------------------------------------------------------------------------------


def test_the_strip_covers_the_time_at_work_to_whole_steps():
    hour = dt.timedelta(hours=1)
    spans = [
        ("offline", AT - 9 * hour, AT, "before"),
        ("available", AT, AT + 2 * hour, "idle"),
        ("on_call", AT + 2 * hour, AT + 7 * hour, "call"),
        ("offline", AT + 7 * hour, AT + 14 * hour, "after"),
    ]
    strip = day_strip.strip(spans)
    assert strip is not None
    assert (strip.marks[0].text, strip.marks[-1].text) == ("09:00", "17:00")
    titles = {part.title: part for part in strip.parts}
    assert titles["idle"].x == "6.250%" and titles["idle"].width == "25.000%"
    # The lane says what the colour says.
    assert titles["idle"].y < titles["call"].y < titles["before"].y
    assert len(strip.lanes) == 6


def test_a_young_day_has_fine_steps_and_a_day_off_has_no_strip():
    minute = dt.timedelta(minutes=1)
    young = day_strip.strip([("available", AT, AT + 4 * minute, "")])
    assert young is not None and [mark.text for mark in young.marks][:2] == ["09:30", "09:31"]
    whole = day_strip.strip([("break", AT.replace(hour=0, minute=0), AT.replace(hour=23, minute=59), "")])
    assert whole is not None and len(whole.marks) <= day_strip.MARKS + 1
    assert day_strip.strip([("offline", AT, AT + minute, "")]) is None
    assert day_strip.strip([]) is None


@pytest.mark.parametrize(
    ("name", "rate", "text"),
    [
        ("average_handle_time", Rate(700, 5), ("2:20", "5 calls")),
        ("occupancy", Rate(3600, 7200), ("50.0 %", "1:00:00 of 2:00:00")),
        ("answer_rate", Rate(1, 3), ("33.3 %", "1 of 3")),
        ("calls_per_agent_hour", Rate(12, 7200, per=3600), ("6.0", "12 in 2:00:00")),
        ("occupancy", Rate(0, 0), ("–", "")),
    ],
)
def test_a_figure_carries_what_it_is_made_of(name, rate, text):
    assert figure_text.told(name, rate) == text
