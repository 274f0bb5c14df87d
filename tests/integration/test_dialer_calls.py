"""From an idle agent to a finished call and back, with the switch's word given by hand; PostgreSQL and Redis are
real."""

import datetime as dt
import json
import time
import uuid

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.utils import timezone

from dialer import inbox, lease, limits, tasks
from dialer.models import (
    Agent,
    AgentLeg,
    AgentState,
    AppliedCommand,
    CallLog,
    CampaignDay,
    Contact,
    Order,
    PacingDecision,
    QueuedCommand,
    WorkerLease,
)
from dialer.services import doubts
from dialer.services import facts as told
from dialer.services.acting import acting
from events import facts as f
from events import nodes, streams
from tests.fakes.dialling import dial, link, ready_agents, tick
from tests.fakes.floor import Switch, make_agents, make_campaign, now_us, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def switch() -> Switch:
    return Switch()


def test_an_available_agent_has_their_softphone_called_once(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    set_state(agent, "break", "lunch")
    set_state(agent, "available")
    assert len(switch.orders("originate_agent")) == 1
    assert agent.softphone == "ringing"
    switch.open_softphones()
    agent.refresh_from_db()
    assert agent.softphone == "open"


def test_a_call_runs_from_idle_agent_to_wrap_up_and_back(switch):
    [agent] = ready_agents(switch)
    campaign = make_campaign([agent])
    call = dial(campaign)
    assert call is not None and call.agent == agent and call.status == "initiated"
    [order] = switch.orders("originate_customer")
    assert order.payload["leg"] == call.freeswitch_uuid and order.payload["number"] == call.to_number
    assert order.status == "sent"

    switch.ring(call)
    switch.answer(call)
    [bridge] = switch.orders("bridge")
    assert bridge.payload["leg"] == call.freeswitch_uuid
    agent.refresh_from_db()
    assert agent.status == "available", "only the switch's word puts an agent on a call"
    switch.bridge(call)
    agent.refresh_from_db()
    assert agent.status == "on_call"
    switch.end(call)

    agent.refresh_from_db()
    call.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("busy", "wrap_up")
    assert call.status == "completed" and call.ended_at and call.talk_time_seconds is not None
    Agent.objects.filter(pk=agent.pk).update(wrap_up_until=timezone.now() - dt.timedelta(seconds=1))
    tick()
    agent.refresh_from_db()
    assert agent.status == "available"
    assert list(AgentState.objects.order_by("id").values_list("state", flat=True)) == [
        "available", "on_call", "busy", "available",
    ]  # fmt: skip
    day = CampaignDay.objects.get(campaign=campaign)
    assert (day.attempts, day.answered, day.connected, day.abandoned) == (1, 1, 1, 0)
    contact = Contact.objects.get(pk=call.contact_id)
    assert contact.status == "completed"


@pytest.mark.parametrize(
    ("cause", "status", "contact_status"),
    [
        ("USER_BUSY", "busy", "ready"),
        ("NO_ANSWER", "no_answer", "ready"),
        ("CALL_REJECTED", "failed", "ready"),
        ("NORMAL_TEMPORARY_FAILURE", "failed", "ready"),
        ("UNALLOCATED_NUMBER", "invalid", "invalid"),
        ("ORIGINATOR_CANCEL", "cancelled", "ready"),
    ],
)
def test_the_outcome_follows_the_hangup_cause_and_frees_the_agent_at_once(switch, cause, status, contact_status):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent], retry_delay_minutes=30))
    switch.ring(call)
    switch.end(call, cause)
    call.refresh_from_db()
    contact = Contact.objects.get(pk=call.contact_id)
    assert (call.status, call.disconnect_reason, contact.status) == (status, cause, contact_status)
    if contact_status == "ready":
        assert contact.next_attempt_at > timezone.now() + dt.timedelta(minutes=29)
        assert call.retry_after == contact.next_attempt_at
    agent.refresh_from_db()
    assert agent.status == "available"
    with acting("test"):
        from dialer.services import agents

        assert [a.pk for a in agents.idle(call.campaign_id)] == [agent.pk]


def test_attempts_end_when_the_retries_are_used_up(switch):
    [agent] = ready_agents(switch)
    campaign = make_campaign([agent], contacts=1, max_retry_attempts=2, retry_delay_minutes=0)
    for attempt in (1, 2, 3):
        call = dial(campaign)
        assert call is not None and call.attempt_number == attempt
        switch.ring(call)
        switch.end(call, "USER_BUSY")
    assert Contact.objects.get().status == "exhausted"
    assert dial(campaign) is None


def test_a_refusal_by_the_switch_uses_up_no_attempt(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    [order] = switch.orders("originate_customer")
    switch.report(order, "failed", reply="-ERR DESTINATION_OUT_OF_ORDER", leg_exists=False)
    call.refresh_from_db()
    contact = Contact.objects.get(pk=call.contact_id)
    assert call.status == "failed" and contact.attempts == 0 and contact.status == "ready"


def test_a_call_that_the_switch_had_begun_is_an_attempt_whatever_it_then_says(switch):
    """The order's report may come before the leg's own end: the customer may have heard it ring."""
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    [order] = switch.orders("originate_customer")
    switch.tell(f.LegCreated(leg=call.freeswitch_uuid, at=now_us(), role="customer"))
    switch.report(order, "failed", reply="-ERR DESTINATION_OUT_OF_ORDER", leg_exists=False)
    call.refresh_from_db()
    assert (call.outcome, Contact.objects.get(pk=call.contact_id).attempts) == ("failed", 1)


def test_an_error_reply_for_a_leg_that_exists_is_not_believed(switch):
    """Duplicate uuid and throttle say the same: only uuid_exists tells them apart."""
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    [order] = switch.orders("originate_customer")
    switch.report(order, "failed", reply="-ERR DESTINATION_OUT_OF_ORDER", leg_exists=True)
    call.refresh_from_db()
    assert call.ended_at is None
    switch.answer(call)
    assert len(switch.orders("bridge")) == 1


def test_facts_told_twice_or_late_change_nothing(switch):
    [agent] = ready_agents(switch)
    campaign = make_campaign([agent])
    call = dial(campaign)
    for _ in range(2):
        switch.ring(call)
        switch.answer(call)
    switch.bridge(call)
    switch.bridge(call)
    switch.end(call)
    agent.refresh_from_db()
    version = agent.version
    switch.end(call, "USER_BUSY")
    switch.answer(call)
    switch.bridge(call)
    agent.refresh_from_db()
    call.refresh_from_db()
    assert len(switch.orders("bridge")) == 1 and call.status == "completed"
    assert agent.version == version
    day = CampaignDay.objects.get()
    assert (day.attempts, day.answered, day.connected) == (1, 1, 1)


def test_an_end_told_twice_in_one_go_ends_the_call_once(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    ended = f.LegEnded(leg=call.freeswitch_uuid, at=now_us(), cause="USER_BUSY", complete=True)
    switch.tell(ended, ended)
    call.refresh_from_db()
    contact = Contact.objects.get(pk=call.contact_id)
    assert (call.outcome, contact.status, contact.attempts) == ("busy", "ready", 1)
    assert CampaignDay.objects.get().busy == 1


def test_an_agent_leaving_while_it_rings_hands_the_call_to_the_next_idle_agent(switch):
    first, second = ready_agents(switch, 2)
    call = dial(make_campaign([first, second]))
    assert call.agent == first
    answer = set_state(first, "break", "lunch")
    assert answer["status"] == "applied" and first.status == "break"
    call.refresh_from_db()
    assert call.agent == second


def test_with_nobody_to_hand_over_to_the_break_waits_and_can_be_cancelled(switch):
    [agent] = ready_agents(switch)
    campaign = make_campaign([agent])
    call = dial(campaign)
    set_state(agent, "break", "lunch")
    assert (agent.status, agent.pending_status) == ("available", "break")
    assert set_state(agent, "", cancel_pending=True)["status"] == "applied" and agent.pending_status == ""
    set_state(agent, "break", "lunch")
    switch.ring(call)
    switch.end(call, "NO_ANSWER")
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason, agent.pending_status) == ("break", "lunch", "")
    assert dial(campaign) is None


def test_a_break_asked_for_during_a_call_begins_after_wrap_up(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.answer(call)
    switch.bridge(call)
    set_state(agent, "break", "coffee")
    assert (agent.status, agent.pending_status) == ("on_call", "break")
    switch.end(call)
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("busy", "wrap_up")
    Agent.objects.update(wrap_up_until=timezone.now() - dt.timedelta(seconds=1))
    tick()
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "coffee")


def test_a_customer_who_answers_without_an_agent_is_let_go_after_two_seconds_and_counted(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.tell(f.LegEnded(leg=str(agent.legs.get().leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
    switch.answer(call)
    assert switch.orders("bridge") == []
    CallLog.objects.update(answered_at=timezone.now() - dt.timedelta(seconds=3))
    tick()
    call.refresh_from_db()
    assert call.abandoned and len(switch.orders("hangup")) == 1
    assert CampaignDay.objects.get().abandoned == 1


def test_a_bridge_is_not_ordered_again_while_its_event_is_on_the_way(switch):
    """The switch's +OK proves nothing, and a second bridge of the same two would tear the first."""
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.answer(call)
    [bridge] = switch.orders("bridge")
    switch.report(bridge, "done", reply="+OK")
    tick()
    assert len(switch.orders("bridge")) == 1
    switch.bridge(call)
    call.refresh_from_db()
    assert call.bridged_at is not None


def test_a_lost_softphone_is_called_again_and_given_up_after_three_failures(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    for _ in range(3):
        order = switch.orders("originate_agent")[-1]
        switch.report(order, "failed", reply="-ERR USER_NOT_REGISTERED", leg_exists=False)
        Agent.objects.update(softphone_retry_at=timezone.now() - dt.timedelta(seconds=1))
        tick()
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "softphone_lost")
    assert len(switch.orders("originate_agent")) == 3


def test_a_softphone_that_answers_and_drops_at_once_is_given_up_too(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    for _ in range(3):
        switch.open_softphones()
        switch.tell(f.LegEnded(leg=str(agent.legs.first().leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
        Agent.objects.update(softphone_retry_at=timezone.now() - dt.timedelta(seconds=1))
        tick()
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "softphone_lost")


def test_a_recording_is_linked_to_its_call(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent], record_calls=True))
    switch.answer(call)
    switch.bridge(call)
    [order] = switch.orders("record")
    assert order.payload["action"] == "start" and order.payload["name"] == str(call.call_id)
    path = f"/var/recordings/{call.call_id}.wav"
    switch.tell(f.RecordingStarted(leg=call.freeswitch_uuid, at=now_us(), path=path))
    switch.end(call)
    switch.tell(f.RecordingStopped(leg=call.freeswitch_uuid, at=now_us(), path=path))
    call.refresh_from_db()
    assert call.recording_url == path and call.recording_stored


def test_poison_among_facts_stops_no_other(switch, monkeypatch):
    monkeypatch.setattr(told, "CHUNK_SECONDS", 60)  # all in one transaction
    campaign = make_campaign(ready_agents(switch, 2))
    before, after = dial(campaign), dial(campaign)
    poison = f.RecordingStarted(leg=before.freeswitch_uuid, path="\x00")  # PostgreSQL refuses the character
    switch.tell(f.LegAnswered(leg=before.freeswitch_uuid), poison, f.LegAnswered(leg=after.freeswitch_uuid))
    for call in (before, after):
        call.refresh_from_db()
        assert call.status == "answered"


def test_a_time_no_clock_shows_is_not_believed(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.tell(f.LegAnswered(leg=call.freeswitch_uuid, at=10**17))
    switch.end(call)
    call.refresh_from_db()
    assert call.status == "completed" and call.duration_seconds < 60


def test_a_failed_bridge_goes_to_the_next_idle_agent_and_the_suspect_leg_is_asked_for(switch):
    first, second = ready_agents(switch, 2)
    call = dial(make_campaign([first, second]))
    switch.answer(call)
    [bridge] = switch.orders("bridge")
    switch.report(bridge, "failed", reply="-ERR Invalid uuid")
    bridges = switch.orders("bridge")
    assert len(bridges) == 2 and bridges[1].agent == second
    [probe] = switch.orders("probe")
    switch.report(probe, "done", leg_exists=False)
    first.refresh_from_db()
    assert first.softphone == "lost"


# --- Doubt -------------------------------------------------------------------------------------------------------


def test_an_attempt_the_switch_never_mentions_is_settled_by_asking_and_given_back(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    tick()
    assert switch.orders("probe") == [], "its order may still be executed: too early to ask"
    CallLog.objects.update(initiated_at=timezone.now() - dt.timedelta(seconds=20))
    tick()
    call.refresh_from_db()
    assert call.in_doubt_since is not None and call.ended_at is None, "time alone never ends a call"
    [probe] = switch.orders("probe")
    switch.report(probe, "done", leg_exists=False)
    call.refresh_from_db()
    contact = Contact.objects.get(pk=call.contact_id)
    assert call.status == "failed" and contact.status == "ready" and contact.attempts == 0


def test_an_attempt_that_may_still_be_carried_out_is_not_given_back(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    with acting("test") as act:
        doubts.probed(act, call.freeswitch_uuid, exists=False)
    call.refresh_from_db()
    assert call.ended_at is None, "its order may only be on its way"
    CallLog.objects.update(initiated_at=timezone.now() - dt.timedelta(seconds=20))
    with acting("test") as act:
        doubts.probed(act, call.freeswitch_uuid, exists=False)
    call.refresh_from_db()
    assert call.ended_at is not None


def test_a_call_that_the_switch_has_told_of_and_no_longer_has_is_over_at_its_first_no(switch):
    """Its end was lost with Redis, say: nobody is kept waiting until an order of its age would have expired."""
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.answer(call)
    CallLog.objects.update(initiated_at=timezone.now() - dt.timedelta(seconds=6))
    tick()
    [probe] = [order for order in switch.orders("probe") if str(order.leg_uuid) == call.freeswitch_uuid]
    switch.report(probe, "done", leg_exists=False)
    call.refresh_from_db()
    assert (call.ended_at is not None, call.outcome) == (True, "hung_up")


def ask_in_vain(leg: AgentLeg) -> bool:
    """The switch says that it has no such leg; whether that is believed."""
    with acting("test") as act:
        doubts.probed(act, str(leg.leg_uuid), exists=False)
    leg.refresh_from_db()
    return leg.ended_at is not None


def test_a_softphone_that_may_still_be_called_is_not_given_up_for_another_call_to_it(switch):
    """After a restart of the switch its order and the question arrive together, and the question is answered first."""
    [agent] = make_agents(1)
    set_state(agent, "available")
    leg = agent.legs.get()
    AgentLeg.objects.update(requested_at=timezone.now() - dt.timedelta(seconds=7))
    tick()
    assert switch.orders("probe") == [] and not ask_in_vain(leg)
    switch.open_softphones()
    agent.refresh_from_db()
    assert agent.softphone == "open" and len(switch.orders("originate_agent")) == 1


def test_a_softphone_that_nobody_calls_any_more_is_given_up(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    AgentLeg.objects.update(requested_at=timezone.now() - dt.timedelta(seconds=20))
    tick()
    assert len(switch.orders("probe")) == 1 and ask_in_vain(agent.legs.get())


@pytest.mark.parametrize("fate", ["failed", "done"])
def test_a_softphone_of_whose_call_the_outcome_is_known_is_given_up_at_once(switch, fate):
    [agent] = make_agents(1)
    set_state(agent, "available")
    switch.report(switch.orders("originate_agent")[0], fate)
    assert ask_in_vain(agent.legs.get())


def test_a_softphone_that_was_open_is_given_up_at_once(switch):
    [agent] = ready_agents(switch)
    assert ask_in_vain(agent.legs.get())


def test_a_softphone_that_answers_although_it_was_given_up_is_hung_up(switch):
    """Else it would be a second call on the phone, and one of which nobody knows."""
    [agent] = make_agents(1)
    set_state(agent, "available")
    leg = agent.legs.get()
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), at=now_us(), cause="LOST"))
    switch.tell(f.LegAnswered(leg=str(leg.leg_uuid), at=now_us()))
    [hangup] = switch.orders("hangup")
    leg.refresh_from_db()
    assert hangup.leg_uuid == leg.leg_uuid and leg.opened_at is None


def test_an_attempt_in_doubt_that_exists_is_kept(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    CallLog.objects.update(initiated_at=timezone.now() - dt.timedelta(seconds=20))
    tick()
    switch.report(switch.orders("probe")[0], "done", leg_exists=True)
    call.refresh_from_db()
    assert call.ended_at is None and call.status == "dialing" and call.in_doubt_since is None


def test_a_ringing_call_whose_bridge_died_is_asked_for_once_and_goes_on(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    switch.ring(call)
    switch.report(switch.orders("originate_customer")[0], "in_doubt", reply="the link was lost")
    call.refresh_from_db()
    assert call.in_doubt_since is not None and call.ended_at is None
    CallLog.objects.update(initiated_at=timezone.now() - dt.timedelta(seconds=20))
    tick()
    [probe] = switch.orders("probe")
    switch.report(probe, "done", leg_exists=True)
    call.refresh_from_db()
    assert call.in_doubt_since is None and call.status == "dialing"


# --- Whom to call --------------------------------------------------------------------------------------------------


def test_the_tick_decides_per_idle_agent_and_says_why(switch, redis_empty):
    link()
    agents = ready_agents(switch, 3)
    campaign = make_campaign(agents, contacts=2)
    assert tick() == 2
    assert CallLog.objects.filter(decision__campaign=campaign).count() == 2
    decision = PacingDecision.objects.get()
    assert decision.binding_reason == "list_empty" and decision.placed == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "paused"}, None),
        ({"scheduled_start": dt.timedelta(hours=1)}, "calling_window"),
        ({"calls_per_agent_per_hour": 1}, "rate_limit"),
        ({"max_lines": 0}, "trunks"),
    ],
)
def test_a_closed_gate_places_nothing_and_is_the_reason(switch, fields, reason):
    link()
    [agent] = ready_agents(switch)
    fields = {k: timezone.now() + v if isinstance(v, dt.timedelta) else v for k, v in fields.items()}
    campaign = make_campaign([agent], **fields)
    if "calls_per_agent_per_hour" in fields:
        call = dial(campaign)
        switch.end(call, "USER_BUSY")
    assert tick() == 0
    assert dial(campaign) is None, "the same for a single call"
    decision = PacingDecision.objects.first()
    assert (decision.binding_reason if decision else None) == reason


def test_nothing_is_placed_while_the_link_to_the_switch_is_down(switch):
    link(up=False)
    campaign = make_campaign(ready_agents(switch))
    assert tick() == 0
    assert PacingDecision.objects.get(campaign=campaign).binding_reason == "stale_state"


def test_a_number_outside_the_allow_list_is_never_dialled(switch, settings):
    settings.DIAL_ALLOWED_PREFIXES = ["+44"]
    campaign = make_campaign(ready_agents(switch))
    assert dial(campaign) is None
    settings.DIAL_ALLOWED_PREFIXES = []
    assert dial(campaign) is None


def test_a_number_in_two_lists_has_one_open_attempt(switch):
    agents = ready_agents(switch, 2)
    first = make_campaign(agents, contacts=1, name="A")
    second = make_campaign(agents, contacts=1, name="B")
    assert dial(first) is not None
    assert dial(second) is None


def test_the_database_refuses_a_second_open_attempt_for_a_number(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    with pytest.raises(IntegrityError), transaction.atomic():
        CallLog.objects.create(freeswitch_uuid=str(uuid.uuid4()), to_number=call.to_number, initiated_at=timezone.now())


@pytest.mark.parametrize("whose", ["contact", "agent"])
def test_the_database_refuses_a_second_open_attempt_for_a_contact_or_an_agent(switch, whose):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    second = {"freeswitch_uuid": str(uuid.uuid4()), "to_number": "+12125559999", "initiated_at": timezone.now()}
    with pytest.raises(IntegrityError, match=f"call_one_open_per_{whose}"), transaction.atomic():
        CallLog.objects.create(**second, **{whose: getattr(call, whose)})


def test_nothing_is_placed_on_the_word_of_a_bridge_that_has_fallen_silent(switch):
    campaign = make_campaign(ready_agents(switch))
    beat = {"at": time.time() - limits.LINK_STALE_SECONDS - 1, "link": "up"}
    streams.shared().set(f"{streams.HEARTBEAT_PREFIX}bridge", json.dumps(beat))
    streams.shared().set(f"{streams.HEARTBEAT_PREFIX}ingest", json.dumps({"at": time.time(), "lag_ms": 20}))
    assert tick() == 0
    assert PacingDecision.objects.get(campaign=campaign).binding_reason == "stale_state"
    link()
    assert tick() == 1


def test_an_agent_on_a_node_that_is_lost_gets_no_call(switch, settings):
    here, there = ready_agents(switch, 2)
    make_campaign([here, there])
    places = (f"{name}=127.0.0.1:1/{a.extension}-{a.extension}" for name, a in (("main", here), ("east", there)))
    settings.FREESWITCH_NODES = nodes.parse(",".join(places))
    link()
    for name, state in (("main", "up"), ("east", "down")):
        beat = json.dumps({"at": time.time(), "link": state})
        streams.shared().set(streams.HEARTBEAT_PREFIX + nodes.heartbeat(name), beat)
    assert tick() == 1
    assert CallLog.objects.get().agent == here
    assert tick() == 0


def test_the_longest_idle_agent_is_called_first(switch):
    agents = ready_agents(switch, 3)
    for position, agent in enumerate((agents[1], agents[2], agents[0])):
        Agent.objects.filter(pk=agent.pk).update(idle_since=timezone.now() - dt.timedelta(minutes=10 - position))
    campaign = make_campaign(agents)
    assert [dial(campaign).agent for _ in range(3)] == [agents[1], agents[2], agents[0]]


# --- Commands -------------------------------------------------------------------------------------------------------


def test_the_same_command_id_has_one_effect_and_one_answer(switch):
    [agent] = make_agents(1)
    command = {"command_id": str(uuid.uuid4()), "actor": "supervisor", "agent_id": "agent_101", "state": "available"}
    first = tasks.handle_agent_state(command)
    set_state(agent, "break", "lunch")
    assert tasks.handle_agent_state(command) == first
    agent.refresh_from_db()
    assert agent.status == "break" and AppliedCommand.objects.count() == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"agent_id": "agent_101", "state": "on_call"}, "by a call"),
        ({"agent_id": "agent_101", "state": "asleep"}, "not an agent state"),
        ({"agent_id": "nobody", "state": "available"}, "no agent"),
        ({"agent_id": "agent_101", "state": "available", "requested_at": 1.0}, "asked for"),
        ({"agent_id": "agent_101", "cancel_pending": True}, "nothing is pending"),
    ],
)
def test_a_refused_command_is_an_answer_with_a_reason(command, words, redis_empty):
    make_agents(1)
    pubsub = redis_empty.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(streams.RESULTS_CHANNEL)
    pubsub.get_message(timeout=5)
    answer = tasks.handle_agent_state({"command_id": str(uuid.uuid4()), "actor": "x", **command})
    assert answer["status"] == "rejected" and words in answer["reason"]
    assert words.encode() in pubsub.get_message(timeout=5)["data"]
    pubsub.close()


def test_a_campaign_is_paused_and_started_by_command(switch):
    campaign = make_campaign(ready_agents(switch))

    def control(action: str) -> dict:
        return tasks.handle_command(
            {"command_id": str(uuid.uuid4()), "kind": "campaign_control", "campaign_id": str(campaign.campaign_id),
             "action": action, "actor": "supervisor"}
        )  # fmt: skip

    assert control("pause")["result"]["status"] == "paused"
    assert dial(campaign) is None
    assert control("start")["result"]["status"] == "active"
    assert dial(campaign) is not None
    assert control("dance")["status"] == "rejected"


def test_call_control_orders_what_was_asked(switch):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))

    def control(action: str, **more: str) -> dict:
        return tasks.handle_command(
            {"command_id": str(uuid.uuid4()), "kind": "call_control", "call_id": str(call.call_id), "action": action,
             "actor": "supervisor", **more}
        )  # fmt: skip

    assert control("hold")["status"] == "rejected", "nobody is on it yet"
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    held = {"leg": str(call.agent_leg.leg_uuid), "at": now_us()}
    assert control("hold")["status"] == "applied"
    switch.tell(f.LegHeld(**held))
    assert control("unhold")["status"] == "applied"
    switch.tell(f.LegUnheld(**held))
    for action in ("mute", "record_start", "record_stop"):
        assert control(action)["status"] == "applied"
    assert control("listen", extension="1010")["status"] == "applied"
    assert control("transfer", extension="10;02")["status"] == "rejected"
    assert control("transfer", extension="1002")["status"] == "applied"
    assert control("hangup")["status"] == "applied"
    kinds = list(Order.objects.exclude(kind__startswith="originate").order_by("id").values_list("kind", flat=True))
    assert kinds == ["bridge", "hold", "hold", "mute", "record", "record", "eavesdrop", "transfer", "hangup"]
    [transfer] = switch.orders("transfer")
    switch.report(transfer, "done")
    agent.refresh_from_db()
    call.refresh_from_db()
    assert agent.status_reason == "wrap_up" and call.agent is None and call.ended_at is None


def submit(agent: Agent, state: str) -> str:
    """As the console accepts it; the task itself stays on a queue that nobody reads here."""
    command_id = str(uuid.uuid4())
    inbox.submit(
        inbox.AGENT_STATE, {"command_id": command_id, "actor": "sup", "agent_id": agent.agent_id, "state": state}
    )
    return command_id


def test_an_accepted_command_whose_task_is_lost_is_carried_out_all_the_same(switch, redis_empty):
    """Redis can hand a task to a worker that has just died; nobody would ever hear of it again."""
    [agent] = make_agents(1)
    command_id = submit(agent, "break")
    assert redis_empty.lpop(inbox.QUEUE) is not None, "it was on the queue"
    tick()
    assert QueuedCommand.objects.exists(), "it may still be on its way"
    QueuedCommand.objects.update(queued_at=timezone.now() - dt.timedelta(seconds=10))
    tasks._last_overlooked = -100.0
    tick()
    agent.refresh_from_db()
    assert agent.status == "break" and not QueuedCommand.objects.exists()
    assert AppliedCommand.objects.get(command_id=command_id).status == "applied"


def test_a_command_is_crossed_out_with_its_effect_and_a_late_task_has_none(switch):
    [agent] = make_agents(1)
    command_id = submit(agent, "break")
    command = QueuedCommand.objects.get(command_id=command_id).payload
    tasks.handle_agent_state(command)
    assert not QueuedCommand.objects.exists()
    set_state(agent, "offline")
    tasks.handle_agent_state(command)
    agent.refresh_from_db()
    assert agent.status == "offline"


def test_facts_that_were_lost_on_the_way_are_made_up_from_the_live_state(switch, redis_empty):
    first, second = make_agents(2)
    set_state(first, "available")

    def live(leg: str, **state: object) -> None:
        redis_empty.hset(streams.LIVE_LEGS, leg, json.dumps({"leg": leg, **state}))

    softphone = str(first.legs.get().leg_uuid)
    live(softphone, role="agent", state="answered", answered_at=now_us() // 1000)
    tick()
    first.refresh_from_db()
    assert first.softphone == "open", "the answer of the softphone was lost"
    call = dial(make_campaign([first, second]))
    answered = now_us() // 1000
    live(call.freeswitch_uuid, role="customer", state="answered", answered_at=answered, peer="")
    tick()
    assert len(switch.orders("bridge")) == 1, "the answer of the customer was lost"
    live(
        call.freeswitch_uuid,
        role="customer",
        state="bridged",
        answered_at=answered,
        bridged_at=answered + 300,
        peer=softphone,
    )
    tick()
    first.refresh_from_db()
    call.refresh_from_db()
    assert first.status == "on_call" and call.bridged_at is not None
    assert round(call.answered_at.timestamp() * 1000) == answered, "the switch's time, not that of the look"
    assert round(call.bridged_at.timestamp() * 1000) == answered + 300
    switch.answer(call)
    switch.bridge(call)
    assert CampaignDay.objects.get().answered == CampaignDay.objects.get().connected == 1


# --- One worker ------------------------------------------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_commits_nothing(switch):
    [agent] = make_agents(1)
    held = lease.acquire("old")
    lease.adopt(held)
    try:
        WorkerLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        assert lease.acquire("new").token == held.token + 1
        with pytest.raises(lease.LeaseLost):
            set_state(agent, "available")
        agent.refresh_from_db()
        assert agent.status == "offline" and AppliedCommand.objects.count() == 0
    finally:
        lease.adopt(None)


def test_nobody_acts_beside_a_living_worker(switch):
    [agent] = make_agents(1)
    lease.acquire("worker")
    with pytest.raises(lease.LeaseLost):
        set_state(agent, "available")


# --- Telling ---------------------------------------------------------------------------------------------------------


def test_each_change_is_announced_after_the_commit_and_cached(switch, redis_empty):
    [agent] = ready_agents(switch)
    call = dial(make_campaign([agent]))
    entries = [json.loads(fields[b"c"]) for _, fields in redis_empty.xrange(streams.CHANGES)]
    kinds = {(entry["kind"], entry["id"]) for entry in entries}
    assert {("agent", "agent_101"), ("call", str(call.call_id)), ("campaign", str(call.campaign.campaign_id))} <= kinds
    newest = [e for e in entries if e["kind"] == "agent"][-1]["data"]
    assert newest["call_id"] == str(call.call_id) and newest["softphone"] == "open"
    assert cache.get("agent_state:agent_101")["status"] == "available"
    last_call = [e for e in entries if e["kind"] == "call"][-1]["data"]
    assert call.to_number not in json.dumps(last_call), "boards get masked numbers"


def test_a_missing_cache_key_is_read_through(switch):
    from dialer import floor_rows

    ready_agents(switch)
    cache.clear()
    assert floor_rows.agent_state("agent_101")["status"] == "available"
    assert cache.get("agent_state:agent_101")["status"] == "available"
    assert floor_rows.agent_state("nobody") is None
