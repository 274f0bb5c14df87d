"""Contacts before agents: offered, dialled, skipped, rescheduled, expired, withdrawn; and a mode that changes live."""

import datetime as dt
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from dialer import floor_rows, preview, tasks
from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import (
    Agent,
    Callback,
    CallLog,
    CampaignDay,
    ComplianceProfile,
    ConsentRevocation,
    Contact,
    ContactReservation,
    DialerCampaign,
    DialerTargetList,
    Disposition,
    DoNotCall,
    PacingDecision,
)
from dialer.services import choosing
from tests.fakes.dialling import link, offer, previewing, ready_agents, say, tick
from tests.fakes.floor import Switch, any_hour, make_campaign, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def switch() -> Switch:
    link()
    return Switch()


def control(action: str, agent_id: str = "agent_101", **fields) -> dict:
    return say("preview_control", agent_id=agent_id, action=action, **fields)


def over(reservation: ContactReservation) -> None:
    ContactReservation.objects.filter(pk=reservation.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))


# --- Offering -------------------------------------------------------------------------------------------------------


def test_each_idle_agent_gets_one_contact_that_nobody_else_gets(switch):
    campaign = previewing(switch, agents=2, contacts=3)
    offers = list(ContactReservation.objects.order_by("id"))
    assert len(offers) == 2 and len({o.agent_id for o in offers}) == len({o.contact_id for o in offers}) == 2
    assert {o.contact.status for o in offers} == {"reserved"}
    assert {o.expires_at - o.offered_at for o in offers} == {dt.timedelta(seconds=60)}
    decision = PacingDecision.objects.latest("id")
    assert (decision.mode, decision.placed) == ("preview", 0)
    assert decision.summary == "offered 2 contacts for preview: one for each idle agent"
    assert not CallLog.objects.exists() and switch.orders("originate_customer") == []
    # Neither another offer nor another campaign of the same list, whose agents are the same, takes them.
    other = DialerCampaign.objects.create(
        name="Other", target_list=campaign.target_list, status="active", profile=any_hour()
    )
    other.assigned_agents.set([*Agent.objects.all(), *ready_agents(switch, 1, first=150)])
    assert tick() == 1
    assert ContactReservation.objects.count() == 2
    call = CallLog.objects.get()
    assert call.contact_id not in {o.contact_id for o in offers} and call.agent.agent_id == "agent_150"
    assert choosing.due_keys(campaign.target_list_id, timezone.now(), 9) == []


def test_the_database_knows_one_open_offer_per_agent_and_per_contact(switch):
    previewing(switch, agents=2)
    one, two = ContactReservation.objects.order_by("id")
    for fields in ({"agent": two.agent}, {"contact": two.contact}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ContactReservation.objects.filter(pk=one.pk).update(**fields)


@pytest.mark.parametrize("why", ["link", "paused", "lines"])
def test_nothing_is_offered_while_nothing_could_be_dialled(switch, why):
    campaign = make_campaign(ready_agents(switch), mode="preview", max_lines=0 if why == "lines" else 100)
    if why == "link":
        link(up=False)
    elif why == "paused":
        DialerCampaign.objects.update(status="paused")
    tasks.execute_dial(str(campaign.campaign_id))
    assert not ContactReservation.objects.exists()
    assert Contact.objects.filter(status="ready").count() == 10


def test_the_agents_row_shows_the_offer_without_the_whole_number(switch):
    previewing(switch)
    [row] = floor_rows.agent_rows()
    assert row["preview"]["id"] == str(offer().reservation_id)
    assert row["preview"]["contact"] == offer().contact.name
    assert offer().contact.number not in str(row)
    assert row["preview"]["expires_at"] - row["preview"]["offered_at"] == 60_000


def test_an_appointment_with_one_agent_is_put_before_that_agent(switch):
    agents = ready_agents(switch, 2)
    campaign = make_campaign(agents, contacts=3, mode="preview")
    wanted = Contact.objects.order_by("id").last()
    Callback.objects.create(campaign=campaign, contact=wanted, agent=agents[1], at=timezone.now() - HOUR)
    tick()
    assert ContactReservation.objects.get(contact=wanted).agent == agents[1]


# --- Dialling -------------------------------------------------------------------------------------------------------


def test_dialling_places_one_call_for_this_agent_with_a_decision_behind_it(switch):
    campaign = previewing(switch)
    contact = offer().contact
    answer = control("dial", preview_id=str(offer().reservation_id))
    assert answer["status"] == "applied", answer
    call = CallLog.objects.get()
    assert (str(call.call_id), call.contact, call.agent.agent_id) == (answer["result"]["call_id"], contact, "agent_101")
    assert (call.decision.mode, call.decision.placed) == ("preview", 1)
    assert call.decision.summary == "placed 1 call: agent_101 dialled the contact before them"
    [order] = switch.orders("originate_customer")
    assert order.payload["leg"] == call.freeswitch_uuid
    contact.refresh_from_db()
    assert (contact.status, contact.attempts) == ("dialing", 1)
    assert (offer().state, offer().call) == ("dialled", call)
    assert CampaignDay.objects.get(campaign=campaign).attempts == 1
    assert tick() == 0 and ContactReservation.objects.count() == 1, "nothing more while the call rings"
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)
    assert Agent.objects.get().status_reason == "wrap_up" and Contact.objects.get(pk=contact.pk).status == "completed"


@pytest.mark.parametrize("rule", ["do_not_call", "consent", "calling_hours", "frequency", "lines"])
def test_a_gate_that_closed_meanwhile_refuses_with_its_words_and_gives_the_contact_back(switch, rule):
    campaign = previewing(switch, contacts=1)
    contact = offer().contact
    match rule:
        case "do_not_call":
            DoNotCall.objects.create(number=contact.number)
        case "consent":
            ConsentRevocation.objects.create(number=contact.number, campaign=campaign)
        case "calling_hours":
            DialerCampaign.objects.update(profile=ComplianceProfile.objects.create(name="x", calling_hours={"mon": []}))
        case "frequency":
            CallLog.objects.create(
                freeswitch_uuid="x", to_number=contact.number, initiated_at=timezone.now() - HOUR, status="busy",
                ended_at=timezone.now() - HOUR, outcome="busy",
            )  # fmt: skip
            DialerCampaign.objects.update(profile=any_hour(frequency=[{"attempts": 1, "days": 7}]))
        case "lines":
            DialerCampaign.objects.update(max_lines=0)
    answer = control("dial")
    words = {"do_not_call": "not to be called", "consent": "consent was revoked", "calling_hours": "calling hours",
             "frequency": "1 attempts within 7 days", "lines": "0 of 0 lines"}  # fmt: skip
    assert answer["status"] == "rejected" and words[rule] in answer["reason"]
    contact.refresh_from_db()
    assert contact.status == "ready" and switch.orders("originate_customer") == []
    assert contact.blocked_by == ("" if rule == "lines" else rule)
    assert (offer().state, offer().reason) == ("refused", answer["reason"])
    assert floor_rows.agent_rows()[0]["preview"] is None


def test_without_the_link_the_contact_stays_before_the_agent(switch):
    previewing(switch)
    link(up=False)
    answer = control("dial")
    assert (answer["status"], "link" in answer["reason"], offer().state) == ("rejected", True, "offered")


def test_a_click_meant_for_an_earlier_contact_acts_on_no_other(switch):
    previewing(switch)
    answer = control("dial", preview_id=str(uuid.uuid4()))
    assert (answer["status"], "another one" in answer["reason"]) == ("rejected", True)
    assert offer().state == "offered" and not CallLog.objects.exists()
    assert control("dial", agent_id="nobody")["reason"] == "there is no agent nobody"
    assert control("burn")["status"] == "rejected"
    control("dial")
    assert "no contact for preview" in control("dial")["reason"]
    assert CallLog.objects.count() == 1


# --- Skipping and rescheduling --------------------------------------------------------------------------------------


def test_a_skipped_contact_comes_again_later_and_at_the_limit_behind_all_others(switch):
    campaign = previewing(switch, contacts=2, preview_max_skips=2, preview_skip_minutes=30)
    first = offer().contact
    Callback.objects.create(campaign=campaign, contact=first, at=timezone.now() - HOUR)
    assert control("skip", reason="asked to be left alone today")["status"] == "applied"
    first.refresh_from_db()
    assert first.status == "ready" and first.attempts == 0
    assert dt.timedelta(minutes=29) < first.next_attempt_at - timezone.now() <= dt.timedelta(minutes=30)
    assert offer().reason == "asked to be left alone today"
    tick()
    assert offer().contact != first, "nor does its appointment bring it back at once"
    Callback.objects.all().delete()
    control("skip")
    Contact.objects.update(next_attempt_at=timezone.now() - HOUR)
    Contact.objects.filter(pk=first.pk).update(next_attempt_at=timezone.now() - 2 * HOUR)
    tick()
    assert offer().contact == first
    control("skip")
    first.refresh_from_db()
    assert first.priority == preview.LAST_PRIORITY
    Contact.objects.filter(pk=first.pk).update(next_attempt_at=timezone.now() - 9 * HOUR)
    tick()
    assert offer().contact != first


@pytest.mark.parametrize("personal", [True, False])
def test_a_rescheduled_contact_is_an_appointment(switch, personal):
    campaign = previewing(switch)
    contact, at = offer().contact, timezone.now().replace(microsecond=0) + 3 * HOUR
    command = {"at": int(at.timestamp() * 1000), "personal": personal, "reason": "after three"}
    assert control("reschedule", **command)["status"] == "applied"
    callback = Callback.objects.get()
    assert (callback.contact, callback.campaign, callback.at, callback.note) == (contact, campaign, at, "after three")
    assert callback.created_by == "ann"
    assert (callback.agent and callback.agent.agent_id) == ("agent_101" if personal else None)
    assert callback.anyone_at == (at + dt.timedelta(minutes=60) if personal else None)
    contact.refresh_from_db()
    assert (contact.status, contact.next_attempt_at, offer().state) == ("ready", at, "rescheduled")
    tick()
    assert offer().contact != contact


@pytest.mark.parametrize("at", [None, "soon", True, 1000, 10**18, -(10**18), "hours"])
def test_an_impossible_appointment_is_refused_and_the_contact_stays(switch, at):
    previewing(switch)
    if at == "hours":
        shut = ComplianceProfile.objects.create(name="x", calling_hours={"mon": []})
        DialerCampaign.objects.update(profile=shut)
        at = int((timezone.now() + HOUR).timestamp() * 1000)
    answer = control("reschedule", at=at)
    assert answer["status"] == "rejected" and offer().state == "offered" and not Callback.objects.exists()


# --- The end of an offer --------------------------------------------------------------------------------------------


def test_an_offer_whose_time_is_over_goes_behind_those_that_are_due(switch):
    previewing(switch, contacts=2)
    first = offer()
    tick()
    assert offer() == first and offer().state == "offered"
    over(first)
    tick()
    first.refresh_from_db()
    assert first.state == "expired" and first.ended_at is not None
    assert offer().contact != first.contact and offer().state == "offered"
    assert not CallLog.objects.exists()


def test_where_the_campaign_says_so_it_is_dialled_when_its_time_is_over(switch):
    previewing(switch, preview_at_end="dial")
    over(offer())
    tick()
    call = CallLog.objects.get()
    assert (offer().state, offer().call, call.decision.placed) == ("dialled", call, 1)


def test_what_a_gate_forbids_is_not_dialled_when_its_time_is_over(switch):
    previewing(switch, contacts=1, preview_at_end="dial")
    DialerCampaign.objects.update(profile=ComplianceProfile.objects.create(name="x", calling_hours={"mon": []}))
    over(offer())
    tick()
    assert offer().state == "refused" and not CallLog.objects.exists()
    assert Contact.objects.get().blocked_by == "calling_hours"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("break", "not available: break"),
        ("pause", "the campaign is paused"),
        ("mode", "in mode manual"),
        ("do_not_call", "not to be called"),
        ("consent", "not to be called"),
        ("softphone", "softphone"),
        ("unassigned", "left the campaign"),
    ],
)
def test_an_offer_is_withdrawn_the_moment_it_makes_no_sense(switch, event, words):
    campaign = previewing(switch, contacts=1)
    agent, reservation = Agent.objects.get(), offer()
    key = str(campaign.campaign_id)
    match event:
        case "break":
            set_state(agent, "break")
        case "pause":
            say("campaign_control", campaign_id=key, action="pause")
        case "mode":
            say("campaign_control", campaign_id=key, action="set_mode", mode="manual")
        case "do_not_call":
            DoNotCall.objects.create(number=reservation.contact.number, campaign=campaign)
        case "consent":
            ConsentRevocation.objects.create(number=reservation.contact.number)
        case "softphone":
            Agent.objects.update(softphone="lost")
        case "unassigned":
            campaign.assigned_agents.clear()
    if event not in {"break", "pause", "mode"}:
        tasks.process_dialer_logic()
    reservation.refresh_from_db()
    assert reservation.state == "withdrawn" and words in reservation.reason
    assert Contact.objects.get().status == "ready"
    assert "no contact for preview" in control("dial")["reason"]


def test_an_entry_for_a_number_before_an_agent_asks_for_a_tick_at_once(
    switch, redis_empty, django_capture_on_commit_callbacks
):
    previewing(switch)
    redis_empty.delete("dialer:tick_pending")
    with django_capture_on_commit_callbacks(execute=True):
        DoNotCall.objects.create(number="+12125559999")
    assert not redis_empty.exists("dialer:tick_pending")
    with django_capture_on_commit_callbacks(execute=True):
        DoNotCall.objects.create(number=offer().contact.number)
    assert redis_empty.exists("dialer:tick_pending")


# --- Modes ----------------------------------------------------------------------------------------------------------


def test_a_mode_takes_effect_with_the_next_decision_and_what_rings_rings_on(switch):
    agents = ready_agents(switch, 2)
    campaign = make_campaign(agents[:1], contacts=4)
    key = str(campaign.campaign_id)
    assert tick() == 1
    call = CallLog.objects.get()
    switch.ring(call)
    campaign.assigned_agents.add(agents[1])
    answer = say("campaign_control", campaign_id=key, action="set_mode", mode="preview")
    assert (answer["status"], answer["result"]["mode"]) == ("applied", "preview")
    assert tick() == 0
    assert offer().agent == agents[1]
    assert floor_rows.campaign_rows()[0]["mode"] == "preview"
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    assert call.bridged_at is not None
    say("campaign_control", campaign_id=key, action="set_mode", mode="progressive")
    assert offer().state == "withdrawn"
    assert tick() == 1
    for bad in ("", "turbo", None):
        assert say("campaign_control", campaign_id=key, action="set_mode", mode=bad)["status"] == "rejected"


def test_an_offer_outlives_the_worker_that_made_it(switch):
    """Nothing of it is in the worker's memory: the next one finds it, and ends it."""
    previewing(switch, contacts=1)
    over(offer())
    tasks._last_upkeep = tasks._last_doubts = -100.0
    tasks.process_dialer_logic()
    assert offer().state == "expired" and Contact.objects.get().status == "ready"


# --- The call before is disposed of differently -----------------------------------------------------------------------


def offered_again(switch: Switch) -> CallLog:
    """A call of one agent that ended in a retry, and its contact is before another by now."""
    campaign = previewing(switch, contacts=1)
    set_up_dispositions()
    control("dial")
    call = CallLog.objects.get()
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)
    dispose(call, "not_there")
    set_state(Agent.objects.get(), "break")
    campaign.assigned_agents.add(*ready_agents(switch, 1, first=150))
    Contact.objects.update(next_attempt_at=timezone.now())
    tick()
    assert (offer().state, offer().agent.agent_id) == ("offered", "agent_150")
    return call


def dispose(call: CallLog, code: str) -> None:
    answer = say("dispose_call", call_id=str(call.call_id), code=code)
    assert answer["status"] == "applied", answer


def test_a_correction_that_ends_the_contact_takes_it_from_the_agent_who_has_it_before_them(switch):
    call = offered_again(switch)
    dispose(call, "sale")
    assert (offer().state, offer().contact.status) == ("withdrawn", "completed")
    assert "disposed of" in offer().reason
    answer = control("dial", "agent_150")
    assert answer["status"] == "rejected" and CallLog.objects.count() == 1, "nobody calls the buyer"
    assert DialerTargetList.objects.get().processed_contacts == 1


def test_a_correction_to_another_retry_lets_the_contact_be_offered_anew_when_it_is_due(switch):
    call = offered_again(switch)
    dispose(call, "voicemail")
    assert (offer().state, offer().contact.status) == ("withdrawn", "ready")
    Contact.objects.update(next_attempt_at=timezone.now())
    tick()
    assert (offer().state, ContactReservation.objects.filter(state="offered").count()) == ("offered", 1)


def test_a_disposition_that_moves_nobody_leaves_the_contact_before_its_agent(switch):
    call = offered_again(switch)
    Disposition.objects.create(code="talked", label="Talked")
    CallLog.objects.filter(pk=call.pk).update(disposition=None, disposed_at=None, disposed_by="")
    call.disposition_changes.all().delete()
    dispose(call, "talked")
    assert (offer().state, offer().contact.status) == ("offered", "reserved")
