"""Supervisors act on campaigns, write to agents and act on many rows at once, each of them reported."""

import pytest
from playwright.sync_api import Page, expect

from dialer.models import Agent, AgentMessage, DialerCampaign, ReasonCode, Team
from tests.browser.acting import ANSWER_MS, agent_row, last_line, menu_of, part, queued, row, talking
from tests.conftest import wait_until
from tests.fakes.console import publishing
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


# --- campaigns and messages -------------------------------------------------------------------------------------------


def test_a_campaign_is_paused_started_and_given_a_mode_and_limits(board, worker):
    campaign = make_campaign(make_agents(1), max_lines=50)
    with publishing():
        page = board()
        line = row(page, "campaign", campaign.campaign_id)
        part(menu_of(page, line), "Pause").click()
        expect(line).to_have_attribute("data-state", "paused", timeout=ANSWER_MS)
        line.focus()
        page.keyboard.press("g")
        expect(line).to_have_attribute("data-state", "active", timeout=ANSWER_MS)
        menu = menu_of(page, line)
        expect(part(menu, "Progressive")).to_have_attribute("aria-pressed", "true")
        expect(part(menu, "Start")).to_contain_text("it is active already")
        part(menu, "Preview").click()
        expect(last_line(page)).to_contain_text("dial in mode preview")
        expect(last_line(page)).to_contain_text("applied", timeout=ANSWER_MS)
        line.focus()
        page.keyboard.press("l")
        lines = page.get_by_label("Lines at once")
        expect(lines).to_have_value("50")
        page.get_by_role("button", name="Set limits").click()
        expect(page.locator("#sheet")).to_contain_text("Nothing has been changed.")
        lines.fill("7")
        page.keyboard.press("Enter")
        expect(last_line(page)).to_contain_text("Spring: limits applied", timeout=ANSWER_MS)
        line.focus()
        page.keyboard.press("x")
        expect(line).to_have_attribute("data-state", "completed", timeout=ANSWER_MS)
    campaign.refresh_from_db()
    assert (campaign.mode, campaign.max_lines, campaign.max_calls_per_second) == ("preview", 7, None)


def test_a_refused_command_shows_the_reason_and_stays_until_it_is_dismissed(board, worker):
    campaign = DialerCampaign.objects.create(name="Without a list")
    with publishing():
        page = board()
        row(page, "campaign", campaign.campaign_id).focus()
        page.keyboard.press("g")
        expect(last_line(page)).to_contain_text("refused: the campaign has no contact list", timeout=ANSWER_MS)
        expect(last_line(page)).to_have_attribute("data-state", "trouble")
        expect(row(page, "campaign", campaign.campaign_id)).to_have_attribute("data-state", "draft")
        expect(page.locator("#announce")).to_contain_text("Without a list: start: refused")
        page.evaluate("Date.now = (real => () => real() + 3600e3)(Date.now.bind(Date))")
        expect(page.locator("#commands .command")).to_have_count(1)
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator("#commands .command")).to_have_count(0)
        page.locator("#commands-open").click()
        expect(page.locator("#sheet")).to_contain_text("refused: the campaign has no contact list")


def test_a_message_goes_to_one_to_the_selection_to_a_team_and_to_a_campaign(board, worker):
    agents = make_agents(4)
    red = Team.objects.create(code="red", name="Red")
    Agent.objects.filter(pk=agents[3].pk).update(team=red)
    campaign = make_campaign(agents[:2])

    def write(page: Page, text: str, to: str = "") -> None:
        if to:
            page.get_by_label("To", exact=True).select_option(label=to)
        page.get_by_label("Text", exact=True).fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("#sheet")).to_be_hidden()

    def got(text: str, *wanted: Agent) -> None:
        found = AgentMessage.objects.filter(text=text).values_list("agent__agent_id", flat=True)
        ids = sorted(agent.agent_id for agent in wanted)
        wait_until(lambda: sorted(found.all()) == ids, f"{text!r} is with {ids}", 40)

    with publishing():
        page = board()
        agent_row(page, agents[0]).focus()
        page.keyboard.press("n")
        write(page, "To you <b>alone</b>")
        got("To you <b>alone</b>", agents[0])
        expect(last_line(page)).to_contain_text("Message to Agent 101 applied", timeout=ANSWER_MS)
        for agent in agents[1:3]:
            agent_row(page, agent).locator("input[data-select]").check()
        page.get_by_role("toolbar", name="Selected agents").get_by_role("button", name="Message").click()
        write(page, "To the selected")
        got("To the selected", *agents[1:3])
        row(page, "campaign", campaign.campaign_id).focus()
        page.keyboard.press("n")
        write(page, "To the campaign")
        got("To the campaign", *agents[:2])
        agent_row(page, agents[0]).focus()
        page.keyboard.press("n")
        write(page, "To the team", "team Red")
        got("To the team", agents[3])


# --- many rows --------------------------------------------------------------------------------------------------------


def test_a_hundred_rows_at_once_report_a_hundred_rows(board, worker):
    agents = make_agents(100)
    ReasonCode.objects.create(code="meeting", label="Meeting", status="busy")
    with publishing():
        page = board()
        expect(page.locator("[data-agent]")).to_have_count(101)
        agent_row(page, Agent.objects.get(agent_id="sup")).locator("input[data-select]").check()
        page.locator("[data-select-all]").check()
        agent_row(page, Agent.objects.get(agent_id="sup")).locator("input[data-select]").uncheck()
        bar = page.get_by_role("toolbar", name="Selected agents")
        expect(bar).to_contain_text("100 selected")
        # Nobody tells the board of this one: the worker refuses it, the others go through.
        Agent.objects.filter(pk=agents[7].pk).update(is_active=False)
        agent_row(page, agents[0]).focus()
        page.keyboard.press("Shift+S")
        part(page.locator("#sheet"), "Busy · Meeting").click()
        line = page.locator("#commands .command", has_text="for 100 agents")
        expect(line).to_contain_text("99 applied · 1 refused", timeout=3 * ANSWER_MS)
        expect(page.locator("#commands .command")).to_have_count(1)
        line.get_by_role("button", name="Report").click()
        report = page.locator("#sheet .report li")
        expect(report).to_have_count(100)
        expect(report.first).to_contain_text("Agent 108: busy (meeting)")
        expect(report.first).to_contain_text("refused: No such agent.")
        expect(report.nth(50)).to_contain_text("applied")
    assert Agent.objects.filter(status="busy", status_reason="meeting").count() == 99


def test_hanging_up_a_selection_asks_once_and_tells_of_those_without_a_call(board):
    agents = make_agents(3)
    make_campaign(agents)
    with publishing():
        page = board()
        call = talking(page, agents[0])
        expect(row(page, "call", call.call_id)).to_be_visible()
        for agent in agents:
            agent_row(page, agent).locator("input[data-select]").check()
        page.keyboard.press("Shift+H")
        sheet = page.locator("#sheet")
        expect(sheet).to_contain_text("Hang up 1 call? 2 agents of the selection have none.")
        page.keyboard.press("y")
        line = page.locator("#commands .command", has_text="Hang up for 3 agents")
        expect(line).to_contain_text("1 queued · 2 not sent")
        assert [(c["action"], c["call_id"]) for c in queued()] == [("hangup", str(call.call_id))]
        line.get_by_role("button", name="Report").click()
        expect(sheet.locator(".report li")).to_have_count(3)
        expect(sheet.locator(".report li").first).to_contain_text("the agent has no call")


def test_a_page_that_came_by_plain_http_from_another_machine_can_do_all_the_same(board):
    agents = make_agents(3)
    make_campaign(agents)
    with publishing():
        page = board()
        talking(page, agents[0])
        # Only pages by https, or of the same machine, have it.
        page.evaluate("delete Crypto.prototype.randomUUID")
        for agent in agents:
            agent_row(page, agent).locator("input[data-select]").check()
        page.keyboard.press("Shift+H")
        page.keyboard.press("y")
        line = page.locator("#commands .command", has_text="Hang up for 3 agents")
        expect(line).to_contain_text("1 queued · 2 not sent")
