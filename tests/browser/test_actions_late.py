"""What is late, offline, hostile or small: nothing is done that nobody means, nothing runs, everything fits. And the
words of the command log."""

import json

import pytest
from playwright.sync_api import expect

from console import protocol
from tests.browser.acting import agent_row, end, last_line, leg, menu_of, part, queued, row, talking
from tests.browser.conftest import PHONE
from tests.browser.panel_page import live
from tests.conftest import wait_until
from tests.fakes.console import announce, publishing
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.hostile import FEW as HOSTILE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


# --- late, offline, hostile -------------------------------------------------------------------------------------------


def test_a_command_while_offline_is_not_sent_and_says_so_and_is_not_sent_later(board, web):
    agents = make_agents(2)
    with publishing():
        page = board()
        web.kill("web")
        expect(page.locator("#banner")).to_contain_text("Connection lost")
        part(menu_of(page, agent_row(page, agents[0])), "Break · Lunch").click()
        expect(last_line(page)).to_contain_text("not sent: there is no connection")
        for agent in agents:
            agent_row(page, agent).locator("input[data-select]").check()
        page.keyboard.press("Shift+S")
        part(page.locator("#sheet"), "Break · Lunch").click()
        expect(last_line(page)).to_contain_text("2 not sent")
        web.web()
        live(page)
        expect(page.locator("#commands .command")).to_have_count(2)
        assert queued() == []


def test_a_click_on_what_has_changed_meanwhile_is_refused(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        sheet = menu_of(page, row(page, "call", call.call_id))
        hold = part(sheet, "Hold")
        expect(hold).to_be_visible()
        announce("leg", str(call.call_id), leg(call, "held"))
        expect(part(sheet, "Take off hold")).to_be_visible()
        announce("leg", str(call.call_id), leg(call, "bridged"))
        expect(hold).to_be_visible()
        page.keyboard.press("h")
        expect(sheet).to_contain_text("Hang up the call")
        end(call)
        expect(row(page, "call", call.call_id)).to_have_count(0)
        page.keyboard.press("y")
        expect(last_line(page)).to_contain_text("hang up not sent: it is no longer on the floor")
        assert queued() == []


def test_a_menu_that_is_open_follows_its_row_and_keeps_the_focus(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        sheet = menu_of(page, row(page, "call", call.call_id))
        part(sheet, "Park").focus()
        announce("leg", str(call.call_id), leg(call, "held"))
        expect(part(sheet, "Take off hold")).to_be_visible()
        expect(part(sheet, "Park")).to_be_focused()
        end(call)
        expect(sheet).to_contain_text("It is no longer on the floor.")
        page.keyboard.press("Escape")
        expect(sheet).to_be_hidden()


def test_a_press_is_a_click_although_the_row_changes_before_the_release(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        sheet = menu_of(page, row(page, "call", call.call_id))
        park, hold = part(sheet, "Park"), part(sheet, "Hold")
        park.hover()
        page.mouse.down()
        announce("leg", str(call.call_id), leg(call, "held"))
        expect(row(page, "call", call.call_id)).to_have_attribute("data-state", "held")
        expect(hold).to_be_visible()
        page.mouse.up()
        wait_until(lambda: [one["action"] for one in queued()] == ["park"], "the click is heard")


def test_a_menu_follows_its_row_again_once_it_is_let_go(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        sheet = menu_of(page, row(page, "call", call.call_id))
        sheet.locator("h2").hover()
        page.mouse.down()
        announce("leg", str(call.call_id), leg(call, "held"))
        expect(row(page, "call", call.call_id)).to_have_attribute("data-state", "held")
        page.mouse.up()
        expect(part(sheet, "Take off hold")).to_be_visible()


def test_hostile_names_are_text_in_menus_questions_and_the_log(board):
    agents = make_agents(len(HOSTILE))
    make_campaign(agents, contacts=len(agents))
    for agent, name in zip(agents, HOSTILE, strict=True):
        agent.name = name.replace("\x00", "")[:120]
        agent.save()
    with publishing():
        page = board()
        for agent, name in zip(agents, HOSTILE, strict=True):
            talking(page, agent, name=name.replace("\x00", "")[:200])
            agent_row(page, agent).focus()
            page.keyboard.press("m")
            page.keyboard.press("h")
            page.keyboard.press("y")
        wait_until(lambda: len(queued()) == len(agents), "all are queued")
        page.locator("#commands-open").click()
        expect(page.locator("#sheet .command")).to_have_count(len(agents))
        assert page.evaluate("window.hacked") is None
        assert page.locator("#sheet script, #sheet img, #commands img, #commands script").count() == 0


def test_every_dialog_fits_a_phone(board):
    agents = make_agents(3)
    campaign = make_campaign(agents, name="A campaign with a name that is longer than any phone is wide, and then some")
    with publishing():
        page = board(viewport=PHONE)
        call = talking(page, agents[0], name="Bartholomew Featherstonehaugh-Cholmondeley")
        sheet = page.locator("#sheet")
        places = (
            (agent_row(page, agents[0]), "m"),
            (row(page, "call", call.call_id), "m"),
            (row(page, "call", call.call_id), "h"),
            (row(page, "call", call.call_id), "t"),
            (row(page, "campaign", campaign.campaign_id), "m"),
            (row(page, "campaign", campaign.campaign_id), "l"),
            (agent_row(page, agents[0]), "n"),
        )
        for found, key in places:
            found.focus()
            page.keyboard.press(key)
            expect(sheet).to_be_visible()
            assert sheet.evaluate("e => e.scrollWidth <= e.clientWidth"), key
            box = sheet.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"], key
            page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


# --- the words of the log ---------------------------------------------------------------------------------------------

STEPS = """async (messages) => {
  const { begun, told, waited, cutOff } = await import("/static/console/board/commands.js");
  let entry = begun("1", messages[0], "about", 0);
  const seen = [entry.text];
  for (const message of messages.slice(1)) {
    if (message === "lost") entry = cutOff(entry, 1);
    else entry = typeof message === "number" ? waited(entry, message) : told(entry, message, 1);
    seen.push([entry.text, entry.settled, entry.trouble]);
  }
  return seen.slice(1);
}"""
ACK = {"type": "ack", "queue_position": 3}
APPLIED = {"type": "result", "status": "applied", "reason": ""}


def test_a_command_is_shown_as_far_as_the_server_has_said_and_no_further(board):
    with publishing():
        page = board()
        for messages, wanted in (
            (["call_control", ACK], ["queued, 2 before it", False, False]),
            (["set_agent_state", ACK, APPLIED], ["applied", True, False]),
            (["call_control", ACK, APPLIED], ["applied, asking the switch…", False, False]),
            (
                ["call_control", ACK, APPLIED, {"type": "confirmed", "status": "confirmed"}],
                ["confirmed by the switch", True, False],
            ),
            (
                ["call_control", ACK, APPLIED, {"type": "confirmed", "status": "failed", "reason": "USER_BUSY"}],
                ["the switch refused: USER_BUSY", True, True],
            ),
            (["call_control", ACK, APPLIED, 80_000], ["applied, but the switch has not answered", True, True]),
            (
                ["call_control", ACK, APPLIED, "lost"],
                ["applied; the connection was lost before the switch answered", True, True],
            ),
            (["set_agent_state", 11_000], ["no answer from the server: whether it was taken is not known", True, True]),
            (
                ["set_agent_state", {"type": "error", "code": "forbidden", "message": "No."}],
                ["refused: No.", True, True],
            ),
            (
                ["set_agent_state", ACK, {"type": "result", "status": "failed", "reason": "boom"}],
                ["failed: boom", True, True],
            ),
            # Late, and still told.
            (
                ["set_agent_state", {"type": "error", "code": "no_answer", "message": "Not yet."}, APPLIED],
                ["applied", True, False],
            ),
            # A result twice, as after a repeated id, does not undo what the switch has said.
            (
                ["call_control", APPLIED, {"type": "confirmed", "status": "confirmed"}, APPLIED],
                ["confirmed by the switch", True, False],
            ),
        ):
            assert page.evaluate(STEPS, messages)[-1] == wanted, json.dumps(messages)


def test_the_page_can_send_all_that_it_offers(board):
    """The browser's own lists against the protocol's types: no button asks for what no server knows."""
    with publishing():
        page = board()
        actions = page.evaluate("""async () => {
          const can = await import("/static/console/board/actions_can.js");
          const words = { choices: [], modes: {}, me: {} };
          const call = { id: "1", contact: "", number: "", state: "bridged", source: "call", listeners: [],
            agent_id: "a", answered_at: 1, bridged_at: 1 };
          const on = { recording: "on", state: "held", muted: true, parked: true };
          return [{ recording: "off" }, on, { recording: "paused" }]
            .flatMap((state) => can.callActions({ ...call, ...state }, { words }))
            .map((action) => action.message.action);
        }""")
        known = set(protocol.CallAction.__args__)
        assert set(actions) == known - {"consult", "consult_complete", "consult_cancel"}, (
            "the agent consults, on their panel"
        )
