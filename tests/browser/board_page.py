"""The board's table of agents in the browser."""

from typing import Any

from playwright.sync_api import Page

from dialer.models import Agent


def card(page: Page, agent: Agent) -> Any:
    return page.locator(f'#agents tr[data-agent="{agent.agent_id}"]')


def cell(page: Page, agent: Agent, key: str) -> Any:
    return card(page, agent).locator(f".c-{key}")


def names(page: Page) -> Any:
    return page.locator("#agents tbody tr .c-name")
