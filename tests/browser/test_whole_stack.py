"""Everything at once: simulated switch, bridge, ingest, both workers, floor publisher and a supervisor's browser."""

import json

import pytest
from playwright.sync_api import Page, expect

from dialer.models import Agent, CallLog, DialerCampaign, ReasonCode
from tests.browser.test_board import card, live
from tests.conftest import wait_until
from tests.fakes.console import make_user
from tests.fakes.floor import make_working_floor
from tests.fakes.processes import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]

AGENTS = 3
# The fifth digit from the end says what the customer does: 7 answers and talks for 30 s (tests/data/esl/README.md), at
# five times the speed long enough to be held and hung up.
TALKS = "7"


@pytest.fixture
def campaign() -> DialerCampaign:
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    return make_working_floor([f"+121255{TALKS}{n:04d}" for n in range(400)], AGENTS)


def customers_invited(run: Processes) -> int:
    """Customers that the switch was told to call, by its own log."""
    lines = map(json.loads, run.invites.read_text().splitlines())
    return sum(line["event"] == "invite" and line["kind"] == "customer" for line in lines)


def choose(page: Page, agent: Agent, choice: str) -> None:
    card(page, agent).get_by_role("button").click()
    page.locator("#menu").get_by_role("button", name=choice, exact=True).click()


def test_an_agent_on_break_gets_no_calls_and_a_paused_campaign_places_none(tab, web, campaign):
    agents = list(Agent.objects.order_by("agent_id"))
    opened = tab(make_user("sup", supervisor=True))
    services = ("simulator", "bridge", "ingest", "default", "dialer_queue", "floor")
    try:
        web.backend("--speed", "5")
        web.manage("floor", "run_floor_publisher")
        page = opened.open("/console/")
        expect(page.locator("#agents .card")).to_have_count(AGENTS, timeout=60_000)
        live(page)
        # Everybody starts to work by a click.
        for agent in agents:
            choose(page, agent, "Available")
        expect(page.locator("#agents .card[data-state=on_call]")).to_have_count(AGENTS, timeout=60_000)
        expect(page.locator("#calls .call", has_text="Talking").first).to_be_visible()
        expect(page.locator("#health .down")).to_have_count(0)

        resting, working = agents[0], agents[1:]
        choose(page, resting, "Break · Lunch")
        expect(card(page, resting)).to_have_attribute("data-state", "break", timeout=60_000)
        expect(card(page, resting)).to_contain_text("lunch")
        last = CallLog.objects.filter(agent=resting).count()
        others = CallLog.objects.filter(agent__in=working).count()
        wait_until(lambda: CallLog.objects.filter(agent__in=working).count() >= others + 4, "calls for the others", 90)
        assert CallLog.objects.filter(agent=resting).count() == last
        expect(card(page, resting)).to_have_attribute("data-state", "break")

        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#campaigns .campaign")).to_have_attribute("data-state", "paused", timeout=30_000)
        placed = CallLog.objects.count()
        wait_until(lambda: not CallLog.objects.filter(status="initiated").exists(), "no order is under way", 30)
        invited = customers_invited(web)
        expect(page.locator("#calls .call")).to_have_count(0, timeout=60_000)
        for agent in working:
            expect(card(page, agent)).to_have_attribute("data-state", "available", timeout=60_000)
        # Everybody is free: an active campaign would have dialled at once. Three more signs of life, and still nothing.
        seq = int(page.locator("#beat").get_attribute("data-seq"))
        wait_until(lambda: int(page.locator("#beat").get_attribute("data-seq")) > seq + 3, "three more frames")
        assert CallLog.objects.count() == placed
        assert customers_invited(web) == invited, "by the switch's own log, too"

        page.get_by_role("button", name="Start").click()
        wait_until(lambda: CallLog.objects.count() > placed, "calls again", 60)
        _hold_and_hang_up(tab, working[0])
    finally:
        for name in reversed(services):
            if name in web.running:
                web.stop(name)


def _hold_and_hang_up(tab, agent: Agent) -> None:
    """The agent's own panel, through the switch and back."""
    mine = tab(make_user("ann", agent=Agent.objects.get(pk=agent.pk))).open("/console/agent/")
    live(mine)
    expect(mine.locator("#mycall")).to_contain_text("Talking", timeout=60_000)
    customer = mine.locator("#mycall .customer").inner_text()
    mine.get_by_role("button", name="Hold", exact=True).click()
    expect(mine.locator("#commands")).to_contain_text("applied", timeout=30_000)
    mine.get_by_role("button", name="Hang up").click()
    expect(mine.locator("#mycall")).not_to_contain_text(customer, timeout=30_000)
