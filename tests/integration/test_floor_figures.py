"""What the floor's rows say of an agent's day and of a campaign's contacts, rates and pace, as the worker kept it."""

import datetime as dt
import json
import time
import uuid

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console import floor
from dialer import census, floor_rows, queues, row_figures, selectors
from dialer.models import Agent, AgentDay, CallLog, CampaignDay, CampaignMinute, Contact, Team
from dialer.services import agents, calls, holds
from dialer.services.acting import Act, acting
from events import facts as f
from events import streams
from tests.conftest import wait_until
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
NOON = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def switch() -> Switch:
    return Switch()


def at(moment: dt.datetime) -> Act:
    return Act(1, moment, "test")


def later(seconds: float, begin: dt.datetime = NOON) -> dt.datetime:
    return begin + dt.timedelta(seconds=seconds)


def row_of(agent: Agent) -> dict:
    return floor_rows.agent_rows([agent.pk])[0]


def talk(agent: Agent, begin: dt.datetime, *, wait: float = 0.3, hold: float = 0.0, seconds: float = 60.0) -> CallLog:
    """A whole conversation of the agent, told to the services as the facts tell it."""
    campaign = agent.campaigns.get()
    contact = campaign.target_list.contacts.filter(status="ready").first()
    leg = agents.open_leg(agent)
    contact.status = "dialing"
    contact.save()
    call = CallLog.objects.create(
        to_number=contact.number, freeswitch_uuid=str(uuid.uuid4()), agent=agent, campaign=campaign, contact=contact,
        initiated_at=begin - dt.timedelta(seconds=5),
    )  # fmt: skip
    calls.answered(at(begin), call, begin)
    joined = later(wait, begin)
    calls.bridged(at(joined), call, str(leg.leg_uuid), joined)
    if hold:
        for on, when in ((True, later(10, joined)), (False, later(10 + hold, joined))):
            holds.held(at(when), str(leg.leg_uuid), on=on, at=when)
        call.refresh_from_db()
    calls.ended(at(later(seconds, joined)), call, "NORMAL_CLEARING", later(seconds, joined))
    return call


@pytest.fixture
def agent(switch) -> Agent:
    """Available since NOON, their softphone open."""
    [found] = make_agents(1)
    make_campaign([found], contacts=20, wrap_up_seconds=15)
    set_state(found, "available")
    switch.open_softphones()
    Agent.objects.filter(pk=found.pk).update(status_since=NOON)
    AgentDay.objects.all().delete()
    found.refresh_from_db()
    return found


def day_of(agent: Agent, day: dt.date | None = None) -> dict:
    return row_figures.agent_today(AgentDay.objects.filter(agent=agent, day=day or NOON.date()).first())


# --- An agent's day ---------------------------------------------------------------------------------------------------


def test_an_agents_day_is_the_time_of_each_state_that_has_ended_and_the_calls_handled(agent):
    talk(agent, later(100), wait=0.5, hold=20, seconds=60)  # idle 100.5 s, talk 40 s, hold 20 s; wrap-up begins
    day = day_of(agent)
    assert (day["idle_seconds"], day["talk_seconds"], day["hold_seconds"]) == (100, 40, 20)
    assert (day["wrap_up_seconds"], day["handled"], day["contacts"]) == (0, 1, 1)
    with acting("test", now=later(175.5)) as act:
        agents.due_wrap_ups(act)
    day = day_of(agent)
    assert day["wrap_up_seconds"] == 15
    assert day["handle_time"] == {"numerator": 75, "denominator": 1, "window": "today (UTC)", "value": 75.0}
    assert (day["occupancy"]["numerator"], day["occupancy"]["denominator"]) == (75, 175)
    with acting("test", now=later(200)) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.BREAK, "lunch"))
    with acting("test", now=later(230)) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.BUSY, "paperwork"))
    with acting("test", now=later(300)) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.OFFLINE))
    with acting("test", now=later(9_000)) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.AVAILABLE))
    day = day_of(agent)
    assert (day["idle_seconds"], day["break_seconds"], day["busy_seconds"]) == (125, 30, 70)


def test_a_machine_is_handled_and_no_contact(agent):
    call = talk(agent, later(10))
    assert day_of(agent)["contacts"] == 1
    with acting("test", now=later(200)) as act:
        agents.due_wrap_ups(act)
    begin = later(300)
    contact = Contact.objects.filter(status="ready").first()
    call = CallLog.objects.create(
        to_number=contact.number, freeswitch_uuid=str(uuid.uuid4()), agent=agent, campaign=call.campaign,
        contact=contact, initiated_at=begin, machine=True,
    )  # fmt: skip
    calls.answered(at(begin), call, begin)
    calls.bridged(at(begin), call, str(agents.open_leg(agent).leg_uuid), begin)
    calls.ended(at(later(9, begin)), call, "NORMAL_CLEARING", later(9, begin))
    day = day_of(agent)
    assert (day["handled"], day["contacts"]) == (2, 1)


def test_a_state_across_midnight_belongs_to_both_days_and_one_of_a_month_to_the_last_week(agent):
    midnight = NOON.replace(hour=0) + dt.timedelta(days=1)
    Agent.objects.filter(pk=agent.pk).update(status="break", status_since=midnight - dt.timedelta(minutes=10))
    with acting("test", now=midnight + dt.timedelta(minutes=5)) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.AVAILABLE))
    assert day_of(agent)["break_seconds"] == 600
    assert day_of(agent, midnight.date())["break_seconds"] == 300
    AgentDay.objects.all().delete()
    Agent.objects.filter(pk=agent.pk).update(status="break", status_since=midnight - dt.timedelta(days=30))
    with acting("test", now=midnight) as act:
        agents.apply(act, agents.locked(agent.pk), agents.machine.SetState(agents.machine.Status.AVAILABLE))
    assert AgentDay.objects.count() == 7


def test_yesterdays_figures_are_not_todays(agent):
    AgentDay.objects.create(agent=agent, day=selectors.today() - dt.timedelta(days=1), handled=9, talk_ms=9_000)
    assert row_of(agent)["today"]["handled"] == 0
    assert row_of(agent)["today"]["handle_time"]["value"] is None
    AgentDay.objects.create(agent=agent, day=selectors.today(), handled=2, talk_ms=9_000)
    assert row_of(agent)["today"]["handle_time"]["value"] == 4.5


def test_a_hold_that_the_call_ends_is_counted_to_the_end(agent, switch):
    call = place(agent.campaigns.get())[0]
    switch.ring(call)
    switch.answer(call)
    switch.bridge(call)
    call.refresh_from_db()
    switch.tell(f.LegHeld(leg=str(call.agent_leg.leg_uuid), at=int(time.time() * 1_000_000)))
    call.refresh_from_db()
    assert call.held_at is not None
    switch.end(call)
    call.refresh_from_db()
    assert call.held_at is None
    assert 0 < call.hold_ms <= round((call.ended_at - call.bridged_at).total_seconds() * 1000)


def test_a_call_counts_from_the_join_on_and_stays_counted_when_it_goes_on_elsewhere(agent, switch):
    campaign = agent.campaigns.get()
    call = place(campaign)[0]
    switch.ring(call)
    switch.answer(call)
    assert row_of(agent)["calls_today"] == 0
    switch.bridge(call)
    assert row_of(agent)["calls_today"] == 1
    with acting("test") as act:
        calls.transferred(act, CallLog.objects.get(pk=call.pk))
    assert row_of(agent)["call_id"] is None
    assert (row_of(agent)["calls_today"], row_of(agent)["today"]["handled"]) == (1, 1)
    with acting("test", now=timezone.now() + dt.timedelta(minutes=5)) as act:
        agents.due_wrap_ups(act)
    late = place(campaign)[0]
    # Placed before midnight and joined after it.
    CallLog.objects.filter(pk=late.pk).update(initiated_at=timezone.now() - dt.timedelta(days=1))
    switch.ring(late)
    switch.answer(late)
    switch.bridge(late)
    assert row_of(agent)["calls_today"] == 2
    switch.end(late)
    assert (row_of(agent)["calls_today"], row_of(agent)["today"]["handled"]) == (2, 2)


def test_an_agents_row_names_their_team_and_the_campaign_of_their_call(agent, switch):
    agent.team = Team.objects.create(code="north", name="North")
    agent.save()
    campaign = agent.campaigns.get()
    assert row_of(agent)["campaign_id"] is None
    call = place(campaign)[0]
    row = row_of(agent)
    assert (row["team"], row["team_name"], row["campaign_id"]) == ("north", "North", str(campaign.campaign_id))
    told = floor_rows.call_rows([call.pk])[0]
    assert (told["team"], told["decision_id"]) == ("north", call.decision_id)
    assert call.decision_id is not None


def test_rows_of_three_hundred_agents_cost_as_many_queries_as_of_one():
    people = make_agents(300)
    make_campaign(people, contacts=1)
    AgentDay.objects.bulk_create(AgentDay(agent=one, day=selectors.today(), handled=1) for one in people)
    costs = []
    for some in (people[:1], people):
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert len(floor_rows.agent_rows([one.pk for one in some])) == len(some)
        costs.append(len(found))
    assert costs[0] == costs[1] <= 9


# --- A campaign -------------------------------------------------------------------------------------------------------


def test_a_campaigns_day_counts_waits_and_its_rates_leave_machines_out(agent):
    campaign = agent.campaigns.get()
    for n, wait in enumerate((0.04, 0.3, 1.9, 2.5)):
        talk(agent, later(1_000 * n), wait=wait)
        with acting("test", now=later(1_000 * n + 500)) as act:
            agents.due_wrap_ups(act)
    day = CampaignDay.objects.get(campaign=campaign, day=NOON.date())
    assert (sum(day.waits), day.wait_ms, day.connected, day.abandoned) == (4, 4_740, 4, 1)
    CampaignDay.objects.filter(pk=day.pk).update(attempts=40, answered=10, machines=2, machines_connected=1)
    day.refresh_from_db()
    told = row_figures.campaign_today(day)
    assert (told["today"]["people"], told["today"]["contacts"], told["today"]["abandoned"]) == (8, 3, 1)
    assert told["answer_rate"]["value"] == 0.25
    assert told["contact_rate"]["value"] == 0.075
    assert told["abandon_rate"]["value"] == 0.125


def test_a_contact_is_tried_and_reached_once_however_often_they_are_called(agent, switch):
    campaign = agent.campaigns.get()
    rate = lambda: floor_rows.campaign_rows([campaign.pk])[0]["contact_rate_per_contact"]  # noqa: E731
    first = place(campaign)[0]
    assert (rate()["numerator"], rate()["denominator"], rate()["value"]) == (0, 1, 0.0)
    switch.ring(first)
    switch.answer(first)
    switch.bridge(first)
    switch.end(first)
    assert (rate()["numerator"], rate()["denominator"], rate()["value"]) == (1, 1, 1.0)
    again = CallLog.objects.create(
        to_number=first.to_number, freeswitch_uuid=str(uuid.uuid4()), campaign=campaign, contact=first.contact,
        initiated_at=timezone.now(), answered_at=timezone.now(), bridged_at=timezone.now(), attempt_number=2,
    )  # fmt: skip
    switch.end(again)
    assert (rate()["numerator"], rate()["denominator"]) == (1, 1)
    # Nobody was called: the attempt is taken back.
    with acting("test", now=timezone.now() + dt.timedelta(minutes=1)) as act:
        agents.due_wrap_ups(act)
    other = place(campaign)[0]
    assert rate()["denominator"] == 2
    with acting("test") as act:
        calls.ended(act, calls.locked(other.freeswitch_uuid), "REFUSED", timezone.now(), reached=False)
    other.refresh_from_db()
    assert (other.outcome, rate()["denominator"]) == ("not_dialled", 1)


def test_the_forecast_is_the_pace_of_the_last_hour_and_none_without_one(agent):
    campaign = agent.campaigns.get()
    forecast = lambda: floor_rows.campaign_rows([campaign.pk])[0]["forecast"]  # noqa: E731
    assert forecast() is None
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    CampaignMinute.objects.create(campaign=campaign, minute=minute - dt.timedelta(minutes=70), finished=500)
    assert forecast() is None
    CampaignMinute.objects.create(campaign=campaign, minute=minute - dt.timedelta(minutes=30), finished=30)
    CampaignMinute.objects.create(campaign=campaign, minute=minute, finished=10)
    campaign.target_list.total_contacts, campaign.target_list.processed_contacts = 200, 40
    campaign.target_list.save()
    found = forecast()
    assert 75 <= found["per_hour"] <= 80  # 40 in 30 to 31 minutes
    hours = (found["ends_at"] / 1000 - now.timestamp()) / 3600
    assert 160 / 80 <= hours <= 160 / 75 + 300 / 3600
    campaign.target_list.processed_contacts = 200
    campaign.target_list.save()
    assert forecast() is None


def test_a_contact_the_list_is_done_with_is_counted_in_its_minute(agent):
    talk(agent, later(10))
    assert CampaignMinute.objects.get(finished__gt=0).minute == NOON + dt.timedelta(minutes=1)


def test_a_campaigns_contacts_are_those_of_the_stored_census_with_its_time(agent):
    campaign = agent.campaigns.get()
    row = lambda: floor_rows.campaign_rows([campaign.pk])[0]  # noqa: E731
    assert row()["contacts"] == {}
    ready = list(campaign.target_list.contacts.order_by("pk"))
    Contact.objects.filter(pk__in=[one.pk for one in ready[:3]]).update(
        next_attempt_at=timezone.now() + dt.timedelta(hours=2)
    )
    Contact.objects.filter(pk=ready[3].pk).update(
        blocked_by="calling_hours", next_attempt_at=timezone.now() + dt.timedelta(hours=1)
    )
    census.refresh(campaign)
    told = row()["contacts"]
    assert (told["ready"], told["later"], told["blocked"], told["more"]) == (16, 3, {"calling_hours": 1}, False)
    assert abs(told["at"] / 1000 - time.time()) < 30
    assert row()["limits"] == {
        "max_lines": 100, "calls_per_second": None, "power_ratio": 2.0, "ring_timeout": 25,
    }  # fmt: skip


def test_the_census_of_active_campaigns_is_asked_for_when_it_is_older_than_half_a_minute_and_of_others_never(
    agent, monkeypatch
):
    asked = []
    monkeypatch.setattr(census.current_app, "send_task", lambda name, **more: asked.append(more["args"]))
    active = agent.campaigns.get()
    make_campaign([], contacts=1, name="Paused", status="paused", offset=500)
    census.keep_fresh()
    census.keep_fresh()
    assert asked == [[active.pk]]
    census.refresh(active)
    census.keep_fresh()
    assert len(asked) == 1
    kept = census.cached(active)
    kept["at"] = (timezone.now() - dt.timedelta(seconds=census.BOARD_SECONDS + 1)).isoformat()
    cache.set(f"census:{active.campaign_id}", kept, 60)
    census.keep_fresh()
    assert len(asked) == 2


# --- Queues -----------------------------------------------------------------------------------------------------------


def test_a_queues_delay_is_the_age_of_the_task_that_is_read_next():
    client, now = streams.shared(), time.time()
    assert queues.delay_ms(client, "q", now) == 0
    for age in (3.0, 1.0):
        headers = {}
        queues.stamp(headers)
        headers[queues.QUEUED_AT] = now - age
        queues.stamp(headers)  # given back: it keeps its time
        client.lpush("q", json.dumps({"headers": headers}))
    assert queues.delay_ms(client, "q", now) == 3_000
    client.rpush("q", "no task")
    assert queues.delay_ms(client, "q", now) is None


def test_tasks_are_stamped_as_they_are_put_on_a_queue():
    from celery import current_app

    current_app.send_task("dialer.tasks.process_dialer_logic")
    client = streams.shared()
    wait_until(lambda: client.llen("dialer_queue"), "the task")
    assert 0 <= queues.delay_ms(client, "dialer_queue", time.time()) < 20_000


def test_orders_that_no_bridge_has_read_are_counted_with_their_age():
    client, now = streams.shared(), time.time()
    assert streams.orders_waiting(client, now) == {"at": now, "queue": 0, "delay_ms": 0}
    client.xgroup_create(streams.ORDERS, streams.ORDERS_GROUP, id="0", mkstream=True)
    for age in (4_000, 2_000):
        client.xadd(streams.ORDERS, {"o": "{}"}, id=f"{int(now * 1000) - age}-0")
    found = streams.orders_waiting(client, now)
    assert (found["queue"], found["delay_ms"]) == (2, 4_000)
    client.xreadgroup(streams.ORDERS_GROUP, "bridge", {streams.ORDERS: ">"})
    assert streams.orders_waiting(client, now)["queue"] == 0


def test_everything_the_floor_reads_is_understood_by_the_projection(agent, switch):
    """Every field a selector gives has the type the protocol says."""
    from console.projection import Projection

    place(agent.campaigns.get())
    census.refresh(agent.campaigns.get())
    projection = Projection()
    for kind, rows in floor.read_everything(streams.shared()).items():
        assert projection.replace(kind, rows, 0) == []
    assert projection.agents and projection.records and projection.campaigns
