"""State before + frames = a fresh snapshot after, for every kind of change.

The dialer's real services and the ingest's real fold make the changes and announce them; the projection makes frames of
what was announced, which a reader applies. A second projection then reads everything anew, as a publisher that starts
now. Whoever changes a row and does not say so fails here; so does a new message type without a case.
"""

import datetime as dt
import time
import uuid
from collections.abc import Callable
from typing import get_args

import pytest
from django.utils import timezone

from console import alerts, protocol
from console.intents import carry_out, task_of
from console.models import Alert, AlertThreshold
from console.protocol import (
    AlertControl,
    CallControl,
    CampaignControl,
    DisposeCall,
    Intent,
    ManualDial,
    PreviewControl,
    ReadMessage,
    SendMessage,
    SetAgentState,
)
from dialer import census, tasks
from dialer.models import (
    Agent,
    AppliedCommand,
    CallLog,
    Contact,
    DialerCampaign,
    Disposition,
    Order,
)
from dialer.services import agents, calls, panels, preview, sifting
from dialer.services.acting import acting
from dialer.services.audit import Source
from events import call_state, streams
from events import facts as f
from tests.fakes.floor import now_us
from tests.fakes.stage import Stage, newest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

Case = Callable[[Stage], None]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- Commands: every intent, every action ---------------------------------------------------------------------------


def set_agent_state(stage: Stage) -> None:
    for state, reason in (("break", "lunch"), ("busy", ""), ("offline", ""), ("available", "")):
        leg = agents.open_leg(stage.agent)
        stage.own(state, reason=reason)
        assert stage.floor.agents[stage.agent.agent_id].status == state
        if state == "offline":
            stage.tell(f.LegEnded(leg=str(leg.leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
            stage.verify()
    stage.softphone_answers(stage.agent)
    stage.verify()
    stage.talking()
    stage.verify()
    stage.own("break")
    assert stage.floor.agents[stage.agent.agent_id].pending.status == "break"
    stage.own("", cancel_pending=True)
    assert stage.floor.agents[stage.agent.agent_id].pending is None


def campaign_control(stage: Stage) -> None:
    key = str(stage.campaign.campaign_id)
    stage.offered()
    stage.verify()
    for action in ("pause", "start", "stop", "start"):
        stage.ask(CampaignControl(id="x", campaign_id=key, action=action))
    for mode in get_args(protocol.Mode):
        stage.ask(CampaignControl(id="x", campaign_id=key, action="set_mode", mode=mode))
        assert stage.floor.campaigns[key].mode == mode
    limits = {"max_lines": 7, "calls_per_second": 3, "power_ratio": 1.5}
    stage.ask(CampaignControl(id="x", campaign_id=key, action="set_limits", **limits))


def call_control(stage: Stage) -> None:
    stage.talking()
    stage.verify()
    for action in get_args(protocol.CallAction):
        call = CallLog.objects.filter(ended_at=None).first()
        if call is None or call.agent is None:
            stage.rest()
            call = stage.talking()
            stage.verify()
        if action == "record_pause":
            stage.tell(f.RecordingStarted(leg=call.freeswitch_uuid, at=now_us(), path="/rec/x.wav"))
            stage.verify()
        intent = CallControl(id="x", call_id=str(call.call_id), action=action, extension="990")
        _, command = task_of(intent, str(uuid.uuid4()), "sup", time.time(), Source())
        earlier = set(Order.objects.values_list("pk", flat=True))
        # Some make no sense after the one before; refused or not, the board must be what the database is.
        tasks.handle_command(command)
        stage.verify(changes=False)
        for order in Order.objects.exclude(pk__in=earlier):
            stage.report(order)
            stage.verify(changes=False)
        call.refresh_from_db()
        if action in {"hangup", "transfer", "park", "take_over"} and call.ended_at is None:
            # They change whose call it is, or end it: the next action has a conversation of its own.
            stage.end(call)
            stage.verify()


def preview_control(stage: Stage) -> None:
    for action, more in (("skip", {}), ("reschedule", {"personal": True}), ("dial", {})):
        offer = stage.offered()
        stage.verify()
        assert stage.floor.agents[stage.agent.agent_id].preview is not None
        at = int((time.time() + 7200) * 1000) if action == "reschedule" else None
        stage.ask(PreviewControl(id="x", agent_id=offer.agent.agent_id, action=action, at=at, **more))
        assert stage.floor.agents[stage.agent.agent_id].preview is None
    assert stage.floor.agents[stage.agent.agent_id].call_id


def manual_dial(stage: Stage) -> None:
    key = str(stage.campaign.campaign_id)
    stage.ask(ManualDial(id="x", agent_id=stage.agent.agent_id, campaign_id=key, number="+1 212 555 0190"))
    row = stage.floor.agents[stage.agent.agent_id]
    assert (row.campaign_id, stage.floor.calls[row.call_id].agent_id) == (key, row.id)


def dispose_call(stage: Stage) -> None:
    for code in ("sale", "later"):
        Disposition.objects.create(code=code, label=code, is_complete=True)
    call = stage.talking()
    stage.verify()
    stage.ask(DisposeCall(id="x", call_id=str(call.call_id), code="sale"))
    assert stage.floor.agents[stage.agent.agent_id].last_call.disposition == "sale"
    stage.end(call)
    stage.verify()
    call = stage.wrapping_up()
    stage.verify()
    for code in ("later", "sale"):
        stage.ask(DisposeCall(id="x", call_id=str(call.call_id), code=code, notes="<b>"))
        assert stage.floor.agents[stage.agent.agent_id].last_call.disposition == code


def send_message(stage: Stage) -> None:
    stage.ask(SendMessage(id="x", agents=(stage.agent.agent_id,), text="lunch is <b>later</b>"))
    stage.ask(SendMessage(id="x", campaigns=(str(stage.campaign.campaign_id),), text="all"))


def read_message(stage: Stage) -> None:
    send_message(stage)
    note = stage.floor.agents[stage.agent.agent_id].note
    message = note.id if note else "m1"
    stage.ask(ReadMessage(id="x", agent_id=stage.agent.agent_id, message_id=message))


def alert_control(stage: Stage) -> None:
    """Raised by the watch, then each thing that people do with it; and what they are refused changes nothing."""
    rule = AlertThreshold.objects.create(name="Long wait", measure="agent_state", state="break", warning=10)
    alert = Alert.objects.create(
        threshold=rule, name=rule.name, measure=rule.measure, level="warning", subject_kind="agent",
        subject_id=stage.agent.agent_id, text="on break <b>longer</b> than 10 s", raised_at=timezone.now(),
    )  # fmt: skip
    alerts.announce_([alert.pk])
    stage.verify()
    key = str(alert.pk)

    def ask(action: str, by: str = "sup", minutes: int = 10) -> str:
        intent, command_id = AlertControl(id="x", alert_id=key, action=action, minutes=minutes), str(uuid.uuid4())
        carry_out(intent, command_id, by, Source())
        stage.verify(changes=False)
        return AppliedCommand.objects.get(command_id=command_id).status

    assert stage.floor.alerts[key].state == "raised"
    assert ask("acknowledge") == "applied"
    assert (stage.floor.alerts[key].state, stage.floor.alerts[key].owner) == ("acknowledged", "sup")
    assert ask("acknowledge", "ann") == "rejected" and stage.floor.alerts[key].owner == "sup"
    assert ask("snooze", "ann") == "applied"
    assert (stage.floor.alerts[key].state, stage.floor.alerts[key].owner) == ("snoozed", "ann")
    alerts.wake(timezone.now() + dt.timedelta(minutes=11))
    stage.verify()
    assert stage.floor.alerts[key].snoozed_until is None
    assert ask("resolve") == "applied" and key not in stage.floor.alerts
    assert ask("resolve") == "rejected"


INTENTS: dict[type, Case] = {
    SetAgentState: set_agent_state,
    CampaignControl: campaign_control,
    CallControl: call_control,
    PreviewControl: preview_control,
    ManualDial: manual_dial,
    DisposeCall: dispose_call,
    SendMessage: send_message,
    ReadMessage: read_message,
    AlertControl: alert_control,
}


@pytest.mark.parametrize("intent", get_args(Intent), ids=lambda intent: intent.__struct_config__.tag)
def test_frames_after_a_command_are_a_fresh_snapshot(stage, intent):
    assert intent in INTENTS, "a new kind of command: give it a case"
    INTENTS[intent](stage)
    assert stage.steps


# --- Facts: every one that the dialer or the legs' fold acts on -------------------------------------------------------


def leg_created(stage: Stage) -> None:
    leg = stage.dialled().freeswitch_uuid
    stage.verify()
    stage.tell(f.LegCreated(leg=leg, at=now_us(), role="customer", call_id=leg))
    stage.verify()
    # One of no call of ours.
    stage.tell(f.LegCreated(leg="inbound", at=now_us(), role="other", number="+12125550199", direction="inbound"))
    stage.verify()


def leg_ringing(stage: Stage) -> None:
    call = stage.dialled()
    stage.verify()
    stage.tell(f.LegRinging(leg=call.freeswitch_uuid, at=now_us()))
    stage.verify()
    assert stage.floor.calls[str(call.call_id)].ringing_since


def leg_answered(stage: Stage) -> None:
    call = stage.ringing()
    stage.verify()
    stage.tell(f.LegAnswered(leg=call.freeswitch_uuid, at=now_us()))
    stage.verify()
    assert stage.floor.calls[str(call.call_id)].waiting_since
    assert stage.floor.campaigns[str(stage.campaign.campaign_id)].lines.waiting == 1


def leg_bridged(stage: Stage) -> None:
    call = stage.answered()
    stage.verify()
    stage.bridge(call)
    stage.verify()
    row = stage.floor.calls[str(call.call_id)]
    assert (row.state, row.agent_state) == ("bridged", "bridged")
    campaign = stage.floor.campaigns[str(stage.campaign.campaign_id)]
    assert (campaign.lines.live, campaign.agents_now.talking, campaign.today.connected) == (1, 1, 1)
    # The one beside them: their softphone's leg goes in the middle of it.
    stage.tell(f.LegEnded(leg=str(call.agent_leg.leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
    stage.verify()


def leg_unbridged(stage: Stage) -> None:
    call = stage.talking()
    stage.verify()
    stage.tell(f.LegUnbridged(leg=call.freeswitch_uuid, peer=str(call.agent_leg.leg_uuid), at=now_us()))
    stage.verify()


def leg_held(stage: Stage) -> None:
    call = stage.talking()
    stage.verify()
    stage.tell(f.LegHeld(leg=str(call.agent_leg.leg_uuid), at=now_us()))
    stage.verify()
    assert stage.floor.calls[str(call.call_id)].state == "held"


def leg_unheld(stage: Stage) -> None:
    leg_held(stage)
    call = CallLog.objects.get(ended_at=None)
    stage.tell(f.LegUnheld(leg=str(call.agent_leg.leg_uuid), at=now_us()))
    stage.verify()
    assert stage.floor.calls[str(call.call_id)].state == "bridged"
    stage.end(call)
    stage.verify()


def leg_parked(stage: Stage) -> None:
    """Park: the command, then the switch's word about both legs; and back."""
    call = stage.talking()
    stage.verify()
    stage.ask(CallControl(id="x", call_id=str(call.call_id), action="park"))
    ours, peer = call.freeswitch_uuid, str(call.agent_leg.leg_uuid)
    for leg, other in ((ours, peer), (peer, ours)):
        stage.tell(f.LegUnbridged(leg=leg, peer=other, at=now_us()), f.LegParked(leg=leg, at=now_us()))
        stage.verify(changes=False)
    assert stage.floor.calls[str(call.call_id)].parked
    stage.ask(CallControl(id="x", call_id=str(call.call_id), action="unpark"))
    stage.bridge(call)
    stage.verify()
    assert not stage.floor.calls[str(call.call_id)].parked


def leg_ended(stage: Stage) -> None:
    for cause, how in (
        ("USER_BUSY", stage.ringing),
        ("NO_ANSWER", stage.ringing),
        ("NORMAL_CLEARING", stage.answered),
        ("NORMAL_CLEARING", stage.talking),
    ):
        call = how()
        stage.verify()
        stage.end(call, cause)
        stage.verify()
        assert str(call.call_id) not in stage.floor.calls
    agent = stage.floor.agents[stage.agent.agent_id]
    assert (agent.reason, agent.today.handled, agent.calls_today) == ("wrap_up", 1, 1)


def softphone_ended(stage: Stage) -> None:
    leg = str(agents.open_leg(stage.agent).leg_uuid)
    stage.tell(f.LegEnded(leg=leg, at=now_us(), cause="NORMAL_CLEARING"))
    stage.verify()
    assert stage.floor.agents[stage.agent.agent_id].softphone == "lost"


def recording(stage: Stage) -> None:
    call = stage.talking()
    stage.verify()
    stage.tell(f.RecordingStarted(leg=call.freeswitch_uuid, at=now_us(), path="/rec/x.wav"))
    stage.verify()
    assert stage.floor.calls[str(call.call_id)].recording == "on"
    stage.tell(f.RecordingStopped(leg=call.freeswitch_uuid, at=now_us(), path="/rec/x.wav"))
    stage.verify()


def machine_heard(stage: Stage) -> None:
    call = stage.talking()
    stage.verify()
    stage.tell(f.MachineHeard(leg=call.freeswitch_uuid, at=now_us()))
    stage.verify(changes=False)
    stage.end(call)
    stage.verify()
    assert stage.floor.agents[stage.agent.agent_id].today.contacts == 0


def order_reported(stage: Stage) -> None:
    """Of each kind of order: refused by the switch, and taken but gone wrong."""
    call = stage.answered()
    stage.verify()
    stage.report(newest("bridge"), "failed")  # the other agent is tried
    stage.verify(changes=False)
    stage.report(newest("bridge"), "failed")
    stage.verify(changes=False)
    stage.end(call)
    stage.verify()
    stage.rest()
    stage.dialled()
    stage.verify()
    stage.report(newest("originate_customer"), "refused")
    stage.verify()
    stage.own("offline")
    stage.own("available")
    stage.report(newest("originate_agent"), "failed")
    stage.verify(changes=False)


def registration(stage: Stage) -> None:
    extension = stage.agent.extension
    for registered, said in ((True, "yes"), (False, "no"), (True, "yes")):
        stage.tell(f.SoftphoneRegistration(at=now_us(), user=extension, registered=registered, registration="r1"))
        stage.verify()
        assert stage.floor.agents[stage.agent.agent_id].registered == said


FACTS: dict[type, Case] = {
    f.LegCreated: leg_created,
    f.LegRinging: leg_ringing,
    f.LegAnswered: leg_answered,
    f.LegBridged: leg_bridged,
    f.LegUnbridged: leg_unbridged,
    f.LegHeld: leg_held,
    f.LegUnheld: leg_unheld,
    f.LegParked: leg_parked,
    f.LegEnded: leg_ended,
    f.RecordingStarted: recording,
    f.RecordingStopped: recording,
    f.MachineHeard: machine_heard,
    f.OrderReported: order_reported,
    f.SoftphoneRegistration: registration,
}
ACTED_ON = {*call_state.LEG_FACTS, *sifting.ABOUT_OPEN_LEGS, f.LegParked, f.OrderReported, f.SoftphoneRegistration}


@pytest.mark.parametrize("fact", sorted(ACTED_ON, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_frames_after_a_fact_are_a_fresh_snapshot(stage, fact):
    assert fact in FACTS, "a new kind of fact: give it a case"
    FACTS[fact](stage)
    assert stage.steps


# --- What time, the dialer and panels do by themselves ----------------------------------------------------------------


def wrap_up_over(stage: Stage) -> None:
    stage.wrapping_up()
    stage.verify()
    stage.rest()
    stage.verify()
    row = stage.floor.agents[stage.agent.agent_id]
    assert row.status == "available" and 31 <= row.today.wrap_up_seconds < 60


def nobody_comes(stage: Stage) -> None:
    """A customer for whom nobody comes is abandoned, and hung up."""
    DialerCampaign.objects.filter(pk=stage.campaign.pk).update(mode="power", power_ratio=2)
    stage.campaign.refresh_from_db()
    call = stage.ringing()
    Agent.objects.update(status="break", status_since=timezone.now())
    stage.watch()
    stage.tell(f.LegAnswered(leg=call.freeswitch_uuid, at=now_us()))
    stage.verify()
    with acting("test", now=timezone.now() + dt.timedelta(seconds=3)) as act:
        calls.overdue_answers(act)
    stage.verify()
    assert stage.floor.campaigns[str(stage.campaign.campaign_id)].abandon_rate.numerator == 1


def dialling(stage: Stage) -> None:
    """A decision, and the calls it places; then the one that places none any more."""
    for _ in range(3):
        tasks.execute_dial(str(stage.campaign.campaign_id))
        stage.verify(changes=False)
    campaign = stage.floor.campaigns[str(stage.campaign.campaign_id)]
    assert (campaign.lines.dialling, campaign.agents_now.reserved) == (2, 2)
    assert {call.decision_id for call in stage.floor.calls.values()} == set(
        CallLog.objects.values_list("decision_id", flat=True)
    )


def preview_over(stage: Stage) -> None:
    stage.offered()
    stage.verify()
    with acting("test", now=timezone.now() + dt.timedelta(minutes=20)) as act:
        preview.upkeep(act)
    stage.verify()


def panel_lost(stage: Stage) -> None:
    agent = stage.agent.agent_id
    stage.redis.zadd(streams.PANELS, {f"{agent} p1": time.time() + 60})
    with acting("test") as act:
        panels.sweep(act)
    stage.verify(changes=False)
    stage.redis.delete(streams.PANELS)
    for seconds in (1, 600):
        with acting("test", now=timezone.now() + dt.timedelta(seconds=seconds)) as act:
            panels.sweep(act)
        stage.verify(changes=False)
    assert stage.floor.agents[agent].reason == "panel_lost"


def round_trip(stage: Stage) -> None:
    stage.redis.hset(streams.ROUND_TRIPS, stage.agent.agent_id, f"80 {time.time():.0f}")
    stage.verify()
    assert stage.floor.agents[stage.agent.agent_id].round_trip_ms == 80


def list_used_up(stage: Stage) -> None:
    """The last contact is done with: what is left, the pace, and the census."""
    Contact.objects.filter(pk__in=Contact.objects.order_by("pk")[1:]).update(status="completed")
    stage.campaign.target_list.processed_contacts = 5
    stage.campaign.target_list.save()
    census.refresh(stage.campaign)
    stage.watch()
    stage.end(stage.talking())
    stage.verify()
    assert stage.floor.campaigns[str(stage.campaign.campaign_id)].contacts_left == 0


BY_THEMSELVES = (
    wrap_up_over, nobody_comes, dialling, preview_over, panel_lost, round_trip, list_used_up, softphone_ended,
)  # fmt: skip


@pytest.mark.parametrize("case", BY_THEMSELVES, ids=lambda case: case.__name__)
def test_frames_after_what_happens_by_itself_are_a_fresh_snapshot(stage, case):
    case(stage)
    assert stage.steps


def test_a_change_that_nobody_announces_is_found(stage):
    """The guard itself: an agent changed behind the announcer's back."""
    Agent.objects.filter(pk=stage.agent.pk).update(status="break", version=99)
    with pytest.raises(AssertionError, match="agents"):
        stage.verify(changes=False)
