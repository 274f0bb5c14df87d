"""What the agent's panel says, by value."""

import pytest

from console import panel_words, script
from console.kpis import ratio
from console.rows import AgentRow, AgentToday, CallRow, Listener
from dialer import figures


def agent(**fields):
    return AgentRow(**{"id": "a", "name": "Ann", "extension": "901", "status": "available", **fields})


def call(**fields):
    return CallRow(**{"id": "c", "state": "bridged", **fields})


def allowed(row):
    return {button.action for button in panel_words.buttons(row, "Grace") if not button.why}


@pytest.mark.parametrize(
    ("fields", "joined", "word"),
    [
        ({"softphone": "open"}, False, "connected"),
        ({"softphone": "open"}, True, "in call"),
        ({"softphone": "ringing"}, False, "ringing: answer it"),
        ({"softphone": "lost", "registered": "yes"}, False, "lost"),
        ({"softphone": "none", "registered": "yes"}, False, "registered"),
        ({"softphone": "none", "registered": "no"}, False, "not registered"),
        ({"softphone": "open", "registered": "no"}, False, "connected"),
        ({"softphone": "none"}, False, "not called"),
    ],
)
def test_a_softphone_is_called_by_what_it_does_now(fields, joined, word):
    assert panel_words.softphone(agent(**fields), call() if joined else None)[0] == word


def test_a_softphone_is_trouble_only_for_who_is_at_work():
    assert "Softphone lost" in panel_words.phone_trouble(agent(softphone="lost"))
    assert "not registered" in panel_words.phone_trouble(agent(registered="no"))
    assert panel_words.phone_trouble(agent(softphone="lost", status="offline")) == ""
    assert panel_words.phone_trouble(agent(softphone="open", registered="no")) == ""


def test_what_a_call_allows_follows_its_state():
    assert allowed(call()) == {"hold", "mute", "park", "hangup"}
    assert allowed(call(state="held", recording="on")) == {"unhold", "mute", "park", "record_pause", "hangup"}
    assert allowed(call(state="alerting")) == {"hangup"}
    assert allowed(call(muted=True, recording="paused")) == {"hold", "unmute", "park", "record_resume", "hangup"}
    assert allowed(call(state="answered", parked=True)) == {"mute", "unpark", "hangup"}
    for row in (call(consulting="1002"), call(state="answered", parked=True, consulting="1002", consult_answered=True)):
        assert allowed(row) == {"mute", "hangup"}
    assert panel_words.no_transfer(call()) == "" == panel_words.no_transfer(call(state="held"))
    for row in (None, call(state="alerting"), call(parked=True), call(consulting="1002")):
        assert panel_words.no_transfer(row)


def test_while_the_switch_moves_a_call_nothing_else_is_asked_of_it():
    assert allowed(call(operation="park")) == {"mute", "hangup"}
    assert "being" in panel_words.no_transfer(call(consulting="1002"))
    assert "asked: take over" in panel_words.no_transfer(call(operation="take_over"))
    assert "unpark" not in allowed(call(parked=True, operation="unpark"))


def test_a_colleague_is_joined_once_they_have_answered():
    rings, speaks = call(consulting="1002"), call(consulting="1002", consult_answered=True)
    assert panel_words.consulting(rings) == "Calling 1002; the customer waits." and panel_words.not_yet_joined(rings)
    assert panel_words.consulting(speaks) == "You speak with 1002; the customer waits."
    assert panel_words.not_yet_joined(speaks) == "" == panel_words.consulting(call())


def test_the_controls_keep_their_places_whatever_the_call_does():
    states = [
        call(),
        call(state="held"),
        call(parked=True),
        call(consulting="1002"),
        call(state="alerting", muted=True),
    ]
    assert len({tuple((one.id, one.key) for one in panel_words.buttons(row, "Grace")) for row in states}) == 1


def test_only_the_hangup_key_asks_first():
    assert [one.action for one in panel_words.buttons(call(), "Grace") if one.ask] == ["hangup"]


def test_a_parked_or_consulting_call_is_called_so_whatever_its_leg_does():
    assert panel_words.call_state(call(state="answered", parked=True, waiting_since=1))[0] == "Parked"
    assert panel_words.call_state(call(state="held", consulting="1002"))[0] == "Customer waits"
    assert panel_words.call_state(call(state="answered", waiting_since=1))[0] == "Waiting"


def handle_time(seconds, calls):
    return ratio(figures.average_handle_time(seconds, 0, 0, calls))


def occupied(seconds, idle):
    return ratio(figures.occupancy(seconds, 0, 0, idle))


def test_the_days_figures_carry_their_parts_and_a_dash_for_nothing_to_divide():
    today = AgentToday(contacts=2, talk_seconds=3_725, handle_time=handle_time(4_200, 21), occupancy=occupied(3, 1))
    shown = {one.key: one for one in panel_words.day(today)}
    assert [shown[key].value for key in ("contacts", "talk", "average_handle_time", "occupancy")] == [
        "2",
        "1:02:05",
        "3:20",
        "75 %",
    ]
    assert shown["average_handle_time"].parts == "1:10:00 in 21 calls." and shown["occupancy"].parts == "0:03 of 0:04."
    for key in ("average_handle_time", "occupancy"):
        assert figures.DEFINITIONS[key].formula in shown[key].definition
    empty = {one.key: one for one in panel_words.day(AgentToday(handle_time=handle_time(0, 0)))}
    assert empty["average_handle_time"].value == empty["occupancy"].value == "–"


def test_who_listens_is_named_with_how():
    rows = (Listener(user="maria"), Listener(user="tom", mode="barge"))
    assert panel_words.listening(rows) == "maria listens; tom talks with both of you"


# --- scripts ---


def filled(text, **values):
    return "".join(part.text for part in script.fill(text, values))


def test_a_script_is_filled_in_whatever_the_case_spaces_and_underscores():
    values = {"customer since": 2011, "Plan": "Family"}
    parts = script.fill("Since {Customer_Since} on {plan}.", values)
    assert "".join(part.text for part in parts) == "Since 2011 on Family."
    assert [part.kind for part in parts] == ["text", "known", "text", "known", "text"]


def test_what_is_not_known_stays_as_it_was_written_and_is_marked():
    parts = script.fill("Dear {title} {name}", {"name": "", "other": "x"})
    assert [(part.text, part.kind) for part in parts] == [
        ("Dear ", "text"),
        ("{title}", "missing"),
        (" ", "text"),
        ("{name}", "missing"),
    ]


def test_a_value_is_never_searched_for_braces_nor_made_markup():
    assert filled("Hi {name}!", name="{secret}", secret="1") == "Hi {secret}!"
    assert filled("Hi {name}!", name="<b>\nx\x00</b>").startswith("Hi <b>")
    assert filled("{0.__class__} {} {{name}}", name="Ann") == "{0.__class__} {} {Ann}"


def test_a_value_that_is_no_text_is_told_as_text_and_a_long_one_is_cut():
    assert filled("{a}", a=["x", 1]) == "['x', 1]"
    assert len(filled("{a}", a="x" * 9_000)) == script.LONGEST_VALUE
