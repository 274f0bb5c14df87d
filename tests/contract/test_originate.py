"""`originate`: the numbering plan, its answers, its events, and what never becomes a call."""

from __future__ import annotations

import json
import uuid as uuids

import pytest

from tests.contract.client import Client, Event
from tests.contract.conftest import Calls, Switch

CREATED = ["OUTGOING", "STATE", "CREATE", "ORIGINATE", "STATE", "STATE"]
RINGS = ["PROGRESS", "CALLSTATE"]
ANSWERS = ["CODEC", "CODEC", "ANSWER", "CALLSTATE", "CALL_UPDATE", "STATE", "EXECUTE", "PARK"]
REFUSED = ["HANGUP", "STATE", "CALLSTATE", "STATE", "HANGUP_COMPLETE", "DESTROY", "STATE"]
UNPARKS_AND_ENDS = ["HANGUP", "UNPARK", "EXECUTE_COMPLETE", "STATE", "CALLSTATE", "STATE", "HANGUP_COMPLETE"]
OUT_OF_ORDER = "-ERR DESTINATION_OUT_OF_ORDER\n"


@pytest.mark.parametrize(
    ("number", "cause", "status", "q850", "rings"),
    [
        ("41234", "USER_BUSY", "486", "17", False),
        ("51234", "CALL_REJECTED", "603", "21", True),
        ("61234", "UNALLOCATED_NUMBER", "404", "1", False),
        ("81234", "NORMAL_TEMPORARY_FAILURE", "503", "41", False),
        ("123", "NO_ROUTE_DESTINATION", "404", "3", False),
    ],
)
def test_a_refused_customer_fails_with_the_carriers_cause(
    client: Client, calls: Calls, number: str, cause: str, status: str, q850: str, rings: bool
) -> None:
    uuid, job = calls.customer(number)
    assert client.job_done(job) == f"-ERR {cause}\n"
    ended = client.wait_gone(uuid)
    assert client.leg_names(uuid) == CREATED + (RINGS if rings else []) + REFUSED
    assert ended["Hangup-Cause"] == ended["variable_hangup_cause"] == cause
    assert ended["variable_hangup_cause_q850"] == q850
    assert ended["variable_sip_hangup_disposition"] == "recv_refuse"
    assert ended["variable_sip_term_status"] == ended["variable_sip_invite_failure_status"] == status
    assert ended["variable_proto_specific_hangup_cause"] == f"sip:{status}"
    assert ended["variable_billsec"] == ended["variable_answer_epoch"] == "0"
    assert ended.get("variable_answer_stamp") is None


def test_an_answering_customer_is_parked_and_hangs_up(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer("21234", "lead_id=4711,campaign=spring")
    assert client.job_done(job) == f"+OK {uuid}\n"
    ended = client.wait_gone(uuid)
    assert client.leg_names(uuid) == CREATED + RINGS + ANSWERS + UNPARKS_AND_ENDS + ["DESTROY", "STATE"]
    assert ended["variable_sip_hangup_disposition"] == "recv_bye"
    assert ended["variable_sip_term_status"] == "200"
    assert ended["variable_lead_id"] == client.wait_for("CHANNEL_CREATE", uuid)["variable_lead_id"] == "4711"
    assert ended["variable_last_app"] == "park"
    assert int(ended["variable_billmsec"]) > 0


def test_the_answer_event_precedes_the_answer_of_the_job(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer("91234")
    client.job_done(job)
    order = [e.name for e in client.events if e.uuid == uuid or e.get("Job-UUID") == job]
    assert order.index("CHANNEL_ANSWER") < order.index("BACKGROUND_JOB")


def test_a_number_nobody_answers_is_cancelled_at_the_timeout(client: Client, switch: Switch) -> None:
    uuid = str(uuids.uuid4())
    variables = f"{{origination_uuid={uuid},originate_timeout=2}}"
    assert client.job(f"originate {variables}sofia/gateway/carrier/31234 &park()") == "-ERR NO_ANSWER\n"
    ended = client.wait_gone(uuid)
    assert client.leg_names(uuid) == CREATED + RINGS + REFUSED
    assert ended["variable_sip_hangup_disposition"] == "send_cancel"
    assert ended["variable_sip_invite_failure_status"] == "487"
    assert ended.get("variable_sip_term_status") is None
    assert ended["variable_hangup_cause_q850"] == "19"
    # FreeSWITCH counts whole seconds: it may fire up to one second early.
    assert 1000 <= int(ended["variable_mduration"]) * switch.speed <= 2600


@pytest.mark.parametrize("agent", [False, True])
@pytest.mark.parametrize(
    ("given", "cause", "q850"),
    [
        ("", "NORMAL_CLEARING", "16"),
        (" ORIGINATOR_CANCEL", "ORIGINATOR_CANCEL", "16"),
        (" user_busy", "USER_BUSY", "17"),
        (" NO_SUCH_CAUSE", "NORMAL_CLEARING", "16"),
    ],
)
def test_a_ringing_call_that_is_killed_answers_its_job_with_the_cause(
    client: Client, calls: Calls, agent: bool, given: str, cause: str, q850: str
) -> None:
    uuid, job = calls.agent("1041") if agent else calls.customer("31234")
    client.wait_for("CHANNEL_PROGRESS", uuid)
    assert client.api(f"uuid_kill {uuid}{given}") == "+OK\n"
    assert client.job_done(job) == f"-ERR {cause}\n"
    ended = client.wait_gone(uuid)
    assert ended["Hangup-Cause"] == cause
    assert ended["variable_hangup_cause_q850"] == q850
    assert ended["variable_sip_hangup_disposition"] == "send_cancel"
    assert ended["variable_sip_invite_failure_status"] == "487"
    assert ended.get("variable_sip_term_status") is None


def test_a_ringing_leg_exists_and_can_be_dumped_but_not_recorded(client: Client, calls: Calls) -> None:
    uuid, _ = calls.customer("31234", "lead_id=4711")
    client.wait_for("CHANNEL_PROGRESS", uuid)
    assert client.api(f"uuid_exists {uuid}") == "true"
    dump = json.loads(client.api(f"uuid_dump {uuid} json"))
    assert (dump["Event-Name"], dump["Unique-ID"]) == ("CHANNEL_DATA", uuid)
    assert (dump["Channel-Call-State"], dump["Answer-State"]) == ("RINGING", "ringing")
    assert (dump["variable_lead_id"], dump["Caller-Destination-Number"]) == ("4711", "31234")
    assert dump["Caller-Channel-Answered-Time"] == "0"
    assert client.api(f"uuid_record {uuid} start /tmp/{uuid}.wav") == "-ERR Cannot record session!\n"


def test_the_full_international_number_behaves_as_its_last_digits(client: Client, calls: Calls) -> None:
    _, job = calls.customer("+12125541234")
    assert client.job_done(job) == "-ERR USER_BUSY\n"


def test_early_media_ends_the_originate_unless_it_is_ignored(client: Client, calls: Calls) -> None:
    uuid = str(uuids.uuid4())
    answer = client.job(f"originate {{origination_uuid={uuid}}}sofia/gateway/carrier/11234 &park()")
    assert answer == f"+OK {uuid}\n"
    assert "ANSWER" not in client.leg_names(uuid)
    client.wait_for("CHANNEL_ANSWER", uuid)
    ignoring, job = calls.customer("11235")
    client.job_done(job)
    assert "ANSWER" in client.leg_names(ignoring)


def test_agents_answer_by_extension(client: Client, calls: Calls) -> None:
    uuid, job = calls.agent("1001")
    assert client.job_done(job) == f"+OK {uuid}\n"
    answered = client.wait_for("CHANNEL_ANSWER", uuid)
    assert answered["Channel-Presence-ID"].startswith("1001@")
    assert answered["variable_dialed_user"] == "1001"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("user/1044", "-ERR USER_BUSY\n"),
        ("user/1046", "-ERR CALL_REJECTED\n"),
        ("user/1050", "-ERR USER_NOT_REGISTERED\n"),
        ("user/9999", "-ERR SUBSCRIBER_ABSENT\n"),
        ("nosuch/endpoint/1", "-ERR CHAN_NOT_IMPLEMENTED\n"),
        ("sofia/gateway/nosuchgw/1", "-ERR INVALID_GATEWAY\n"),
        ("sofia/gateway/deadcarrier/21234", "-ERR NORMAL_TEMPORARY_FAILURE\n"),
    ],
)
def test_what_cannot_be_reached_says_why(client: Client, url: str, answer: str) -> None:
    assert client.job(f"originate {{originate_timeout=5}}{url} &park()") == answer


@pytest.mark.parametrize("url", ["user/1050", "user/9999", "nosuch/endpoint/1"])
def test_an_unreachable_destination_makes_no_channel_event(client: Client, url: str) -> None:
    uuid = str(uuids.uuid4())
    client.job(f"originate {{origination_uuid={uuid}}}{url} &park()")
    assert client.leg(uuid) == []


def test_an_unknown_gateway_destroys_a_leg_that_was_never_created(client: Client) -> None:
    uuid = str(uuids.uuid4())
    client.job(f"originate {{origination_uuid={uuid}}}sofia/gateway/nosuchgw/1 &park()")
    assert client.leg_names(uuid) == ["DESTROY", "STATE"]
    destroyed = client.wait_for("CHANNEL_DESTROY", uuid)
    assert (destroyed["Channel-State"], destroyed["Channel-Name"]) == ("CS_NONE", "N/A")
    assert destroyed.get("Hangup-Cause") is None
    assert client.api(f"uuid_exists {uuid}") == "false"


def test_an_unknown_gateway_destroys_a_leg_of_any_uuid_if_none_is_given(client: Client) -> None:
    job = client.bgapi("originate {nosuch=gateway}sofia/gateway/nosuchgw/1 &park()")
    assert client.job_done(job) == "-ERR INVALID_GATEWAY\n"
    destroyed = client.wait(lambda e: e.name == "CHANNEL_DESTROY" and e["Channel-Name"] == "N/A")
    assert uuids.UUID(destroyed.uuid)
    assert destroyed["variable_uuid"] == destroyed.uuid


@pytest.mark.parametrize("argument", ["", "foo", "{a=1}sofia/gateway/carrier/91234"])
def test_a_malformed_originate_explains_its_usage(client: Client, argument: str) -> None:
    assert client.job(f"originate {argument}".strip()).startswith("-USAGE: <call url> <exten>")


@pytest.mark.parametrize(
    "argument",
    [
        "{origination_uuid=%s,name=O'Brien}sofia/gateway/carrier/91234 &park()",
        '{origination_uuid=%s,note="it\'s"}sofia/gateway/carrier/91234 &park()',
        "{origination_uuid=%s,name=O'Brien}sofia/gateway/carrier/91234 '&park()",
    ],
)
def test_a_lone_quote_never_becomes_a_call(client: Client, argument: str) -> None:
    uuid = str(uuids.uuid4())
    answer = client.job(f"originate {argument % uuid}")
    assert answer.startswith("-USAGE:") or answer == OUT_OF_ORDER
    assert client.leg(uuid) == []
    assert client.api(f"uuid_exists {uuid}") == "false"


def test_a_live_uuid_cannot_be_used_twice(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer("91234")
    client.job_done(job)
    client.wait_for("CHANNEL_PARK", uuid)
    before = len(client.leg(uuid))
    assert client.job(f"originate {{origination_uuid={uuid}}}sofia/gateway/carrier/91234 &park()") == OUT_OF_ORDER
    assert client.api(f"uuid_exists {uuid}") == "true"
    assert len(client.leg(uuid)) == before


def test_an_unknown_application_answers_ok_and_then_dies(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer("91234", app="&nosuchapp()")
    assert client.job_done(job) == f"+OK {uuid}\n"
    assert client.wait_gone(uuid)["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"


def test_variables_keep_unicode_percent_signs_and_escaped_commas(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer(
        "91234",
        "origination_caller_id_name='Zoë Łukasz 東京',note_pct='100% of 50%25 %0A',note_comma='a\\,b\\,c',"
        "empty='',spaced='  x  '",
    )
    client.job_done(job)
    created = client.wait_for("CHANNEL_CREATE", uuid)
    assert created["Caller-Caller-ID-Name"] == "Zoë Łukasz 東京"
    assert created["variable_note_pct"] == "100% of 50%25 %0A"
    assert created["variable_note_comma"] == "a,b,c"
    assert created["variable_spaced"] == "x"
    assert created.get("variable_empty") is None


def test_a_byte_that_is_no_utf8_comes_back_as_it_was(client: Client) -> None:
    uuid = str(uuids.uuid4())
    command = f"bgapi originate {{origination_uuid={uuid},note=caf".encode() + b"\xe9"
    client.ask(command + b"}sofia/gateway/carrier/91234 &park()")
    client.wait_for("CHANNEL_CREATE", uuid)
    assert any(b'"variable_note":"caf\xe9"' in raw for raw in client.raw)


def test_the_caller_id_is_flipped_once_the_originate_has_succeeded(client: Client, calls: Calls) -> None:
    uuid, job = calls.customer("91234", "origination_caller_id_number=33123456789,origination_caller_id_name=Acme")
    client.job_done(job)
    answer, update = client.wait_for("CHANNEL_ANSWER", uuid), client.wait_for("CALL_UPDATE", uuid)

    def ids(event: Event) -> tuple[str, str]:
        return event["Caller-Caller-ID-Number"], event["Caller-Callee-ID-Number"]

    assert ids(answer) == ("33123456789", "91234")
    assert ids(update) == ("91234", "33123456789")
    assert update["Caller-Orig-Caller-ID-Number"] == update["Caller-ANI"] == "33123456789"
    assert update["Caller-Destination-Number"] == "91234"
    assert update["variable_channel_cid_flipped"] == "yes"


def test_times_are_microseconds_and_grow(client: Client, calls: Calls) -> None:
    uuid, _ = calls.customer("21234")
    ended = client.wait_gone(uuid)
    created, progress, answered, hangup = (
        int(ended[f"Caller-Channel-{moment}-Time"]) for moment in ("Created", "Progress", "Answered", "Hangup")
    )
    assert 1_600_000_000_000_000 < created <= progress < answered < hangup
    assert int(ended["variable_start_uepoch"]) == created
    assert int(ended["variable_end_uepoch"]) == hangup
    assert int(ended["variable_billusec"]) == hangup - answered
    assert int(client.wait_for("CHANNEL_HANGUP", uuid)["Caller-Channel-Hangup-Time"]) == 0


def test_the_hangup_cause_stands_twice_in_hangup_complete_and_once_in_destroy(client: Client, calls: Calls) -> None:
    uuid, _ = calls.customer("41234")
    ended = client.wait_gone(uuid)
    assert ended.names.count("Hangup-Cause") == 2
    assert client.wait_for("CHANNEL_DESTROY", uuid).names.count("Hangup-Cause") == 1


def test_a_state_event_follows_the_destruction(client: Client, calls: Calls) -> None:
    uuid, _ = calls.customer("41234")
    client.wait_gone(uuid)
    assert client.leg_names(uuid)[-2:] == ["DESTROY", "STATE"]


def test_sequences_grow_within_a_leg(client: Client, calls: Calls) -> None:
    uuid, _ = calls.customer("21234")
    client.wait_gone(uuid)
    sequences = [int(event["Event-Sequence"]) for event in client.leg(uuid)]
    assert sequences == sorted(set(sequences))
