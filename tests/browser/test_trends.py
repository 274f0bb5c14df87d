"""The last hour in a real browser: lines with gaps, values by pointer, by keys and as a table, in both themes."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from console.models import OccupancyMinute
from dialer.models import CallLog, DialerCampaign
from tests.conftest import wait_until
from tests.fakes.console import make_user, publishing
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


def call(campaign: DialerCampaign, minutes_ago: int, wait: float | None) -> None:
    at = timezone.now().replace(second=5) - dt.timedelta(minutes=minutes_ago)
    answered = at + dt.timedelta(seconds=5) if wait is not None else None
    CallLog.objects.create(
        freeswitch_uuid=str(uuid.uuid4()), to_number="+12125550100", campaign=campaign, initiated_at=at,
        answered_at=answered, bridged_at=answered + dt.timedelta(seconds=wait) if answered else None,
        ended_at=at + dt.timedelta(seconds=40), status="completed",
    )  # fmt: skip


@pytest.fixture
def campaigns() -> tuple[DialerCampaign, DialerCampaign]:
    """Two campaigns' last hour and a bit, with nobody watching from 20 to 11 minutes ago."""
    agents = make_agents(2)
    spring, autumn = make_campaign(agents, 1, "Spring"), make_campaign(agents, 1, "Autumn", offset=100)
    now = timezone.now().replace(second=0, microsecond=0)
    for ago in [*range(1, 11), *range(21, 65)]:
        for busy, name in ((45, ""), (30, str(spring.campaign_id))):
            OccupancyMinute.objects.create(
                campaign=name, minute=now - dt.timedelta(minutes=ago), busy_seconds=busy, idle_seconds=60 - busy
            )
        for n in range(4):
            call(spring, ago, 0.5 * n if n else None)
    call(autumn, 2, 1.5)
    return spring, autumn


def opened(tab: Any, **options: Any) -> Page:
    page = tab(make_user("sup", supervisor=True), **options).open("/console/")
    expect(page.locator(".trend-box .uplot")).to_have_count(3)
    return page


def values(page: Page) -> str:
    return " ".join(page.locator(".trend-key").all_inner_texts()).replace("\n", " ")


def clock(page: Page, minutes_ago: int) -> str:
    """The minute as the page writes it, counted from when the calls were made: a minute that passes moves nothing."""
    newest = CallLog.objects.order_by("-initiated_at").values_list("initiated_at", flat=True)[0]
    at = newest.replace(second=0) - dt.timedelta(minutes=minutes_ago - 1)
    return page.evaluate("ms => new Date(ms).toTimeString().slice(0, 5)", at.timestamp() * 1000)


def go_to(page: Page, minutes_ago: int) -> None:
    """With the keys, minute by minute to the left; once more from the end, should a minute have turned meanwhile."""
    wanted = clock(page, minutes_ago)
    for _ in range(2):
        for _ in range(60):
            if page.locator(".trend-minute").inner_text() == wanted:
                return
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("End")
    pytest.fail(f"{wanted} was not reached")


def drawn(page: Page, chart: int = 0) -> list[bool]:
    """For each tenth of the chart's width: whether a coloured line is there."""
    return page.evaluate(
        """n => {
          const canvas = document.querySelectorAll(".trend-box canvas")[n], context = canvas.getContext("2d");
          const left = 42 * devicePixelRatio, width = canvas.width - left - 8 * devicePixelRatio;
          return Array.from({ length: 10 }, (_, part) => {
            const at = Math.round(left + width * (part + 0.35) / 10);
            const { data } = context.getImageData(at, 0, 4, canvas.height);
            for (let i = 0; i < data.length; i += 4) {
              const [r, g, b, a] = data.slice(i, i + 4);
              if (a > 120 && Math.max(r, g, b) - Math.min(r, g, b) > 60) return true;
            }
            return false;
          });
        }""",
        chart,
    )


def test_an_unwatched_time_is_a_gap_and_not_a_line_at_zero(tab, campaigns):
    with publishing():
        page = opened(tab)
        wait_until(lambda: any(drawn(page)), "a line")
        parts = drawn(page)
        assert parts[1] and parts[3] and parts[9] and not parts[7], parts


def test_arrow_keys_move_from_minute_to_minute_and_the_values_are_spoken(tab, campaigns):
    with publishing():
        page = opened(tab)
        lines, spoken = page.locator("#trend-lines"), page.locator("#trends [aria-live]")
        lines.focus()
        page.keyboard.press("End")
        go_to(page, 2)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        expect(spoken).to_contain_text("Calls 5, Abandoned 0, Answer rate 80 %, Occupancy 75 %")
        expect(spoken).to_contain_text("Median wait 1.0 s, 95 % wait 1.5 s")
        assert "Calls 5" in values(page)
        go_to(page, 15)
        expect(spoken).to_contain_text("nothing known")
        assert "Calls –" in values(page)
        page.keyboard.press("Home")
        expect(spoken).to_contain_text("Calls 4")
        page.keyboard.press("ArrowLeft")
        expect(spoken).to_contain_text("Calls 4")


def test_the_pointer_reads_values_and_all_charts_follow(tab, campaigns):
    with publishing():
        page = opened(tab)
        box = page.locator(".trend-box .u-over").nth(1).bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 10)
        expect(page.locator(".trend-of b").first).to_have_text("4")
        for chart in range(3):
            shown = page.locator(".trend-box .u-cursor-x").nth(chart)
            assert "translate(-10px" not in (shown.get_attribute("style") or "")
        before = page.locator(".trend-minute").inner_text()
        page.mouse.move(5, 5)
        expect(page.locator(".trend-minute")).not_to_have_text(before)


def test_the_same_as_a_table_which_is_remembered(tab, campaigns):
    with publishing():
        page = opened(tab)
        height = page.locator("#p-trends").bounding_box()["height"]
        page.get_by_role("button", name="Table").click()
        rows = page.locator(".trend-table tbody tr")
        expect(rows).to_have_count(60)
        row = page.locator(".trend-table tbody tr", has_text=clock(page, 2))
        assert row.locator("td").all_inner_texts() == ["5", "0", "80 %", "75 %", "1.0 s", "1.5 s"]
        row = page.locator(".trend-table tbody tr", has_text=clock(page, 15))
        assert row.locator("td").all_inner_texts() == ["–"] * 6
        assert page.locator("#p-trends").bounding_box()["height"] == pytest.approx(height, abs=2)
        page.reload()
        expect(rows).to_have_count(60)
        expect(page.locator("#trend-lines")).to_be_hidden()


def test_the_trends_of_one_campaign(tab, campaigns):
    with publishing():
        page = opened(tab)
        page.get_by_label("Trends of").select_option(label="Autumn")
        page.get_by_role("button", name="Table").click()
        second = page.locator(".trend-table tbody tr", has_text=clock(page, 2)).locator("td").first
        expect(second).to_have_text("1")
        page.get_by_label("Trends of").select_option(label="Spring")
        expect(second).to_have_text("4")


def test_a_server_that_does_not_answer_is_told_and_what_is_known_stays(tab, campaigns):
    with publishing():
        page = opened(tab)
        before = values(page)
        page.route("**/console/trends/**", lambda route: route.fulfill(status=204))
        page.get_by_label("Trends of").select_option(label="Spring")
        expect(page.locator(".trend-state")).to_contain_text("not renewed since")
        assert values(page) == before


def test_the_lines_take_the_themes_colours(tab, campaigns):
    with publishing():
        page = opened(tab, color_scheme="light")
        wait_until(lambda: any(drawn(page)), "a line")

        def colour() -> str:
            return page.evaluate(
                """() => {
                  const canvas = document.querySelector(".trend-box canvas");
                  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                  const found = {};
                  for (let i = 0; i < data.length; i += 4) {
                    const rgb = data.slice(i, i + 3);
                    if (data[i + 3] === 255 && Math.max(...rgb) - Math.min(...rgb) > 60) {
                      found[rgb.join()] = (found[rgb.join()] ?? 0) + 1;
                    }
                  }
                  return Object.entries(found).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
                }"""
            )

        assert colour() == "0,114,178"
        page.locator("#theme").click()
        wait_until(lambda: colour() == "74,168,224", "the dark theme's line")
