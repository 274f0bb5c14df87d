"""A supervisor's hands on the board: rows, menus, the command log, and calls to act on."""

import re
from typing import Any

from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from dialer.models import Agent, QueuedCommand
from tests.browser.panel_page import make_call
from tests.fakes.console import announce, announce_agent, announce_call

# The worker's answer to a click, on a loaded machine.
ANSWER_MS = 40_000


def row(page: Page, kind: str, key: Any) -> Locator:
    return page.locator(f'[data-{kind}="{key}"]')


def agent_row(page: Page, agent: Agent) -> Locator:
    return row(page, "agent", agent.agent_id)


def menu_of(page: Page, found: Locator) -> Locator:
    found.locator("button[data-menu]").click()
    return page.locator("#sheet")


def part(menu: Locator, word: str) -> Locator:
    """The menu's button of this word; its note or its key may follow."""
    return menu.locator(".item").filter(has_text=re.compile(rf"^\s*{re.escape(word)}")).first


def last_line(page: Page) -> Locator:
    return page.locator("#commands .command").last


def queued() -> list[dict[str, Any]]:
    return [row.payload for row in QueuedCommand.objects.order_by("id")]


def end(call: Any) -> None:
    call.status, call.ended_at, call.version = "completed", timezone.now(), 9
    call.save()
    announce_call(call)
    announce("leg", str(call.call_id), None)


def talking(page: Page, agent: Agent, name: str = "Grace Hopper") -> Any:
    """A call that is joined to the agent, once the page shows it on both rows."""
    call = make_call(agent, name=name)
    call.answered_at = call.bridged_at = timezone.now()
    call.status, call.version = "answered", 3
    call.save()
    announce_call(call)
    announce_agent(agent)
    expect(row(page, "call", call.call_id)).to_have_attribute("data-state", "bridged")
    expect(agent_row(page, agent).locator(".c-customer")).not_to_be_empty()
    return call


def leg(call: Any, state: str) -> dict[str, Any]:
    since = int(timezone.now().timestamp() * 1000)
    return {"leg": str(call.call_id), "role": "customer", "state": state, "since": since, "call_id": str(call.call_id)}
