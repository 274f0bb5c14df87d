"""Everything at once: simulated switch, bridge, ingest, both workers, floor publisher, web and a supervisor's browser.
Every action of the board by mouse and by keyboard, held against what the switch itself says."""

import re

import pytest
from playwright.sync_api import expect

from dialer.models import Agent, AgentMessage, CallLog, DialerCampaign
from tests.browser.acting import agent_row, menu_of, part, row
from tests.browser.whole_floor import APPLIED, BUSY, BY, COLLEAGUE, SUPERVISOR, Whole, step_by_step, whole_floor
from tests.conftest import wait_until
from tests.fakes.console import make_user, published

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(180)]
SEARCHED = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory, chromium, django_db_setup, django_db_blocker):
    with whole_floor(tmp_path_factory.mktemp("whole"), chromium, django_db_blocker) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_open(whole: Whole) -> None:
    """What a test that failed has left open would fail all that follow."""
    whole.page.evaluate("for (const one of document.querySelectorAll('dialog[open]')) one.close()")


# --- calls ------------------------------------------------------------------------------------------------------------


@BY
def test_a_call_is_held_and_taken_back(whole: Whole, by: str):
    call = whole.talking("agent_1")
    step_by_step(whole.acts(by, call, "o", "Hold"))
    expect(row(whole.page, "call", call.call_id)).to_have_attribute("data-state", "held")
    whole.switch.did("uuid_hold", whole.near(call))
    assert call.held_at
    step_by_step(whole.acts(by, call, "o", "Take off hold"))
    whole.switch.did("uuid_hold", "off", whole.near(call))
    expect(row(whole.page, "call", call.call_id)).to_have_attribute("data-state", "bridged")


@BY
def test_an_agent_is_muted_and_heard_again(whole: Whole, by: str):
    call = whole.talking("agent_1")
    step_by_step(whole.acts(by, call, "u", "Mute the agent"))
    whole.switch.did("uuid_audio", whole.near(call), "mute")
    assert call.muted
    whole.shows(call, "agent muted")
    step_by_step(whole.acts(by, call, "u", "Unmute the agent"))
    whole.switch.did("uuid_audio", whole.near(call), "stop")
    assert not call.muted


@BY
def test_a_customer_is_parked_and_comes_back(whole: Whole, by: str):
    call = whole.talking("agent_1")
    step_by_step(whole.acts(by, call, "p", "Park"))
    whole.switch.alone(call.freeswitch_uuid)
    whole.switch.alone(whole.near(call))
    expect(row(whole.page, "call", call.call_id).locator(".c-state")).to_have_text("Parked")
    step_by_step(whole.acts(by, call, "p", "Take out of the park"))
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))


@BY
def test_a_call_is_recorded_paused_resumed_and_stopped(whole: Whole, by: str):
    call = whole.talking("agent_1")
    marks = row(whole.page, "call", call.call_id).locator(".c-marks")
    for key, word, action, recording in (
        ("r", "Record", "start", "on"), ("z", "Pause recording", "mask", "paused"),
        ("z", "Resume recording", "unmask", "on"), ("r", "Stop recording", "stop", "off"),
    ):  # fmt: skip
        step_by_step(whole.acts(by, call, key, word))
        whole.switch.did("uuid_record", call.freeswitch_uuid, action)
        assert call.recording == recording
        expect(marks).to_have_text(
            re.compile({"on": "recording$", "paused": "recording paused", "off": "^$"}[recording])
        )


@BY
def test_a_supervisor_listens_whispers_barges_in_and_stops(whole: Whole, by: str):
    call = whole.talking("agent_1")
    heard = agent_row(whole.page, call.agent).locator(".c-heard")
    for key, word in (("l", "Listen"), ("w", "Whisper"), ("b", "Barge in")):
        step_by_step(whole.acts(by, call, key, word))
        listener = whole.side(call)
        leg = whole.switch.legs()[listener]
        assert (leg["number"], leg["event"]) == (SUPERVISOR, "invite")
        expect(heard).to_contain_text("sup")
    [side] = call.side_legs.filter(ended_at=None)
    assert side.mode == "barge"
    whole.switch.did("uuid_recv_dtmf", listener)
    step_by_step(whole.acts(by, call, "e", "Stop listening"))
    assert whole.switch.ended(listener)["hangup_cause"] == "NORMAL_CLEARING"
    expect(heard).to_have_text("")
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))


@BY
def test_a_supervisor_takes_the_customer_over_and_the_agent_is_free(whole: Whole, by: str):
    call = whole.talking("agent_1")
    agent_leg = whole.near(call)
    step_by_step(whole.acts(by, call, "v", "Take over", lambda: whole.agrees(by)))
    whole.switch.joined(call.freeswitch_uuid, whole.side(call))
    wait_until(lambda: whole.switch.bridged_to(agent_leg) != call.freeswitch_uuid, "the agent has left the call")
    assert call.taken_over_by == "sup" and call.ended_at is None
    whole.hung_up(call)
    peers = [meeting["peer"] for meeting in whole.switch.ended(call.freeswitch_uuid)["bridges"]]
    assert peers[0] == agent_leg and peers[-1] == whole.side(call)


@BY
def test_a_call_is_transferred_and_the_agent_is_free(whole: Whole, by: str):
    call = whole.talking("agent_1")
    agent_leg = whole.near(call)

    def fill() -> None:
        whole.page.get_by_label("To extension").fill(COLLEAGUE)
        if by == "mouse":
            whole.page.get_by_role("button", name="Transfer", exact=True).click()
        else:
            whole.page.keyboard.press("Enter")

    step_by_step(whole.acts(by, call, "t", "Transfer", fill))
    whole.switch.did("uuid_transfer", call.freeswitch_uuid, COLLEAGUE)
    wait_until(lambda: whole.switch.bridged_to(call.freeswitch_uuid) not in {"_undef_", "", agent_leg}, "they talk")
    call.refresh_from_db()
    assert call.agent is None and call.ended_at is None
    whole.hung_up(call)


@BY
def test_a_call_is_hung_up(whole: Whole, by: str):
    call = whole.talking("agent_1")
    whole.switch.forget()
    texts = whole.acts(by, call, "h", "Hang up", lambda: whole.agrees(by))
    step_by_step(texts)
    whole.switch.did("uuid_kill", call.freeswitch_uuid)
    assert whole.switch.ended(call.freeswitch_uuid)["hangup_cause"] == "NORMAL_CLEARING"
    assert call.ended_at is not None
    expect(row(whole.page, "call", call.call_id)).to_have_count(0)


def test_what_the_switch_refuses_is_told_with_its_reason(whole: Whole):
    call = whole.talking("agent_1")
    other = whole.opened(make_user("maria", supervisor=True), "/console/")
    expect(row(other.page, "call", call.call_id)).to_have_attribute("data-state", "bridged")

    def listen() -> None:
        agent_row(other.page, call.agent).focus()
        other.page.keyboard.press("l")
        other.page.get_by_label("Your softphone's extension").fill(BUSY)
        other.page.keyboard.press("Enter")

    texts = other.does(listen, "Agent 1: listen", "the switch refused: the extension is busy")
    assert not any("confirmed" in text for text in texts)
    assert whole.switch.ended(whole.side(call))["fate"] == "busy"
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))
    other.page.close()


# --- agents -----------------------------------------------------------------------------------------------------------


@BY
def test_a_state_is_changed_now_and_the_softphone_follows(whole: Whole, by: str):
    agent = Agent.objects.get(agent_id="agent_7" if by == "mouse" else "agent_8")
    line = agent_row(whole.page, agent)
    step_by_step(whole.chooses(by, agent, "Available"), APPLIED)
    expect(line).to_have_attribute("data-state", "available")
    wait_until(lambda: Agent.objects.get(pk=agent.pk).softphone == "open", "the softphone is open")
    [leg] = [leg for leg in whole.switch.legs().values() if leg["number"] == agent.extension and not leg["ended_at"]]
    step_by_step(whole.chooses(by, agent, "Break · Lunch"), APPLIED)
    expect(line).to_have_attribute("data-state", "break")
    expect(line).to_contain_text("lunch")
    step_by_step(whole.chooses(by, agent, "Offline"), APPLIED)
    expect(line).to_have_attribute("data-state", "offline")
    assert whole.switch.ended(leg["uuid"])


@BY
def test_a_state_after_the_call_is_shown_and_taken_back(whole: Whole, by: str):
    call = whole.talking("agent_2")
    line = agent_row(whole.page, call.agent)
    step_by_step(whole.chooses(by, call.agent, "Break · Lunch"), APPLIED)
    expect(line).to_contain_text("break (lunch)")
    expect(line).to_have_attribute("data-state", "on_call")
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))

    def cancel() -> None:
        if by == "mouse":
            part(menu_of(whole.page, line), "Cancel the next state").click()
        else:
            line.focus()
            whole.page.keyboard.press("x")

    step_by_step(whole.board.does(cancel, "Agent 2", APPLIED), APPLIED)
    expect(line).not_to_contain_text("break (lunch)")
    assert Agent.objects.get(agent_id="agent_2").pending_status == ""


@BY
def test_a_message_reaches_the_panel_is_read_there_and_is_gone_from_the_board(whole: Whole, by: str):
    panel, line = whole.panel("agent_3"), row(whole.page, "agent", "agent_3")
    text = f"Lunch is <b>later</b>, says the {by}"

    def write() -> None:
        if by == "mouse":
            part(menu_of(whole.page, line), "Message…").click()
        else:
            line.focus()
            whole.page.keyboard.press("n")
        whole.page.get_by_label("Text", exact=True).fill(text)
        if by == "mouse":
            whole.page.get_by_role("button", name="Send").click()
        else:
            whole.page.keyboard.press("Enter")

    step_by_step(whole.board.does(write, "Message to Agent 3", APPLIED), APPLIED)
    expect(panel.page.locator("#mynote")).to_contain_text(text)
    item = part(menu_of(whole.page, line), "Message…")
    expect(item).to_contain_text("not read yet: sup's")
    read = panel.page.locator("#note-read")
    panel.does(read.click if by == "mouse" else lambda: panel.page.keyboard.press("Shift+K"), "message read", APPLIED)
    expect(panel.page.locator("#mynote")).to_be_hidden()
    expect(item).not_to_contain_text("not read yet")
    whole.page.keyboard.press("Escape")
    assert AgentMessage.objects.get(text=text).read_at


@BY
def test_a_selection_is_written_to_given_a_state_and_hung_up(whole: Whole, by: str):
    resting, calling = (
        [row(whole.page, "agent", f"agent_{n}") for n in (7, 8)],
        [whole.talking(f"agent_{n}") for n in (1, 2)],
    )
    bar = whole.page.get_by_role("toolbar", name="Selected agents")

    def select(*lines: object) -> None:
        if bar.is_visible():
            bar.get_by_role("button", name="Clear").click()
        for line in lines:
            if by == "mouse":
                line.locator("input[data-select]").check()
            else:
                line.focus()
                whole.page.keyboard.press("Space")
        if lines:
            expect(bar).to_contain_text(f"{len(lines)} selected")

    def press(name: str, key: str) -> None:
        if by == "mouse":
            bar.get_by_role("button", name=name).click()
        else:
            whole.page.keyboard.press(key)

    def state(word: str) -> None:
        press("State", "Shift+S")
        choice = part(whole.page.locator("#sheet"), word)
        if by == "mouse":
            choice.click()
        else:
            whole.page.keyboard.press(str(choice.get_attribute("data-key")))

    def hang_up() -> None:
        press("Hang up", "Shift+H")
        whole.agrees(by)

    select(*resting)
    for word, kind in (("Break · Lunch", "break"), ("Offline", "offline")):
        whole.board.does(lambda word=word: state(word), f"{word} for 2 agents", "2 applied")
        for line in resting:
            expect(line).to_have_attribute("data-state", kind)
    select(*(agent_row(whole.page, call.agent) for call in calling))
    whole.board.does(hang_up, "Hang up for 2 agents", "2 confirmed")
    for call in calling:
        assert whole.switch.ended(call.freeswitch_uuid)["hangup_cause"] == "NORMAL_CLEARING"
    select()


# --- campaigns --------------------------------------------------------------------------------------------------------


@BY
def test_a_campaign_is_started_paused_given_a_mode_and_limits_and_stopped(whole: Whole, by: str):
    campaign = DialerCampaign.objects.get(name=f"Empty {by}")
    line = row(whole.page, "campaign", campaign.campaign_id)

    def asks(word: str, key: str) -> None:
        if by == "mouse":
            part(menu_of(whole.page, line), word).click()
        else:
            line.focus()
            whole.page.keyboard.press(key)

    def mode() -> None:
        asks("Power", "m")
        if by == "keys":
            whole.page.keyboard.press(str(part(whole.page.locator("#sheet"), "Power").get_attribute("data-key")))

    def limits() -> None:
        asks("Limits…", "l")
        whole.page.get_by_label("Lines at once").fill("7")
        if by == "mouse":
            whole.page.get_by_role("button", name="Set limits").click()
        else:
            whole.page.keyboard.press("Enter")

    for word, key, state in (("Start", "g", "active"), ("Pause", "p", "paused"), ("Start", "g", "active")):
        step_by_step(whole.board.does(lambda w=word, k=key: asks(w, k), campaign.name, APPLIED), APPLIED)
        expect(line).to_have_attribute("data-state", state)
    step_by_step(whole.board.does(mode, "dial in mode power", APPLIED), APPLIED)
    step_by_step(whole.board.does(limits, f"{campaign.name}: limits", APPLIED), APPLIED)
    step_by_step(whole.board.does(lambda: asks("Stop", "x"), campaign.name, APPLIED), APPLIED)
    expect(line).to_have_attribute("data-state", "completed")
    campaign.refresh_from_db()
    assert (campaign.status, campaign.mode, campaign.max_lines) == ("completed", "power", 7)


def test_what_the_worker_refuses_is_told_with_its_reason(whole: Whole):
    line = row(whole.page, "campaign", DialerCampaign.objects.get(name="Without a list").campaign_id)
    start = lambda: part(menu_of(whole.page, line), "Start").click()  # noqa: E731
    whole.board.does(start, "Without a list", "refused: the campaign has no contact list")
    expect(line).to_have_attribute("data-state", "draft")


def test_an_agent_on_break_gets_no_calls_and_a_paused_campaign_places_none(whole: Whole):
    campaign = DialerCampaign.objects.get(name="Brisk")
    resting, working = Agent.objects.get(agent_id="agent_5"), Agent.objects.get(agent_id="agent_6")
    calls = CallLog.objects.filter(campaign=campaign)
    line = row(whole.page, "campaign", campaign.campaign_id)
    for agent in (resting, working):
        whole.chooses("mouse", agent, "Available")
    for agent in (resting, working):
        wait_until(lambda agent=agent: calls.filter(agent=agent).exists(), "a call for each", SEARCHED)
    expect(whole.page.locator("#health .down")).to_have_count(0)
    whole.chooses("mouse", resting, "Break · Lunch")
    expect(agent_row(whole.page, resting)).to_have_attribute("data-state", "break", timeout=SEARCHED * 1000)
    last, others = calls.filter(agent=resting).count(), calls.filter(agent=working).count()
    wait_until(lambda: calls.filter(agent=working).count() >= others + 2, "calls for the other", SEARCHED)
    assert calls.filter(agent=resting).count() == last
    expect(agent_row(whole.page, resting)).to_have_attribute("data-state", "break")

    whole.board.does(lambda: part(menu_of(whole.page, line), "Pause").click(), "Brisk", APPLIED)
    placed = calls.count()
    wait_until(lambda: not calls.filter(ended_at=None).exists(), "its last call has ended", SEARCHED)
    invited = whole.switch.customers("+1212552")
    expect(agent_row(whole.page, working)).to_have_attribute("data-state", "available", timeout=SEARCHED * 1000)
    # The agent is free: an active campaign would have dialled at once. Three more signs of life, and still nothing.
    at = published().at
    wait_until(lambda: published().at > at + 3_000, "three seconds more")
    assert calls.count() == placed
    assert whole.switch.customers("+1212552") == invited, "by the switch's own log, too"

    line.focus()
    whole.board.does(lambda: whole.page.keyboard.press("g"), "Brisk", APPLIED)
    wait_until(lambda: calls.count() > placed, "calls again", SEARCHED)
    for agent in (resting, working):
        whole.chooses("mouse", agent, "Offline")
        expect(agent_row(whole.page, agent)).to_have_attribute("data-state", "offline", timeout=SEARCHED * 1000)
