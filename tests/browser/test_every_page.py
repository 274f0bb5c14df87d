"""Every page of the console and the ways into the administration: no serious fault for axe-core in light or dark,
nothing wider than a laptop or a phone, nothing in the browser's console (where a violation of the content security
policy would be told). The panel's states are in test_panel_looks.py.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from playwright.sync_api import Page, expect

from console.models import Alert, AlertThreshold, OccupancyMinute
from console.urls import urlpatterns
from dialer import whatif
from dialer.models import Agent, AgentDay, AgentMessage, CallLog, Contact, DialerCampaign, DoNotCall, Holiday
from dialer.services import audit
from dialer.whatif_runs import run
from tests.browser.acting import agent_row, last_line, row, talking
from tests.browser.axe import by_day_and_night
from tests.browser.conftest import LAPTOP, PHONE
from tests.browser.panel_page import live, make_call
from tests.fakes.console import announce_agent, make_team, make_user, publishing, set_status
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.story import told_call

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch"), pytest.mark.slow,
    pytest.mark.timeout(240),
]  # fmt: skip

# Addresses of console/urls.py that are no page of their own, and where what they answer is looked at.
NO_PAGES = {
    "preview": "a part of the panel, looked at here with it",
    "mycall": "a part of the panel: test_panel_looks.py",
    "callback_times": "an answer of JSON: test_panel_controls.py",
    "disposition": "a part of the panel: test_panel_looks.py",
    "trends": "an answer of JSON: test_trends.py",
    "recording": "sound: test_pages.py",
    "export": "a file: tests/integration/test_pages_exports.py",
    "session": "an answer without a body: tests/integration/test_console_sockets.py",
    "asyncapi": "an answer of JSON: tests/unit/test_asyncapi.py",
    "example": "a file: tests/integration/test_example_clients.py",
}
# Pages that live by their socket, each in a test of its own below.
LIVE = {"board", "panel"}
# What is Django's own to mend: rule, the elements it is about, why.
DJANGOS = (
    ("aria-input-field-name", "select2", "select2, as Django ships it, gives its box the name of the value alone"),
    ("label", ".select2-search__field", "select2, as Django ships it, leaves its search field without a name"),
    ("label", "#id_scheduled_", "Django labels the pair of a date and a time, not each field of it"),
    ("label-title-only", "#id_assignments-", "Django's tables name their fields by the column's head"),
    ("label", "#id_assignments-", "Django's tables name their fields by the column's head"),
    ("label", "#id_required_skills-", "Django's tables name their fields by the column's head"),
)


@dataclass(frozen=True)
class Floor:
    agents: list[Agent]
    campaign: DialerCampaign
    call: CallLog
    contact: Contact
    whatif: str


@pytest.fixture
def boss() -> Any:
    """One whose pages have every part: an administrator who is an agent, too, with a name that is long."""
    return make_user("boss-with-a-name-of-some-length", is_staff=True, is_superuser=True)


@pytest.fixture
def floor(boss: Any) -> Floor:
    """Agents in every state, a finished call with all that can be known of it, an open alert, an hour of trends."""
    agents = make_agents(6)
    agents[5].user = boss
    agents[5].save()
    make_team("north", agents[:3])
    script = "Hello {name}, this is {agent}."
    campaign = make_campaign(agents, contacts=8, name="Spring renewals", script=script)
    make_campaign(agents[:1], contacts=2, name="Customer survey", status="paused", offset=100)
    call = told_call(agents[0], campaign)
    AgentDay.objects.create(agent=agents[0], day=call.initiated_at.date(), talk_ms=60_000, idle_ms=60_000, handled=1)
    for agent, state in zip(agents, ("on_call", "available", "break", "busy", "offline", "available"), strict=True):
        since = timezone.now() - dt.timedelta(minutes=3)
        Agent.objects.filter(pk=agent.pk).update(status=state, status_since=since, softphone="open")
    DoNotCall.objects.create(number=Contact.objects.last().number, source="letter")
    Holiday.objects.create(day=timezone.now().date(), name="Midsummer")
    for threshold, level in zip(AlertThreshold.objects.all()[:2], ("warning", "critical"), strict=True):
        Alert.objects.create(
            threshold=threshold, name=threshold.name, measure=threshold.measure, level=level, subject_kind="agent",
            subject_id=agents[2].agent_id, text="Agent 103 for longer than 15 min", raised_at=timezone.now(),
        )  # fmt: skip
    now = timezone.now().replace(second=0, microsecond=0)
    OccupancyMinute.objects.bulk_create(
        OccupancyMinute(campaign="", minute=now - dt.timedelta(minutes=ago), busy_seconds=40, idle_seconds=20)
        for ago in range(1, 40)
    )
    audit.write(actor="boss", action="hangup", target_kind="call", target=str(call.call_id), result="applied")
    asked = whatif.Parameters.of({"agents": 3, "hours": 0.25, "modes": ["progressive", "power"]})
    run(asked.as_dict(), "whatif:busy", 60)
    contact = Contact.objects.get(pk=call.contact_id)
    ask = "agents=3&hours=0.25&answer_rate=25&talk=120&wrap_up=15&ring=8&ring_timeout=25&cap=3&ratio=3&seed=1"
    return Floor(agents, campaign, call, contact, f"{ask}&modes=progressive&modes=power")


# Of each address of console/urls.py, the pages that it answers.
PAGES: dict[str, Callable[[Floor], list[str]]] = {
    "decisions": lambda f: ["/console/decisions/", f"/console/decisions/?campaign={f.campaign.campaign_id}"],
    "decision": lambda f: [f"/console/decisions/{f.call.decision_id}/"],
    "why": lambda f: ["/console/why/"],
    "why_contact": lambda f: [f"/console/why/contacts/{f.contact.pk}/"],
    "whatif": lambda f: [f"/console/what-if/?{f.whatif}"],
    "calls": lambda f: ["/console/calls/", "/console/calls/?outcome=busy", "/console/calls/?number=nonsense"],
    "call": lambda f: [f"/console/calls/{f.call.call_id}/"],
    "agent_day": lambda f: [f"/console/agents/agent_101/?day={f.call.initiated_at:%Y-%m-%d}"],
    "contact": lambda f: [f"/console/contacts/{f.contact.pk}/"],
    "search": lambda f: ["/console/search", "/console/search?q=agent"],
    "audit": lambda f: ["/console/audit/"],
    "protocol": lambda f: ["/docs/protocol/"],
}
ADMIN: tuple[Callable[[Floor], str], ...] = (
    lambda f: "/admin/",
    lambda f: "/admin/dialer/dialercampaign/",
    lambda f: f"/admin/dialer/dialercampaign/{f.campaign.pk}/change/",
    lambda f: f"/admin/dialer/holiday/{Holiday.objects.get().pk}/delete/",
    lambda f: f"/admin/dialer/dialertargetlist/{f.campaign.target_list_id}/import/",
)


def faults(page: Page, name: str, within: str = "") -> Iterator[str]:
    """What is wrong with the page as it stands, in words; it is left as wide as a laptop and light. within: only a part
    is new, such as an open dialog."""
    for scheme, fault in by_day_and_night(page, within):
        for where, why in zip(fault["where"], fault["why"], strict=True):
            if not any(fault["rule"] == rule and part in where for rule, part, _ in DJANGOS):
                yield f"{name}, {scheme}: {fault['rule']} at {where}: {why}"
    for size in (PHONE, LAPTOP):
        page.set_viewport_size(size)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > size["width"]:
            yield f"{name}: {wide} px on a screen of {size['width']} px"


def test_every_address_of_the_console_is_looked_at():
    names = {pattern.name for pattern in urlpatterns}
    # The first page sends everyone to their own; who has none gets what test_pages_without_a_floor looks at.
    assert names == set(PAGES) | set(NO_PAGES) | LIVE | {"home"}
    assert not (set(PAGES) | LIVE) & set(NO_PAGES)
    plain = {str(p.pattern) for p in get_resolver().url_patterns if isinstance(p, URLPattern)}
    assert plain == {"login/", "logout/", "healthz", "readyz", "metrics", "favicon.ico"}


def test_no_page_of_the_console_has_a_serious_fault(tab, boss, floor):
    opened = tab(boss)
    found = []
    for name, addresses in PAGES.items():
        for address in addresses(floor):
            page = opened.open(address)
            expect(page.locator("main")).to_be_visible()
            found += faults(page, address)
            assert opened.errors == [], name
    page = opened.open("/console/why/")
    page.get_by_label("Phone number").fill(floor.contact.number)
    page.keyboard.press("Enter")
    expect(page.locator(".gates").first).to_be_visible()
    found += faults(page, "the gates of a number")
    assert found == []


def test_pages_without_a_floor_have_no_serious_fault(tab):
    found = []
    outside = tab()
    page = outside.open("/login/")
    found += faults(page, "signing in")
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found += faults(page, "signing in, refused")
    nobody = tab(make_user("nobody"))
    found += faults(nobody.open("/"), "nothing here for you")
    found += faults(nobody.open("/console/"), "not for you")
    expect(nobody.page.locator("h1")).to_have_text("Not for you")
    # That the page is refused is all there is to say.
    assert all("403 (Forbidden)" in error for error in nobody.errors)
    nobody.errors.clear()
    assert found == []


def test_no_shape_of_the_board_has_a_serious_fault(tab, boss, floor):
    found = []
    opened = tab(boss)
    with publishing():
        for address in ("/console/?view=wall", "/console/?as=cards", "/console/?as=cards&density=compact"):
            page = opened.open(address)
            live(page)
            expect(page.locator("#agents tbody tr")).to_have_count(len(floor.agents))
            found += faults(page, address)
        page = opened.open("/console/")
        live(page)
        call = talking(page, floor.agents[0])
        make_call(floor.agents[1], "answered", "Ada Lovelace")
        set_status(floor.agents[2], "break", "lunch")
        expect(page.locator("#calls tbody tr")).to_have_count(2)
        expect(page.locator(".trend-box .uplot")).to_have_count(3)
        page.locator("#alerts-toggle").click()
        expect(page.locator(".alert-items li")).to_have_count(2)
        found += faults(page, "the board")
        places = (
            (agent_row(page, floor.agents[0]), "m"), (row(page, "call", call.call_id), "m"),
            (row(page, "call", call.call_id), "t"), (row(page, "call", call.call_id), "h"),
            (row(page, "campaign", floor.campaign.campaign_id), "m"),
            (row(page, "campaign", floor.campaign.campaign_id), "l"), (agent_row(page, floor.agents[0]), "n"),
        )  # fmt: skip
        for place, key in places:
            place.focus()
            page.keyboard.press(key)
            expect(page.locator("#sheet")).to_be_visible()
            found += faults(page, f"the board, {key} on {place}", "#sheet")
            page.keyboard.press("Escape")
        page.locator("#show-keys").press("Enter")
        found += faults(page, "the board's keys", "dialog[open]")
        page.keyboard.press("Escape")
        agent_row(page, floor.agents[2]).focus()
        page.keyboard.press("h")
        expect(last_line(page)).to_contain_text("the agent has no call")
        page.locator("[data-select-all]").check()
        found += faults(page, "the board with agents selected")
        page.locator("#commands-open").click()
        found += faults(page, "the board's commands")
    assert found == []


def test_the_panel_with_a_contact_before_the_agent_has_no_serious_fault(tab, floor, boss):
    agent = floor.agents[5]
    with publishing():
        page = tab(boss).open("/console/agent/")
        live(page)
        found = list(faults(page, "the panel, idle"))
        with offered(floor, agent):
            expect(page.get_by_role("region", name="Contact for preview")).to_be_visible()
            found += faults(page, "the panel, preview")
        AgentMessage.objects.create(agent=agent, sender="maria", text="Please mention the tariff.", at=timezone.now())
        announce_agent(agent)
        expect(page.locator("#mynote")).to_contain_text("tariff")
        found += faults(page, "the panel, a message")
    assert found == []


def test_the_ways_into_the_administration_have_no_serious_fault_of_ours(tab, boss, floor):
    opened = tab(boss)
    found = []
    for address in ADMIN:
        page = opened.open(address(floor))
        expect(page.locator("#content")).to_be_visible()
        found += faults(page, address(floor))
    assert found == []


@contextmanager
def offered(floor: Floor, agent: Agent) -> Iterator[None]:
    contact = Contact.objects.filter(status="ready", target_list=floor.campaign.target_list).last()
    Contact.objects.filter(pk=contact.pk).update(name="Grace Hopper", custom_fields={"plan": "Family 20 GB"})
    now = timezone.now()
    made = contact.reservations.create(
        campaign=floor.campaign, agent=agent, offered_at=now, expires_at=now + dt.timedelta(seconds=120)
    )
    announce_agent(agent)
    yield
    type(made).objects.filter(pk=made.pk).update(state="skipped", ended_at=timezone.now())
    announce_agent(agent)
