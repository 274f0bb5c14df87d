"""The one door from switch events to facts: names, times, identities, and what it refuses."""

import msgspec
import pytest

from events import facts
from events.facts import LegBridged, LegCreated, LegEnded, LegUnbridged, RecordingStarted, RecordingStopped, facts_of
from tests.fakes import captures

BRIDGE = {
    "Event-Name": "CHANNEL_BRIDGE",
    "Unique-ID": "a",
    "Bridge-A-Unique-ID": "a",
    "Bridge-B-Unique-ID": "b",
    "Event-Date-Timestamp": "7000",
}


def test_a_bridge_is_said_once_and_learnt_by_both_legs():
    assert facts_of(BRIDGE) == (LegBridged(leg="a", at=7000, peer="b"), LegBridged(leg="b", at=7000, peer="a"))
    assert facts_of(BRIDGE | {"Event-Name": "CHANNEL_UNBRIDGE"})[1] == LegUnbridged(leg="b", at=7000, peer="a")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Event-Name": ""},
        {"Event-Name": "CHANNEL_ANSWER"},
        {"Event-Name": "CHANNEL_BRIDGE", "Unique-ID": "a"},
        {"Event-Name": "BACKGROUND_JOB", "_body": "+OK"},
        {"Event-Name": "CUSTOM", "Event-Subclass": "sofia::register"},
    ],
)
def test_an_event_that_lacks_what_its_name_promises_is_malformed(event):
    with pytest.raises(facts.Malformed):
        facts_of(event)


def test_an_unknown_event_tells_nothing_and_is_no_error():
    assert facts_of({"Event-Name": "RE_SCHEDULE"}) == ()
    assert facts_of({"Event-Name": "CUSTOM", "Event-Subclass": "sofia::gateway_state"}) == ()


@pytest.mark.parametrize(
    ("subclass", "header", "registered"),
    [
        ("sofia::register", "username", True),
        ("sofia::register", "to-user", True),
        ("sofia::register", "from-user", True),
        ("sofia::unregister", "from-user", False),
        ("sofia::expire", "user", False),
    ],
)
def test_a_softphones_registration_is_told_whatever_header_names_its_user(subclass, header, registered):
    event = {"Event-Name": "CUSTOM", "Event-Subclass": subclass, header: "1001", "call-id": "abc"}
    assert facts_of(event) == (facts.SoftphoneRegistration(user="1001", registered=registered, registration="abc"),)
    # What a profile without passwords says of whoever registers.
    assert facts_of(event | {"username": event.get("username", "unknown")}) == facts_of(event)


@pytest.mark.parametrize("value", ["", "abc", "-5", "1.5", "²", "9" * 40, "٣"])
def test_a_number_that_is_none_is_zero(value):
    assert facts.number({"n": value}, "n") == 0


def test_the_first_of_several_values_counts():
    assert facts.text({"n": ["one", "two"]}, "n") == "one"
    assert facts.text({"n": []}, "n") == ""


def test_every_fact_of_every_capture_survives_its_journey_to_the_dialer():
    for name in captures.NAMES:
        for event in captures.events(name):
            for fact in facts_of(event):
                assert facts.decode(msgspec.json.encode(facts.to_json(fact))) == fact
    with pytest.raises(msgspec.ValidationError):
        facts.decode(b'{"type": "LegInvented"}')


def test_every_captured_event_has_an_identity_of_its_own():
    for name in captures.NAMES:
        known = [facts.identity(event) for event in captures.events(name)]
        assert None not in known
        assert len(set(known)) == len(known)


def test_our_own_variables_come_back_as_role_call_agent_and_campaign():
    event = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": "a", "variable_orch_role": "customer"}
    event |= {"variable_orch_call": "c", "variable_orch_agent": "agent_1", "variable_orch_campaign": "s"}
    assert facts_of(event) == (LegCreated(leg="a", role="customer", call_id="c", agent_id="agent_1", campaign_id="s"),)
    assert facts_of(event | {"variable_orch_role": "god"})[0].role == "other"


@pytest.mark.parametrize(("name", "kind"), [("RECORD_START", RecordingStarted), ("RECORD_STOP", RecordingStopped)])
def test_only_the_file_named_after_the_call_is_its_recording(name, kind):
    event = {"Event-Name": name, "Unique-ID": "a", "Event-Date-Timestamp": "7000", "variable_orch_call": "c"}
    assert facts_of(event | {"Record-File-Path": "/rec/c.wav"}) == (kind(leg="a", at=7000, path="/rec/c.wav"),)
    for other in ("/rec/other.wav", "/rec/c.wav/x.wav", "/rec/c.wav.part", "/rec/c-2.wav", ""):
        assert facts_of(event | {"Record-File-Path": other}) == ()
    # A leg of no call of ours has no recording of ours that could be mistaken.
    del event["variable_orch_call"]
    assert facts_of(event | {"Record-File-Path": "/rec/other.wav"}) != ()


def test_the_last_word_of_a_leg_tells_who_it_was_and_how_it_ended():
    event = {
        "Event-Name": "CHANNEL_HANGUP_COMPLETE",
        "Unique-ID": "a",
        "Hangup-Cause": ["USER_BUSY", "USER_BUSY"],
        "variable_sip_term_status": "486",
        "variable_sip_hangup_disposition": "recv_refuse",
        "Caller-Channel-Created-Time": "1000",
        "Caller-Channel-Hangup-Time": "9000",
    }
    created, ended = facts_of(event)
    assert created == LegCreated(leg="a", at=1000)
    assert ended == LegEnded(
        leg="a", at=9000, cause="USER_BUSY", sip_status="486", disposition="recv_refuse", created_at=1000, complete=True
    )
