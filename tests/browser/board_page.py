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


def still(page: Page) -> None:
    """Until nothing but the clocks has been drawn for half a second: what the first frames brought is on the board."""
    page.evaluate(
        """() => new Promise((done) => {
          let timer = setTimeout(done, 500);
          const all = { subtree: true, childList: true, characterData: true, attributes: true };
          const clock = ({ target }) => (target.nodeType === 3 ? target.parentElement : target)?.closest(".c-time");
          new MutationObserver((found, watch) => {
            if (found.every(clock)) return;
            clearTimeout(timer);
            timer = setTimeout(() => { watch.disconnect(); done(); }, 500);
          }).observe(document.getElementById("agents"), all);
        })"""
    )
