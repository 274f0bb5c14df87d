"""What is read ahead for many facts at once gives each of them what it would have read itself."""

import pytest

from dialer.models import Agent, AgentLeg, AppliedCommand, CallLog, Contact, SideLeg
from dialer.services import ahead, calls, endings, facts, side_legs
from dialer.services.acting import acting
from events import facts as f
from tests.fakes.floor import Switch, make_agents, make_campaign, now_us, place, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
def talking(switch) -> CallLog:
    [agent] = make_agents(1)
    set_state(agent, "available")
    switch.open_softphones()
    [call] = place(make_campaign([agent]))
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    assert call.bridged_at is not None
    return call


def ended(call: CallLog) -> f.LegEnded:
    return f.LegEnded(leg=call.freeswitch_uuid, at=now_us(), cause="NORMAL_CLEARING", complete=True)


def test_many_ends_are_read_by_as_many_questions_as_one(switch, django_assert_max_num_queries):
    agents = make_agents(6)
    for agent in agents:
        set_state(agent, "available")
    switch.open_softphones()
    placed = place(make_campaign(agents, contacts=12), 6)
    for call in placed:
        switch.answer(call)
        switch.bridge(call)
    legs = [call.freeswitch_uuid for call in placed]
    with acting("test"):
        with django_assert_max_num_queries(5):
            calls.read_ahead(legs, legs, legs)
        with django_assert_max_num_queries(0):
            found = [calls.locked(leg) for leg in legs]
            assert all(call is not None and call.campaign is not None for call in found)
            assert [endings.of(call) for call in found] == [endings.Known()] * 6
    facts.apply_all([ended(call) for call in placed])
    assert CallLog.objects.filter(status="completed").count() == 6
    assert Contact.objects.filter(status="completed").count() == 6
    assert Agent.objects.filter(status="busy", status_reason="wrap_up").count() == 6


def test_a_whole_call_told_in_one_go_is_what_it_is_when_told_word_by_word(switch):
    [agent] = make_agents(1)
    set_state(agent, "available")
    switch.open_softphones()
    [call] = place(make_campaign([agent]))
    peer, leg = str(AgentLeg.objects.get(agent=agent).leg_uuid), call.freeswitch_uuid
    facts.apply_all([f.LegCreated(leg=leg, at=now_us(), role="customer"), f.LegAnswered(leg=leg, at=now_us())])
    facts.apply_all([
        f.LegBridged(leg=leg, at=now_us(), peer=peer),
        f.LegHeld(leg=peer, at=now_us() + 1_000),
        f.LegUnheld(leg=peer, at=now_us() + 1_501_000),
        f.LegEnded(leg=leg, at=now_us() + 9_000_000, cause="NORMAL_CLEARING", complete=True),
    ])  # fmt: skip
    call.refresh_from_db()
    agent.refresh_from_db()
    assert (call.outcome, call.contact.status) == ("conversation", "completed")
    assert 1_400 <= call.hold_ms <= 1_600 and call.held_at is None and call.talk_time_seconds in (8, 9, 10)
    assert (agent.status, agent.status_reason, agent.last_call) == ("busy", "wrap_up", call)


def test_a_call_that_was_changed_meanwhile_is_read_anew(talking):
    leg = talking.freeswitch_uuid
    with acting("test"):
        calls.read_ahead([leg], [], [])
        talking.machine = True
        calls.save(talking, "machine")
        assert calls.locked(leg).machine


def test_who_comes_after_one_who_has_saved_finds_what_is_now(talking, django_assert_num_queries):
    leg = talking.freeswitch_uuid
    with acting("test"):
        calls.read_ahead([leg], [], [])
        first = calls.locked(leg)
        assert first.agent_leg.ended_at is None
        first.machine = True
        calls.save(first, "machine")
        AgentLeg.objects.filter(pk=first.agent_leg_id).update(ended_at=talking.initiated_at)
        with django_assert_num_queries(0):
            again = calls.locked(leg)
            assert again.machine and again.campaign.pk == talking.campaign_id
        assert again.agent_leg.ended_at is not None


def test_a_row_is_given_out_once_and_none_beyond_its_transaction(talking):
    leg = talking.freeswitch_uuid
    with acting("test"):
        calls.read_ahead([leg, "no leg of ours"], [], [])
        assert ahead.take("call", "no leg of ours") is None
        assert ahead.take("call", leg) == talking and ahead.take("call", leg) is ahead.NOT_READ
        calls.read_ahead([leg], [], [])
    assert ahead.take("call", leg) is ahead.NOT_READ


def test_a_softphone_that_unregisters_just_before_the_call_ends_stays_so(talking):
    extension = talking.agent.extension
    facts.apply_all([f.SoftphoneRegistration(at=now_us(), leg="", user=extension, registered=False), ended(talking)])
    agent = Agent.objects.get(extension=extension)
    assert (agent.registered, agent.status) == ("no", "busy")


def test_a_leg_that_is_called_for_the_call_meanwhile_is_hung_up_with_it(switch, talking):
    leg = talking.freeswitch_uuid
    with acting("test") as act:
        calls.read_ahead([leg], [leg], [leg])
        side = side_legs.create(act, talking, SideLeg.Purpose.CONSULT, "2099")
        calls.ended(act, calls.locked(leg), "NORMAL_CLEARING", act.now)
    assert [str(order.leg_uuid) for order in switch.orders("hangup")] == [str(side.leg_uuid)]


def test_what_the_end_of_a_call_depends_on_is_known_of_that_call_alone(switch, talking):
    contact, campaign = talking.contact, talking.campaign
    fields = {
        "campaign": campaign, "contact": contact, "to_number": contact.number, "attempt_number": 1,
        "initiated_at": talking.initiated_at, "ended_at": talking.initiated_at, "status": "completed",
    }  # fmt: skip
    for n, outcome in enumerate(("busy", "busy", "conversation")):
        bridged = talking.initiated_at if outcome == "conversation" else None
        CallLog.objects.create(freeswitch_uuid=f"{n}", outcome=outcome, bridged_at=bridged, **fields)
    other = CallLog.objects.create(
        freeswitch_uuid="other", campaign=campaign, to_number="+12125550199", initiated_at=talking.initiated_at
    )
    AppliedCommand.objects.create(
        command_id="6f1c1c9e-0000-4000-8000-000000000001", kind="call_control", target=str(talking.call_id),
        status="applied", payload={}, applied_at=talking.initiated_at, confirmation="waiting",
    )  # fmt: skip
    with acting("test") as act:
        side_legs.create(act, talking, SideLeg.Purpose.LISTEN, "2099")
    with acting("test"):
        endings.read_ahead([talking, other])
        known, of_other = endings.of(talking), endings.of(other)
    assert (known.waiting, known.sides, known.hung_up_by_us, known.talked_before) == (True, True, False, True)
    assert known.outcomes == {"busy": 2, "conversation": 1}
    assert of_other == endings.Known()
