"""What agents do on their panel, by mouse and by keyboard, on laptop and phone; and what a frame may never do."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, WebSocketRoute, expect

from console import intents
from console.rows import LastCall, Listener, Note, Pending
from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import (
    Agent,
    Callback,
    CallLog,
    ComplianceProfile,
    Contact,
    DialerCampaign,
    Disposition,
    DispositionChange,
    ReasonCode,
)
from dialer.rule_forms import DAYS
from events import streams
from tests.browser.conftest import LAPTOP, PHONE
from tests.browser.panel_page import fits, live
from tests.conftest import wait_until
from tests.fakes.console import make_user
from tests.fakes.floor import any_hour, make_agents, make_campaign
from tests.fakes.hostile import FEW as HOSTILE
from tests.fakes.told import Told, telling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]
SIZES = pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
BY = pytest.mark.parametrize("by", ["mouse", "keyboard"])


@pytest.fixture
def agent() -> Agent:
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    set_up_dispositions()
    agent = make_agents(1)[0]
    make_user("ann", agent=agent)
    make_campaign([agent], name="Spring", script="Hello {name}, about {plan}.")
    return agent


def begin(agent: Agent, told: Told, name: str = "Grace Hopper", **fields: Any) -> str:
    """The agent is joined to a customer; the call's id."""
    contact = Contact.objects.filter(calls=None).first()
    assert contact is not None
    contact.name = name
    contact.save()
    now = timezone.now()
    CallLog.objects.filter(ended_at=None).update(ended_at=now, status="completed")
    call = CallLog.objects.create(
        freeswitch_uuid=f"call-{contact.pk}", to_number=contact.number, contact=contact, agent=agent,
        campaign=DialerCampaign.objects.get(), status="answered", initiated_at=now, answered_at=now, bridged_at=now,
    )  # fmt: skip
    Agent.objects.update(status="on_call", last_call=call, softphone="open")
    key = str(call.call_id)
    at = int(now.timestamp() * 1000)
    told.call(key, agent_id=agent.agent_id, contact=name, state="bridged", since=at, bridged_at=at, **fields)
    told.agent(
        agent.agent_id, name=agent.name, extension=agent.extension, status="on_call", since=at, call_id=key,
        softphone="open", last_call=LastCall(id=key, contact=name),
    )  # fmt: skip
    return key


def idle(agent: Agent, told: Told) -> None:
    told.agent(agent.agent_id, name=agent.name, extension=agent.extension, status="available", softphone="open")


class Sent:
    """What the page has said to the server."""

    def __init__(self, page: Page) -> None:
        self.messages: list[dict[str, Any]] = []
        page.on("websocket", lambda socket: socket.on("framesent", self._heard))

    def _heard(self, text: str | bytes) -> None:
        self.messages.append(json.loads(text))

    def commands(self) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["type"] != "ping"]

    def last(self, page: Page, count: int = 1) -> dict[str, Any]:
        """The newest command, once there are so many. Playwright hears while it waits in the page."""
        for _ in range(200):
            if len(self.commands()) >= count:
                return self.commands()[-1]
            page.evaluate("new Promise((done) => setTimeout(done, 50))")
        raise AssertionError(f"{len(self.commands())} commands were sent")


def opened(tab: Any, agent: Agent, viewport: Any) -> tuple[Page, Sent]:
    made = tab(agent.user, viewport)
    sent = Sent(made.page)
    page = made.open("/")
    live(page)
    return page, sent


def answer(page: Page, agent: Agent, message: dict[str, Any], status: str, reason: str = "") -> None:
    """As the sequential worker publishes it, to which the command comes from the queue."""
    expect(page.locator(f"#cmd-{message['id']}")).to_have_attribute("data-status", "queued")
    key = intents.command_id(agent.user.pk, message["id"])
    said = {"command_id": key, "status": status, "reason": reason}
    streams.shared().publish(streams.RESULTS_CHANNEL, json.dumps(said))


def press_or_click(page: Page, by: str, key: str, name: str) -> None:
    if by == "mouse":
        page.get_by_role("button", name=name, exact=True).click()
    else:
        page.keyboard.press(key)


CONTROLS: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "Shift+H", "Hold", "hold"),
    ({"state": "held"}, "Shift+H", "Take off hold", "unhold"),
    ({}, "Shift+M", "Mute", "mute"),
    ({"muted": True}, "Shift+M", "Unmute", "unmute"),
    ({}, "Shift+P", "Park", "park"),
    ({"state": "answered", "parked": True}, "Shift+P", "Take out of park", "unpark"),
    ({"recording": "on"}, "Shift+R", "Pause recording", "record_pause"),
    ({"recording": "paused"}, "Shift+R", "Resume recording", "record_resume"),
    ({"state": "held", "consulting": "1002", "consult_answered": True}, "Shift+J", "Join them", "consult_complete"),
    (
        {"state": "held", "consulting": "1002", "consult_answered": True},
        "Shift+B",
        "Back to customer",
        "consult_cancel",
    ),
]


@SIZES
@BY
def test_every_control_of_a_call_sends_its_command(tab: Any, agent: Agent, viewport: Any, by: str) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, viewport)
        key = begin(agent, told)
        plain = {"state": "bridged", "muted": False, "parked": False, "recording": "off", "consulting": ""}
        for count, (fields, hot_key, name, action) in enumerate(CONTROLS, 1):
            told.call(key, **{**plain, **fields})
            expect(page.get_by_role("button", name=name, exact=True)).to_be_enabled()
            press_or_click(page, by, hot_key, name)
            message = sent.last(page, count)
            assert (message["type"], message["action"], message["call_id"]) == ("call_control", action, key)
            answer(page, agent, message, "applied")
            expect(page.locator("button.waiting")).to_have_count(0)
        assert fits(page)


@SIZES
@BY
def test_a_call_is_transferred_or_a_colleague_asked_first(tab: Any, agent: Agent, viewport: Any, by: str) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, viewport)
        key = begin(agent, told)
        field = page.get_by_label("To extension")
        expect(field).to_be_visible()
        for count, (name, action) in enumerate((("Ask first", "consult"), ("Transfer", "transfer")), 1):
            if by == "mouse":
                field.click()
            else:
                field.blur()
                page.keyboard.press("Shift+T")
            expect(field).to_be_focused()
            page.keyboard.type("1002")
            if by == "mouse":
                page.get_by_role("button", name=name, exact=True).click()
            else:
                for _ in range(count):
                    page.keyboard.press("Tab")
                page.keyboard.press("Enter")
            message = sent.last(page, count)
            assert (message["action"], message["extension"], message["call_id"]) == (action, "1002", key)
            answer(page, agent, message, "rejected", "nobody answers there")
            expect(page.locator("#call-said")).to_contain_text("nobody answers there")
            expect(field).to_have_value("1002")  # to be mended and tried again
            field.fill("")
        field.fill("12a")
        page.get_by_role("button", name="Transfer", exact=True).click()
        assert len(sent.commands()) == 2  # the field says itself what is wrong


@SIZES
@BY
def test_a_state_is_asked_for_and_what_follows_can_be_cancelled(tab: Any, agent: Agent, viewport: Any, by: str) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, viewport)
        press_or_click(page, by, "Shift+2", "Break Lunch")
        message = sent.last(page)
        assert (message["type"], message["state"], message["reason"]) == ("set_agent_state", "break", "lunch")
        answer(page, agent, message, "rejected", "not now")
        expect(page.locator("#state-said")).to_contain_text("Break (Lunch): refused: not now")
        told.agent(agent.agent_id, status="on_call", pending=Pending(status="break", reason="lunch"))
        expect(page.locator("#me")).to_contain_text("Next: break (lunch)")
        press_or_click(page, by, "Shift+C", "Cancel")
        assert sent.last(page, 2)["cancel_pending"] is True


@BY
def test_the_key_that_ends_a_call_asks_first_the_button_does_not(tab: Any, agent: Agent, by: str) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, LAPTOP)
        key = begin(agent, told)
        expect(page.locator("#my-hangup")).to_be_visible()
        if by == "mouse":
            page.get_by_role("button", name="Hang up").click()
        else:
            page.keyboard.press("e")
            page.keyboard.press("Shift+E")
            expect(page.get_by_role("dialog")).to_contain_text("Hang up Grace Hopper?")
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
            assert sent.commands() == []
            page.keyboard.press("Shift+E")
            page.keyboard.press("Enter")
        message = sent.last(page)
        assert (message["action"], message["call_id"]) == ("hangup", key)


def test_a_button_waits_for_its_answer_through_frames_and_a_refusal_is_told_beside_it(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, LAPTOP)
        key = begin(agent, told)
        hold = page.locator("#my-hold")
        hold.click()
        message = sent.last(page)
        expect(hold).to_have_attribute("aria-busy", "true")
        expect(page.locator("#commands")).to_contain_text("queued")
        told.call(key, muted=True)  # replaces the button
        expect(page.locator("#my-mute")).to_have_text("Unmute")
        expect(hold).to_have_attribute("aria-busy", "true")
        hold.click(force=True)  # not twice
        answer(page, agent, message, "rejected", "the customer has hung up")
        expect(hold).not_to_have_attribute("aria-busy", "true")
        expect(page.locator("#call-said")).to_have_text("hold: refused: the customer has hung up")
        expect(page.locator("#commands")).to_contain_text("refused")
        assert len(sent.commands()) == 1


def test_what_cannot_be_done_says_why(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, LAPTOP)
        begin(agent, told)
        record = page.get_by_role("button", name="Pause recording")
        expect(record).to_be_disabled()
        record.click(force=True)
        expect(page.locator("#call-said")).to_contain_text("this call is not recorded")
        assert sent.commands() == []


def test_frames_take_neither_focus_nor_words_nor_an_open_form(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, _ = opened(tab, agent, LAPTOP)
        key = begin(agent, told)
        page.get_by_label("Notes").fill("sends the contract")
        page.get_by_label("To extension").fill("10")
        page.locator("#my-hold").focus()
        told.call(key, state="held", recording="on")
        expect(page.locator("#my-hold")).to_have_text("Take off hold")
        expect(page.locator("#my-hold")).to_be_focused()
        page.get_by_label("To extension").focus()
        told.call(key, muted=True, listeners=(Listener(user="maria"),))
        expect(page.locator("#mycall")).to_contain_text("maria listens")
        expect(page.get_by_label("To extension")).to_be_focused()
        expect(page.get_by_label("To extension")).to_have_value("10")
        expect(page.get_by_label("Notes")).to_have_value("sends the contract")
        before = page.evaluate("scrollY")
        told.agent(agent.agent_id, note=Note(id="n", sender="maria", text="Well done", at=1), calls_today=4)
        expect(page.locator("#mynote")).to_contain_text("Well done")
        expect(page.get_by_label("To extension")).to_be_focused()
        assert page.evaluate("scrollY") == before


def test_nothing_moves_while_a_call_goes_through_its_states(tab: Any, agent: Agent) -> None:
    where = "['#my-hold', '#my-hangup', '#state-break-lunch', '#dispose-save', '#transfer-to']"
    places = f"{where}.map((one) => JSON.stringify(document.querySelector(one).getBoundingClientRect()))"
    with telling() as told:
        idle(agent, told)
        page, _ = opened(tab, agent, LAPTOP)
        key = begin(agent, told)
        expect(page.locator("#dispose-save")).to_be_visible()
        expect(page.locator("#record")).to_be_visible()
        before = page.evaluate(places)
        told.call(key, state="held", muted=True, recording="on", listeners=(Listener(user="maria"),))
        told.agent(
            agent.agent_id, pending=Pending(status="break", reason="lunch"), softphone="lost",
            note=Note(id="n", sender="maria", text="Well done", at=1),
        )  # fmt: skip
        expect(page.locator("#mynote")).to_contain_text("Well done")
        expect(page.locator("#banner")).to_contain_text("Softphone lost")
        assert page.evaluate(places) == before


def test_the_next_call_does_not_throw_away_what_is_being_written(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, LAPTOP)
        first = begin(agent, told)
        page.get_by_label("Notes").fill("sends the contr")
        told.over(first)
        second = begin(agent, told, "Ada Lovelace")
        expect(page.locator("#record")).to_contain_text("Ada Lovelace")
        expect(page.locator("#unsaved")).to_contain_text("These notes on Grace Hopper are not saved.")
        page.get_by_label("Notes").press("End")
        page.keyboard.type("act")
        page.get_by_role("button", name="To the new call").click()
        expect(page.locator("#disposing-who")).to_have_text("Ada Lovelace")
        expect(page.get_by_label("Notes")).to_have_value("")
        page.get_by_label("Notes").fill("second")
        page.get_by_role("button", name="Back to them").click()
        expect(page.get_by_label("Notes")).to_have_value("sends the contract")
        page.get_by_text("Sale", exact=True).click()
        page.get_by_role("button", name="Save").click()
        message = sent.last(page)
        assert (message["call_id"], message["notes"]) == (first, "sends the contract")
        answer(page, agent, message, "applied")
        expect(page.locator("#disposing-who")).to_have_text("Ada Lovelace")
        expect(page.get_by_label("Notes")).to_have_value("second")
        assert page.locator("#dispose").get_attribute("data-call") == second


def test_keys_do_nothing_in_a_field_and_can_be_turned_off(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, LAPTOP)
        begin(agent, told)
        page.get_by_label("Notes").focus()
        page.keyboard.type("HEMPS? 1!")
        expect(page.get_by_label("Notes")).to_have_value("HEMPS? 1!")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.keyboard.press("Escape")
        page.get_by_label("Notes").blur()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        page.keyboard.press("Shift+H")  # not behind a dialog
        page.get_by_label("Keyboard shortcuts are on").uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("Shift+H")
        page.keyboard.press("s")
        expect(page.get_by_role("radio", checked=True)).to_have_count(0)
        assert sent.commands() == []
        page.keyboard.press("?")
        page.get_by_label("Keyboard shortcuts are on").check()
        page.keyboard.press("Escape")
        page.keyboard.press("Shift+H")
        assert sent.last(page)["action"] == "hold"


def test_a_message_is_shown_until_it_has_been_read(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, PHONE)
        told.agent(agent.agent_id, note=Note(id="n1", sender="maria", text="Well done", at=1))
        expect(page.locator("#said")).to_have_text("Message from maria: Well done")
        page.keyboard.press("Shift+K")
        message = sent.last(page)
        assert (message["type"], message["message_id"], message["agent_id"]) == ("read_message", "n1", agent.agent_id)
        expect(page.locator("#mynote")).to_be_visible()  # until the server says that it has been read
        told.agent(agent.agent_id, note=None)
        expect(page.locator("#mynote")).to_be_hidden()


def test_one_banner_says_that_the_softphone_or_the_connection_is_lost(tab: Any, agent: Agent) -> None:
    lines: list[WebSocketRoute] = []
    down = False

    def connect(line: WebSocketRoute) -> None:
        if down:
            line.close(code=1011)
        else:
            line.connect_to_server()
            lines.append(line)

    with telling() as told:
        idle(agent, told)
        made = tab(agent.user, LAPTOP)
        made.page.route_web_socket("**/ws/console/agent/", connect)
        page = made.open("/")
        live(page)
        begin(agent, told)
        banner, spoken = page.locator("#banner"), page.locator("#announce[role=alert]")
        expect(banner).to_be_hidden()
        told.agent(agent.agent_id, softphone="lost")
        expect(banner).to_contain_text("Softphone lost")
        expect(spoken).to_contain_text("Softphone lost")
        page.get_by_label("Notes").fill("half a sent")
        down = True
        lines[-1].close(code=1011)
        expect(banner).to_contain_text("Connection lost")
        expect(spoken).to_contain_text("Connection lost")
        assert page.title().startswith("⚠")
        page.locator("#my-hold").click()
        expect(page.locator("#call-said")).to_contain_text("not sent: there is no connection")
        down = False
        told.agent(agent.agent_id, softphone="open")
        live(page)
        expect(banner).to_be_hidden()
        expect(page.get_by_label("Notes")).to_have_value("half a sent")
        assert not page.title().startswith("⚠")


@pytest.mark.slow
def test_the_round_trip_is_measured_and_told_by_a_clock_that_no_hidden_tab_slows_down(tab: Any, agent: Agent) -> None:
    with telling() as told:
        idle(agent, told)
        made = tab(agent.user, LAPTOP)
        # What a hidden tab is left with, made worse: no timer of the page fires at all.
        made.page.add_init_script("window.setInterval = window.setTimeout = () => 0")
        sent = Sent(made.page)
        page = made.open("/")
        live(page)

        def measured() -> list[dict[str, Any]]:
            page.evaluate("1")  # Playwright hears only while it talks to the page
            return [one for one in sent.messages if "round_trip_ms" in one]

        expect(page.locator("#calm")).to_contain_text("ms to the server")
        wait_until(measured, "a second ping", every=0.25)
        assert 0 <= measured()[0]["round_trip_ms"] < 10_000
        assert page.workers and page.workers[0].url.endswith("ticker.js")


def test_a_time_at_which_nobody_may_call_is_explained_and_not_saved(tab: Any, agent: Agent) -> None:
    hours = {day: [["10:00", "11:00"]] for day in DAYS}
    DialerCampaign.objects.update(profile=ComplianceProfile.objects.create(name="short", calling_hours=hours))
    with telling() as told:
        idle(agent, told)
        page, sent = opened(tab, agent, PHONE)
        begin(agent, told)
        page.get_by_text("Call back", exact=True).click()
        morning = page.get_by_role("button", name="Tomorrow morning")
        expect(morning).to_be_disabled()
        expect(morning).to_contain_text("outside calling hours")
        page.get_by_label("Call back at").fill("2999-01-01T03:00")
        expect(page.locator("#callback-wrong")).to_contain_text("Not possible: at most 90 days ahead")
        page.get_by_role("button", name="Save").click()
        assert sent.commands() == []
        DialerCampaign.objects.update(profile=ComplianceProfile.objects.get_or_create(name="any", calling_hours={
            day: [["00:00", "24:00"]] for day in DAYS
        })[0])  # fmt: skip
        page.get_by_text("Sale", exact=True).click()
        page.get_by_text("Call back", exact=True).click()
        expect(morning).to_be_enabled()
        morning.click()
        expect(page.locator("#callback-there")).to_contain_text("For them")
        expect(page.locator("#callback-wrong")).to_have_text("")
        page.get_by_label("I call back myself").uncheck()
        page.get_by_role("button", name="Save").click()
        message = sent.last(page)
        assert message["callback_personal"] is False
        assert message["callback_at"] > timezone.now().timestamp() * 1000
        assert fits(page)


def test_correcting_the_notes_leaves_the_customers_appointment_when_and_with_whom_it_is(tab: Any, agent: Agent) -> None:
    DialerCampaign.objects.update(profile=any_hour())
    with telling() as told:
        idle(agent, told)
        begin(agent, told)
        call = CallLog.objects.get(ended_at=None)
        given = Disposition.objects.get(is_callback=True)
        at = (timezone.now() + dt.timedelta(days=3)).replace(second=0, microsecond=0)
        appointment = Callback.objects.create(campaign=call.campaign, contact=call.contact, at=at)
        DispositionChange.objects.create(
            call=call, disposition=given, by="ann", at=timezone.now(), callback=appointment
        )
        CallLog.objects.update(
            disposition=given, disposed_at=timezone.now(), disposed_by="ann", disposition_notes="Tusday"
        )
        page, sent = opened(tab, agent, LAPTOP)
        told.agent(agent.agent_id, last_call=LastCall(id=str(call.call_id), contact="Grace", label="Call back"))
        expect(page.locator("#disposing-given")).to_have_text("Call back")
        page.locator("#disposing summary").click()
        expect(page.get_by_label("Call back at")).to_have_value(re.compile("T"))
        expect(page.get_by_label("I call back myself")).not_to_be_checked()
        dirty = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        assert not page.evaluate(dirty), "nobody has changed anything yet"
        page.get_by_label("I call back myself").check()
        assert page.evaluate(dirty)
        page.get_by_label("I call back myself").uncheck()
        page.get_by_label("Notes").fill("Tuesday")
        page.get_by_role("button", name="Correct").click()
        message = sent.last(page)
        assert (message["code"], message["notes"]) == (given.code, "Tuesday")
        assert (message["callback_at"], message["callback_personal"]) == (at.timestamp() * 1000, False)
        answer(page, agent, message, "applied")
        page.wait_for_function("!" + f"({dirty})")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_customers_lists_and_colleagues_have_written_is_inert(tab: Any, agent: Agent, text: str) -> None:
    written = text.replace("\0", "")
    Contact.objects.update(custom_fields={"plan": written, written[:60] or "-": written})
    DialerCampaign.objects.update(script="Hello {name}, {plan} " + written)
    with telling() as told:
        idle(agent, told)
        page, _ = opened(tab, agent, PHONE)
        key = begin(agent, told, written[:200])
        told.call(key, contact=text, listeners=(Listener(user=text),), consulting=text, cause=text)
        told.agent(
            agent.agent_id, note=Note(id="n", sender=text, text=text, at=1), reason=text,
            pending=Pending(status=text, reason=text), last_call=LastCall(id=key, contact=text, label=text),
        )  # fmt: skip
        expect(page.locator("#record")).to_be_visible()
        expect(page.locator("#mynote")).to_be_visible()
        assert page.evaluate("window.hacked") is None
        strange = "#main img, #main script, #main iframe, #mynote img, [onload], [onerror], [onmouseover], [hx-get]"
        assert page.locator(strange).count() == 0
        assert page.locator("h1").count() == page.locator("#beat").count() == 1
        assert fits(page)
