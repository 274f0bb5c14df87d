"""Answered calls: bridging, parking, transfer, hold, recording, listening in, and their ends."""

from __future__ import annotations

import json
import uuid as uuids

import pytest

from esl_bridge.order_runner import JOINED_TO
from esl_bridge.resync import names_a_leg
from tests.contract.client import Client, Event
from tests.contract.conftest import Calls, Switch

NOBODY = "7f7fe1fb-406c-44d8-a92e-a87577653423"
MUSIC = "local_stream://moh"


def test_a_bridge_is_told_once_and_on_the_first_leg(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    bridge = client.wait(lambda e: e.name == "CHANNEL_BRIDGE")
    assert (bridge.uuid, bridge["Bridge-A-Unique-ID"], bridge["Bridge-B-Unique-ID"]) == (c, c, a)
    assert bridge["Other-Leg-Unique-ID"] == a
    assert bridge["Other-Type"] == "originatee"
    assert "BRIDGE" not in client.leg_names(a)
    assert client.leg(a)[-1]["Other-Leg-Unique-ID"] == c


def test_the_agent_sees_the_customers_number_once_bridged(client: Client, calls: Calls) -> None:
    _, a = calls.bridged()
    assert client.leg(a)[-1]["Caller-Caller-ID-Number"] == "91234"


def test_when_the_first_leg_is_killed_the_second_is_hung_up_too(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    assert client.api(f"uuid_kill {c}") == "+OK\n"
    ended_c, ended_a = client.wait_gone(c), client.wait_gone(a)
    assert ended_c["variable_sip_hangup_disposition"] == ended_a["variable_sip_hangup_disposition"] == "send_bye"
    order = [(e.name, e.uuid) for e in client.events]
    assert order.index(("CHANNEL_HANGUP", c)) < order.index(("CHANNEL_UNBRIDGE", c))
    assert order.index(("CHANNEL_HANGUP", a)) < order.index(("CHANNEL_UNBRIDGE", c))
    assert ended_c["variable_bridge_uuid"] == a


def test_when_the_second_leg_is_killed_the_first_is_unbridged_and_then_hung_up(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    client.api(f"uuid_kill {a}")
    client.wait_gone(c)
    order = [(e.name, e.uuid) for e in client.events]
    assert order.index(("CHANNEL_HANGUP", a)) < order.index(("CHANNEL_UNBRIDGE", c))
    assert order.index(("CHANNEL_UNBRIDGE", c)) < order.index(("CHANNEL_HANGUP", c))


def test_an_agent_with_park_after_bridge_serves_one_customer_after_another(client: Client, calls: Calls) -> None:
    a = calls.answered(calls.agent("1001", "park_after_bridge=true,hangup_after_bridge=false"))
    for number in ("91234", "91235"):
        c, job = calls.customer(number, "hangup_after_bridge=true")
        client.job_done(job)
        assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
        client.wait_for("CHANNEL_BRIDGE", c)
        parks = client.leg_names(a).count("PARK")
        client.api(f"uuid_kill {c}")
        client.wait_gone(c)
        client.until(lambda parks=parks: client.leg_names(a).count("PARK") > parks, "the agent parked again")  # type: ignore[misc]
        assert client.api(f"uuid_exists {a}") == "true"
    assert "HANGUP" not in client.leg_names(a)


def test_a_bridge_ordered_at_the_answer_is_made(client: Client, calls: Calls) -> None:
    a = calls.answered(calls.agent("1001", "park_after_bridge=true"))
    c, job = calls.customer("91234")
    client.wait_for("CHANNEL_ANSWER", c)
    # The originate may not have returned yet: whether the customer parks first, and who of the two
    # becomes the first leg of the bridge, is a race on the real one.
    assert client.job(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    bridge = client.wait(lambda e: e.name == "CHANNEL_BRIDGE", "the bridge")
    assert {bridge["Bridge-A-Unique-ID"], bridge["Bridge-B-Unique-ID"]} == {c, a}
    assert client.job_done(job) == f"+OK {c}\n"


def test_the_question_that_the_bridge_asks_tells_whether_a_leg_is_joined_now(client: Client, calls: Calls) -> None:
    """Also of one that was joined before, and waits since: `signal_bond` names the old one then."""
    c, a = calls.parked(agent_variables="park_after_bridge=true,hangup_after_bridge=false")

    def joined() -> bool:
        return names_a_leg(client.api(f"uuid_getvar {c} {JOINED_TO}"))

    for round_ in range(2):
        assert not joined()
        client.api(f"uuid_bridge {c} {a}")
        client.until(lambda n=round_: client.leg_names(c).count("BRIDGE") == n + 1, "the joining")  # type: ignore[misc]
        assert joined()
        client.api(f"uuid_park {c}")
        client.until(lambda n=round_: client.leg_names(c).count("PARK") == n + 2, "the parking")  # type: ignore[misc]
        client.until(lambda n=round_: client.leg_names(a).count("PARK") == n + 2, "the agent's")  # type: ignore[misc]
    assert not joined()


@pytest.mark.parametrize("number", ["21234", "31234"])
def test_a_bridge_ordered_while_the_customer_rings_is_the_end_of_both(
    client: Client, calls: Calls, switch: Switch, number: str
) -> None:
    a = calls.answered(calls.agent("1001", "park_after_bridge=true"))
    c, job = calls.customer(number)
    client.wait_for("CHANNEL_PROGRESS", c)
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    assert client.wait_gone(c)["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"
    assert client.wait_gone(a)["Hangup-Cause"] == "ORIGINATOR_CANCEL"
    # The real one now and then answers with the leg's own cause: the originate ends while another thread hangs it up.
    also = "ORIGINATOR_CANCEL" if switch.simulated else "DESTINATION_OUT_OF_ORDER"
    assert client.job_done(job) in ("-ERR ORIGINATOR_CANCEL\n", f"-ERR {also}\n")
    assert "BRIDGE" not in client.leg_names(a) + client.leg_names(c)


def test_two_ringing_legs_cannot_be_bridged(client: Client, calls: Calls) -> None:
    c, _ = calls.customer("31234")
    a, _ = calls.agent("1041")
    for leg in (c, a):
        client.wait_for("CHANNEL_PROGRESS", leg)
    assert client.api(f"uuid_bridge {c} {a}") == "-ERR Invalid uuid\n"
    for leg in (c, a):
        assert client.api(f"uuid_exists {leg}") == "true"


def test_an_agent_whose_customer_left_before_the_bridge_lives_but_parks_only_when_told(
    client: Client, calls: Calls
) -> None:
    c, a = calls.parked(agent_variables="park_after_bridge=true")
    client.send(f"api uuid_bridge {c} {a}\n\napi uuid_kill {c}")
    assert [client.reply().text, client.reply().text] == [f"+OK {a}\n", "+OK\n"]
    client.wait_gone(c)
    client.wait_for("CHANNEL_UNPARK", a)
    client.wait(lambda e: e.uuid == a and e.get("Channel-State") == "CS_RESET", "the agent's reset")
    # No event will ever say that its bridge came to nothing.
    assert client.leg(a)[-1]["Channel-State"] in ("CS_RESET", "CS_SOFT_EXECUTE")
    assert client.leg_names(a).count("PARK") == 1
    assert client.api(f"uuid_exists {a}") == "true"
    assert client.api(f"uuid_park {a}") == "+OK\n"
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")


def test_an_agent_whose_customer_left_before_the_bridge_can_be_given_the_next(client: Client, calls: Calls) -> None:
    c, a = calls.parked(agent_variables="park_after_bridge=true")
    client.send(f"api uuid_bridge {c} {a}\n\napi uuid_kill {c}")
    assert [client.reply().text, client.reply().text] == [f"+OK {a}\n", "+OK\n"]
    client.wait_gone(c)
    following = calls.answered(calls.customer("91235"))
    assert client.api(f"uuid_bridge {following} {a}") == f"+OK {a}\n"
    assert client.wait_for("CHANNEL_BRIDGE", following)["Bridge-B-Unique-ID"] == a


def test_a_customer_whose_agent_left_before_the_bridge_is_hung_up(client: Client, calls: Calls) -> None:
    c, a = calls.parked(agent_variables="park_after_bridge=true")
    client.send(f"api uuid_bridge {c} {a}\n\napi uuid_kill {a}")
    assert [client.reply().text, client.reply().text] == [f"+OK {a}\n", "+OK\n"]
    client.wait_gone(a)
    # The agent had gone altogether when the customer looked for it, or was going.
    assert client.wait_gone(c)["Hangup-Cause"] in ("DESTINATION_OUT_OF_ORDER", "ORIGINATOR_CANCEL")
    assert "BRIDGE" not in client.leg_names(c)


def test_a_second_bridge_moves_the_customer_to_the_other_agent(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(variables="park_after_bridge=true", agent_variables="park_after_bridge=true")
    b = calls.answered(calls.agent("1002", "park_after_bridge=true"))
    assert client.api(f"uuid_bridge {c} {b}") == f"+OK {b}\n"
    client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == b, "the new bridge")
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the old agent parked")
    assert client.leg_names(c).count("UNBRIDGE") == 1


def test_killing_with_a_cause_reports_that_cause(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    client.api(f"uuid_kill {c} CALL_REJECTED")
    assert client.wait_gone(c)["Hangup-Cause"] == "CALL_REJECTED"
    assert client.wait_gone(a)["Hangup-Cause"] == "NORMAL_CLEARING"


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ("hangup_after_bridge=true", "CALL_REJECTED"),
        ("hangup_after_bridge=false", "NORMAL_CLEARING"),
        ("", "NORMAL_CLEARING"),
    ],
)
def test_the_second_legs_cause_becomes_the_firsts_only_with_hangup_after_bridge(
    client: Client, calls: Calls, variables: str, cause: str
) -> None:
    c, a = calls.bridged(variables=variables)
    client.api(f"uuid_kill {a} CALL_REJECTED")
    assert client.wait_gone(a)["Hangup-Cause"] == "CALL_REJECTED"
    assert client.wait_gone(c)["Hangup-Cause"] == cause


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (f"uuid_kill {NOBODY}", "-ERR No such channel!\n"),
        (f"uuid_exists {NOBODY}", "false"),
        ("uuid_exists", "false"),
        (f"uuid_bridge {NOBODY} {NOBODY}", "-ERR Invalid uuid\n"),
        (f"uuid_getvar {NOBODY} x", "-ERR No such channel!\n"),
        (f"uuid_setvar {NOBODY} x y", "-ERR No such channel!\n"),
        (f"uuid_dump {NOBODY} json", "-ERR No such channel!\n"),
        (f"uuid_hold {NOBODY}", "+OK Success\n"),
        (f"uuid_transfer {NOBODY} 1001", "-ERR No such channel!\n"),
        (f"uuid_record {NOBODY} start /tmp/x.wav", "-ERR Cannot locate session!\n"),
        ("uuid_record", "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"),
        ("nosuchcommand", "-ERR nosuchcommand Command not found!\n"),
    ],
)
def test_a_command_on_nobody_says_so_in_its_own_words(client: Client, command: str, answer: str) -> None:
    assert client.api(command) == answer


def _music(client: Client, leg: str) -> Event:
    """The beginning of hold music on a leg."""

    def begins(event: Event) -> bool:
        return event.name == "PLAYBACK_START" and event.uuid == leg and event["Playback-File-Path"] == MUSIC

    return client.wait(begins, f"music on {leg}")


def test_hold_is_told_on_the_held_leg_and_plays_music_to_the_other(client: Client, calls: Calls) -> None:
    c, a = calls.settled()
    assert client.api(f"uuid_hold {a}") == "+OK Success\n"
    client.wait_for("CHANNEL_HOLD", a)
    _music(client, c)
    assert client.leg_names(a)[-2:] == ["CALLSTATE", "HOLD"]
    assert client.leg(a)[-1]["Channel-Call-State"] == "HELD"
    stops = client.leg_names(c).count("PLAYBACK_STOP")
    assert client.api(f"uuid_hold off {a}") == "+OK Success\n"
    client.wait_for("CHANNEL_UNHOLD", a)
    client.until(lambda: client.leg_names(c).count("PLAYBACK_STOP") > stops, "the end of the music")
    client.until(lambda: client.leg(a)[-1]["Channel-Call-State"] == "ACTIVE", "active again")
    client.api(f"uuid_kill {c}")
    assert int(client.wait_gone(a)["variable_hold_accum_usec"]) > 0


def test_toggling_hold_twice_ends_it(client: Client, calls: Calls) -> None:
    c, a = calls.settled()
    client.api(f"uuid_hold toggle {c}")
    client.wait_for("CHANNEL_HOLD", c)
    _music(client, a)
    client.api(f"uuid_hold toggle {c}")
    client.wait_for("CHANNEL_UNHOLD", c)


def test_music_that_had_not_begun_when_hold_ended_begins_then_and_does_not_end(client: Client, calls: Calls) -> None:
    c, a = calls.settled()
    client.send(f"api uuid_hold {a}\n\napi uuid_hold off {a}")
    assert [client.reply().text, client.reply().text] == ["+OK Success\n"] * 2
    client.wait_for("CHANNEL_UNHOLD", a)
    assert MUSIC not in [e.get("Playback-File-Path") for e in client.leg(c)]
    _music(client, c)
    client.api(f"uuid_kill {c}")
    client.wait_gone(c)
    ends = [e.name for e in client.leg(c) if e.get("Playback-File-Path") == MUSIC or e.name == "CHANNEL_HANGUP"]
    assert ends == ["PLAYBACK_START", "CHANNEL_HANGUP", "PLAYBACK_STOP"]


def test_a_held_agent_is_let_go_and_parked_when_the_customer_leaves(client: Client, calls: Calls) -> None:
    c, a = calls.settled(agent_variables="park_after_bridge=true")
    client.api(f"uuid_hold {a}")
    _music(client, c)
    client.api(f"uuid_kill {c}")
    client.wait_gone(c)
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    names = client.leg_names(a)
    assert names.index("HOLD") < names.index("UNHOLD") < len(names) - names[::-1].index("PARK")
    assert client.leg(a)[-1]["Channel-Call-State"] == "ACTIVE"
    names = client.leg_names(c)
    last_stop = len(names) - 1 - names[::-1].index("PLAYBACK_STOP")
    assert names.index("HANGUP") < last_stop < names.index("HANGUP_COMPLETE")


def test_a_held_leg_is_let_go_before_it_is_hung_up(client: Client, calls: Calls) -> None:
    c, a = calls.settled()
    client.api(f"uuid_hold {a}")
    _music(client, c)
    client.api(f"uuid_kill {a}")
    client.wait_gone(a)
    names = client.leg_names(a)
    assert names.index("HOLD") < names.index("UNHOLD") < names.index("HANGUP")


@pytest.mark.parametrize("command", ["uuid_kill {c}", "uuid_park {c}"])
@pytest.mark.parametrize(("variables", "lives"), [("", "false"), ("hold_hangup_xfer_exten=hangup:inline", "true")])
def test_a_first_leg_that_holds_takes_the_second_along_unless_it_says_otherwise(
    client: Client, calls: Calls, command: str, variables: str, lives: str
) -> None:
    """A customer whose own telephone holds, and who is parked or hangs up."""
    c, a = calls.settled(variables=variables, agent_variables="park_after_bridge=true,hangup_after_bridge=false")
    client.api(f"uuid_hold {c}")
    client.wait_for("CHANNEL_HOLD", c)
    _music(client, a)
    assert client.api(command.format(c=c)) == "+OK\n"
    if lives == "true":
        client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
        b = calls.answered(calls.customer("91235", "hangup_after_bridge=true"))
        client.api(f"uuid_bridge {b} {a}")
        client.wait_for("CHANNEL_BRIDGE", b)
        client.api(f"uuid_kill {b}")
        client.until(lambda: client.leg_names(a).count("PARK") == 3, "the agent parked again")
    else:
        assert client.wait_gone(a)["Hangup-Cause"] == "NORMAL_CLEARING"
    assert client.api(f"uuid_exists {a}") == lives


@pytest.mark.parametrize("command", ["uuid_kill {c}", "uuid_park {c}"])
def test_who_would_not_park_anyway_is_hung_up_as_before(client: Client, calls: Calls, command: str) -> None:
    c, a = calls.settled(variables="hold_hangup_xfer_exten=hangup:inline", agent_variables="hangup_after_bridge=true")
    client.api(f"uuid_hold {c}")
    client.wait_for("CHANNEL_HOLD", c)
    _music(client, a)
    client.api(command.format(c=c))
    assert client.wait_gone(a)["Hangup-Cause"] == "NORMAL_CLEARING"


def test_a_private_command_carries_two_names_and_two_sequences(client: Client, calls: Calls) -> None:
    c, a = calls.settled()
    client.api(f"uuid_hold {a}")
    _music(client, c)
    client.api(f"uuid_hold off {a}")
    event = client.wait(lambda e: e.name == "PRIVATE_COMMAND" and e["execute-app-arg"] == MUSIC)
    names = [value for name, value in event.pairs if name == "Event-Name"]
    sequences = [int(value) for name, value in event.pairs if name == "Event-Sequence"]
    assert names == ["COMMAND", "PRIVATE_COMMAND"]
    assert sequences[0] < sequences[1]


def test_a_recording_starts_and_stops_once(client: Client, calls: Calls) -> None:
    c, _ = calls.bridged()
    path = f"/tmp/{c}.wav"
    assert client.api(f"uuid_record {c} start {path}") == "+OK Success\n"
    assert client.wait_for("RECORD_START", c)["Record-File-Path"] == path
    for action in ("start", "mask", "unmask"):
        assert client.api(f"uuid_record {c} {action} {path}") == "+OK Success\n"
    assert client.api(f"uuid_record {c} stop {path}") == "+OK Success\n"
    assert client.wait_for("RECORD_STOP", c)["Record-File-Path"] == path
    assert client.leg_names(c).count("RECORD_START") == 1
    assert client.api(f"uuid_record {c} stop {path}") == "-ERR Cannot stop record session!\n"


def test_an_unwritable_path_cannot_be_recorded_to(client: Client, calls: Calls) -> None:
    c, _ = calls.bridged()
    assert client.api(f"uuid_record {c} start /proc/nowhere/x.wav") == "-ERR Cannot record session!\n"


def test_a_recording_that_runs_at_the_end_stops_between_hangup_and_hangup_complete(
    client: Client, calls: Calls
) -> None:
    c, _ = calls.bridged()
    client.api(f"uuid_record {c} start /tmp/{c}-2.wav")
    client.wait_for("RECORD_START", c)
    client.api(f"uuid_kill {c}")
    client.wait_gone(c)
    names = client.leg_names(c)
    assert names.index("HANGUP") < names.index("RECORD_STOP") < names.index("HANGUP_COMPLETE")


def test_a_supervisor_listens_to_an_agent_and_leaves_the_call_alone(client: Client, calls: Calls) -> None:
    _, a = calls.bridged()
    s, job = calls.agent("1003", "eavesdrop_enable_dtmf=true", f"'&eavesdrop({a})'")
    assert client.job_done(job) == f"+OK {s}\n"
    client.wait_for("MEDIA_BUG_START", a)
    assert client.api(f"uuid_recv_dtmf {s} 2") == f"+OK {s} received DTMF 2.\n"
    assert client.wait_for("DTMF", s)["DTMF-Digit"] == "2"
    client.api(f"uuid_kill {s}")
    client.wait_gone(s)
    client.wait_for("MEDIA_BUG_STOP", a)
    assert client.api(f"uuid_exists {a}") == "true"


def test_a_supervisor_leaves_when_the_call_ends(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    s, job = calls.agent("1003", app=f"'&eavesdrop({a})'")
    client.job_done(job)
    client.wait_for("MEDIA_BUG_START", a)
    client.api(f"uuid_kill {c}")
    assert client.wait_gone(s)["Hangup-Cause"] == "NORMAL_CLEARING"


def test_a_supervisor_who_listens_can_be_joined_to_the_customer_in_the_agents_place(
    client: Client, calls: Calls
) -> None:
    c, a = calls.bridged(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    variables = "eavesdrop_enable_dtmf=true,hangup_after_bridge=true"
    s, job = calls.agent("1003", variables, f"'&eavesdrop({a})'")
    client.job_done(job)
    client.wait_for("MEDIA_BUG_START", a)
    assert client.api(f"uuid_bridge {c} {s}") == f"+OK {s}\n"
    client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == s, "the supervisor's bridge")
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    client.wait_for("MEDIA_BUG_STOP", a)
    client.api(f"uuid_kill {s}")
    client.wait_gone(c)
    assert client.api(f"uuid_exists {a}") == "true"


def test_a_consulted_leg_is_joined_to_the_parked_customer_and_the_agent_parks(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    client.api(f"uuid_park {c}")
    for leg in (c, a):
        client.until(lambda leg=leg: client.leg_names(leg).count("PARK") == 2, f"{leg} parked")  # type: ignore[misc]
    x = calls.answered(calls.agent("1002", "hangup_after_bridge=true"))
    client.api(f"uuid_bridge {x} {a}")
    client.wait_for("CHANNEL_BRIDGE", x)
    client.api(f"uuid_bridge {c} {x}")
    client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == x, "customer and consulted")
    client.until(lambda: client.leg_names(a).count("PARK") == 3, "the agent parked")
    client.api(f"uuid_kill {x}")
    client.wait_gone(c)
    assert client.api(f"uuid_exists {a}") == "true"


def test_a_consulted_leg_that_the_agent_is_taken_from_is_hung_up(client: Client, calls: Calls) -> None:
    c, a = calls.parked(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    x = calls.answered(calls.agent("1002", "hangup_after_bridge=true"))
    client.api(f"uuid_bridge {x} {a}")
    client.wait_for("CHANNEL_BRIDGE", x)
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == a and e.uuid == c, "back")
    client.wait_gone(x)
    assert client.api(f"uuid_exists {c}") == client.api(f"uuid_exists {a}") == "true"


def test_a_mute_outlives_the_bridge_it_was_made_in(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(agent_variables="park_after_bridge=true")
    client.api(f"uuid_audio {a} start read mute -1")
    client.wait_for("MEDIA_BUG_START", a)
    client.api(f"uuid_kill {c}")
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    assert "MEDIA_BUG_STOP" not in client.leg_names(a)
    client.api(f"uuid_audio {a} stop")
    client.wait_for("MEDIA_BUG_STOP", a)


def test_a_blind_transfer_gives_the_customer_a_new_leg_and_ends_the_old_one(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    assert client.api(f"uuid_transfer {c} 1002 XML default") == "+OK\n"
    assert client.wait_gone(a)["Hangup-Cause"] == "NORMAL_CLEARING"
    bridge = client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] != a, "the new bridge")
    new = bridge["Bridge-B-Unique-ID"]
    assert bridge.uuid == c
    assert client.wait_for("CHANNEL_CREATE", new)["Caller-Destination-Number"] == "1002"
    client.api(f"uuid_kill {c}")
    client.wait_gone(new)
    client.wait_gone(c)
    assert client.leg_names(c).count("HANGUP_COMPLETE") == 1


def test_a_parked_customer_can_be_transferred_to_an_agent(client: Client, calls: Calls) -> None:
    c = calls.answered(calls.customer("91234"))
    assert client.api(f"uuid_transfer {c} 1002 XML default") == "+OK\n"
    bridge = client.wait_for("CHANNEL_BRIDGE", c)
    new = bridge["Bridge-B-Unique-ID"]
    assert client.wait_for("CHANNEL_ANSWER", new)["Channel-Presence-ID"].startswith("1002@")
    client.api(f"uuid_kill {new}")
    assert client.wait_gone(c)["Hangup-Cause"] == "NORMAL_CLEARING"


@pytest.mark.parametrize(
    ("order", "joined"),
    [
        ("uuid_transfer {c} 1002 XML default", True),
        ("uuid_transfer {a} -bleg 1002 XML default", True),
        ("uuid_transfer {c} 1041 XML default", False),
        ("uuid_transfer {c} echo inline", False),
        ("uuid_transfer {c} 'playback:silence_stream://60000' inline", False),
    ],
)
def test_a_customer_whom_somebody_sends_away_lives_on_and_the_agent_parks(
    client: Client, calls: Calls, switch: Switch, order: str, joined: bool
) -> None:
    """With the variables that the product gives to both: no hang-up of the customer follows from the parting."""
    c, a = calls.bridged(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    assert client.api(order.format(c=c, a=a)) == "+OK\n"
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    client.wait_for("CHANNEL_UNBRIDGE", c)
    if joined:
        client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e.uuid == c and e["Bridge-B-Unique-ID"] != a, "elsewhere")
    else:
        client.quiet(0.5)
        assert not names_a_leg(client.api(f"uuid_getvar {c} {JOINED_TO}"))
    if switch.simulated:  # The real one nearly always: its A leg looks a moment later that the B leg has gone its way.
        told = [(e.name, e.uuid) for e in client.events]
        assert told[told.index(("CHANNEL_UNBRIDGE", c)) :].count(("CHANNEL_PARK", a)) == 0
    assert client.leg_names(c).count("UNBRIDGE") == 1
    assert "HANGUP" not in client.leg_names(c) + client.leg_names(a)


def test_a_customer_survives_the_end_of_an_agents_leg_that_has_transferred_them(client: Client, calls: Calls) -> None:
    """As a softphone's own transfer ends: it hangs up, once the customer is on the way."""
    c, a = calls.bridged(variables="hangup_after_bridge=true")
    assert client.api(f"uuid_transfer {c} 1041 XML default") == "+OK\n"
    assert client.wait_gone(a)["Hangup-Cause"] == "NORMAL_CLEARING"
    client.wait_for("CHANNEL_UNBRIDGE", c)
    client.quiet(0.5)
    assert client.api(f"uuid_exists {c}") == "true" and "HANGUP" not in client.leg_names(c)
    assert not names_a_leg(client.api(f"uuid_getvar {c} {JOINED_TO}"))


def test_a_customer_whose_agents_leg_is_sent_away_is_hung_up(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    assert client.api(f"uuid_transfer {a} park inline") == "+OK\n"
    assert client.wait_gone(c)["Hangup-Cause"] == "NORMAL_CLEARING"
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    assert client.api(f"uuid_exists {a}") == "true"


def test_both_legs_can_be_sent_away_and_each_is_joined_to_somebody_else(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(variables="hangup_after_bridge=true", agent_variables="park_after_bridge=true")
    assert client.api(f"uuid_transfer {c} -both 1002 XML default") == "+OK\n"
    for leg, before in ((c, a), (a, c)):
        client.wait(
            lambda e, leg=leg, before=before: (  # type: ignore[misc]
                e.name == "CHANNEL_BRIDGE" and e.uuid == leg and e["Bridge-B-Unique-ID"] != before
            ),
            "elsewhere",
        )


def test_what_follows_a_playback_comes_after_it_unless_the_leg_is_taken_away(client: Client, calls: Calls) -> None:
    c, _ = calls.bridged(agent_variables="park_after_bridge=true")
    assert client.api(f"uuid_transfer {c} 'playback:silence_stream://1000,park' inline") == "+OK\n"
    client.wait_for("PLAYBACK_STOP", c)
    client.until(lambda: client.leg_names(c).count("PARK") == 2, "the customer parked")
    assert client.api(f"uuid_transfer {c} 'playback:silence_stream://1000,hangup' inline") == "+OK\n"
    client.until(lambda: client.leg_names(c).count("PLAYBACK_START") == 2, "it plays again")
    assert client.api(f"uuid_transfer {c} echo inline") == "+OK\n"
    client.until(lambda: client.leg_names(c).count("PLAYBACK_STOP") == 2, "it plays no more")
    client.quiet(1.5)
    assert "HANGUP" not in client.leg_names(c)


@pytest.mark.parametrize(
    ("extension", "cause"),
    [
        ("1044", "USER_BUSY"),
        ("1046", "CALL_REJECTED"),
        ("1050", "USER_NOT_REGISTERED"),
        ("1099", "SUBSCRIBER_ABSENT"),
        ("nosuch", "NO_ROUTE_DESTINATION"),
    ],
)
def test_a_customer_transferred_to_where_nobody_is_dies_of_it(
    client: Client, calls: Calls, extension: str, cause: str
) -> None:
    c = calls.answered(calls.customer("91234"))
    assert client.api(f"uuid_transfer {c} {extension} XML default") == "+OK\n"
    assert client.wait_gone(c)["Hangup-Cause"] == cause


def test_both_legs_can_be_parked_and_bridged_again(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    assert client.api(f"uuid_transfer {c} -both park inline") == "+OK\n"
    for leg in (c, a):
        client.until(lambda leg=leg: client.leg_names(leg).count("PARK") == 2, f"{leg} parked")  # type: ignore[misc]
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    client.until(lambda: client.leg_names(c).count("BRIDGE") == 2, "the second bridge")


def test_an_inline_dialplan_can_hang_up(client: Client, calls: Calls) -> None:
    c, _ = calls.parked()
    assert client.api(f"uuid_transfer {c} hangup:USER_BUSY inline") == "+OK\n"
    assert client.wait_gone(c)["Hangup-Cause"] == "USER_BUSY"


def test_a_broadcast_plays_to_both_legs(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    assert client.api(f"uuid_broadcast {c} tone_stream://%(200,100,600) both") == "+OK Message sent\n"
    for leg in (c, a):
        client.wait_for("PLAYBACK_START", leg)
        assert client.wait_for("PLAYBACK_STOP", leg)["Playback-File-Type"] == "tone_stream"
    assert client.api(f"uuid_exists {c}") == "true"


def test_a_parked_leg_is_played_to_until_it_is_bridged_and_a_missing_file_is_silence(
    client: Client, calls: Calls
) -> None:
    c, a = calls.parked(agent_variables="park_after_bridge=true")
    music = "tone_stream://%(1000,0,600);loops=-1"
    assert client.api(f"uuid_broadcast {c} {music} aleg") == "+OK Message sent\n"
    client.wait_for("PLAYBACK_START", c)
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    client.wait_for("PLAYBACK_STOP", c)
    client.wait_for("CHANNEL_BRIDGE", c)
    names = [event.name for event in client.leg(c)]
    assert names.index("PLAYBACK_STOP") < names.index("CHANNEL_UNPARK") < names.index("CHANNEL_BRIDGE")
    client.api(f"uuid_park {c}")
    client.wait_for("CHANNEL_PARK", c)
    assert client.api(f"uuid_broadcast {c} /nowhere/moh.wav aleg") == "+OK Message sent\n"
    assert client.api(f"uuid_exists {c}") == "true"
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"


def test_keys_can_be_sent_and_a_leg_muted(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    assert client.api(f"uuid_send_dtmf {c} 12#@200") == f"+OK {c} sent DTMF 12#@200.\n"
    assert client.api(f"uuid_audio {a} start read mute -1") == "+OK\n"
    client.wait_for("MEDIA_BUG_START", a)
    assert client.api(f"uuid_audio {a} stop") == "+OK\n"
    client.wait_for("MEDIA_BUG_STOP", a)


def test_variables_can_be_set_and_read(client: Client, calls: Calls) -> None:
    c, job = calls.customer("91234", "lead_id=4711")
    client.job_done(job)
    assert client.api(f"uuid_getvar {c} lead_id") == "4711"
    assert client.api(f"uuid_getvar {c} nothing_of_that_name") == "_undef_"
    assert client.api(f"uuid_setvar {c} disposition sale %20 = ü") == "+OK\n"
    assert client.api(f"uuid_getvar {c} disposition") == "sale %20 = ü"


def test_sendmsg_sets_a_variable_with_line_breaks(client: Client, calls: Calls) -> None:
    c = calls.answered(calls.customer("91234"))
    body = "nl_var=line1\nline2\r\nline3\ttab"
    head = f"sendmsg {c}\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain"
    client.receive_buffer.sendall(f"{head}\ncontent-length: {len(body)}\n\n{body}".encode())
    assert client.reply().headers["Reply-Text"].startswith("+OK")
    client.wait(lambda e: e.name == "CHANNEL_EXECUTE_COMPLETE" and e.uuid == c and e["Application"] == "set")
    assert client.api(f"uuid_getvar {c} nl_var") == "line1\nline2\r\nline3\ttab"


def test_pushed_values_become_an_array(client: Client, calls: Calls) -> None:
    c = calls.answered(calls.customer("91234"))
    for count, value in enumerate(("one", "two", "thr|ee"), start=1):
        client.answer(f"sendmsg {c}\ncall-command: execute\nexecute-app-name: push\nexecute-app-arg: arr={value}")
        client.until(lambda count=count: client.leg_names(c).count("EXECUTE_COMPLETE") == count, "the push")  # type: ignore[misc]
    client.api(f"uuid_kill {c}")
    ended = client.wait_gone(c)
    assert dict(ended.pairs)["variable_arr"] == ["one", "two", "thr|ee"]


def test_sendmsg_hangs_up(client: Client, calls: Calls) -> None:
    c, job = calls.customer("91234")
    client.job_done(job)
    text = f"sendmsg {c}\ncall-command: hangup\nhangup-cause: USER_BUSY"
    assert client.answer(text).startswith("+OK")
    assert client.wait_gone(c)["Hangup-Cause"] == "USER_BUSY"


def test_a_scheduled_hangup_ends_the_leg_with_its_cause(client: Client, calls: Calls) -> None:
    c, job = calls.customer("91234")
    client.job_done(job)
    assert client.api(f"sched_hangup +1 {c} ALLOTTED_TIMEOUT") == "+OK\n"
    ended = client.wait_gone(c)
    assert (ended["Hangup-Cause"], ended["variable_hangup_cause_q850"]) == ("ALLOTTED_TIMEOUT", "16")


def test_uuid_exists_tells_the_truth_at_once(client: Client, calls: Calls) -> None:
    c, job = calls.customer("91234")
    client.job_done(job)
    assert client.api(f"uuid_exists {c}") == "true"
    client.api(f"uuid_kill {c}")
    client.wait_gone(c)
    assert client.api(f"uuid_exists {c}") == "false"


def test_a_dump_holds_what_a_verbose_event_holds(client: Client, calls: Calls) -> None:
    c, job = calls.customer("91234", "lead_id=4711")
    client.job_done(job)
    dump = json.loads(client.api(f"uuid_dump {c} json"))
    assert dump["Event-Name"] == "CHANNEL_DATA"
    assert (dump["variable_lead_id"], dump["variable_uuid"]) == ("4711", c)
    assert (dump["Answer-State"], dump["Channel-Call-State"]) == ("answered", "ACTIVE")
    assert int(dump["Caller-Channel-Answered-Time"]) > int(dump["Caller-Channel-Created-Time"])
    assert client.api(f"uuid_setvar {c} note a b") == "+OK\n"
    for fmt in ("", " txt", " nosuchformat"):
        assert "variable_note: a%20b\n" in client.api(f"uuid_dump {c}{fmt}")
    assert "variable_note: [a b]\n" in client.api(f"uuid_dump {c} plain")


def test_a_dump_of_a_bridged_leg_names_the_other(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()
    for leg, other, kind in ((c, a, "originatee"), (a, c, "originator")):
        dump = json.loads(client.api(f"uuid_dump {leg} json"))
        assert dump["variable_bridge_uuid"] == dump["Other-Leg-Unique-ID"] == other
        assert dump["Other-Type"] == kind
        assert dump["Channel-Call-UUID"] == c


def test_parking_a_bridged_leg_ends_the_bridge(client: Client, calls: Calls) -> None:
    c, a = calls.bridged(agent_variables="park_after_bridge=true")
    assert client.api(f"uuid_park {c}") == "+OK\n"
    client.until(lambda: client.leg_names(c).count("PARK") == 2, "the customer parked")
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    assert client.api(f"uuid_bridge {c} {a}") == f"+OK {a}\n"
    client.until(lambda: client.leg_names(c).count("BRIDGE") == 2, "the second bridge")


def test_fresh_uuids_are_fresh(client: Client) -> None:
    assert uuids.UUID(client.api("create_uuid")) != uuids.UUID(client.api("create_uuid"))


def _contend(client: Client, calls: Calls) -> tuple[str, str, str]:
    """Order an agent to two customers at once; returns the agent, who got it, and who waits."""
    a = calls.answered(calls.agent("1001", "park_after_bridge=true"))
    customers = []
    for number in ("91234", "91235"):
        c = calls.answered(calls.customer(number, "hangup_after_bridge=true"))
        customers.append(c)
    client.send("\n\n".join(f"bgapi uuid_bridge {c} {a}" for c in customers))
    jobs = [client.reply().headers["Job-UUID"] for _ in customers]
    assert [client.job_done(job) for job in jobs] == [f"+OK {a}\n"] * 2
    first = client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == a, "a bridge")
    waiting = next(c for c in customers if c != first.uuid)
    client.wait(lambda e: e.uuid == waiting and e["Channel-State"] == "CS_SOFT_EXECUTE", "the other one waiting")
    return a, first.uuid, waiting


def test_an_agent_ordered_to_two_customers_at_once_talks_to_one_and_the_other_can_be_hung_up(
    client: Client, calls: Calls
) -> None:
    a, talking, waiting = _contend(client, calls)
    assert client.api(f"uuid_exists {waiting}") == "true"
    client.api(f"uuid_kill {waiting}")
    client.wait_gone(waiting)
    for leg in (a, talking):
        assert client.api(f"uuid_exists {leg}") == "true"
        assert "HANGUP" not in client.leg_names(leg)


def test_a_customer_who_waits_in_vain_takes_the_agent_and_its_caller_along(client: Client, calls: Calls) -> None:
    a, talking, waiting = _contend(client, calls)
    before = client.leg_names(waiting)
    # It is deaf to every order but a hangup.
    assert client.api(f"uuid_park {waiting}") == "+OK\n"
    assert client.api(f"uuid_transfer {waiting} park inline") == "+OK\n"
    client.wait_for("CHANNEL_HANGUP", waiting, limit=40)  # 20 s
    for leg in (waiting, a, talking):
        assert client.wait_gone(leg)["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"
    assert client.leg_names(waiting)[len(before)] == "HANGUP"


def test_a_transferred_customer_who_leaves_while_it_rings_cancels_the_new_leg(client: Client, calls: Calls) -> None:
    c, _ = calls.bridged()
    client.api(f"uuid_transfer {c} 1041 XML default")
    created = client.wait(lambda e: e.name == "CHANNEL_PROGRESS" and e["Caller-Destination-Number"] == "1041")
    client.api(f"uuid_kill {c}")
    assert client.wait_gone(created.uuid)["Hangup-Cause"] == "ORIGINATOR_CANCEL"
    client.wait_gone(c)


def test_a_bridged_customer_transferred_to_a_busy_agent_is_hung_up_with_that_cause(
    client: Client, calls: Calls
) -> None:
    c, _ = calls.bridged()
    client.api(f"uuid_transfer {c} 1044 XML default")
    assert client.wait_gone(c)["Hangup-Cause"] == "USER_BUSY"
