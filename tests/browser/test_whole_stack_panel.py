"""Everything at once, from the agent's panel: each action by mouse and by keyboard, through every process to the
simulated switch and back, held against what the switch itself says."""

import re

import pytest
from playwright.sync_api import expect

from dialer.models import Callback, CallLog
from tests.browser.acting import agent_row, row
from tests.browser.panel_page import live
from tests.browser.whole_floor import APPLIED, BUSY, BY, COLLEAGUE, CONFIRMED, SECONDS, Seen, Whole, whole_floor
from tests.conftest import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(180)]

OTHER_COLLEAGUE = "1032"
# The panel draws every message: each step is seen.
STEPS = ["sending…", "queued", "applied, the switch has been asked", CONFIRMED]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, chromium, django_db_setup, django_db_blocker):
    with whole_floor(tmp_path_factory.mktemp("whole"), chromium, django_db_blocker) as found:
        yield found


def leave(panel: Seen) -> None:
    """Whoever was in a field, in whichever test, has left it: there a key is a letter."""
    panel.page.evaluate("document.activeElement.blur()")


def conversation(whole: Whole) -> tuple[Seen, CallLog]:
    """The panel of agent 3 with a customer on it."""
    panel = whole.panel("agent_3")
    call = whole.talking("agent_3")
    expect(panel.page.locator("#mycall .customer")).to_have_text(call.contact.name)
    expect(panel.page.locator("#mycall")).to_contain_text("Talking")
    leave(panel)
    return panel, call


def presses(panel: Seen, by: str, selector: str, key: str, about: str, end: str = CONFIRMED) -> None:
    """The button by mouse, or its key; every step to the end is seen."""
    live(panel.page)
    # A key does not wait for its button as Playwright's mouse does: that the switch has confirmed is told by itself,
    # that the call is free for the next command by the frame after it.
    ready = f"{selector}:not(.waiting, [aria-disabled=true])"
    expect(panel.page.locator(ready)).to_be_visible(timeout=SECONDS * 1000)

    def do() -> None:
        if by == "mouse":
            panel.page.locator(selector).click()
        else:
            leave(panel)
            panel.page.keyboard.press(key)

    steps(panel.does(do, about, end), end)


def steps(texts: list[str], end: str = CONFIRMED) -> None:
    """Each that leads to this end, and no other; how many are ahead in the queue is chance."""
    asked = [] if end == APPLIED else STEPS[2:3]
    assert [re.sub(r"^queued, .*", "queued", text) for text in texts] == [*STEPS[:2], *asked, end]


def digit(panel: Seen) -> str:
    return f"Shift+{panel.page.locator('#state-break-lunch').get_attribute('data-digit')}"


def moves(panel: Seen, by: str, extension: str, button: str, tabs: int) -> None:
    """The extension is written, then the button beside it is pressed."""
    field = panel.page.get_by_label("To extension")
    if by == "mouse":
        field.fill(extension)
        panel.page.get_by_role("button", name=button, exact=True).click()
    else:
        field.blur()
        panel.page.keyboard.press("Shift+T")
        expect(field).to_be_focused()
        panel.page.keyboard.type(extension)
        for _ in range(tabs):
            panel.page.keyboard.press("Tab")
        panel.page.keyboard.press("Enter")


@BY
def test_i_hold_and_take_back(whole: Whole, by: str):
    panel, call = conversation(whole)
    presses(panel, by, "#my-hold", "Shift+H", "hold")
    whole.switch.did("uuid_hold", whole.near(call))
    expect(panel.page.locator("#my-hold")).to_have_text("Take off hold")
    expect(row(whole.page, "call", call.call_id)).to_have_attribute("data-state", "held")
    presses(panel, by, "#my-hold", "Shift+H", "take off hold")
    whole.switch.did("uuid_hold", "off", whole.near(call))
    expect(panel.page.locator("#mycall")).to_contain_text("Talking")


@BY
def test_i_mute_and_unmute_myself(whole: Whole, by: str):
    panel, call = conversation(whole)
    presses(panel, by, "#my-mute", "Shift+M", "mute")
    whole.switch.did("uuid_audio", whole.near(call), "mute")
    expect(panel.page.locator("#my-mute")).to_have_text("Unmute")
    presses(panel, by, "#my-mute", "Shift+M", "unmute")
    whole.switch.did("uuid_audio", whole.near(call), "stop")
    expect(panel.page.locator("#my-mute")).to_have_text("Mute")


@BY
def test_i_park_the_customer_and_take_them_back(whole: Whole, by: str):
    panel, call = conversation(whole)
    presses(panel, by, "#my-park", "Shift+P", "park")
    whole.switch.alone(call.freeswitch_uuid)
    expect(panel.page.locator("#mycall")).to_contain_text("Parked")
    presses(panel, by, "#my-park", "Shift+P", "take out of park")
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))


@BY
def test_i_pause_and_resume_the_recording(whole: Whole, by: str):
    panel, call = conversation(whole)
    whole.acts("keys", call, "r", "Record")
    expect(panel.page.locator("#mycall .timers")).to_contain_text("on")
    presses(panel, by, "#my-record", "Shift+R", "pause recording")
    whole.switch.did("uuid_record", call.freeswitch_uuid, "mask")
    expect(panel.page.locator("#mycall .timers")).to_contain_text("paused")
    presses(panel, by, "#my-record", "Shift+R", "resume recording")
    whole.switch.did("uuid_record", call.freeswitch_uuid, "unmask")
    whole.acts("keys", call, "r", "Stop recording")


@BY
def test_i_transfer_the_customer_and_the_next_one_comes(whole: Whole, by: str):
    panel, call = conversation(whole)
    steps(panel.does(lambda: moves(panel, by, COLLEAGUE, "Transfer", 2), "transfer"))
    whole.switch.did("uuid_transfer", call.freeswitch_uuid, COLLEAGUE)
    apart = {"_undef_", "", whole.near(call)}
    wait_until(lambda: whole.switch.bridged_to(call.freeswitch_uuid) not in apart, "they talk")
    expect(panel.page.locator("#mycall")).not_to_contain_text(call.contact.name)
    whole.hung_up(call)


@BY
def test_i_ask_a_colleague_first_and_go_back_to_the_customer(whole: Whole, by: str):
    panel, call = conversation(whole)
    steps(panel.does(lambda: moves(panel, by, COLLEAGUE, "Ask first", 1), "consult"))
    colleague = whole.side(call)
    whole.switch.joined(whole.near(call), colleague)
    whole.switch.alone(call.freeswitch_uuid)
    expect(panel.page.locator("#mycall")).to_contain_text(f"You speak with {COLLEAGUE}; the customer waits.")
    presses(panel, by, "#consult-cancel", "Shift+B", "back to the customer")
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))
    assert whole.switch.ended(colleague)
    expect(panel.page.locator("#mycall")).to_contain_text("Talking")


@BY
def test_i_ask_a_colleague_first_and_join_them_with_the_customer(whole: Whole, by: str):
    panel, call = conversation(whole)
    steps(panel.does(lambda: moves(panel, by, OTHER_COLLEAGUE, "Ask first", 1), "consult"))
    expect(panel.page.locator("#consult-complete")).to_be_enabled()
    presses(panel, by, "#consult-complete", "Shift+J", "join customer and colleague")
    whole.switch.joined(call.freeswitch_uuid, whole.side(call))
    expect(panel.page.locator("#mycall")).not_to_contain_text(call.contact.name)
    call.refresh_from_db()
    assert call.agent is None and call.ended_at is None
    whole.hung_up(call)


def test_a_colleague_who_is_busy_is_told_and_the_customer_is_back(whole: Whole):
    panel, call = conversation(whole)
    refused = "the switch refused: the extension is busy"
    texts = panel.does(lambda: moves(panel, "mouse", BUSY, "Ask first", 1), "consult", refused)
    steps(texts, refused)
    assert whole.switch.ended(whole.side(call))["fate"] == "busy"
    expect(panel.page.locator("#refused, #call-said").filter(has_text="the extension is busy").first).to_be_visible()
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))
    expect(panel.page.locator("#mycall")).to_contain_text("Talking")


@BY
def test_i_hang_up(whole: Whole, by: str):
    panel, call = conversation(whole)

    def key() -> None:
        panel.page.keyboard.press("Shift+E")
        panel.page.keyboard.press("Enter")

    steps(panel.does(panel.page.locator("#my-hangup").click if by == "mouse" else key, "hang up"))
    whole.switch.did("uuid_kill", call.freeswitch_uuid)
    assert whole.switch.ended(call.freeswitch_uuid)["hangup_cause"] == "NORMAL_CLEARING"
    expect(panel.page.locator("#mycall")).not_to_contain_text(call.contact.name)


@BY
def test_i_dispose_of_a_call_with_an_appointment(whole: Whole, by: str):
    panel, call = conversation(whole)
    page = panel.page
    expect(page.locator("#disposing-who")).to_have_text(call.contact.name)

    def save() -> None:
        if by == "mouse":
            page.get_by_text("Call back", exact=True).click()
            expect(page.get_by_label("Call back at")).not_to_have_value("")
            page.get_by_role("button", name="Save").click()
        else:
            page.keyboard.press("c")
            expect(page.get_by_label("Call back at")).not_to_have_value("")
            page.keyboard.press("Enter")

    steps(panel.does(save, "Call back", APPLIED), APPLIED)
    appointment = Callback.objects.get(contact=call.contact)
    assert appointment.agent == call.agent and appointment.at > call.initiated_at
    expect(page.locator("#disposing-given")).to_have_text("Call back")
    expect(agent_row(whole.page, call.agent)).to_have_attribute("data-state", "on_call")
    whole.hung_up(call)
    expect(agent_row(whole.page, call.agent).locator(".c-disposition")).to_have_text("Call back")


@BY
def test_what_i_do_after_the_call_is_shown_and_taken_back(whole: Whole, by: str):
    panel, call = conversation(whole)
    presses(panel, by, "#state-break-lunch", digit(panel), "Break (Lunch)", APPLIED)
    expect(panel.page.locator("#me")).to_contain_text("Next: break (lunch)")
    expect(agent_row(whole.page, call.agent).locator(".c-next")).to_have_text("break (lunch)")
    presses(panel, by, "#cancel-pending", "Shift+C", "cancel next state", APPLIED)
    expect(panel.page.locator("#me")).not_to_contain_text("Next:")
    expect(agent_row(whole.page, call.agent).locator(".c-next")).to_have_text("")
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))


@BY
def test_i_dial_the_contact_before_me(whole: Whole, by: str):
    panel = whole.panel("agent_4")
    expect(panel.page.locator("#preview-dial")).to_be_visible(timeout=SECONDS * 1000)
    name = panel.page.locator("#preview .customer").inner_text()
    presses(panel, by, "#preview-dial", "Shift+D", f"dial {name}", APPLIED)
    expect(panel.page.locator("#mycall .customer")).to_have_text(name)
    call = whole.talking("agent_4")
    assert call.contact.name == name
    leg = whole.switch.legs()[call.freeswitch_uuid]
    assert (leg["number"], leg["kind"]) == (call.contact.number, "customer")
    whole.hung_up(call)


@BY
def test_i_dial_a_number_by_hand(whole: Whole, by: str):
    panel, number = whole.panel("agent_4"), f"+1212559700{1 if by == 'mouse' else 2}"
    # Whoever has a contact before them may dial another; it is given back.
    expect(panel.page.locator("#preview-dial")).to_be_visible(timeout=SECONDS * 1000)
    field = panel.page.get_by_role("textbox", name="Number")

    def dial() -> None:
        field.fill(number)
        if by == "mouse":
            panel.page.locator("#manual-dial").click()
        else:
            field.press("Enter")

    steps(panel.does(dial, "dial by hand", APPLIED), APPLIED)
    call = wait_until(lambda: CallLog.objects.filter(to_number=number, bridged_at__isnull=False).first(), "they talk")
    assert call.agent.agent_id == "agent_4"
    assert whole.switch.customers(number) == [number]
    whole.switch.joined(call.freeswitch_uuid, whole.near(call))
    whole.hung_up(call)


def test_what_is_no_number_is_refused_with_the_reason(whole: Whole):
    panel = whole.panel("agent_4")
    expect(panel.page.locator("#preview-dial")).to_be_visible(timeout=SECONDS * 1000)

    def dial() -> None:
        panel.page.get_by_role("textbox", name="Number").fill("+1 900 234 5678")
        panel.page.locator("#manual-dial").click()

    panel.does(dial, "dial by hand", "premium rate")
    expect(panel.page.locator("#refused")).to_contain_text("premium rate")
    panel.page.get_by_role("textbox", name="Number").fill("")
    assert whole.switch.customers("900234") == []
