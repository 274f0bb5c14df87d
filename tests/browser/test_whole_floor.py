"""The whole product in a browser: a click on a page changes what the switch is told to do."""

import datetime as dt
import json

import pytest
from celery import current_app
from django.utils import timezone
from playwright.sync_api import expect

from dialer.models import Agent, CallLog, Contact, DialerCampaign, DialerTargetList, ReasonCode
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import make_user
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

AGENTS = 6
# Long enough for every process to start on a loaded machine.
START_SECONDS = 90.0
TICKS_SECONDS = 3.0


def make_floor() -> DialerCampaign:
    contacts = DialerTargetList.objects.create(name="Flow", total_contacts=1000)
    due = timezone.now() - dt.timedelta(minutes=1)
    Contact.objects.bulk_create(
        Contact(target_list=contacts, number=f"+1646555{n:04d}", name=f"Customer {n}", next_attempt_at=due)
        for n in range(1000)
    )
    campaign = DialerCampaign.objects.create(
        name="Flow", target_list=contacts, status="active", wrap_up_seconds=1, calls_per_agent_per_hour=3600
    )
    agents = [
        Agent.objects.create(agent_id=f"agent_{n}", name=f"Agent Number{n}", extension=str(900 + n))
        for n in range(101, 101 + AGENTS)
    ]
    campaign.assigned_agents.set(agents)
    for agent in agents:
        command = {"actor": "test", "agent_id": agent.agent_id, "state": "available"}
        current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})
    return campaign


def dialer_beat() -> float:
    return float(json.loads(streams.shared().get(f"{streams.HEARTBEAT_PREFIX}dialer") or b'{"at": 0}')["at"])


def invites(run: Processes) -> int:
    """Customers the switch was told to call, by its own log."""
    lines = map(json.loads, run.invites.read_text().splitlines()) if run.invites.exists() else ()
    return sum(1 for line in lines if line["event"] == "invite" and line["kind"] == "customer")


@pytest.mark.timeout(400)
def test_an_agent_clicked_to_break_gets_no_call_and_a_paused_campaign_dials_nobody(tab, tmp_path):
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    campaign = make_floor()
    agent = Agent.objects.get(agent_id="agent_101")
    agent.user = make_user("agent_101")
    agent.save(update_fields=["user"])
    with Processes(tmp_path) as run:
        run.backend("--speed", "3", "--seed", "11")
        run.manage("floor", "run_floor_publisher")
        board = tab(make_user("sup", supervisor=True)).open("/console/")
        panel = tab(agent.user).open("/console/agent/")
        wait_until(lambda: CallLog.objects.filter(bridged_at__isnull=False).count() >= 3, "calls joined", START_SECONDS)
        expect(board.locator("#fresh")).to_have_attribute("data-state", "live", timeout=30_000)

        panel.locator("#state-break-lunch").click()
        expect(panel.locator("#commands .command").first).to_contain_text("pplied", timeout=30_000)
        wait_until(lambda: Agent.objects.get(pk=agent.pk).status == "break", "the agent is on a break", START_SECONDS)
        expect(panel.locator("#me")).to_contain_text("Break", timeout=30_000)
        expect(board.locator("#agents .card", has_text="Agent Number101")).to_contain_text("Break", timeout=30_000)
        before = CallLog.objects.filter(agent=agent).count()
        others = CallLog.objects.exclude(agent=agent).count()
        wait_until(
            lambda: CallLog.objects.exclude(agent=agent).count() >= others + 10, "others are called on", START_SECONDS
        )
        assert CallLog.objects.filter(agent=agent).count() == before, "an agent on a break receives no call"

        board.get_by_role("button", name="Pause").click()
        expect(board.locator("#campaigns .campaign")).to_contain_text("Paused", timeout=30_000)
        campaign.refresh_from_db()
        assert campaign.status == "paused"
        # What was ordered before the pause was committed has reached the switch by then, or never will.
        wait_until(lambda: not CallLog.objects.filter(status="initiated").exists(), "no order under way", START_SECONDS)
        dialled, since = invites(run), dialer_beat()
        wait_until(lambda: dialer_beat() > since + TICKS_SECONDS, "the dialer decides on")
        assert invites(run) == dialled == CallLog.objects.count(), "a paused campaign dials nobody"
