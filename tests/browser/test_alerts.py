"""Alerts on the board in a real browser: seen, reached, taken on by mouse and by keyboard, called out only when new."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, WebSocketRoute, expect

from console.models import Alert, AlertThreshold
from dialer.models import Agent
from tests.browser.conftest import PHONE
from tests.browser.panel_page import live, picture
from tests.conftest import wait_until
from tests.fakes.console import announce_agent, make_team, make_user, publishing, set_status
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.hostile import FEW as HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]

# What the page asks of the browser, noted instead of done: tones that are started, notifications that are shown.
LISTEN = """
window.heard = []; window.shown = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) {
  window.heard.push(this.frequency.value);
  return start.call(this, at);
};
window.Notification = class {
  static permission = "granted";
  static async requestPermission() { return "granted"; }
  constructor(title, options) { window.shown.push(`${title}: ${options.body}`); }
};
"""


@pytest.fixture
def rule() -> AlertThreshold:
    """The only threshold in force: a break of 10 s is too long, of an hour much too long."""
    AlertThreshold.objects.update(is_active=False)
    return AlertThreshold.objects.create(name="Break", measure="agent_state", state="break", warning=10, critical=3600)


def on_break(agent: Agent, seconds: float) -> None:
    agent.refresh_from_db()
    since = timezone.now() - dt.timedelta(seconds=seconds)
    Agent.objects.filter(pk=agent.pk).update(status="break", status_since=since, version=agent.version + 1)
    announce_agent(agent)


def shown(page: Page) -> Page:
    """The list, opened if it is not."""
    if page.locator("#alert-list").is_hidden():
        page.locator("#alerts-toggle").click()
    return page


def line(page: Page, agent: Agent) -> Any:
    return page.locator(".alert-items li", has_text=agent.name)


def test_an_alert_shows_its_level_in_words_marks_its_row_counts_in_the_title_and_leaves(tab, rule):
    agents = make_agents(3)
    make_campaign(agents)
    with publishing():
        page = tab(make_user("sup", supervisor=True)).open("/console/")
        live(page)
        expect(page.locator(".alert-counts")).to_have_text("none")
        on_break(agents[1], 60)
        expect(page.locator(".alert-counts")).to_have_text("1 warning")
        expect(page.locator(".alert-worst")).to_contain_text("Agent 102: break longer than 10 s")
        expect(page).to_have_title("(1) Floor · Voice Orchestrator")
        row = page.locator(f'tr[data-agent="{agents[1].agent_id}"]')
        expect(row).to_have_attribute("data-alert", "warning")
        expect(row.locator(".c-name")).to_contain_text("warning: Agent 102: break longer than 10 s")
        expect(row.locator(".alert-sign")).to_be_visible()
        on_break(agents[1], 4000)
        expect(row).to_have_attribute("data-alert", "critical")
        expect(page.locator(".alert-counts")).to_have_text("1 critical")
        expect(line(shown(page), agents[1]).locator(".alert-level")).to_have_text("Critical")
        set_status(agents[1], "available")
        expect(page.locator(".alert-items li")).to_have_count(0)
        expect(page).to_have_title("Floor · Voice Orchestrator")
        expect(row).not_to_have_attribute("data-alert", "critical")
        expect(row.locator(".alert-sign")).to_have_count(0)


def test_nothing_moves_when_an_alert_is_raised(tab, rule):
    agents = make_agents(2)
    with publishing():
        page = tab(make_user("sup", supervisor=True)).open("/console/")
        live(page)
        before = page.locator("#p-agents").bounding_box()
        on_break(agents[0], 60)
        expect(page.locator(".alert-counts")).to_have_text("1 warning")
        assert page.locator("#p-agents").bounding_box() == before


def test_one_takes_it_on_and_the_other_reads_who(tab, rule):
    agent = make_agents(1)[0]
    with publishing():
        ann = shown(tab(make_user("ann", supervisor=True)).open("/console/"))
        bea = shown(tab(make_user("bea", supervisor=True)).open("/console/"))
        on_break(agent, 60)
        line(ann, agent).get_by_role("button", name="Acknowledge").click()
        for page in (ann, bea):
            expect(line(page, agent).locator(".alert-who")).to_have_text("ann has it")
            expect(line(page, agent).get_by_role("button", name="Acknowledge")).to_be_hidden()
            expect(page).to_have_title("Floor · Voice Orchestrator")
        line(bea, agent).get_by_label("Snooze for how long").select_option("60")
        line(bea, agent).get_by_role("button", name="Snooze").click()
        expect(line(ann, agent).locator(".alert-who")).to_contain_text("bea put it off until")
        line(ann, agent).get_by_role("button", name="Resolve").click()
        expect(line(bea, agent)).to_have_count(0)
    assert Alert.objects.get().resolved_by == "ann"


def test_a_refusal_is_read_where_the_button_is(tab, rule):
    agent = make_agents(1)[0]
    user = make_user("ann", supervisor=True)
    with publishing():
        page = shown(tab(user).open("/console/"))
        on_break(agent, 60)
        expect(line(page, agent)).to_be_visible()
        # Taken on by somebody else in the moment before, and the frame that says so is still on its way.
        Alert.objects.update(acknowledged_at=timezone.now(), owner="bea")
        line(page, agent).get_by_role("button", name="Acknowledge").click()
        expect(line(page, agent).locator(".alert-said")).to_have_text("refused: bea has taken it on already")


def board_without_answers(tab: Any, *, sends: bool) -> Page:
    """A board that hears frames, but no answers to its commands; `sends`: whether these arrive."""

    def through(page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        page.on_message(lambda text: server.send(text) if sends or "alert_control" not in str(text) else None)
        server.on_message(lambda text: None if json.loads(text)["type"] in ("ack", "result") else page.send(text))

    opened = tab(make_user("ann", supervisor=True))
    opened.page.route_web_socket(re.compile("/ws/v1/floor/"), through)
    return shown(opened.open("/console/"))


def test_the_next_button_is_not_lost_when_the_frame_comes_before_the_answer(tab, rule):
    agent = make_agents(1)[0]
    with publishing():
        page = board_without_answers(tab, sends=True)
        on_break(agent, 60)
        line(page, agent).get_by_role("button", name="Acknowledge").click()
        expect(line(page, agent).locator(".alert-who")).to_have_text("ann has it")
        line(page, agent).get_by_role("button", name="Resolve").focus()
        page.keyboard.press("Space")
        expect(line(page, agent)).to_have_count(0)


def test_an_alert_of_which_nothing_is_heard_gives_its_buttons_back_and_says_so(tab, rule):
    agent = make_agents(1)[0]
    with publishing():
        page = board_without_answers(tab, sends=False)
        on_break(agent, 60)
        button = line(page, agent).get_by_role("button", name="Acknowledge")
        button.click()
        expect(line(page, agent).locator(".alert-said")).to_have_text("sent…")
        expect(button).to_have_attribute("aria-disabled", "true")
        # Three times as fast, and no jump: that would be a link of which nothing is heard.
        page.evaluate("Date.now = ((now, from) => () => from + 3 * (now() - from))(Date.now, Date.now())")
        expect(line(page, agent).locator(".alert-said")).to_have_text("no answer; try again")
        expect(button).not_to_have_attribute("aria-disabled", "true")
        picture(page, "alert-silent")


def test_by_keyboard_alone_from_the_line_to_the_row_and_through_the_buttons(tab, rule):
    agents = make_agents(3)
    with publishing():
        page = tab(make_user("sup", supervisor=True)).open("/console/")
        live(page)
        on_break(agents[2], 60)
        expect(page.locator(".alert-worst")).to_be_visible()
        page.locator(".alert-worst").focus()
        page.keyboard.press("Enter")
        expect(page.locator(f'tr[data-agent="{agents[2].agent_id}"]')).to_be_focused()
        page.locator("#alerts-toggle").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#alerts-toggle")).to_have_attribute("aria-expanded", "true")
        page.keyboard.press("Tab")
        expect(line(page, agents[2]).locator(".alert-text")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(line(page, agents[2]).locator(".alert-who")).to_have_text("sup has it")
        line(page, agents[2]).get_by_role("button", name="Resolve").focus()
        page.keyboard.press("Space")
        expect(line(page, agents[2])).to_have_count(0)
        expect(page.locator("#alerts-toggle")).to_be_focused()


def test_sound_and_notifications_are_off_until_chosen_and_never_for_what_was_there_before(tab, rule):
    agents = make_agents(3)
    opened = tab(make_user("sup", supervisor=True))
    opened.page.add_init_script(LISTEN)
    on_break(agents[0], 60)
    with publishing():
        page = opened.open("/console/")
        expect(page.locator(".alert-counts")).to_have_text("1 warning")
        on_break(agents[1], 60)
        expect(page.locator(".alert-counts")).to_have_text("2 warning")
        assert page.evaluate("[heard.length, shown.length]") == [0, 0]
        page.get_by_role("button", name="Sound").click()
        page.get_by_role("button", name="Notify").click()
        expect(page.get_by_role("button", name="Notify")).to_have_attribute("aria-pressed", "true")
        page.reload()
        page.evaluate("heard.length = shown.length = 0")
        expect(page.locator(".alert-counts")).to_have_text("2 warning")
        for name in ("Sound", "Notify"):
            expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        page.locator("#h-agents").click()  # Browsers are silent before the first touch.
        on_break(agents[2], 60)
        expect(page.locator(".alert-counts")).to_have_text("3 warning")
        wait_until(lambda: page.evaluate("heard.length") == 1, "one tone")
        assert page.evaluate("shown") == ["Warning alert: Agent 103: break longer than 10 s"]
        on_break(agents[0], 4000)
        wait_until(lambda: page.evaluate("shown.length") == 2, "the worse level")
        assert page.evaluate("shown[1]") == "Critical alert: Agent 101: break longer than 1 h"


def test_who_may_only_look_is_offered_no_buttons_and_a_team_supervisor_sees_their_own(tab, rule):
    agents = make_agents(2)
    boss = make_user("boss")
    make_team("red", agents[:1], [boss])
    with publishing():
        viewer = shown(tab(make_user("eve", group="viewer")).open("/console/"))
        part = shown(tab(boss).open("/console/"))
        for agent in agents:
            on_break(agent, 60)
        expect(viewer.locator(".alert-items li")).to_have_count(2)
        expect(viewer.locator(".alert-actions:visible")).to_have_count(0)
        expect(part.locator(".alert-items li")).to_have_count(1)
        line(part, agents[0]).get_by_role("button", name="Acknowledge").click()
        expect(line(viewer, agents[0]).locator(".alert-who")).to_have_text("boss has it")


def test_hostile_names_are_text(tab, rule):
    agents = make_agents(len(HOSTILE[:12]))
    for agent, name in zip(agents, HOSTILE, strict=False):
        Agent.objects.filter(pk=agent.pk).update(name=name[:120].replace("\0", ""))
    with publishing():
        page = shown(tab(make_user("sup", supervisor=True)).open("/console/"))
        for agent in agents:
            on_break(agent, 60)
        expect(page.locator(".alert-items li")).to_have_count(len(agents))
        assert (
            page.locator(".alert-items").evaluate("box => box.querySelectorAll('script, img, iframe, a').length") == 0
        )


def test_on_a_phone_the_list_fits_and_its_buttons_can_be_hit(tab, rule):
    agent = make_agents(1)[0]
    with publishing():
        page = shown(tab(make_user("sup", supervisor=True), PHONE).open("/console/"))
        on_break(agent, 60)
        button = line(page, agent).get_by_role("button", name="Acknowledge")
        expect(button).to_be_visible()
        assert button.bounding_box()["height"] >= 40
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
