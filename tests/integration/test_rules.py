"""The rules where it is dialled: entered or changed a moment before, over long lists, per outcome, and explained."""

import datetime as dt
import io
import json
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from dialer import census, limits, rules, tasks
from dialer.models import (
    Agent,
    AgentLeg,
    Callback,
    CallLog,
    CampaignDay,
    ComplianceProfile,
    ConsentRevocation,
    Contact,
    DialerCampaign,
    DoNotCall,
    Holiday,
    PacingDecision,
    SystemLimits,
)
from dialer.services import choosing, dialing, freeing
from dialer.services.acting import acting
from events import facts as f
from tests.fakes.dialling import link, say, tick
from tests.fakes.floor import UP, Switch, any_hour, make_agents, make_campaign, place, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def switch() -> Switch:
    return Switch()


def ready(switch: Switch, count: int = 1) -> list[Agent]:
    agents = make_agents(count)
    for agent in agents:
        set_state(agent, "available")
    switch.open_softphones()
    return list(Agent.objects.order_by("pk"))


def dial(campaign: DialerCampaign, now: dt.datetime | None = None) -> CallLog | None:
    placed = place(campaign, 1, now)
    return placed[0] if placed else None


def explained(**options: str) -> str:
    out = io.StringIO()
    call_command("explain", stdout=out, **options)
    return out.getvalue()


def later_again(contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).update(next_attempt_at=timezone.now() - HOUR, blocked_by="", status="ready")


# --- A rule that arrives between decision and dial ----------------------------------------------------------------


@pytest.mark.parametrize("listed", [DoNotCall, ConsentRevocation])
@pytest.mark.parametrize("everywhere", [True, False], ids=["system", "campaign"])
def test_an_entry_between_decision_and_dial_stops_the_dial_and_its_removal_frees_the_contact(
    switch, listed, everywhere
):
    link()
    campaign = make_campaign(ready(switch), contacts=1)
    with acting("test") as act:
        _, decision = dialing.decide(act, campaign, UP)
    assert decision.place == 1
    contact = Contact.objects.get()
    entry = listed.objects.create(number=contact.number, campaign=None if everywhere else campaign)
    assert dial(campaign) is None
    contact.refresh_from_db()
    assert contact.blocked_by in {"do_not_call", "consent"} and contact.next_attempt_at > timezone.now()
    entry.delete()
    assert dial(campaign) is not None


def test_another_campaigns_own_entry_stops_nobody_else(switch):
    campaign = make_campaign(ready(switch), contacts=1)
    other = make_campaign([], contacts=0, name="Other")
    DoNotCall.objects.create(number=Contact.objects.get().number, campaign=other)
    assert dial(campaign) is not None


def test_a_profile_changed_between_decision_and_dial_stops_the_dial_and_the_next_change_frees(switch):
    campaign = make_campaign(ready(switch), contacts=1)
    with acting("test") as act:
        assert dialing.decide(act, campaign, UP)[1].place == 1
    closed = ComplianceProfile.objects.create(name="Closed", calling_hours={"mon": []})
    DialerCampaign.objects.update(profile=closed)
    assert dial(campaign) is None
    assert Contact.objects.get().blocked_by == "calling_hours"
    DialerCampaign.objects.update(profile=any_hour())
    assert freeing.target_list(campaign.target_list_id) == 1
    assert dial(campaign) is not None


def test_a_holiday_entered_between_decision_and_dial_stops_the_dial(switch):
    campaign = make_campaign(ready(switch), contacts=1)
    for days in (-1, 0, 1):
        Holiday.objects.create(day=timezone.now().date() + dt.timedelta(days=days), name="Feast", region="US")
    assert dial(campaign) is None
    assert Contact.objects.get().blocked_by == "holiday"


def test_a_profile_that_cannot_be_read_allows_nothing_and_stops_no_other_campaign(switch):
    link()
    agents = ready(switch, 2)
    bad = make_campaign(agents[:1], contacts=1, name="Bad")
    make_campaign(agents[1:], contacts=1, name="Good", offset=50)
    ComplianceProfile.objects.bulk_create([ComplianceProfile(name="broken", calling_hours=["?"])])
    DialerCampaign.objects.filter(pk=bad.pk).update(profile=ComplianceProfile.objects.get(name="broken"))
    assert tick() == 1
    # By day as well: those rules that nobody chose are not taken instead.
    noon = dt.datetime.combine(timezone.now().date() + dt.timedelta(days=1), dt.time(17), dt.UTC)
    assert dial(bad, noon) is None
    assert Contact.objects.get(target_list=bad.target_list).blocked_by == "calling_hours"


# --- History of the number -----------------------------------------------------------------------------------------


def test_the_frequency_cap_counts_the_number_over_all_campaigns_but_no_refusal_by_the_switch(switch):
    [agent] = ready(switch)
    profile = any_hour(frequency=[{"attempts": 2, "days": 7}])
    first = make_campaign([agent], contacts=1, name="A", profile=profile, retry_delay_minutes=0)
    second = make_campaign([agent], contacts=1, name="B", profile=profile, retry_delay_minutes=0)
    refused = dial(first)
    switch.report(switch.orders("originate_customer")[-1], "failed", reply="-ERR GATEWAY_DOWN", leg_exists=False)
    refused.refresh_from_db()
    assert refused.outcome == "not_dialled"
    for campaign in (first, second):
        later_again(campaign.target_list.contacts.get())
        call = dial(campaign)
        switch.ring(call)
        switch.end(call, "NO_ANSWER")
    assert dial(first) is None and dial(second) is None
    blocked = first.target_list.contacts.get()
    assert blocked.blocked_by == "frequency"
    times = list(CallLog.objects.filter(outcome="no_answer").order_by("id").values_list("initiated_at", flat=True))
    assert blocked.next_attempt_at == times[0] + dt.timedelta(days=7)


def test_quiet_days_begin_with_the_end_of_a_conversation_with_the_number_in_any_list(switch):
    [agent] = ready(switch)
    profile = any_hour(quiet_days=7)
    first = make_campaign([agent], contacts=1, name="A", profile=profile)
    second = make_campaign([agent], contacts=1, name="B", profile=profile)
    call = dial(first)
    switch.answer(call)
    switch.bridge(call)
    switch.end(call)
    Agent.objects.update(status="available", wrap_up_until=None)
    assert dial(second) is None
    call.refresh_from_db()
    assert second.target_list.contacts.get().next_attempt_at == call.ended_at + dt.timedelta(days=7)


@pytest.mark.parametrize("joined", [True, False], ids=["joined to an agent", "abandoned"])
def test_a_machine_that_answered_was_no_conversation_and_nobody_kept_waiting(switch, joined):
    """Agents are joined before the beep is heard. Its own retry delay holds, and not the days after a conversation."""
    profile = any_hour(quiet_days=7, abandon_wait_hours=100, retry={"machine": {"delay_minutes": 90}})
    campaign = make_campaign(ready(switch), contacts=1, profile=profile)
    call = dial(campaign)
    switch.answer(call)
    if joined:
        switch.bridge(call)
    else:
        CallLog.objects.update(abandoned=True)
    switch.end(call, machine=True)
    call.refresh_from_db()
    assert call.outcome == "machine"
    gates = rules.contact_gates(Contact.objects.get(), campaign, call.ended_at)
    assert [gate.name for gate in gates] == ["retry_delay"]
    assert rules.contact_gates(Contact.objects.get(), campaign, call.retry_after + HOUR / 60) == ()


def test_after_an_abandon_there_is_no_call_for_the_hours_of_waiting(switch):
    [agent] = ready(switch)
    profile = any_hour(abandon_wait_hours=3)
    campaign = make_campaign([agent], contacts=1, profile=profile, retry_delay_minutes=0)
    call = dial(campaign)
    CallLog.objects.update(answered_at=call.initiated_at, abandoned=True, status="answered")
    switch.end(call)
    call.refresh_from_db()
    assert call.outcome == "abandoned"
    assert dial(campaign) is None
    assert Contact.objects.get().next_attempt_at == call.ended_at + 3 * HOUR


def abandoned(contact: Contact, at: dt.datetime) -> CallLog:
    """An ended call to this number that nobody took."""
    return CallLog.objects.create(
        freeswitch_uuid="x", to_number=contact.number, status="completed", outcome="abandoned",
        initiated_at=at, answered_at=at, ended_at=at, abandoned=True,
    )  # fmt: skip


def test_after_an_abandon_only_a_call_with_an_agent_reserved_is_chosen(switch):
    campaign = make_campaign([], contacts=1)
    abandoned(Contact.objects.get(), timezone.now() - HOUR)
    with acting("test") as act:
        assert len(choosing.choose(campaign, 1, act.now).contacts) == 1
        assert choosing.choose(campaign, 1, act.now, agent_reserved=False).blocked == {"abandon_reserved": 1}


@pytest.mark.parametrize("minutes", [None, 30, -1], ids=["theirs alone", "anyone's later", "anyone's already"])
def test_dialled_ahead_an_appointment_after_an_abandon_waits_for_its_agent_and_no_longer(switch, minutes):
    [other, own] = ready(switch, 2)
    campaign = make_campaign([other, own], contacts=1)
    contact, now = Contact.objects.get(), timezone.now()
    abandoned(contact, now - HOUR)
    anyone_at = None if minutes is None else now + dt.timedelta(minutes=minutes)
    at = now - dt.timedelta(minutes=5)
    Callback.objects.create(campaign=campaign, contact=contact, agent=own, at=at, anyone_at=anyone_at)

    def chosen(*idle: Agent, ahead: bool = True) -> list[tuple[Contact, int | None]]:
        with acting("test") as act:
            keys = tuple(agent.pk for agent in idle)
            return choosing.choose(campaign, 1, act.now, idle=keys, agent_reserved=not ahead).contacts

    assert chosen(other) == []
    assert chosen(other, own) == [(contact, own.pk)], "although it was set aside"
    assert chosen(other) == []
    assert chosen(other, ahead=False) == ([(contact, None)] if minutes == -1 else [])


@pytest.mark.parametrize(("before", "after"), [("predictive", "progressive"), ("power", "preview")])
def test_a_mode_that_reserves_an_agent_for_each_call_frees_who_waits_for_that(switch, redis_empty, before, after):
    campaign = make_campaign([], contacts=1, mode=before)
    say("campaign_control", campaign_id=str(campaign.campaign_id), action="set_mode", mode=after)
    asked = [json.loads(task)["headers"] for task in redis_empty.lrange("default", 0, -1)]
    assert [task["argsrepr"] for task in asked if task["task"] == "dialer.tasks.free_contacts"] == [
        f"[{campaign.target_list_id}]"
    ]


# --- Retry per outcome ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "outcome", "minutes"),
    [
        ("USER_BUSY", "busy", 5),
        ("NO_ANSWER", "no_answer", 60),
        ("NORMAL_TEMPORARY_FAILURE", "failed", 7),
        ("CALL_REJECTED", "rejected", 240),
        ("ORIGINATOR_CANCEL", "cancelled", 30),
    ],
)
def test_each_outcome_is_retried_by_its_own_rule_and_others_by_the_campaigns_delay(switch, cause, outcome, minutes):
    delays = {"busy": 5, "no_answer": 60, "failed": 7, "rejected": 240}
    profile = any_hour(retry={name: {"delay_minutes": delay} for name, delay in delays.items()})
    campaign = make_campaign(ready(switch), contacts=1, profile=profile, retry_delay_minutes=30)
    call = dial(campaign)
    switch.ring(call)
    before = timezone.now()
    switch.end(call, cause)
    call.refresh_from_db()
    assert call.outcome == outcome == Contact.objects.get().last_outcome
    assert dt.timedelta(0) <= call.retry_after - before - dt.timedelta(minutes=minutes) < dt.timedelta(seconds=20)


def test_a_growing_delay_grows_with_each_outcome_of_its_kind_and_ends_with_its_own_count(switch):
    profile = any_hour(retry={"busy": {"delay_minutes": 10, "growth": 3, "times": 2, "max_delay_minutes": 25}})
    campaign = make_campaign(ready(switch), contacts=1, profile=profile, max_retry_attempts=9)
    waits = []
    for _ in range(3):
        call = dial(campaign)
        switch.ring(call)
        switch.end(call, "USER_BUSY")
        call.refresh_from_db()
        if call.retry_after:
            waits.append(round((call.retry_after - call.ended_at).total_seconds() / 60))
        CallLog.objects.update(ended_at=timezone.now() - HOUR, initiated_at=timezone.now() - HOUR)
        Contact.objects.filter(status="ready").update(next_attempt_at=timezone.now() - HOUR)
    assert waits == [10, 25] and Contact.objects.get().status == "exhausted"


def test_a_machine_heard_by_the_switch_is_retried_though_an_agent_was_joined(switch):
    profile = any_hour(retry={"machine": {"delay_minutes": 90}})
    call = dial(make_campaign(ready(switch), contacts=1, profile=profile))
    switch.answer(call)
    switch.bridge(call)
    switch.end(call, machine=True)
    call.refresh_from_db()
    assert (call.outcome, Contact.objects.get().status) == ("machine", "ready")


def test_a_longer_delay_entered_later_holds_back_a_contact_that_was_due(switch):
    profile = any_hour(retry={"busy": {"delay_minutes": 1}})
    campaign = make_campaign(ready(switch), contacts=1, profile=profile)
    call = dial(campaign)
    switch.ring(call)
    switch.end(call, "USER_BUSY")
    Contact.objects.update(next_attempt_at=timezone.now())
    profile.retry = {"busy": {"delay_minutes": 120}}
    profile.save()
    assert dial(campaign) is None
    call.refresh_from_db()
    assert Contact.objects.get().next_attempt_at == call.ended_at + 2 * HOUR


# --- Limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["campaign", "system"])
@pytest.mark.parametrize("limit", ["max_lines", "max_calls_per_second"])
def test_lines_and_calls_per_second_leave_room_for_so_many_and_no_more(switch, whose, limit):
    link()
    campaign = make_campaign(ready(switch, 4))
    if whose == "campaign":
        DialerCampaign.objects.update(**{limit: 2})
    else:
        SystemLimits.objects.create(**{limit: 2})
    now = timezone.now()
    assert len(place(campaign, 4, now)) == 2
    assert dial(campaign, now + dt.timedelta(milliseconds=999)) is None
    if limit == "max_calls_per_second":
        assert dial(campaign, now + dt.timedelta(seconds=1)) is not None


@pytest.mark.parametrize("whose", ["campaign", "system"])
def test_no_call_begins_that_could_exceed_the_days_spending(switch, whose):
    link()
    campaign = make_campaign(ready(switch, 3), price_per_attempt=Decimal("0.5"), price_per_minute=Decimal("0.1"))
    if whose == "campaign":
        DialerCampaign.objects.update(daily_spend_cap=Decimal("1.3"))
    else:
        SystemLimits.objects.create(daily_spend_cap=Decimal("1.3"))
    placed = place(campaign, 3)
    assert len(placed) == 2 and CampaignDay.objects.get().spent == Decimal("1.0")
    assert tick() == 0
    assert PacingDecision.objects.first().binding_reason == "spend_limit"
    switch.ring(placed[0])
    switch.end(placed[0], "NO_ANSWER")
    switch.report(switch.orders("originate_customer")[1], "failed", reply="-ERR GATEWAY_DOWN", leg_exists=False)
    assert CampaignDay.objects.get().spent == Decimal("0.5"), "what never left is not paid for"
    assert dial(campaign) is not None


def test_what_the_calls_that_go_on_have_cost_until_now_counts_against_the_days_spending(switch):
    link()
    campaign = make_campaign(ready(switch, 2), price_per_minute=Decimal("0.1"), daily_spend_cap=Decimal(1))
    call = dial(campaign)
    switch.answer(call)
    CallLog.objects.update(answered_at=timezone.now() - dt.timedelta(minutes=9))
    tick()
    assert CallLog.objects.filter(ended_at=None).count() == 2, "nine minutes, and one for the next: the cap exactly"
    switch.end(CallLog.objects.exclude(pk=call.pk).get(), "NO_ANSWER")
    CallLog.objects.filter(pk=call.pk).update(answered_at=timezone.now() - dt.timedelta(minutes=10))
    assert tick() == 0
    assert PacingDecision.objects.first().binding_reason == "spend_limit"


def test_minutes_are_booked_by_the_second_when_the_call_ends(switch):
    campaign = make_campaign(ready(switch), price_per_minute=Decimal("0.6"))
    call = dial(campaign)
    switch.answer(call)
    CallLog.objects.update(
        answered_at=timezone.now() - dt.timedelta(seconds=30), initiated_at=timezone.now() - dt.timedelta(seconds=40)
    )
    switch.end(call)
    assert Decimal("0.29") <= sum(day.spent for day in CampaignDay.objects.all()) <= Decimal("0.33")


# --- Appointments --------------------------------------------------------------------------------------------------


def test_an_appointment_goes_to_its_agent_first_and_to_anyone_after_its_fall_back(switch):
    agents = ready(switch, 2)
    campaign = make_campaign(agents, contacts=3)
    mine = Contact.objects.order_by("-pk")[0]
    now = timezone.now()
    Callback.objects.create(campaign=campaign, contact=mine, agent=agents[1], at=now - HOUR, anyone_at=now + HOUR)
    Contact.objects.exclude(pk=mine.pk).update(status="completed")
    set_state(agents[1], "break")
    assert dial(campaign) is None
    set_state(agents[1], "available")
    switch.open_softphones()
    call = dial(campaign)
    assert call is not None and (call.agent, call.contact) == (agents[1], mine)
    assert Callback.objects.get().status == "dialled"
    switch.report(switch.orders("originate_customer")[-1], "failed", reply="-ERR GATEWAY_DOWN", leg_exists=False)
    assert Callback.objects.get().status == "open", "nobody was called, so the appointment stands"
    Callback.objects.update(at=now - HOUR, anyone_at=now - dt.timedelta(minutes=1))
    set_state(agents[1], "break")
    assert dial(campaign).agent == agents[0]


# --- Order and cost ------------------------------------------------------------------------------------------------


def test_contacts_come_by_priority_then_by_the_longest_due(switch):
    campaign = make_campaign([], contacts=6)
    now = timezone.now()
    pks = list(Contact.objects.order_by("pk").values_list("pk", flat=True))
    for pk, (priority, minutes) in zip(pks, [(0, 1), (5, 1), (0, 9), (5, 3), (-1, 99), (9, -5)], strict=True):
        due = now - dt.timedelta(minutes=minutes)
        Contact.objects.filter(pk=pk).update(priority=priority, next_attempt_at=due)
    assert choosing.due_keys(campaign.target_list_id, now, 10) == [pks[3], pks[1], pks[2], pks[0], pks[4]]
    assert choosing.due_keys(campaign.target_list_id, now, 2) == [pks[3], pks[1]]


def test_the_next_contacts_cost_the_same_in_a_long_list_whatever_waits_in_it():
    """A full list that waits for tomorrow, and one that is due: a handful of index pages, no scan, no sort of it."""
    campaign = make_campaign([], contacts=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dialer_contact (target_list_id, number, name, time_zone, custom_fields, priority, status,"
            " attempts, next_attempt_at, last_outcome, created_at, updated_at)"
            " SELECT %s, '+1646' || (2000000 + n), '', '', '{}', n %% 3, 'ready', 0,"
            " now() + CASE WHEN n > 1000 THEN interval '9 hours' ELSE interval '-1 hour' END, '', now(), now()"
            " FROM generate_series(1, 60000) AS n",
            [campaign.target_list_id],
        )
        cursor.execute("ANALYZE dialer_contact")
        now = timezone.now()
        passed = {str(n): {"at": now.isoformat(), "id": Contact.objects.order_by("pk")[50_000].pk} for n in range(3)}
        for due in ("<=", "passed over", "none"):
            if due != "<=":
                then = now if due == "passed over" else now + 9 * HOUR
                cursor.execute("UPDATE dialer_contact SET next_attempt_at = %s", [then])
                cursor.execute("VACUUM ANALYZE dialer_contact")
            after = json.dumps(passed if due == "passed over" else {})
            cursor.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + choosing._DUE,
                {"list": campaign.target_list_id, "now": timezone.now(), "limit": 30, "after": after},
            )
            plan = cursor.fetchone()[0][0]["Plan"]
            text = str(plan)
            assert "contact_due" in text and "Seq Scan" not in text and "'Node Type': 'Sort'" not in text
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 80, due
    now = timezone.now()
    with acting("test") as act:
        assert choosing.choose(campaign, 5, act.now).contacts == []
    found = census.compute(campaign, now)
    assert found["waiting"]["more"] and found["due"]["count"] == 0


def test_blocked_contacts_leave_the_front_of_the_index_a_bounded_number_per_decision(switch, monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMINED", 20)
    campaign = make_campaign(ready(switch), contacts=50)
    numbers = list(Contact.objects.order_by("pk").values_list("number", flat=True))
    DoNotCall.objects.bulk_create(DoNotCall(number=number) for number in numbers[:45])
    counts = []
    for _ in range(3):
        with acting("test") as act:
            chosen = choosing.choose(campaign, 1, act.now)
        counts.append((sum(chosen.blocked.values()), len(chosen.contacts)))
    assert counts[:2] == [(20, 0), (20, 0)] and counts[2][1] == 1
    assert Contact.objects.filter(blocked_by="do_not_call").count() == 45


def test_a_shared_list_is_set_aside_only_until_the_first_of_its_campaigns_may_call(switch):
    closed = ComplianceProfile.objects.create(name="Closed", calling_hours={"mon": []})
    strict = make_campaign(ready(switch), contacts=1, profile=closed)
    easy = make_campaign(list(Agent.objects.all()), contacts=0, name="Easy")
    DialerCampaign.objects.filter(pk=easy.pk).update(target_list=strict.target_list)
    assert dial(strict) is None
    assert dial(easy) is not None


def test_choosing_costs_the_same_number_of_queries_for_one_contact_and_for_fifty(django_assert_max_num_queries):
    campaign = make_campaign([], contacts=50)
    with acting("test") as act, django_assert_max_num_queries(14):
        assert len(choosing.choose(campaign, 50, act.now).contacts) == 50


# --- Explain -------------------------------------------------------------------------------------------------------


def test_explain_tells_a_campaigns_gates_agents_decisions_and_census(switch):
    link()
    agents = ready(switch, 3)
    set_state(agents[1], "break", "lunch")
    leg = AgentLeg.objects.get(agent=agents[2])
    switch.tell(f.LegEnded(leg=str(leg.leg_uuid), cause="NORMAL_CLEARING"))
    campaign = make_campaign(agents, contacts=5)
    DoNotCall.objects.create(number=Contact.objects.order_by("pk")[0].number, source="letter")
    tick()
    text = explained(campaign="spring")
    for words in (
        "every gate is open",
        "0 idle of 3",
        "agent_102: break (lunch)",
        "agent_103: softphone",
        "placed 1: 1 agent idle",
        "behind do_not_call: 1",
        "may be called now",
    ):
        assert words in text, words
    DialerCampaign.objects.update(status="paused", scheduled_end=timezone.now())
    text = explained(campaign=str(campaign.campaign_id))
    assert "status: the campaign is paused" in text and "schedule: the campaign is over" in text
    with pytest.raises(CommandError, match="no such campaign"):
        explained(campaign="nobody")


def test_explain_tells_every_list_campaign_and_gate_of_a_number(switch):
    first = make_campaign(ready(switch), contacts=1, name="A")
    make_campaign([], contacts=1, name="B", status="paused")
    number = first.target_list.contacts.get().number
    DoNotCall.objects.create(number=number, source="a letter")
    Holiday.objects.create(day=timezone.now().astimezone(dt.timezone(-5 * HOUR)).date(), name="Feast")
    text = explained(number=number.replace("+1", "(1) "))
    assert "America/New_York" in text and "every campaign" in text and "a letter" in text
    assert "In the list List of A" in text and "In the list List of B" in text
    assert text.count("do_not_call: the number is not to be called") == 2
    assert "the campaign is paused" in text
    assert "no country" not in explained(number="+12125550100") and "it is in no list" in explained(number="2125550100")
    with pytest.raises(CommandError):
        explained(number="12")


def test_the_census_is_counted_once_for_all_who_look(switch, monkeypatch):
    campaign = make_campaign([], contacts=3)
    sent = []
    monkeypatch.setattr(census.current_app, "send_task", lambda name, **more: sent.append((name, more["args"])))
    assert census.look(campaign) is None and census.look(campaign) is None
    assert sent == [("dialer.tasks.refresh_census", [campaign.pk])]
    tasks.refresh_census(campaign.pk)
    found = census.look(campaign)
    assert found["due"] == {"count": 3, "more": False} and found["sample"]["free"] == 3
    assert len(sent) == 1
