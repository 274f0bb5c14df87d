"""Every state of the agent's panel: no serious fault for axe-core, and nothing wider than the screen."""

import datetime as dt
import time
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from console.kpis import ratio
from console.rows import AgentToday, LastCall, Listener, Note, Pending
from dialer import figures
from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import Agent, AgentStatus, Callback, CallLog, DialerCampaign, Disposition, ReasonCode
from tests.browser.axe import by_day_and_night
from tests.browser.conftest import LAPTOP, PHONE
from tests.browser.panel_page import fits, panel, picture
from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.told import Told, telling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]

SCRIPT = """Hello {name}, this is {agent} of Acme about your {plan}.
Your contract {contract number} ends soon. Shall we go on with the {Product}?"""
TODAY = AgentToday(
    contacts=21, talk_seconds=5_460, idle_seconds=1_840,
    handle_time=ratio(figures.average_handle_time(7_260, 0, 0, 21)),
    occupancy=ratio(figures.occupancy(7_260, 0, 0, 1_840)),
)  # fmt: skip


def ms(seconds_ago: float = 0) -> int:
    return int((time.time() - seconds_ago) * 1000)


@pytest.fixture
def agent() -> Agent:
    for status, code, label in (
        ("break", "lunch", "Lunch"), ("break", "short", "Short break"), ("busy", "paperwork", "Paperwork"),
        ("busy", "training", "Training"),
    ):  # fmt: skip
        ReasonCode.objects.create(code=code, label=label, status=status)
    set_up_dispositions()
    agent = make_agents(1)[0]
    make_user("ann", agent=agent)
    make_campaign([agent], name="Spring renewals", script=SCRIPT)
    return agent


def talking(agent: Agent, told: Told) -> CallLog:
    """The agent's call in the database and on the floor."""
    campaign = DialerCampaign.objects.get()
    contact = campaign.target_list.contacts.first()
    contact.name, contact.time_zone, contact.attempts = "Grace Hopper", "America/New_York", 3
    contact.custom_fields = {"plan": "Family 20 GB", "product": "roaming pack", "customer since": "2011"}
    contact.save()
    call: dict[str, Any] = {
        "to_number": contact.number, "contact": contact, "campaign": campaign, "agent": agent,
    }  # fmt: skip
    for days, code, notes in ((3, "not_interested", "Asked to be told of new prices in spring."), (9, None, "")):
        began = timezone.now() - dt.timedelta(days=days)
        given = Disposition.objects.filter(code=code or "").first()
        CallLog.objects.create(
            **call, freeswitch_uuid=f"earlier-{days}", status="completed", initiated_at=began, ended_at=began,
            outcome="answered" if code else "no_answer", talk_time_seconds=74 if code else None, disposition=given,
            disposition_notes=notes, disposed_at=began if given else None, disposed_by="ann" if given else "",
        )  # fmt: skip
    Callback.objects.create(campaign=campaign, contact=contact, agent=agent, at=timezone.now(), note="after work")
    now = CallLog.objects.create(
        **call, freeswitch_uuid="now", status="answered", initiated_at=timezone.now(), answered_at=timezone.now(),
        attempt_number=3,
    )  # fmt: skip
    Agent.objects.filter(pk=agent.pk).update(last_call=now, status="on_call", softphone="open")
    key = str(now.call_id)
    told.call(
        key, campaign_id=str(campaign.campaign_id), agent_id=agent.agent_id, contact="Grace Hopper",
        number="+1 212 ••• ••00", attempt=3, state="bridged", since=ms(74), bridged_at=ms(74), recording="on",
        status="answered",
    )  # fmt: skip
    last = LastCall(id=key, contact="Grace Hopper", required=True)
    told.agent(
        agent.agent_id, status="on_call", reason="", since=ms(74), call_id=key, last_call=last, softphone="open"
    )  # fmt: skip
    return now


def seed(agent: Agent, told: Told) -> None:
    campaign = DialerCampaign.objects.get()
    told.campaign(str(campaign.campaign_id), name=campaign.name, status="active")
    told.agent(
        agent.agent_id, name=agent.name, extension=agent.extension, status="available", since=ms(12),
        softphone="open", registered="yes", campaigns=(str(campaign.campaign_id),), calls_today=23, today=TODAY,
    )  # fmt: skip


def sound(page: Page, name: str, within: str = "") -> None:
    found = [fault for _, fault in by_day_and_night(page, within)]
    picture(page, name)
    assert fits(page)
    assert found == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_no_state_of_the_panel_has_a_serious_fault(tab: Any, agent: Agent, viewport: Any) -> None:
    name = f"{viewport['width']}"
    with telling() as told:
        seed(agent, told)
        page = panel(tab, agent, viewport)
        expect(page.locator("#me")).to_contain_text("Available")
        sound(page, f"1-idle-{name}")
        call = talking(agent, told)
        key = str(call.call_id)
        expect(page.get_by_role("heading", name="Grace Hopper")).to_be_visible()
        expect(page.locator("#dispose")).to_be_visible()
        sound(page, f"2-talking-{name}")
        told.call(
            key, state="held", since=ms(21), muted=True, recording="paused",
            listeners=(Listener(user="maria", mode="whisper", since=ms(9)),),
        )  # fmt: skip
        text = "Please mention the new tariff.\nThe customer called in twice this week."
        note = Note(id="n1", sender="maria", text=text, at=ms(3))
        told.agent(agent.agent_id, note=note, pending=Pending(status="break", reason="lunch"))
        expect(page.locator("#mynote")).to_contain_text("new tariff")
        sound(page, f"3-held-{name}")
        told.agent(agent.agent_id, note=None)
        told.call(
            key, state="answered", muted=False, consulting="1002", consult_answered=True, recording="on", listeners=()
        )
        expect(page.get_by_role("button", name="Join them")).to_be_visible()
        sound(page, f"4-consult-{name}")
        told.call(key, consulting="", parked=True)
        expect(page.get_by_role("button", name="Take out of park")).to_be_visible()
        sound(page, f"5-parked-{name}")
        CallLog.objects.filter(pk=call.pk).update(ended_at=timezone.now(), status="completed")
        Agent.objects.update(status="busy", status_reason="wrap_up")
        told.over(key)
        told.agent(
            agent.agent_id, status="busy", reason="wrap_up", since=ms(4), call_id=None, over_at=ms(1), pending=None
        )  # fmt: skip
        page.get_by_text("Call back", exact=True).click()
        expect(page.locator("#callback-quick button")).to_have_count(4)
        sound(page, f"6-wrapup-{name}")
        page.locator("#help-open").click()
        sound(page, f"7-help-{name}", "dialog[open]")
        page.keyboard.press("Escape")
        told.agent(agent.agent_id, status=AgentStatus.AVAILABLE, reason="", softphone="lost", over_at=None)
        expect(page.locator("#banner")).to_contain_text("Softphone lost")
        sound(page, f"8-lost-{name}")
    expect(page.locator("#banner")).to_contain_text("No news from the floor for")
    sound(page, f"9-stale-{name}")
