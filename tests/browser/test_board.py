"""The supervisor's board in a real browser: live, honest about its age, usable by keyboard, calm under hostile text."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dialer.models import Agent, CallLog, Contact, ReasonCode
from tests.browser.conftest import PHONE
from tests.fakes.console import announce, announce_call, make_user, publishing, set_status
from tests.fakes.floor import make_agents, make_campaign
from tests.unit.test_console_render import HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


@pytest.fixture
def supervisor() -> Any:
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    return make_user("sup", supervisor=True)


def card(page: Page, agent: Agent) -> Any:
    return page.locator("#agents .card", has_text=agent.name)


def live(page: Page) -> None:
    expect(page.locator("#fresh")).to_have_attribute("data-state", "live")


def make_call(agent: Agent, state: str = "bridged", name: str = "") -> CallLog:
    contact = Contact.objects.filter(calls=None).first()
    if contact is not None and name:
        contact.name = name
        contact.save()
    key = uuid.uuid4()
    call = CallLog.objects.create(
        call_id=key,
        freeswitch_uuid=str(key),
        to_number=f"+1212555{agent.pk % 10000:04d}",
        agent=agent,
        campaign=agent.campaigns.first(),
        contact=contact,
        initiated_at=timezone.now(),
    )
    announce_call(call)
    since = int(timezone.now().timestamp() * 1000)
    announce(
        "leg", str(key), {"leg": str(key), "role": "customer", "state": state, "since": since, "call_id": str(key)}
    )
    return call


def test_signing_in_leads_to_a_live_board(tab, supervisor):
    make_agents(2)
    with publishing():
        page = tab().open("/")
        page.get_by_label("User name").fill("sup")
        page.get_by_label("Password").fill("not-secret-1")
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(page.url.split("/console")[0] + "/console/")
        live(page)
        expect(page.locator("#agents .card")).to_have_count(2)


def test_changes_appear_without_a_reload_and_figures_follow(tab, supervisor):
    agents = make_agents(3)
    campaign = make_campaign(agents)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        set_status(agents[1], "break", "lunch")
        expect(card(page, agents[1])).to_have_attribute("data-state", "break")
        expect(card(page, agents[1])).to_contain_text("lunch")
        call = make_call(agents[0], "answered", "Grace Hopper")
        line = page.locator("#calls .call", has_text="Grace Hopper")
        expect(line).to_contain_text("Waiting")
        expect(line.locator("time.over")).to_be_visible()
        expect(card(page, agents[0])).to_contain_text("Grace Hopper")
        late = make_agents(1, first=104)[0]
        set_status(late, "available")
        expect(page.locator("#agents .card").nth(3)).to_contain_text(late.name)
        call.status, call.ended_at, call.version = "completed", timezone.now(), 5
        call.save()
        announce_call(call)
        announce("leg", str(call.call_id), None)
        expect(page.locator("#calls .call")).to_have_count(0)
        expect(page.locator("#campaigns")).to_contain_text(campaign.name)


def test_a_mode_is_changed_from_the_campaigns_line(tab, supervisor):
    campaign = make_campaign(make_agents(1))
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        page.get_by_role("button", name="Spring dials in mode progressive: change").click()
        modes = page.get_by_role("group", name="Mode")
        expect(modes.get_by_role("button", name="Progressive")).to_have_attribute("aria-pressed", "true")
        modes.get_by_role("button", name="Preview").click()
        expect(page.locator("#commands")).to_contain_text(f"{campaign.name}: dial in mode preview")


def test_new_rows_are_put_where_they_belong(tab, supervisor):
    for number in (105, 101):
        make_agents(1, first=number)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        set_status(make_agents(1, first=103)[0], "available")
        expect(page.locator("#agents .card")).to_have_count(3)
        expect(page.locator("#agents .card .name")).to_have_text(["Agent 101", "Agent 103", "Agent 105"])


def test_timers_tick_by_the_servers_clock(tab, supervisor):
    agent = make_agents(1)[0]
    Agent.objects.filter(pk=agent.pk).update(status_since=timezone.now() - dt.timedelta(minutes=90))
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        page.evaluate("Date.now = (real => () => real() - 3600e3)(Date.now.bind(Date))")
        expect(card(page, agent).locator("time")).to_contain_text("1:30:")


def test_a_click_goes_through_the_worker_and_shows_queued_then_applied(tab, supervisor, web):
    agent = make_agents(1)[0]
    web.worker("dialer_queue")
    try:
        with publishing():
            page = tab(supervisor).open("/console/")
            live(page)
            card(page, agent).get_by_role("button").click()
            menu = page.get_by_role("dialog")
            expect(menu).to_contain_text(agent.agent_id)
            menu.get_by_role("button", name="Break · Lunch").click()
            expect(menu).to_be_hidden()
            line = page.locator("#commands .command")
            expect(line).to_contain_text("Agent 101: break (lunch)")
            expect(line).to_contain_text("applied", timeout=40_000)
            expect(card(page, agent)).to_have_attribute("data-state", "break")
    finally:
        web.stop("dialer_queue")
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("break", "lunch")


def test_without_a_worker_a_click_stays_queued_and_nothing_is_pretended(tab, supervisor):
    agents = make_agents(1)
    make_campaign(agents, name="Spring")
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#commands .command")).to_contain_text("queued")
        expect(page.locator("#campaigns .campaign")).to_have_attribute("data-state", "active")
        expect(page.locator("#health .down", has_text="Dialer worker")).to_be_visible()


def test_hanging_up_asks_first(tab, supervisor):
    agents = make_agents(1)
    make_campaign(agents)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        make_call(agents[0], name="Grace Hopper")
        page.get_by_role("button", name="Hang up Grace Hopper").click()
        question = page.get_by_role("dialog")
        expect(question).to_contain_text("Hang up the call with Grace Hopper?")
        question.get_by_role("button", name="No").click()
        expect(page.locator("#commands .command")).to_have_count(0)
        page.get_by_role("button", name="Hang up Grace Hopper").click()
        question.get_by_role("button", name="Yes").click()
        expect(page.locator("#commands .command")).to_contain_text("queued")


def test_a_board_whose_floor_falls_silent_says_so_and_recovers(tab, supervisor):
    agents = make_agents(1)
    with publishing(lease_seconds=1.0):
        page = tab(supervisor).open("/console/")
        live(page)
    expect(page.locator("#fresh")).to_have_attribute("data-state", "stale")
    expect(page.locator("#banner")).to_contain_text("No news from the floor for")
    expect(page.locator("body[data-stale]")).to_have_count(1)
    with publishing(lease_seconds=1.0):
        live(page)
        expect(page.locator("#banner")).to_be_hidden()
        set_status(agents[0], "break")
        expect(card(page, agents[0])).to_have_attribute("data-state", "break")


def test_a_board_cut_off_from_the_switch_says_so_though_frames_come(tab, supervisor, switch):
    make_agents(1)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        expect(page.locator("#fresh")).to_contain_text("behind the switch")
        switch.update(link="down", reason="refused")
        expect(page.locator("#fresh")).to_have_attribute("data-state", "stale")
        expect(page.locator("#banner")).to_contain_text("refused")
        switch.update(link="up", reason="")
        live(page)
        expect(page.locator("#banner")).to_be_hidden()


def test_a_lost_connection_is_told_clicks_are_not_kept_and_it_comes_back(tab, supervisor, web):
    agents = make_agents(1)
    make_campaign(agents)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        web.kill("web")
        expect(page.locator("#fresh")).to_have_attribute("data-state", "lost")
        expect(page.locator("#banner")).to_contain_text("Connection lost")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#commands .command")).to_contain_text("not sent")
        set_status(agents[0], "break")
        web.web()
        live(page)
        expect(card(page, agents[0])).to_have_attribute("data-state", "break")
        expect(page.locator("#commands .command")).not_to_contain_text("queued")


def test_whoever_is_signed_out_elsewhere_is_told(tab, supervisor):
    from django.contrib.sessions.models import Session

    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        Session.objects.all().delete()
        expect(page.locator("#banner")).to_contain_text("signed out")


def test_every_action_by_keyboard_and_focus_survives_a_live_update(tab, supervisor):
    agents = make_agents(2)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        button = card(page, agents[0]).get_by_role("button")
        button.focus()
        set_status(agents[0], "break")
        expect(card(page, agents[0])).to_have_attribute("data-state", "break")
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.locator("#menu .choice").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(button).to_be_focused()


def test_filters_are_kept_in_the_address(tab, supervisor):
    agents = make_agents(3)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        set_status(agents[0], "break")
        page.get_by_role("button", name="Break", exact=True).click()
        expect(page.locator("#agents .card:visible")).to_have_count(1)
        page.reload()
        live(page)
        expect(page.locator("#agents .card:visible")).to_have_count(1)


def test_thirty_agents_fit_a_laptop_without_scrolling_and_nothing_overflows_a_phone(tab, supervisor):
    make_campaign(make_agents(30))
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        bottom = page.locator("#agents .card").last.bounding_box()
        strip = page.locator("#health").bounding_box()
        assert bottom["y"] + bottom["height"] <= strip["y"]
        phone = tab(supervisor, PHONE).open("/console/")
        live(phone)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_rows_keep_their_place_when_others_change(tab, supervisor):
    agents = make_agents(12)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        places = (
            "Array.from(document.querySelectorAll('#agents .card'), e => JSON.stringify(e.getBoundingClientRect()))"
        )
        before = page.evaluate(places)
        set_status(agents[3], "break", "lunch")
        expect(card(page, agents[3])).to_have_attribute("data-state", "break")
        assert page.evaluate(places) == before


def test_hostile_names_run_nothing_and_break_nothing(tab, supervisor):
    agents = make_agents(len(HOSTILE))
    make_campaign(agents, contacts=len(agents))
    for agent, name in zip(agents, HOSTILE, strict=True):
        agent.name = name.replace("\x00", "")[:120]
        agent.save()
    with publishing():
        opened = tab(supervisor)
        page = opened.open("/console/")
        live(page)
        for agent, name in zip(agents, HOSTILE, strict=True):
            make_call(agent, name=name.replace("\x00", "")[:200])
            set_status(agent, "break")
        expect(page.locator("#calls .call")).to_have_count(len(agents))
        expect(page.locator("#agents .card[data-state=break]")).to_have_count(len(agents))
        page.locator("#agents .card button").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate("window.hacked") is None
        assert page.locator("#agents script, #calls script, #calls img, #menu img").count() == 0
        live(page)
