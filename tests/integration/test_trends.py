"""The last 60 minutes: the same definitions as everywhere, gaps where nobody looked, for whom it concerns only."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console import trend_minutes, trends
from console.floor_state import FloorState
from console.models import OccupancyMinute
from console.rows import AgentRow, CampaignRow
from dialer.models import CallLog, Team
from tests.conftest import wait_until
from tests.fakes.console import make_user, published, publishing
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
NOW = dt.datetime(2026, 3, 2, 12, 30, 20, tzinfo=dt.UTC)


def call(at: dt.datetime, campaign: Any = None, answered: float | None = None, wait: float | None = None, **more: Any):
    """A call that is over. answered: seconds after it was placed; wait: from then to the agent."""
    told = at + dt.timedelta(seconds=answered) if answered is not None else None
    return CallLog.objects.create(
        freeswitch_uuid=str(uuid.uuid4()), to_number="+12125550100", campaign=campaign, initiated_at=at,
        answered_at=told, bridged_at=told + dt.timedelta(seconds=wait) if told and wait is not None else None,
        ended_at=at + dt.timedelta(minutes=1), status="completed", **more,
    )  # fmt: skip


def minute(ago: int) -> dt.datetime:
    return NOW.replace(second=5) - dt.timedelta(minutes=ago)


def test_each_minute_has_its_own_figures_and_an_unwatched_one_has_none():
    for wait in (0.2, 0.4, 3.0):
        call(minute(5), answered=10, wait=wait)
    call(minute(5), answered=10, abandoned=True)
    call(minute(5), answered=10, abandoned=True, machine=True)
    call(minute(5))
    OccupancyMinute.objects.create(
        minute=NOW.replace(second=0) - dt.timedelta(minutes=3), busy_seconds=30, idle_seconds=10
    )
    found = trends.read(None, NOW)
    newest = NOW.replace(second=0) - dt.timedelta(minutes=1)
    assert len(found["minutes"]) == 60 and found["minutes"][-1] == int(newest.timestamp() * 1000)
    at = {name: values[-5] for name, values in found["series"].items()}
    assert at == {
        "calls": 6, "answered": 5, "abandoned": 1, "answer_rate": round(5 / 6, 4), "occupancy": None,
        "wait_p50": 400, "wait_p95": 3000,
    }  # fmt: skip
    watched = {name: values[-3] for name, values in found["series"].items()}
    assert watched == {
        "calls": 0, "answered": 0, "abandoned": 0, "answer_rate": None, "occupancy": 0.75, "wait_p50": None,
        "wait_p95": None,
    }  # fmt: skip
    assert all(values[-4] is None for values in found["series"].values()), "nobody watched: a gap, not zero"


def test_a_call_that_was_answered_in_the_next_minute_waits_there_and_counts_where_it_was_placed():
    call(minute(5).replace(second=50), answered=20, wait=1)
    series = trends.read(None, NOW)["series"]
    assert (series["calls"][-5], series["answer_rate"][-5], series["wait_p50"][-5]) == (1, 1.0, None)
    assert (series["calls"][-4], series["wait_p50"][-4]) == (0, 1000)


def test_a_campaign_has_trends_of_its_own_and_a_supervisor_of_a_team_those_of_their_part():
    agents = make_agents(2)
    team = Team.objects.create(code="red", name="Red")
    agents[0].team = team
    agents[0].save()
    ours, theirs = make_campaign(agents[:1], 1, "Ours"), make_campaign(agents[1:], 1, "Theirs", offset=100)
    now = timezone.now() - dt.timedelta(minutes=2)
    for campaign, calls in ((ours, 2), (theirs, 3)):
        for _ in range(calls):
            call(now, campaign)
    boss, part, ann = make_user("boss", supervisor=True), make_user("part"), make_user("ann", agent=agents[1])
    team.supervisors.add(part)

    def asked(user: Any, campaign: str = "") -> Any:
        client = Client()
        if user is not None:
            client.force_login(user)
        return client.get(reverse("console:trends"), {"campaign": campaign} if campaign else {})

    def calls_of(answer: Any) -> int:
        assert answer.status_code == 200
        return sum(filter(None, answer.json()["series"]["calls"]))

    assert calls_of(asked(boss)) == 5
    assert calls_of(asked(boss, str(theirs.campaign_id))) == 3
    assert calls_of(asked(part)) == calls_of(asked(part, str(ours.campaign_id))) == 2
    assert asked(part, str(theirs.campaign_id)).status_code == 404
    assert asked(boss, "no-uuid").status_code == 404
    assert asked(ann).status_code == 403
    assert asked(None).status_code == 302


def test_an_hours_trends_cost_three_queries_and_for_ten_seconds_none(django_assert_num_queries):
    for ago in range(20):
        call(minute(ago), answered=3, wait=1)
    with django_assert_num_queries(3):
        first = trends.cached(None, NOW)
    with django_assert_num_queries(0):
        assert trends.cached(None, NOW) == first


def test_occupancy_is_the_seconds_that_were_seen_and_a_gap_adds_nothing():
    start = int(NOW.timestamp() * 1000)
    row = AgentRow(id="a", name="a", extension="1", status="on_call", campaigns=("c", "old"))
    agents = {
        "a": row,
        "b": AgentRow(id="b", name="b", extension="2", status="available", campaigns=("c",)),
        "d": AgentRow(id="d", name="d", extension="3", status="break", campaigns=("c",)),
    }
    floor = FloorState("1.1", 0, 0, agents, {}, {"c": CampaignRow(id="c", name="c", status="active")}, {})
    counting = trend_minutes.Occupancy()
    for seconds in (0, 1, 2, 3, 33, 34):
        counting.look(floor, start + 1000 * seconds)
    counting.write(start + 34_000)
    rows = set(OccupancyMinute.objects.values_list("campaign", "busy_seconds", "idle_seconds"))
    assert rows == {("", 4, 4), ("c", 4, 4)}
    again = trend_minutes.Occupancy()
    again.look(floor, start + 35_000)
    again.look(floor, start + 36_000)
    again.write(start + 36_000)
    assert OccupancyMinute.objects.get(campaign="").busy_seconds == 5, "a publisher that takes over adds to the minute"


def test_the_publisher_writes_what_it_sees(monkeypatch):
    monkeypatch.setattr(trend_minutes, "WRITE_SECONDS", 0.5)
    make_agents(2)
    with publishing():
        wait_until(published, "a snapshot")
        wait_until(lambda: OccupancyMinute.objects.filter(campaign="").exists(), "a minute of occupancy")


def test_minutes_of_occupancy_go_when_no_trend_reads_them(capsys):
    for hours in (30, 25, 1):
        OccupancyMinute.objects.create(minute=timezone.now() - dt.timedelta(hours=hours))
    call_command("retention")
    assert "minutes of occupancy: 2 removed" in capsys.readouterr().out
    assert OccupancyMinute.objects.count() == 1
