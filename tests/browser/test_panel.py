"""The agent's panel in a real browser, on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dialer.models import Agent, ReasonCode
from tests.browser.conftest import PHONE
from tests.browser.test_board import live, make_call
from tests.fakes.console import announce_agent, make_user, publishing, set_status
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


@pytest.fixture
def agent() -> Agent:
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    agent = make_agents(1)[0]
    make_campaign([agent], name="Spring")
    make_user("ann", agent=agent)
    return agent


def panel(tab: Any, agent: Agent) -> Page:
    page = tab(agent.user, PHONE).open("/")
    live(page)
    return page


def test_my_state_my_call_and_my_softphone_follow(tab, agent):
    with publishing():
        page = panel(tab, agent)
        expect(page.locator("#me")).to_contain_text("Offline")
        agent.softphone = "lost"
        agent.save()
        set_status(agent, "available")
        expect(page.locator("#me")).to_contain_text("Available")
        expect(page.locator("#me")).to_contain_text("lost")
        expect(page.get_by_role("button", name="Available")).to_have_attribute("aria-pressed", "true")
        make_call(agent, "bridged", "Grace Hopper")
        expect(page.locator("#mycall")).to_contain_text("Grace Hopper")
        expect(page.locator("#mycall")).to_contain_text("Spring")
        expect(page.get_by_role("button", name="Hold")).to_be_enabled()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_pending_state_is_shown_and_can_be_cancelled(tab, agent):
    with publishing():
        page = panel(tab, agent)
        Agent.objects.filter(pk=agent.pk).update(pending_status="break", pending_reason="lunch", status="on_call")
        agent.refresh_from_db()
        announce_agent(agent)
        expect(page.locator("#me")).to_contain_text("Next: break (lunch)")
        expect(page.locator("#oncall-hint")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#commands")).to_contain_text("queued")


def test_choosing_a_break_goes_through_the_worker(tab, agent, web):
    web.worker("dialer_queue")
    try:
        with publishing():
            page = panel(tab, agent)
            page.get_by_role("button", name="Break Lunch").click()
            expect(page.locator("#commands")).to_contain_text("applied", timeout=40_000)
            expect(page.locator("#me")).to_contain_text("Break")
            expect(page.locator("#me")).to_contain_text("lunch")
    finally:
        web.stop("dialer_queue")


def test_other_agents_are_not_on_my_panel(tab, agent):
    other = make_agents(1, first=150)[0]
    with publishing():
        page = panel(tab, agent)
        set_status(other, "break")
        set_status(agent, "available")
        expect(page.locator("#me")).to_contain_text("Available")
        assert other.name not in page.content()
