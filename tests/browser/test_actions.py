"""Supervisors act on one row, by mouse and by keyboard. What the server has not said is not shown as done; what cannot
be done says why."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from dialer.models import Agent, CallLog, PacingDecision
from tests.browser.acting import ANSWER_MS, agent_row, last_line, menu_of, part, queued, row, talking
from tests.browser.panel_page import live, make_call
from tests.conftest import wait_until
from tests.fakes.console import make_team, make_user, publishing
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


# Every action on a call that talks: its key, its word, and what is asked of the server.
ON_A_CALL = [
    ("l", "Listen", "listen"),
    ("w", "Whisper", "whisper"),
    ("b", "Barge in", "barge"),
    ("o", "Hold", "hold"),
    ("u", "Mute the agent", "mute"),
    ("p", "Park", "park"),
    ("r", "Record", "record_start"),
]


def test_a_state_is_changed_by_mouse_and_by_keyboard_and_shows_each_step(board, worker):
    [ann, bob] = make_agents(2)
    with publishing():
        page = board()
        menu = menu_of(page, agent_row(page, ann))
        expect(menu).to_contain_text("agent_101 · extension 1001")
        part(menu, "Break · Lunch").click()
        expect(menu).to_be_hidden()
        expect(last_line(page)).to_contain_text("Agent 101: break (lunch)")
        expect(last_line(page)).to_contain_text("applied", timeout=ANSWER_MS)
        expect(agent_row(page, ann)).to_have_attribute("data-state", "break")
        agent_row(page, bob).focus()
        page.keyboard.press("s")
        expect(menu).to_contain_text("State")
        key = part(menu, "Break · Lunch").get_attribute("data-key")
        page.keyboard.press(key)
        expect(agent_row(page, bob)).to_have_attribute("data-state", "break", timeout=ANSWER_MS)
        expect(agent_row(page, bob)).to_be_focused()


def test_without_a_worker_a_click_stays_queued_and_nothing_is_pretended(board):
    [ann] = make_agents(1)
    campaign = make_campaign([ann])
    with publishing():
        page = board()
        line = row(page, "campaign", campaign.campaign_id)
        for found, word in ((line, "Pause"), (agent_row(page, ann), "Break · Lunch")):
            part(menu_of(page, found), word).click()
            expect(last_line(page)).to_contain_text("queued")
        expect(page.locator("#p-agents[data-stale] .age")).to_contain_text("Dialer worker: not running")
        expect(page.locator("#commands [data-state=open]")).to_have_count(2)
        expect(line).to_have_attribute("data-state", "active")
        expect(agent_row(page, ann)).to_have_attribute("data-state", "offline")


def test_what_an_agent_does_after_the_call_can_be_taken_back(board, worker):
    [ann] = make_agents(1)
    Agent.objects.update(status="on_call", pending_status="break", pending_reason="lunch")
    with publishing():
        page = board()
        menu = menu_of(page, agent_row(page, ann))
        expect(menu).to_contain_text("then break (lunch)")
        expect(menu).to_contain_text("State, after the call")
        expect(part(menu, "Break · Lunch")).to_contain_text("it is the next state already")
        page.keyboard.press("x")
        expect(last_line(page)).to_contain_text("applied", timeout=ANSWER_MS)
        page.keyboard.press("m")
        expect(part(menu, "Cancel the next state")).to_contain_text("there is no next state")
    ann.refresh_from_db()
    assert ann.pending_status == ""


@pytest.mark.parametrize("by", ["key", "menu key", "mouse"])
def test_every_action_on_a_call_by_key_by_menu_and_by_mouse(board, by):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        on_the_agent = agent_row(page, ann)
        expect(row(page, "call", call.call_id)).to_contain_text("Grace Hopper")
        for key, word, action in ON_A_CALL:
            if by == "key":
                on_the_agent.focus()
                page.keyboard.press(key)
            else:
                menu = menu_of(page, row(page, "call", call.call_id))
                if by == "mouse":
                    part(menu, word).click()
                else:
                    expect(part(menu, word)).to_have_attribute("data-key", key)
                    page.keyboard.press(key)
                expect(menu).to_be_hidden()
            wait_until(lambda action=action: queued() and queued()[-1]["action"] == action, f"{action} is queued")
            expect(last_line(page)).to_contain_text(f"Agent 101: {word.lower()}")
            expect(last_line(page)).to_contain_text("queued")
        asked = queued()
        assert {command["call_id"] for command in asked} == {str(call.call_id)}
        assert {c["extension"] for c in asked if c["action"] in {"listen", "whisper", "barge"}} == {"1999"}


def test_a_transfer_asks_for_an_extension_and_takes_no_nonsense(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        call = talking(page, ann)
        row(page, "call", call.call_id).focus()
        page.keyboard.press("t")
        field = page.get_by_label("To extension")
        expect(field).to_be_focused()
        field.fill("12; rm")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('#sheet form').checkValidity()") is False
        assert queued() == []
        field.fill("2040")
        page.keyboard.press("Enter")
        expect(page.locator("#sheet")).to_be_hidden()
        wait_until(queued, "the transfer is queued")
        assert (queued()[0]["action"], queued()[0]["extension"]) == ("transfer", "2040")
        expect(row(page, "call", call.call_id)).to_be_focused()


def test_what_cannot_be_undone_asks_first_and_escape_goes_back_to_the_row(board):
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        talking(page, ann)
        sheet = page.locator("#sheet")
        for key, words in (("h", "Hang up the call of Agent 101 with Grace Hopper?"), ("v", "Take Grace Hopper over")):
            agent_row(page, ann).focus()
            page.keyboard.press(key)
            expect(sheet).to_contain_text(words)
            expect(sheet.get_by_role("button", name="No")).to_be_focused()
            page.keyboard.press("Escape")
            expect(sheet).to_be_hidden()
            expect(agent_row(page, ann)).to_be_focused()
        assert queued() == []
        page.keyboard.press("v")
        page.keyboard.press("y")
        wait_until(queued, "the take-over is queued")
        part(menu_of(page, agent_row(page, ann)), "Hang up").click()
        sheet.get_by_role("button", name="Yes").click()
        wait_until(lambda: len(queued()) == 2, "the hangup is queued")
        assert [command["action"] for command in queued()] == ["take_over", "hangup"]


def test_what_cannot_be_done_now_is_shown_with_the_reason_and_is_not_sent(board):
    [ann, bob] = make_agents(2)
    make_campaign([ann, bob])
    with publishing():
        page = board()
        call = make_call(ann, "alerting")
        menu = menu_of(page, row(page, "call", call.call_id))
        listen = part(menu, "Listen")
        expect(listen).to_have_attribute("aria-disabled", "true")
        expect(listen).to_contain_text("it has not been answered yet")
        expect(part(menu, "Stop listening")).to_contain_text("you are not listening to it")
        listen.click(force=True)  # as a person does, who has not read it
        expect(last_line(page)).to_contain_text("not sent: it has not been answered yet")
        agent_row(page, bob).focus()
        page.keyboard.press("h")
        expect(last_line(page)).to_contain_text("Agent 102: hang up not sent: the agent has no call")
        assert queued() == []


def test_a_supervisor_without_a_softphone_says_which_one_is_called(board, watcher):
    Agent.objects.filter(user=watcher).delete()
    [ann] = make_agents(1)
    make_campaign([ann])
    with publishing():
        page = board()
        talking(page, ann)
        for _ in range(2):  # and is not asked to type it twice
            agent_row(page, ann).focus()
            page.keyboard.press("w")
            field = page.get_by_label("Your softphone's extension")
            expect(field).to_be_visible()
            if not field.input_value():
                field.fill("2001")
            page.keyboard.press("Enter")
            expect(page.locator("#sheet")).to_be_hidden()
        wait_until(lambda: len(queued()) == 2, "both are queued")
        assert [(c["action"], c["extension"]) for c in queued()] == [("whisper", "2001")] * 2


def test_a_role_that_may_not_is_told_so_in_the_menu(tab, watcher):
    [ann] = make_agents(1)
    make_campaign([ann])
    opened = tab(watcher)
    opened.page.add_init_script("""
      const parse = JSON.parse;
      JSON.parse = (text) => {
        const found = parse(text);
        if (found.agent_states) found.rights = ["listen"];
        return found;
      };
    """)
    with publishing():
        page = opened.open("/console/")
        live(page)
        talking(page, ann)
        menu = menu_of(page, agent_row(page, ann))
        expect(part(menu, "Whisper")).to_contain_text("your role does not allow it")
        expect(part(menu, "Break · Lunch")).to_contain_text("your role does not allow it")
        expect(part(menu, "Listen")).not_to_have_attribute("aria-disabled", "true")


def test_why_a_call_was_placed_is_offered_to_those_who_see_its_campaign(tab, watcher):
    ann, bob = make_agents(2)
    campaign = make_campaign([ann, bob])
    tom = make_user("tom")
    make_team("north", [ann], [tom])
    ann.refresh_from_db()
    now = timezone.now()
    placed = PacingDecision.objects.create(campaign=campaign, summary="placed 1", decided_at=now, last_at=now)
    call = make_call(ann)
    CallLog.objects.filter(pk=call.pk).update(decision=placed)
    with publishing():
        pages = [tab(user).open("/console/") for user in (watcher, tom)]
        for page in pages:
            live(page)
            expect(row(page, "call", call.call_id)).to_be_visible()
        why = menu_of(pages[0], agent_row(pages[0], ann)).get_by_role("link", name="Why this call?")
        expect(why).to_have_attribute("href", f"/console/decisions/{placed.pk}/")
        menu = menu_of(pages[1], agent_row(pages[1], ann))
        expect(menu.get_by_role("link", name="The call")).to_be_visible()
        expect(menu.get_by_role("link", name="Why this call?")).to_have_count(0)
