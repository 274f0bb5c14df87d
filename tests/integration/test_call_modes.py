"""Recordings that pause, answering machines that are heard; and preview and manual dialling through the simulated
switch, with every process of the product."""

import logging
import uuid

import pytest
from celery import current_app
from django.core.files.base import ContentFile

from dialer import demo, floor_rows, orders, tasks
from dialer.models import AppliedCommand, CallLog, Contact, ContactReservation, DialerCampaign, Message, Order
from dialer.services import facts as told
from events import facts as f
from tests.conftest import wait_until
from tests.fakes.dialling import link, ready_agents
from tests.fakes.floor import Switch, any_hour, make_campaign, now_us, place
from tests.fakes.processes import Processes


@pytest.fixture
def switch(redis_empty) -> Switch:
    link()
    return Switch()


def control(call: CallLog, action: str) -> dict:
    command = {"command_id": str(uuid.uuid4()), "actor": "ann", "kind": "call_control", "action": action}
    return tasks.handle_command({**command, "call_id": str(call.call_id)})


def talking(switch: Switch, **fields) -> CallLog:
    [call] = place(make_campaign(ready_agents(switch), contacts=1, **fields))
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    return call


def recording_of(call: CallLog) -> str:
    [row] = floor_rows.call_rows([call.pk])
    return row["recording"]


# --- Recording ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_recording_is_paused_and_resumed_when_the_switch_says_so_and_who_asked_is_kept(switch):
    call = talking(switch, record_calls=True)
    path = f"/var/recordings/{call.call_id}.wav"
    started = f.RecordingStarted(leg=call.freeswitch_uuid, at=now_us(), path=path)
    assert control(call, "record_pause")["reason"] == "this call is not being recorded"
    switch.tell(started)
    assert recording_of(call) == "on"
    assert control(call, "record_resume")["reason"] == "the recording is not paused"
    assert control(call, "record_pause")["status"] == "applied"
    pause = switch.orders("record")[-1]
    assert (pause.payload["action"], pause.payload["name"]) == ("mask", str(call.call_id))
    assert recording_of(call) == "on", "asked is not done"
    switch.report(pause, "failed", reply="-ERR Cannot mask recording session!")
    assert recording_of(call) == "on"
    control(call, "record_pause")
    switch.report(switch.orders("record")[-1], "done", reply="+OK Success")
    assert recording_of(call) == "paused"
    switch.tell(started)
    assert recording_of(call) == "paused", "an old fact told again unpauses nothing"
    assert control(call, "record_pause")["reason"] == "the recording is paused already"
    control(call, "record_resume")
    assert switch.orders("record")[-1].payload["action"] == "unmask"
    switch.report(switch.orders("record")[-1], "done", reply="+OK Success")
    assert recording_of(call) == "on"
    switch.end(call)
    switch.tell(f.RecordingStopped(leg=call.freeswitch_uuid, at=now_us(), path=path))
    call.refresh_from_db()
    assert (call.recording, call.recording_stored) == ("off", True)
    said = AppliedCommand.objects.filter(status="applied", kind="call_control").order_by("id")
    assert [(row.actor, row.payload["action"]) for row in said] == [
        ("ann", "record_pause"), ("ann", "record_pause"), ("ann", "record_resume"),
    ]  # fmt: skip


# --- Answering machines ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_where_the_campaign_wants_it_a_machine_that_is_heard_is_hung_up_and_retried_as_one(switch):
    profile = any_hour(retry={"machine": {"delay_minutes": 90}})
    call = talking(switch, machine_action="hang_up", profile=profile)
    assert [order.payload["leg"] for order in switch.orders("detect_machine")] == [call.freeswitch_uuid]
    beep = f.MachineHeard(leg=call.freeswitch_uuid, at=now_us())
    switch.tell(beep, beep)
    assert len(switch.orders("hangup")) == 1
    switch.end(call)
    call.refresh_from_db()
    assert (call.machine, call.outcome, Contact.objects.get().status) == (True, "machine", "ready")


@pytest.mark.django_db
def test_a_machine_is_left_the_campaigns_message_and_its_agent_is_free_as_soon_as_it_plays(switch, settings, tmp_path):
    settings.MESSAGES_DIR = str(tmp_path)
    said = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
    call = talking(switch, machine_action="leave_message", machine_message=said, wrap_up_seconds=0)
    agent = call.agent
    switch.tell(f.MachineHeard(leg=call.freeswitch_uuid, at=now_us()))
    [order] = switch.orders("play_message")
    assert order.payload["name"] == str(said.message_id) and switch.orders("hangup") == []
    switch.report(order, "done", reply="+OK")
    agent.refresh_from_db()
    assert agent.status == "available"
    switch.end(call)
    call.refresh_from_db()
    assert (call.machine, call.outcome) == (True, "machine")


@pytest.mark.django_db
def test_where_nobody_wants_it_nothing_listens_for_machines(switch):
    talking(switch)
    assert switch.orders("detect_machine") == []


@pytest.mark.django_db
def test_without_the_module_the_call_goes_on_as_a_persons_and_it_is_said_once(switch, caplog, monkeypatch):
    monkeypatch.setattr(told, "_detection_missed", False)
    call = talking(switch, machine_action="hang_up")
    [order] = switch.orders("detect_machine")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            Order.objects.filter(pk=order.pk).update(status="sent")
            switch.report(order, "failed", reply=orders.NO_DETECTION)
    assert len([record for record in caplog.records if "mod_avmd" in record.getMessage()]) == 1
    assert switch.orders("hangup") == []
    switch.end(call)
    call.refresh_from_db()
    assert (call.machine, call.outcome) == (False, "conversation")


# --- Through the simulated switch -----------------------------------------------------------------------------------


def say(kind: str, **fields) -> None:
    command = {"command_id": str(uuid.uuid4()), "actor": "ann", "kind": kind, **fields}
    current_app.send_task("dialer.tasks.handle_command", kwargs={"command": command})


@pytest.mark.stack
@pytest.mark.timeout(180)
@pytest.mark.django_db(transaction=True)
def test_preview_and_manual_calls_run_through_the_switch(redis_empty, tmp_path):
    fields = {"wrap_up_seconds": 1, "calls_per_agent_per_hour": 3600}
    with Processes(tmp_path) as run:
        run.backend("--speed", "2")
        campaign = make_campaign([], contacts=0, mode="preview", record_calls=True, name="Preview", **fields)
        contact = Contact.objects.create(
            target_list=campaign.target_list, number="+12125591001", next_attempt_at=campaign.created_at
        )
        by_hand = make_campaign([], contacts=0, mode="manual", machine_action="hang_up", name="Manual", **fields)
        for extension, of in ((1001, campaign), (1002, by_hand)):
            agent = of.assigned_agents.create(agent_id=f"agent_{extension}", extension=str(extension))
            command = {"actor": "test", "agent_id": agent.agent_id, "state": "available"}
            current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})

        offer = wait_until(lambda: ContactReservation.objects.filter(state="offered").first(), "a preview", 60)
        assert offer.contact == contact and not CallLog.objects.exists()
        say("preview_control", agent_id="agent_1001", action="dial", preview_id=str(offer.reservation_id))
        call = wait_until(lambda: CallLog.objects.filter(recording="on").first(), "the call is recorded", 60)
        assert call.contact == contact and call.bridged_at is not None and call.decision.mode == "preview"
        for action, state in (("record_pause", "paused"), ("record_resume", "on")):
            say("call_control", call_id=str(call.call_id), action=action)
            wait_until(lambda wanted=state: CallLog.objects.get(pk=call.pk).recording == wanted, state, 30)

        wait_until(lambda: type(agent).objects.get(agent_id="agent_1002").softphone == "open", "a softphone", 30)
        say("manual_dial", agent_id="agent_1002", campaign_id=str(by_hand.campaign_id), number="(212) 550-1002")
        machine = wait_until(
            lambda: CallLog.objects.filter(campaign=by_hand, ended_at__isnull=False).first(), "the machine's end", 60
        )
        assert machine.to_number == "+12125501002" and machine.bridged_at is not None
        assert (machine.machine, machine.outcome, machine.decision.mode) == (True, "machine", "manual")
        assert machine.orders.filter(kind="hangup").exists(), "hung up by us, before the machine would have"
        assert machine.contact.source == "manual"

        say("call_control", call_id=str(call.call_id), action="hangup")
        wait_until(lambda: CallLog.objects.get(pk=call.pk).ended_at, "the end", 30)
        wait_until(lambda: CallLog.objects.get(pk=call.pk).recording_stored, "the recording is stored", 30)
    assert CallLog.objects.count() == 2 and DialerCampaign.objects.count() == 2
