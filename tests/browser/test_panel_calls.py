"""Preview and dialling by hand on the agent's panel, on a phone and by keyboard."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dialer.models import Agent, CallLog, Contact, ContactReservation, DialerCampaign
from tests.browser.conftest import LAPTOP, PHONE
from tests.browser.panel_page import fits, live, make_call, picture
from tests.fakes.console import announce, announce_agent, announce_call, announce_campaign, make_user, publishing
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.hostile import FEW as HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


@pytest.fixture
def campaign() -> DialerCampaign:
    agent = make_agents(1)[0]
    Agent.objects.update(status="available", softphone="open", status_since=timezone.now())
    make_user("ann", agent=Agent.objects.get(pk=agent.pk))
    script = "Hello, this is {agent} of Acme.\nMay I ask you two questions about your subscription?"
    return make_campaign([agent], contacts=2, mode="preview", script=script, name="Spring renewals")


def offered(campaign: DialerCampaign, name: str = "Grace Hopper") -> ContactReservation:
    """As the worker offers it: committed, then told."""
    agent, contact = campaign.assigned_agents.get(), Contact.objects.filter(status="ready").first()
    contact.name, contact.status, contact.attempts = name, "reserved", 1
    contact.custom_fields = {"account": "AC-1906", "plan": "Family 20 GB", "note": name}
    contact.save()
    CallLog.objects.create(
        freeswitch_uuid=f"earlier-{contact.pk}", to_number=contact.number, contact=contact, campaign=campaign,
        agent=agent,
        status="busy", outcome="busy", initiated_at=timezone.now() - dt.timedelta(days=1), ended_at=timezone.now(),
    )  # fmt: skip
    now = timezone.now()
    made = ContactReservation.objects.create(
        campaign=campaign, contact=contact, agent=agent, offered_at=now, expires_at=now + dt.timedelta(seconds=60)
    )  # fmt: skip
    announce_agent(agent)
    return made


def panel(tab: Any, viewport: Any = PHONE) -> Page:
    page = tab(Agent.objects.get().user, viewport).open("/")
    live(page)
    return page


@pytest.mark.parametrize("viewport", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_the_contact_comes_with_all_the_call_needs_and_goes_when_it_is_over(tab, campaign, viewport):
    with publishing():
        page = panel(tab, viewport)
        made = offered(campaign)
        section = page.get_by_role("region", name="Contact for preview")
        for words in (
            "Grace Hopper",
            made.contact.number,
            "Spring renewals",
            "AC-1906",
            "this is Agent 101 of",
            "busy",
        ):
            expect(section).to_contain_text(words)
        expect(section.get_by_role("timer")).to_contain_text("0:")
        expect(page.locator("#said[role=status]")).to_contain_text("Contact for preview: Grace Hopper")
        expect(page.get_by_role("button", name="Dial")).to_be_focused()
        assert fits(page)
        page.get_by_text("Reschedule…").click()
        picture(page, f"preview-{viewport['width']}")
        ContactReservation.objects.update(state="expired", ended_at=timezone.now())
        announce_agent(made.agent)
        expect(section).to_have_count(0)
        expect(page.locator("#preview")).to_be_hidden()


def test_the_contact_is_skipped_and_dialled_by_keyboard_through_the_worker(tab, campaign, web):
    offered(campaign)
    web.worker("dialer_queue")
    try:
        with publishing():
            page = panel(tab)
            expect(page.get_by_role("button", name="Dial")).to_be_focused()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.locator("#commands")).to_contain_text("applied", timeout=40_000)
            assert ContactReservation.objects.earliest("id").state == "skipped"
            expect(page.locator("#preview .customer")).to_have_text("Contact 1", timeout=40_000)
            page.get_by_text("Reschedule…").focus()
            page.keyboard.press("Enter")
            page.get_by_label("Call at").fill((timezone.now() + dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M"))
            page.get_by_label("with me").check()
            page.get_by_label("Note").fill("after lunch")
            page.keyboard.press("Enter")
            expect(page.locator("#preview")).to_be_hidden(timeout=40_000)
            assert ContactReservation.objects.latest("id").state == "rescheduled"
    finally:
        web.stop("dialer_queue")


def test_a_refusal_is_one_sentence_where_the_agent_looks(tab, campaign, web):
    DialerCampaign.objects.update(mode="manual")
    announce_campaign(DialerCampaign.objects.get())
    web.worker("dialer_queue")
    try:
        with publishing():
            page = panel(tab)
            form = page.get_by_role("region", name="Dial by hand")
            expect(form.get_by_label("Campaign")).to_contain_text("Spring renewals")
            form.get_by_role("button", name="Dial").click()
            expect(page.locator("#commands li")).to_have_count(0)  # the empty field says so itself
            form.get_by_label("Number").fill("+1 900 234 5678")
            form.get_by_label("Number").press("Enter")
            expect(page.locator("#refused")).to_contain_text("premium rate", timeout=40_000)
            assert "/console/agent/" in page.url and not CallLog.objects.exists()
            assert fits(page)
            picture(page, "manual-refused")
    finally:
        web.stop("dialer_queue")


def test_the_form_to_dial_by_hand_comes_and_goes_with_the_campaign_and_keeps_what_was_typed(tab, campaign):
    with publishing():
        page = panel(tab)
        expect(page.locator("#manual")).to_be_hidden()
        DialerCampaign.objects.update(mode="manual", version=5)
        announce_campaign(DialerCampaign.objects.get())
        number = page.get_by_label("Number")
        number.fill("+1212555")
        announce_agent(Agent.objects.get())
        make_call(Agent.objects.get(), "bridged", "Ada")
        expect(page.locator("#mycall")).to_contain_text("Ada")
        expect(number).to_have_value("+1212555")
        DialerCampaign.objects.update(status="paused", version=6)
        announce_campaign(DialerCampaign.objects.get())
        expect(page.locator("#manual")).to_be_hidden()


def test_the_recording_can_be_paused_where_there_is_one(tab, campaign):
    with publishing():
        page = panel(tab)
        call = make_call(Agent.objects.get(), "bridged", "Ada")
        expect(page.locator("#mycall")).to_contain_text("Ada")
        expect(page.locator("#my-record")).to_be_disabled()
        expect(page.locator("#my-record")).to_have_attribute("data-why", "this call is not recorded")
        for state, button in (("on", "Pause recording"), ("paused", "Resume recording")):
            call.recording, call.version = state, call.version + 1
            call.save()
            announce_call(call)
            expect(page.get_by_role("button", name=button)).to_be_enabled()
        picture(page, "recording-paused")
        announce("leg", str(call.call_id), None)


def test_hostile_names_and_fields_are_inert(tab, campaign):
    with publishing():
        page = panel(tab)
        offered(campaign, HOSTILE[1] + HOSTILE[0])
        expect(page.locator("#preview .customer")).to_contain_text(HOSTILE[1])
        assert (
            page.evaluate("document.querySelectorAll('#preview img, #preview script, #preview svg[onload]').length")
            == 0
        )
        assert fits(page)


def test_another_agents_contact_is_not_found(tab, campaign):
    made = offered(campaign)
    other = make_agents(1, first=150)[0]
    make_user("bob", agent=other)
    mine = tab(other.user)
    mine.page.goto(mine.base + "/")
    answer = mine.page.request.get(f"{mine.base}/console/preview/{made.reservation_id}/")
    assert answer.status == 404 and "Grace" not in answer.text()
