"""The agent's panel in a real browser, on a phone."""

import datetime as dt
import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import Agent, Callback, ReasonCode
from tests.browser.conftest import LAPTOP
from tests.browser.panel_page import fits, live, make_call, panel, picture, talk
from tests.conftest import wait_until
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
        assert fits(page)


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


def test_a_call_is_disposed_of_with_two_keys_and_what_was_typed_survives_updates(tab, agent, web):
    set_up_dispositions()
    web.worker("dialer_queue")
    try:
        with publishing():
            page = panel(tab, agent)
            call = talk(agent)
            expect(page.locator("#disposing")).to_contain_text("Grace <b>Hopper</b>")
            assert fits(page)
            page.get_by_label("Notes").fill("sends the contract; s")
            expect(page.get_by_role("radio", checked=True)).to_have_count(0)
            set_status(agent, "busy", "wrap_up")
            expect(page.locator("#me")).to_contain_text("Wrap-up")
            expect(page.get_by_label("Notes")).to_have_value("sends the contract; s")
            page.locator("h1").focus()
            page.get_by_label("Notes").blur()
            page.keyboard.press("s")
            expect(page.get_by_role("radio", name="Sale")).to_be_focused()
            page.keyboard.press("Enter")
            expect(page.locator("#commands")).to_contain_text("applied", timeout=40_000)
            expect(page.locator("#disposing-given")).to_have_text("Sale")
            call.refresh_from_db()
            assert (call.disposition.code, call.disposition_notes) == ("sale", "sends the contract; s")
            assert call.disposed_by == agent.user.get_username()
            assert fits(page)
    finally:
        web.stop("dialer_queue")


def test_an_appointment_asks_for_its_time_in_the_agents_zone(tab, agent, web):
    set_up_dispositions()
    web.worker("dialer_queue")
    try:
        with publishing():
            page = panel(tab, agent, LAPTOP)
            call = talk(agent)
            page.get_by_text("Call back", exact=True).click()
            expect(page.get_by_label("Call back at")).not_to_have_value("")
            page.get_by_label("I call back myself").uncheck()
            page.get_by_role("button", name="Save").click()
            wait_until(lambda: Callback.objects.exists(), "the appointment", 40)
            row = Callback.objects.get()
            assert row.contact_id == call.contact_id and row.agent is None
            minutes = (row.at - call.initiated_at).total_seconds() / 60
            assert 55 < minutes < 90
    finally:
        web.stop("dialer_queue")


def test_a_server_that_fails_as_the_call_comes_is_asked_again_for_the_customer_and_the_form(tab, agent):
    set_up_dispositions()
    opened = tab(agent.user)
    parts = re.compile("/console/mycall/|/disposition/$")
    with publishing():
        page = opened.open("/")
        live(page)
        page.route(parts, lambda route: route.fulfill(status=502))
        talk(agent)
        expect(page.locator("#record")).to_contain_text("The server does not send the customer")
        expect(page.locator("#disposing")).to_contain_text("The server does not send the form")
        assert fits(page)
        picture(page, "panel-late")
        page.unroute(parts)
        expect(page.locator("#h-record")).to_have_text("Grace <b>Hopper</b>")
        expect(page.locator("#disposing-who")).to_have_text("Grace <b>Hopper</b>")
        expect(page.get_by_label("Notes")).to_be_visible()
    opened.errors = [text for text in opened.errors if "502" not in text]


def test_hot_keys_can_be_turned_off(tab, agent):
    set_up_dispositions()
    with publishing():
        page = panel(tab, agent)
        talk(agent)
        page.get_by_label("Hot keys").uncheck()
        page.keyboard.press("s")
        expect(page.get_by_role("radio", checked=True)).to_have_count(0)
        page.reload()
        live(page)
        expect(page.get_by_label("Hot keys")).not_to_be_checked()


def test_a_state_over_its_limit_is_marked(tab, agent):
    with publishing():
        page = panel(tab, agent)
        Agent.objects.filter(pk=agent.pk).update(over_at=timezone.now() + dt.timedelta(seconds=2), registered="no")
        set_status(agent, "break", "lunch")
        expect(page.locator("#me .overdue")).to_be_hidden()
        expect(page.locator("#me .overdue")).to_be_visible()
        expect(page.locator("#me")).to_contain_text("not registered")
