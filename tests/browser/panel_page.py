"""An agent's panel in the browser, and calls as the worker and the ingest tell them."""

import json
import os
import uuid
from typing import Any

from django.utils import timezone
from playwright.sync_api import Page, expect

from dialer.models import Agent, CallLog, Contact
from events import streams
from tests.browser.conftest import PHONE
from tests.fakes.console import announce, announce_call, set_status


def live(page: Page) -> None:
    expect(page.locator("#fresh")).to_have_attribute("data-state", "live")


def panel(tab: Any, agent: Agent, viewport: Any = PHONE, **options: Any) -> Page:
    page = tab(agent.user, viewport, **options).open("/")
    live(page)
    return page


def make_call(agent: Agent, state: str = "bridged", name: str = "") -> CallLog:
    contact = Contact.objects.filter(calls=None).first()
    if contact is not None and name:
        contact.name = name
        contact.save()
    key = uuid.uuid4()
    call = CallLog.objects.create(
        call_id=key,
        freeswitch_uuid=str(key),
        to_number=contact.number if contact is not None else f"+1212555{agent.pk % 10000:04d}",
        agent=agent,
        campaign=agent.campaigns.first(),
        contact=contact,
        initiated_at=timezone.now(),
    )
    announce_call(call)
    tell_leg(call, state)
    return call


def tell_leg(call: CallLog, state: str) -> None:
    """The customer leg's state, as the ingest tells it and keeps it for the publisher's full readings."""
    key, since = str(call.call_id), int(timezone.now().timestamp() * 1000)
    leg = {"leg": key, "role": "customer", "state": state, "since": since, "call_id": key}
    streams.shared().hset(streams.LIVE_LEGS, key, json.dumps(leg))
    announce("leg", key, leg)


def talk(agent: Agent, name: str = "Grace <b>Hopper</b>") -> CallLog:
    """The agent is on a call, as the worker leaves it."""
    call = make_call(agent, "bridged", name)
    call.status = "answered"
    call.answered_at = call.bridged_at = timezone.now()
    call.save()
    announce_call(call)
    Agent.objects.filter(pk=agent.pk).update(last_call=call)
    set_status(agent, "on_call")
    return call


def fits(page: Page) -> bool:
    """Nothing is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def picture(page: Page, name: str) -> None:
    """Kept where PICTURES says, for people to look at."""
    if where := os.environ.get("PICTURES"):
        page.screenshot(path=f"{where}/{name}.png", full_page=True)
