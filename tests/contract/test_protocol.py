"""Authentication, subscriptions, replies and framing of the event socket."""

from __future__ import annotations

import json
import uuid as uuids
from collections.abc import Callable

import pytest

from tests.contract.client import Client, Gone
from tests.contract.conftest import Switch

Connect = Callable[..., Client]


def test_the_first_frame_asks_for_authentication(switch: Switch) -> None:
    with switch.connect() as client:
        frame = client.reply()
        assert frame.headers == {"Content-Type": "auth/request"}
        assert frame.body == b""


def test_the_right_password_is_accepted(switch: Switch) -> None:
    with switch.connect() as client:
        client.reply()
        assert client.ask(f"auth {switch.password}").headers == {
            "Content-Type": "command/reply",
            "Reply-Text": "+OK accepted",
        }


def test_a_wrong_password_is_refused_and_the_connection_closed(switch: Switch) -> None:
    with switch.connect() as client:
        client.reply()
        assert client.answer("auth wrong") == "-ERR invalid"
        client.wait_eof()


def test_no_command_works_before_authentication(switch: Switch) -> None:
    with switch.connect() as client:
        client.reply()
        assert client.answer("api status") == "-ERR command not found"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("nosuchverb", "-ERR command not found"),
        ("bgapi", "-ERR command not found"),
        ("event", "-ERR no keywords supplied"),
        ("event plain NOSUCHEVENT", "-ERR no keywords supplied"),
        ("filter", "-ERR command not found"),
        ("filter Unique-ID 7", "+OK filter added. [Unique-ID]=[7]"),
        ("filter delete all", "+OK filter deleted. [all][]"),
        ("nixevent HEARTBEAT", "+OK events nixed"),
        ("event plain ALL", "+OK event listener enabled plain"),
        ("EVENTS PLAIN ALL", "+OK event listener enabled plain"),
        ("event json HEARTBEAT CUSTOM my::test", "+OK event listener enabled json"),
        ("sendmsg\ncall-command: hangup", "-ERR invalid session id []"),
        ("divert_events on", "-ERR not controlling a session."),
        ("linger", "-ERR not controlling a session"),
        ("log 3", "+OK log level 3 [3]"),
        ("log crit", "+OK log level crit [2]"),
        ("log nosuchlevel", "-ERR invalid log level"),
        ("nolog", "-ERR not loging"),
        ("getvar x", "-ERR command not found"),
        ("connect", "-ERR command not found"),
        ("auth ClueCon", "-ERR command not found"),
    ],
)
def test_replies_to_socket_commands(connect: Connect, command: str, text: str) -> None:
    assert connect("").answer(command) == text


def test_nolog_ends_the_log_once(connect: Connect) -> None:
    client = connect("")
    assert client.answer("log 0") == "+OK log level 0 [0]"
    assert client.answer("nolog") == "+OK no longer logging"
    assert client.answer("nolog") == "-ERR not loging"


def test_noevents_ends_the_subscription(connect: Connect) -> None:
    client = connect("plain ALL")
    assert client.answer("noevents") == "+OK no longer listening for events"
    client.api("status")
    assert client.quiet(0.2) == []


@pytest.mark.parametrize("fmt", ["plain", "json"])
def test_event_frames_name_their_length_before_their_type(connect: Connect, fmt: str) -> None:
    client = connect(f"{fmt} API")
    client.api("status")
    event = client.wait(lambda e: e.get("API-Command") == "status")
    assert event.names[:6] == [
        "Event-Name",
        "Core-UUID",
        "FreeSWITCH-Hostname",
        "FreeSWITCH-Switchname",
        "FreeSWITCH-IPv4",
        "FreeSWITCH-IPv6",
    ]
    assert client.raw[-1].endswith(b"\n\n" if fmt == "plain" else b"}")


def test_only_the_events_asked_for_arrive(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    client.job("status")
    client.job("version")
    assert {event.name for event in client.events} == {"BACKGROUND_JOB"}


def test_nixevent_takes_one_event_out_of_all(connect: Connect) -> None:
    client = connect("json ALL")
    client.answer("nixevent API")
    client.job("status")
    assert "API" not in {event.name for event in client.events}


def test_custom_events_arrive_only_for_the_subclasses_asked_for(connect: Connect) -> None:
    client, sender = connect("json CUSTOM my::test"), connect("")
    assert sender.answer("sendevent CUSTOM\nEvent-Subclass: my::other\nfoo: no").startswith("+OK ")
    assert sender.answer("sendevent CUSTOM\nEvent-Subclass: my::test\nfoo: bar").startswith("+OK ")
    event = client.wait(lambda e: e.name == "CUSTOM" and e.get("Event-Subclass") == "my::test")
    assert event["foo"] == "bar"
    assert "my::other" not in {e.get("Event-Subclass") for e in client.events}


def test_a_filter_lets_only_matching_events_through(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    job = str(uuids.uuid4())
    client.answer(f"filter Job-UUID {job}")
    client.bgapi("version")
    client.answer(f"bgapi status\nJob-UUID: {job}")
    client.wait(lambda e: e.get("Job-UUID") == job)
    assert {e["Job-UUID"] for e in client.events} == {job}


def test_a_deleted_filter_filters_no_more(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    client.answer("filter Job-UUID nothing")
    client.answer("filter delete Job-UUID nothing")
    client.job("status")


def test_bgapi_keeps_the_job_uuid_of_the_client(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    job = str(uuids.uuid4())
    frame = client.ask(f"bgapi status\nJob-UUID: {job}")
    assert frame.headers == {
        "Content-Type": "command/reply",
        "Reply-Text": f"+OK Job-UUID: {job}",
        "Job-UUID": job,
    }
    event = client.wait(lambda e: e.name == "BACKGROUND_JOB")
    assert event["Job-UUID"] == job
    assert event["Job-Command"] == "status"
    assert event.body.startswith("UP ")


def test_bgapi_invents_a_job_uuid_if_none_is_given(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    job = client.ask("bgapi version").headers["Job-UUID"]
    assert client.job_done(job).startswith("FreeSWITCH Version")


def test_the_answer_of_a_job_is_broadcast_to_every_subscriber(connect: Connect) -> None:
    asking, watching = connect(""), connect("json BACKGROUND_JOB")
    job = asking.bgapi("version")
    assert watching.job_done(job).startswith("FreeSWITCH Version")


def test_the_answer_of_a_job_comes_although_its_asker_has_gone(connect: Connect, switch: Switch) -> None:
    watching = connect("json BACKGROUND_JOB")
    with switch.connect() as asking:
        asking.login()
        job = asking.bgapi("originate {originate_timeout=10}sofia/gateway/carrier/91234 &park()")
    answer = watching.job_done(job)
    assert answer.startswith("+OK ")
    watching.api(f"uuid_kill {answer[4:].strip()}")


def test_a_plain_job_carries_its_body_unencoded_after_an_inner_length(connect: Connect) -> None:
    client = connect("plain BACKGROUND_JOB")
    client.job("nosuchcommand a b")
    head, _, body = client.raw[-1].partition(b"\n\n")
    assert body == b"-ERR nosuchcommand Command not found!\n"
    assert head.endswith(b"\nContent-Length: %d" % len(body))


def test_a_json_job_carries_its_body_as_the_last_member(connect: Connect) -> None:
    client = connect("json BACKGROUND_JOB")
    client.job("nosuchcommand a b")
    members = json.loads(client.raw[-1])
    assert list(members)[-2:] == ["Content-Length", "_body"]
    assert members["_body"] == "-ERR nosuchcommand Command not found!\n"
    assert members["Content-Length"] == str(len(members["_body"]))


def test_the_api_event_has_an_older_sequence_than_what_it_caused(connect: Connect) -> None:
    client = connect("json ALL")
    client.job("originate {originate_timeout=10}sofia/gateway/carrier/41234 &park()")
    mine = [e for e in client.events if e.get("API-Command") == "originate" or e.name == "CHANNEL_OUTGOING"]
    api, outgoing = mine[-1], mine[0]
    assert (api.name, outgoing.name) == ("API", "CHANNEL_OUTGOING")
    assert int(api["Event-Sequence"]) < int(outgoing["Event-Sequence"])


def test_pipelined_commands_are_answered_in_order(connect: Connect) -> None:
    client = connect("")
    client.send("api strepoch\n\napi hostname\n\napi nosuchcommand\n\nevent plain")
    answers = [client.reply() for _ in range(4)]
    assert answers[0].text.isdigit()
    assert answers[2].text == "-ERR nosuchcommand Command not found!\n"
    assert answers[3].headers["Reply-Text"] == "-ERR no keywords supplied"


def test_a_command_may_arrive_byte_by_byte(connect: Connect) -> None:
    client = connect("")
    for byte in b"api create_uuid\n\n":
        client.receive_buffer.sendall(bytes([byte]))
    assert uuids.UUID(client.reply().text)


def test_exit_says_goodbye_and_closes(connect: Connect) -> None:
    client = connect("")
    assert client.answer("exit") == "+OK bye"
    with pytest.raises(Gone):
        client.until(lambda: False, "the end")
    assert client.notices == ["Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"]


def test_reloadxml_says_so(connect: Connect) -> None:
    client = connect("json RELOADXML")
    assert client.api("reloadxml") == "+OK [Success]\n"
    client.wait(lambda e: e.name == "RELOADXML")


def test_a_blocking_api_answers_before_the_events_it_caused(connect: Connect) -> None:
    client = connect("json ALL")
    answer = client.api("originate {originate_timeout=9}sofia/gateway/carrier/91234 &park()")
    client.wait_for("CHANNEL_PARK", answer.removeprefix("+OK ").strip())
    assert client.wire.index("api/response") < client.wire.index("CHANNEL_OUTGOING")
