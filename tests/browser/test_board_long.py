"""A board of more rows than a screen holds: those out of sight are not in the page, and nothing is lost by it."""

import datetime as dt
import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from dialer.models import Agent, ReasonCode
from tests.browser.board_page import card, names
from tests.browser.panel_page import live
from tests.conftest import wait_until
from tests.fakes.console import make_user, publishing, set_status
from tests.fakes.floor import make_agents

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


@pytest.fixture
def supervisor():
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    return make_user("sup", supervisor=True)


def test_of_a_long_floor_only_the_rows_near_the_screen_are_in_the_page_and_keys_and_search_reach_all(tab, supervisor):
    agents = make_agents(250)
    with publishing():
        page = tab(supervisor).open("/console/")
        live(page)
        expect(page.locator("#shown")).to_have_text("250")
        table, rows = page.locator("#agents"), page.locator("#agents tbody tr")
        expect(table).to_have_attribute("aria-rowcount", "251")
        wait_until(lambda: rows.count() < 80, "the rows far below to leave the page")
        expect(card(page, agents[249])).to_have_count(0)
        # Counted all the same, and on top when over their time.
        over = timezone.now() - dt.timedelta(hours=8)
        Agent.objects.filter(pk=agents[240].pk).update(status_since=over, over_at=over)
        set_status(agents[240], "break", "lunch")
        expect(names(page).first).to_have_text(agents[240].name)
        expect(page.locator("[data-filter=state][data-value=break] b")).to_have_text("1")
        # The keys go to the end and back; the row with the focus stays in the page, however far somebody scrolls.
        rows.first.focus()
        page.keyboard.press("End")
        expect(card(page, agents[249])).to_be_focused()
        expect(card(page, agents[249])).to_be_in_viewport()
        expect(card(page, agents[249])).to_have_attribute("aria-rowindex", "251")
        page.keyboard.press("Space")
        table.evaluate("e => { e.scrollTop = 0; }")
        expect(card(page, agents[2])).to_be_in_viewport()
        expect(card(page, agents[249])).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(card(page, agents[248])).to_be_focused()
        expect(card(page, agents[248])).to_be_in_viewport()
        page.keyboard.press("Home")
        expect(card(page, agents[240])).to_be_focused()
        expect(card(page, agents[249])).to_have_count(0)
        assert page.locator("#agents tbody tr[tabindex='0']").count() == 1
        # What changed out of sight is there when it comes into sight, and so is the selection.
        set_status(agents[249], "break", "lunch")
        expect(page.locator("[data-filter=state][data-value=break] b")).to_have_text("2")
        table.evaluate("e => { e.scrollTop = e.scrollHeight; }")
        expect(card(page, agents[249])).to_have_attribute("data-state", "break")
        expect(card(page, agents[249])).to_have_attribute("aria-selected", "true")
        page.get_by_role("searchbox").fill(agents[220].name)
        expect(names(page)).to_have_text([agents[220].name])
        expect(table).not_to_have_attribute("aria-rowcount", re.compile(".*"))


@pytest.mark.parametrize("shape", ["table", "cards"])
def test_scrolling_through_a_long_floor_shows_every_row_once(tab, supervisor, shape):
    make_agents(400)
    with publishing():
        page = tab(supervisor, {"width": 1366, "height": 520}).open(f"/console/?as={shape}")
        live(page)
        expect(page.locator("#shown")).to_have_text("400")
        found = page.evaluate(
            """async () => {
              const box = document.getElementById("agents"), seen = new Map();
              const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              for (let top = 0, last = -1; top !== last; ) {
                box.scrollTop = top;
                await frame();
                const edge = box.getBoundingClientRect();
                for (const row of box.tBodies[0].rows) {
                  const { top: y, left: x, bottom } = row.getBoundingClientRect();
                  if (bottom > edge.top && y < edge.bottom) seen.set(row.dataset.agent, `${Math.round(x)} ${Math.round(y + box.scrollTop)}`);
                }
                last = top;
                top = Math.min(top + 100, box.scrollHeight - box.clientHeight);
              }
              return { rows: seen.size, places: new Set(seen.values()).size };
            }"""  # noqa: E501
        )
        assert found == {"rows": 400, "places": 400}
