"""A number dialled by hand: an attempt like any other, under every rule; and refused, nothing has changed."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest
from django.utils import timezone

from dialer import floor_rows, tasks
from dialer.models import (
    Agent,
    CallLog,
    ComplianceProfile,
    Contact,
    ContactReservation,
    DialerCampaign,
    DialerTargetList,
    DoNotCall,
    PacingDecision,
)
from tests.fakes.dialling import link, offer, previewing, ready_agents, say, tick
from tests.fakes.floor import Switch, any_hour, make_campaign, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
HOUR = dt.timedelta(hours=1)
NUMBER = "+12125557777"


@pytest.fixture
def switch() -> Switch:
    link()
    return Switch()


def by_hand(switch: Switch, contacts: int = 0, **fields) -> DialerCampaign:
    return make_campaign(ready_agents(switch), contacts=contacts, **{"mode": "manual", **fields})


def dial(campaign: DialerCampaign, number: str = NUMBER, agent_id: str = "agent_101") -> dict:
    return say("manual_dial", agent_id=agent_id, campaign_id=str(campaign.campaign_id), number=number)


def test_a_new_number_becomes_a_contact_of_the_list_and_an_attempt_like_any_other(switch):
    campaign = by_hand(switch)
    answer = dial(campaign, "(212) 555-7777")
    assert answer["status"] == "applied", answer
    call, contact = CallLog.objects.get(), Contact.objects.get()
    assert (contact.number, contact.source, contact.target_list) == (NUMBER, "manual", campaign.target_list)
    assert (contact.status, contact.attempts) == ("dialing", 1)
    assert str(call.call_id) == answer["result"]["call_id"]
    assert (call.contact, call.agent.agent_id, call.attempt_number) == (contact, "agent_101", 1)
    assert (call.decision.mode, call.decision.placed) == ("manual", 1)
    assert NUMBER not in call.decision.summary + str(call.decision.inputs)
    assert DialerTargetList.objects.get().total_contacts == 1
    [order] = switch.orders("originate_customer")
    assert order.payload["number"] == NUMBER
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)
    contact.refresh_from_db()
    assert (contact.status, DialerTargetList.objects.get().processed_contacts) == ("completed", 1)


def test_a_number_of_the_list_is_that_contact_before_its_turn_and_also_when_the_list_is_done_with_it(switch):
    campaign = by_hand(switch, contacts=2)
    waiting, done = Contact.objects.order_by("id")
    Contact.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now() + 9 * HOUR)
    Contact.objects.filter(pk=done.pk).update(status="completed", last_outcome="conversation")
    DialerTargetList.objects.update(processed_contacts=1)
    assert dial(campaign, waiting.number)["status"] == "applied"
    call = CallLog.objects.get()
    switch.ring(call)
    switch.end(call, "USER_BUSY")
    assert dial(campaign, done.number)["status"] == "applied"
    assert Contact.objects.count() == 2 and DialerTargetList.objects.get().processed_contacts == 0
    assert CallLog.objects.latest("id").contact == done


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("do_not_call", "not to be called"),
        ("calling_hours", "outside calling hours"),
        ("frequency", "attempts within 7 days"),
        ("quiet_days", "conversation a short while ago"),
        ("retry_delay", "not due yet"),
        ("attempts", "attempts made"),
        ("on_call", "on a call already"),
        ("lines", "lines in use"),
        ("spend", "has spent"),
        ("rate", "hourly limit"),
        ("paused", "the campaign is paused"),
        ("not_allowed", "may not dial by hand"),
        ("not_mine", "not one of the agent's"),
        ("link", "link to the switch"),
        ("break", "not available: break"),
        ("softphone", "softphone is not connected"),
        ("calling", "has a call already"),
    ],
)
def test_every_rule_holds_and_what_is_refused_leaves_nothing_behind(switch, rule, words):
    campaign = by_hand(switch, contacts=1)
    known = Contact.objects.get()
    past = {"to_number": known.number, "contact": known, "campaign": campaign, "freeswitch_uuid": "x"}
    earlier = {**past, "initiated_at": timezone.now() - HOUR, "ended_at": timezone.now() - HOUR}
    change = DialerCampaign.objects.filter(pk=campaign.pk).update
    match rule:
        case "do_not_call":
            DoNotCall.objects.create(number=known.number)
        case "calling_hours":
            change(profile=ComplianceProfile.objects.create(name="x", calling_hours={"mon": []}))
        case "frequency":
            CallLog.objects.create(**earlier, status="completed", outcome="hung_up")
            change(profile=any_hour(frequency=[{"attempts": 1, "days": 7}]))
        case "quiet_days":
            CallLog.objects.create(**earlier, status="completed", outcome="conversation", bridged_at=timezone.now())
            change(profile=any_hour(quiet_days=3))
        case "retry_delay":
            CallLog.objects.create(**earlier, status="busy", outcome="busy")
            Contact.objects.update(last_outcome="busy")
            change(retry_delay_minutes=600)
        case "attempts":
            Contact.objects.update(attempts=1)
            change(max_retry_attempts=0)
        case "on_call":
            CallLog.objects.create(**{**past, "campaign": None}, initiated_at=timezone.now())
        case "lines":
            change(max_lines=0)
        case "spend":
            change(price_per_attempt=Decimal(2), daily_spend_cap=Decimal(1))
        case "rate":
            CallLog.objects.create(
                **{**earlier, "to_number": "+12125550000", "contact": None}, status="busy", agent=Agent.objects.get()
            )
            change(calls_per_agent_per_hour=1)
            CallLog.objects.update(initiated_at=timezone.now() - HOUR / 2)
        case "paused":
            change(status="paused")
        case "not_allowed":
            change(mode="progressive")
        case "not_mine":
            campaign.assigned_agents.clear()
        case "link":
            link(up=False)
        case "break":
            set_state(Agent.objects.get(), "break")
        case "softphone":
            Agent.objects.update(softphone="lost")
        case "calling":
            CallLog.objects.create(
                to_number="+12125550000", freeswitch_uuid="y", agent=Agent.objects.get(), initiated_at=timezone.now()
            )
    before = (Contact.objects.values().get(), CallLog.objects.count(), DialerTargetList.objects.values().get())
    answer = dial(campaign, known.number)
    assert answer["status"] == "rejected" and words in answer["reason"], answer
    assert (Contact.objects.values().get(), CallLog.objects.count(), DialerTargetList.objects.values().get()) == before
    assert switch.orders("originate_customer") == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("", "no number"),
        ("12", "too short"),
        ("+1 900 234 5678", "premium rate"),
        ("+44 20 7946 0958", "DIAL_ALLOWED_PREFIXES"),
        ("+12125557777,hangup", "letters"),
        ("+12125557777\nuuid_kill", ""),
        ("x" * 5000, "too long"),
    ],
)
def test_what_is_no_allowed_number_is_refused_and_makes_no_contact(switch, number, words):
    answer = dial(by_hand(switch), number)
    assert answer["status"] == "rejected" and words in answer["reason"]
    assert not Contact.objects.exists() and not CallLog.objects.exists()


def test_every_closed_gate_is_told_at_once(switch):
    campaign = by_hand(switch, max_lines=0)
    shut = ComplianceProfile.objects.create(name="x", calling_hours={"mon": []})
    DialerCampaign.objects.update(profile=shut)
    DoNotCall.objects.create(number=NUMBER)
    reason = dial(campaign)["reason"]
    assert all(words in reason for words in ("lines in use", "not to be called", "calling hours"))


def test_in_manual_mode_the_dialer_places_nothing_and_says_so(switch):
    by_hand(switch, contacts=3)
    assert tick() == 0 and not ContactReservation.objects.exists()
    decision = PacingDecision.objects.get()
    assert (decision.mode, decision.placed, decision.binding_reason) == ("manual", 0, "agents_dial")
    assert decision.summary == "placed none: in manual mode only agents dial"


@pytest.mark.parametrize("mode", ["progressive", "preview"])
def test_where_the_campaign_allows_it_agents_dial_by_hand_in_any_mode(switch, mode):
    campaign = by_hand(switch, mode=mode, allow_manual_dial=True)
    assert floor_rows.campaign_rows()[0]["manual_dial"] is True
    assert dial(campaign)["status"] == "applied"
    DialerCampaign.objects.update(allow_manual_dial=False)
    assert floor_rows.campaign_rows()[0]["manual_dial"] is False


def test_the_contact_before_the_agent_goes_back_unless_the_number_is_refused(switch):
    campaign = previewing(switch, allow_manual_dial=True)
    DoNotCall.objects.create(number=NUMBER)
    assert dial(campaign)["status"] == "rejected"
    assert offer().state == "offered" and offer().contact.status == "reserved"
    assert dial(campaign, "+12125557778")["status"] == "applied"
    assert (offer().state, offer().contact.status) == ("withdrawn", "ready")


def test_a_contact_that_is_before_another_agent_is_not_dialled_by_hand(switch):
    campaign = previewing(switch, contacts=1, allow_manual_dial=True)
    other = ready_agents(switch, 1, first=150)[0]
    campaign.assigned_agents.add(other)
    answer = dial(campaign, offer().contact.number, other.agent_id)
    assert answer["status"] == "rejected" and "reserved" in answer["reason"] and offer().state == "offered"


def test_the_same_command_twice_is_one_call(switch):
    campaign = by_hand(switch)
    command = {
        "command_id": str(uuid.uuid4()), "actor": "ann", "kind": "manual_dial", "agent_id": "agent_101",
        "campaign_id": str(campaign.campaign_id), "number": NUMBER,
    }  # fmt: skip
    assert tasks.handle_command(command) == tasks.handle_command(command)
    assert CallLog.objects.count() == 1
