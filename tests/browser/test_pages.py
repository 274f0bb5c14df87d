"""The pages of calls, agents and contacts in a real browser: by keyboard, the player, the strip, on a phone."""

import datetime as dt
import math
import os
import re
import struct
import wave
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from dialer.models import AgentDay, CallLog
from tests.browser.conftest import PHONE
from tests.browser.panel_page import make_call, picture
from tests.fakes.console import make_user
from tests.fakes.events import CALL
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.story import HOSTILE, told_call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]


@pytest.fixture
def supervisor():
    return make_user("sup", supervisor=True)


@pytest.fixture
def call() -> CallLog:
    agents = make_agents(2)
    call = told_call(agents[0], make_campaign(agents, contacts=2))
    AgentDay.objects.create(agent=agents[0], day=call.initiated_at.date(), talk_ms=60_000, idle_ms=60_000, handled=1)
    return call


def test_a_number_is_found_by_keyboard_and_followed_to_its_ladder(tab, supervisor, call):
    page = tab(supervisor).open("/console/calls/")
    page.get_by_label("Find a number").focus()
    page.keyboard.type(call.to_number.replace("+1", "(1) "))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Find")
    assert call.to_number[-7:] not in page.url
    page.get_by_role("link", name="All calls to").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name=f"{call.initiated_at:%Y-%m-%d %H:%M:%S}").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Contact 0")
    expect(page.locator(".ladder thead th.lane")).to_have_text(["Orchestrator", "Customer", "Agent 101"])
    expect(page.locator(".ladder .mark b").first).to_have_text("Dialled")


def test_filters_are_followed_at_once_and_stand_in_the_address(tab, supervisor, call):
    page = tab(supervisor).open("/console/calls/")
    expect(page.locator(".lines tbody tr")).to_have_count(1)
    page.get_by_label("Ended as").select_option("Busy")
    expect(page.locator("#found")).to_contain_text("No call like that")
    assert "outcome=busy" in page.url
    page.get_by_label("Ended as").select_option("Conversation")
    expect(page.locator(".lines tbody tr")).to_have_count(1)
    page.get_by_label("Number", exact=True).fill("+1 212 555 9999")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no call to that number")
    page.reload()
    expect(page.get_by_label("Ended as")).to_have_value("conversation")


@pytest.mark.parametrize("fault", [502, 0], ids=["failing", "away"])
def test_a_page_that_is_not_renewed_says_since_when_until_it_is(tab, supervisor, fault):
    agents = make_agents(1)
    make_campaign(agents, contacts=1)
    opened = tab(supervisor)
    path = f"/console/calls/{make_call(agents[0]).call_id}/"
    page = opened.open(path)
    page.route(re.compile(path), lambda route: route.fulfill(status=fault) if fault else route.abort())
    said = {502: "the server failed", 0: "the server does not answer"}[fault]
    late = re.compile(rf"Not renewed since \d\d:\d\d:\d\d UTC: {said}\. It is asked again by itself\.")
    expect(page.locator(".late")).to_have_text(late)
    expect(page.locator("#renewed[role=status]")).to_have_text(late)
    picture(page, f"late-call-{fault}")
    page.unroute(re.compile(path))
    expect(page.locator(".late")).to_have_count(0)
    expect(page.locator("#renewed")).to_have_text("Renewed.")
    expect(page.locator("#call h1")).to_be_visible()
    opened.errors = [text for text in opened.errors if not re.search("502|ERR_FAILED|htmx:", text)]


def test_rows_of_the_last_filter_do_not_pass_for_those_of_a_new_one(tab, supervisor, call):
    opened = tab(supervisor)
    page = opened.open("/console/calls/")
    page.route("**/console/calls/", lambda route: route.fulfill(status=503))
    page.get_by_label("Ended as").select_option("Busy")
    expect(page.locator(".late")).to_contain_text("What is below is still what was shown before")
    expect(page.locator(".lines tbody tr")).to_have_count(1)
    picture(page, "late-filter")
    page.unroute("**/console/calls/")
    page.get_by_label("Ended as").select_option("No answer")
    expect(page.locator("#found")).to_contain_text("No call like that")
    expect(page.locator(".late")).to_have_count(0)
    opened.errors = [text for text in opened.errors if "503" not in text]


def test_a_page_that_renews_itself_goes_to_the_sign_in_and_back_when_its_user_is_signed_out(tab, supervisor):
    page = tab(supervisor).open("/console/decisions/?campaign=")
    Session.objects.all().delete()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("User name").fill("sup")
    page.get_by_label("Password").fill("not-secret-1")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Why these calls")


def test_filters_work_without_javascript(tab, supervisor, call):
    page = tab(supervisor, java_script_enabled=False).open("/console/calls/")
    page.get_by_label("Ended as").select_option("Busy")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#found")).to_contain_text("No call like that")


@pytest.fixture
def sound(call):
    """Two seconds of a tone where the web process looks for it."""
    path = Path(os.environ.get("RECORDINGS_DIR", settings.RECORDINGS_DIR)) / f"{call.call_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        tone = (round(8000 * math.sin(n / 8000 * 440 * 2 * math.pi)) for n in range(16_000))
        file.writeframes(b"".join(struct.pack("<h", level) for level in tone))
    yield path
    path.unlink()


def test_a_recording_can_be_sought_in_by_keyboard(tab, supervisor, sound):
    page = tab(supervisor).open(f"/console/calls/{CALL}/")
    player = page.locator("#recording")
    expect(player).to_have_js_property("readyState", 4)
    assert player.evaluate("audio => audio.duration") == pytest.approx(2, abs=0.1)
    player.evaluate("audio => { audio.currentTime = 1.5; }")
    expect(player).to_have_js_property("seeking", False)
    assert player.evaluate("audio => audio.currentTime") == pytest.approx(1.5, abs=0.1)
    player.focus()
    page.keyboard.press("Space")
    expect(player).to_have_js_property("ended", True)


def test_an_agents_day_is_drawn_told_and_turned_by_keyboard(tab, supervisor, call):
    day = call.initiated_at.date()
    page = tab(supervisor).open(f"/console/agents/agent_101/?day={day}")
    bars = page.locator(".strip .bar")
    expect(bars).to_have_count(3)
    boxes = [bars.nth(n).bounding_box() for n in range(3)]
    assert all(box["width"] > 0 for box in boxes)
    # Each state in a lane of its own.
    assert len({round(box["y"]) for box in boxes}) == 3
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".states-table tbody tr")).to_have_count(3)
    page.get_by_role("link", name="The day before").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Day (UTC)")).to_have_value(f"{day - dt.timedelta(days=1)}")
    expect(page.locator("main")).to_contain_text("Nothing is known of this day")


def test_nothing_runs_off_a_phone_or_runs_at_all_in_either_theme(tab, supervisor):
    agents = make_agents(1)
    call = told_call(agents[0], make_campaign(agents, contacts=1, name="long" * 40), hostile=HOSTILE)
    opened = tab(supervisor, PHONE)
    opened.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    for path in (
        "/console/calls/", f"/console/calls/{CALL}/", f"/console/contacts/{call.contact_id}/",
        f"/console/agents/agent_101/?day={call.initiated_at:%Y-%m-%d}", "/console/search?q=a",
    ):  # fmt: skip
        page = opened.open(path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], (path, scheme)
