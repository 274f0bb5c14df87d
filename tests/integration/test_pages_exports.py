"""Calls, agents' days and campaigns' days as CSV and JSON: who may, what is in them, what is written down."""

import csv
import datetime as dt
import io
import json

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from console.models import Right
from dialer import row_figures
from dialer.figures import DEFINITIONS
from dialer.models import AgentDay, CampaignDay, ExportRun
from tests.fakes.console import make_team, make_user
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.pages import made
from tests.fakes.story import HOSTILE, told_call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
TODAY = timezone.now().date()


def taken(client: Client, what: str, **asked) -> str:
    answer = client.get(f"/console/export/{what}", asked)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Disposition"].startswith("attachment;")

    async def whole() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(whole)().decode()


def rows_of(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """(what the columns mean, rows) of a CSV."""
    names, meanings, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    return dict(zip(names, meanings, strict=True)), [dict(zip(names, row, strict=True)) for row in rows]


def test_only_those_who_may_take_out_do(browser):
    agents = make_agents(1)
    for client in (Client(), browser):
        client.force_login(make_user(f"no{id(client)}", agent=agents[0] if client is browser else None, group="viewer"))
        for what in ("calls.csv", "calls.json", "agents.csv", "campaigns.json"):
            assert client.get(f"/console/export/{what}").status_code == 403
    assert not ExportRun.objects.exists()


def test_there_is_nothing_else_to_take_out(browser):
    for what in ("contacts.csv", "calls.xml", "users.json", "calls.", "agents.csv?since=soon", "calls.csv?agent=x"):
        assert browser.get(f"/console/export/{what}").status_code == 404
    assert not ExportRun.objects.exists()


def test_calls_are_taken_out_as_the_page_filters_them(browser):
    agents = make_agents(1)
    call = told_call(agents[0], make_campaign(agents, contacts=1))
    made(call.campaign, outcome="busy", to_number="+12125559999")
    columns, rows = rows_of(taken(browser, "calls.csv", outcome="conversation"))
    assert [row["call_id"] for row in rows] == [str(call.call_id)]
    assert rows[0]["number"] == "'+1212***00" and rows[0]["disposition"] == "sale"
    assert columns["talk_seconds"].startswith("from joining")
    run = ExportRun.objects.get()
    assert (run.what, run.actor, run.rows, run.full_numbers) == ("calls", "sup", 1, False)
    assert run.filters == {"outcome": "conversation"} and run.ended_at is not None
    both = json.loads(taken(browser, "calls.json"))
    assert [row["outcome"] for row in both["rows"]] == ["conversation", "busy"]
    assert both["rows"][0]["wait_seconds"] == pytest.approx(0.42, abs=0.01)
    assert both["columns"]["abandoned"] == "answered, and no agent within 2 s"


def test_full_numbers_are_a_permission_of_their_own(browser):
    made(make_campaign([], contacts=0))
    boss = make_user("boss", supervisor=True)
    boss.user_permissions.add(Permission.objects.get(codename="export_full_numbers"))
    browser.force_login(boss)
    assert json.loads(taken(browser, "calls.json"))["rows"][0]["number"] == "+1212***00"
    Right.objects.create(user=boss, permission="full_numbers", given=True)
    assert json.loads(taken(browser, "calls.json"))["rows"][0]["number"] == "+12125550100"
    boss.user_permissions.clear()
    assert json.loads(taken(browser, "calls.json"))["rows"][0]["number"] == "+1212***00", "they may read them still"


def test_days_carry_the_figures_of_the_board_with_their_definitions(browser):
    [agent] = make_agents(1)
    campaign = make_campaign([agent], contacts=1)
    day = AgentDay.objects.create(
        agent=agent, day=TODAY, talk_ms=600_000, hold_ms=60_000, wrap_up_ms=40_000, idle_ms=700_000, handled=5
    )
    AgentDay.objects.create(agent=agent, day=TODAY - dt.timedelta(days=1), handled=1)
    counted = CampaignDay.objects.create(
        campaign=campaign, day=TODAY, attempts=20, answered=8, connected=6, abandoned=1, machines=1, wait_ms=3_000,
        waits=[4, 2, *([0] * 14)],
    )  # fmt: skip
    columns, [row] = rows_of(taken(browser, "agents.csv"))
    board = row_figures.agent_today(day)
    assert (row["agent"], row["handled"], row["idle_seconds"]) == ("agent_101", "5", "700")
    assert float(row["average_handle_time"]) == board["handle_time"]["value"] == 140
    assert float(row["occupancy"]) == board["occupancy"]["value"] == 0.5
    assert (row["occupancy_numerator"], row["occupancy_denominator"]) == ("700", "1400")
    for name in ("average_handle_time", "occupancy", "utilisation", "calls_per_agent_hour"):
        assert DEFINITIONS[name].formula in columns[name] and DEFINITIONS[name].source in columns[name]
    told = json.loads(taken(browser, "campaigns.json"))
    [row] = told["rows"]
    board = row_figures.campaign_today(counted)
    for name in ("answer_rate", "contact_rate", "abandon_rate"):
        assert row[name] == board[name]["value"] and row[f"{name}_denominator"] == board[name]["denominator"]
    assert row["average_speed_of_answer"] == 0.5 and row["wait_p95_ms"] == 100
    assert DEFINITIONS["service_level"].formula in told["columns"]["service_level"]
    both = rows_of(taken(browser, "agents.csv", since=f"{TODAY - dt.timedelta(days=1)}", until=f"{TODAY}"))[1]
    assert len(both) == 2
    # Nothing to divide by is nothing, not 0.
    assert {row["occupancy"] for row in both if row["handled"] == "1"} == {""}


def test_nothing_in_a_csv_is_run_by_a_spreadsheet(browser):
    [agent] = make_agents(1)
    agent.name = "=HYPERLINK(1)"
    agent.save()
    AgentDay.objects.create(agent=agent, day=TODAY)
    told_call(agent, make_campaign([agent], contacts=1, name="@SUM(A1)"), hostile=f"={HOSTILE}")
    for what in ("agents.csv", "calls.csv"):
        meanings, rows = rows_of(taken(browser, what))
        cells = [cell for row in [meanings, *rows] for cell in row.values()]
        assert not any(cell.lstrip().startswith(tuple("=+-@\t\r|%")) for cell in cells)
    assert json.loads(taken(browser, "agents.json"))["rows"][0]["name"] == "=HYPERLINK(1)"


def test_a_team_supervisor_takes_out_their_part(browser):
    ann, bob = make_agents(2)
    ours = make_campaign([ann], contacts=0)
    theirs = make_campaign([bob], contacts=0, name="Other")
    lead = make_user("lead")
    make_team("red", [ann], [lead])
    browser.force_login(lead)
    for agent, campaign, number in ((ann, ours, "+12125550001"), (bob, theirs, "+12125550002")):
        AgentDay.objects.create(agent=agent, day=TODAY)
        CampaignDay.objects.create(campaign=campaign, day=TODAY)
        made(campaign, agent=agent, to_number=number)
    for what, key, own in (("agents", "agent", "agent_101"), ("campaigns", "campaign", "Spring")):
        assert [row[key] for row in json.loads(taken(browser, f"{what}.json"))["rows"]] == [own]
    assert [row["agent"] for row in json.loads(taken(browser, "calls.json"))["rows"]] == ["agent_101"]


def test_an_empty_file_is_whole(browser):
    told = json.loads(taken(browser, "calls.json"))
    assert told["rows"] == [] and "call_id" in told["columns"]
    assert rows_of(taken(browser, "campaigns.csv"))[1] == []
