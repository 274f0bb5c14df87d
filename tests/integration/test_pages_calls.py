"""A call's page, the calls that people look for, the contact's page and the box that finds."""

import datetime as dt
import html
import re
import uuid
from urllib.parse import urljoin

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console import call_story
from console.models import Right
from dialer import call_search
from dialer.models import (
    AgentState,
    AppliedCommand,
    AuditEntry,
    Callback,
    CallLog,
    Contact,
    DispositionChange,
    DoNotCall,
    Order,
    PacingDecision,
)  # fmt: skip
from events.models import FreeSwitchEvent
from tests.fakes.console import make_team, make_user
from tests.fakes.events import AGENT, CALL
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.pages import CALLS, made, text_of
from tests.fakes.story import HOSTILE, told_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
SEARCH = "/console/search"


@pytest.fixture
def call() -> CallLog:
    agents = make_agents(2)
    return told_call(agents[0], make_campaign(agents, contacts=3))


# --- A call's page --------------------------------------------------------------------------------------------------


def test_a_calls_page_tells_its_whole_story(browser, call):
    shown = text_of(browser.get(f"{CALLS}{CALL}/"))
    for words in (
        "Contact 0", "Agent 101, at their softphone", "hung up in the normal way", "NORMAL_CLEARING",
        "placed 1: because", f'href="/console/decisions/{call.decision_id}/"', "with Agent 101", "Parked",
        "Join customer and agent", "failed: -ERR no such channel", "asked by sup, rejected: not yet",
        "as agreed", "corrected since", "It was not recorded.", "7.00 s",
    ):  # fmt: skip
        assert words in shown, words
    ladder = shown[shown.index('class="ladder"') :]
    order = [ladder.index(f"<b>{word}</b>") for word in ("Dialled", "Rings", "Answered", "Joined", "Hangup")]
    assert order == sorted(order)
    assert ladder.index("Orchestrator</th>") < ladder.index("Customer</th>") < ladder.index("Agent 101</th>")


@pytest.mark.parametrize(
    ("disposition", "answered", "command", "said"),
    [
        ("recv_bye", True, False, "the customer"),
        ("recv_refuse", False, False, "the customer&#x27;s side"),
        ("send_bye", True, True, "sup, by a command"),
        ("send_bye", True, False, "the orchestrator"),
    ],
)
def test_who_hung_up_is_told(browser, call, disposition, answered, command, said):
    for event in FreeSwitchEvent.objects.filter(event_type="CHANNEL_HANGUP_COMPLETE"):
        word = disposition if event.channel_uuid == CALL else "send_bye"
        event.event_data["variable_sip_hangup_disposition"] = word
        event.save()
    if not answered:
        CallLog.objects.filter(pk=call.pk).update(answered_at=None, bridged_at=None)
    if disposition == "send_bye":
        asked = AppliedCommand.objects.get()
        Order.objects.create(
            order_id=uuid.uuid4(), kind="hangup", payload={"leg": CALL}, call=call, status="done",
            command_id=asked.command_id if command else None, created_at=call.ended_at,
        )  # fmt: skip
    assert f"<dd>{said}</dd>" in text_of(browser.get(f"{CALLS}{CALL}/"))


def test_an_agents_leg_shows_only_what_is_about_the_time_of_the_call(browser, call):
    """The leg is held open all day, between customers."""
    old = FreeSwitchEvent.objects.filter(channel_uuid=AGENT, event_type="CHANNEL_PARK").first()
    hour = dt.timedelta(hours=1)
    old.pk, old.event_id, old.event_sequence = None, uuid.uuid4(), 10**9
    old.timestamp -= hour
    old.event_data["Event-Date-Timestamp"] = str(int(old.timestamp.timestamp() * 1_000_000))
    old.save()
    times = [row.happening.at for row in call_story.tell(call, timezone.now()).rows]
    assert min(times) >= call.initiated_at - dt.timedelta(seconds=2)


def test_without_events_the_ladder_is_the_records_own(browser, call):
    FreeSwitchEvent.objects.all().delete()
    shown = text_of(browser.get(f"{CALLS}{CALL}/"))
    assert "no longer kept" in shown
    for word in ("Dialled", "Answered", "Joined", "Hangup"):
        assert f"<b>{word}</b>" in shown


def test_an_open_call_is_read_again_and_an_ended_one_is_not(browser, call):
    assert 'hx-trigger="every 5s"' not in text_of(browser.get(f"{CALLS}{CALL}/"))
    CallLog.objects.filter(pk=call.pk).update(ended_at=None, status="answered", initiated_at=timezone.now())
    shown = text_of(browser.get(f"{CALLS}{CALL}/"))
    assert 'hx-trigger="every 5s"' in shown and "not yet" in shown and "<audio" not in shown


def test_the_page_of_a_long_story_costs_as_many_queries_as_that_of_a_short_one(browser, call):
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            text_of(browser.get(f"{CALLS}{CALL}/"))
        return len(captured)

    before = cost()
    for n in range(30):
        made(call.campaign, contact=call.contact, at=call.initiated_at - dt.timedelta(hours=n + 1))
        Order.objects.create(
            order_id=uuid.uuid4(), kind="hold", payload={"on": True}, call=call, status="done",
            created_at=call.bridged_at,
        )  # fmt: skip
        AppliedCommand.objects.create(
            command_id=uuid.uuid4(), kind="call_control", target=CALL, applied_at=call.bridged_at, status="applied"
        )
        DispositionChange.objects.create(call=call, disposition=call.disposition, by="x", at=call.ended_at)
    assert cost() == before


# --- Who may see it ---------------------------------------------------------------------------------------------------


def test_the_pages_are_for_those_who_may_see_them(call):
    ann = Client()
    ann.force_login(make_user("ann", agent=call.agent))
    pages = (CALLS, f"{CALLS}{CALL}/", f"/console/contacts/{call.contact_id}/", f"{SEARCH}?q=agent")
    for page in pages:
        assert Client().get(page).status_code == 302
        assert ann.get(page).status_code == 403
    assert ann.post(CALLS, {"number": call.to_number}).status_code == 403
    assert ann.get(f"{CALLS}{CALL}/recording.wav").status_code == 403


def test_a_team_supervisor_sees_the_calls_of_their_part_only(call):
    other = make_agents(1, first=300)[0]
    strange = told_elsewhere(other)
    lead = make_user("lead")
    make_team("red", [call.agent], [lead])
    client = Client()
    client.force_login(lead)
    assert client.get(f"{CALLS}{CALL}/").status_code == 200
    for page in (
        f"{CALLS}{strange.call_id}/", f"{CALLS}{strange.call_id}/recording.wav", f"{CALLS}?agent={other.agent_id}",
        f"{CALLS}?as={strange.call_id}", f"/console/contacts/{strange.contact_id}/",
    ):  # fmt: skip
        assert client.get(page).status_code == 404, page
    listed = text_of(client.get(CALLS))
    assert str(CALL) in listed and str(strange.call_id) not in listed
    assert "Nothing is called that" in text_of(client.post(SEARCH, {"q": str(strange.call_id)}))
    assert "Nothing is called that" in text_of(client.post(SEARCH, {"q": strange.to_number}))


def test_no_link_that_a_team_supervisor_is_offered_refuses_them(call):
    """Their agent works for a campaign that is not theirs, and another's agent for one that is."""
    agent, other = call.agent, make_agents(1, first=300)[0]
    lead = make_user("lead")
    make_team("red", [agent], [lead])
    make_team("blue", [other])
    shared = call.campaign
    shared.assigned_agents.add(other)
    ours = make_campaign([agent, other], contacts=1, name="Ours", offset=700)
    ours.supervisors.add(lead)
    contact = ours.target_list.contacts.get()
    now = timezone.now()
    decision = PacingDecision.objects.create(campaign=ours, summary="placed 1", decided_at=now, last_at=now, placed=1)
    made(ours, agent=other, contact=contact, to_number=contact.number, decision=decision)
    # Talked on by their agent, and another's since.
    gone = made(shared, contact=call.contact, to_number=call.to_number)
    AgentState.objects.create(agent=agent, state="on_call", timestamp=gone.initiated_at, call=gone)
    Callback.objects.create(campaign=shared, contact=call.contact, at=timezone.now(), call=gone)
    client = Client()
    client.force_login(lead)
    seen: set[str] = set()
    found = [CALLS, f"/console/agents/{agent.agent_id}/", f"/console/decisions/{decision.pk}/"]
    while found:
        page = found.pop()
        seen.add(page)
        answer = client.get(page)
        assert answer.status_code == 200, page
        if "html" in answer["Content-Type"]:
            hrefs = re.findall(r'href="([^"#]+)"', answer.content.decode())
            # Every day of an agent is as open as any other.
            links = {urljoin(page, html.unescape(href)).partition("?day=")[0] for href in hrefs}
            kept = {link for link in links if re.fullmatch(r"/console/[^?]*(\?campaign=[^&]*)?", link)}
            found += sorted(kept - seen - set(found))
    assert {f"{CALLS}{CALL}/", f"/console/contacts/{contact.pk}/", f"/console/contacts/{call.contact_id}/"} <= seen
    assert f"{CALLS}{gone.call_id}/" not in seen and f"/console/decisions/{call.decision_id}/" not in seen


def told_elsewhere(agent) -> CallLog:
    campaign = make_campaign([agent], contacts=1, name="Elsewhere", offset=500)
    contact = campaign.target_list.contacts.get()
    return made(campaign, agent=agent, contact=contact, to_number=contact.number)


def test_numbers_are_full_only_for_those_who_may_read_them(browser, call):
    reader, viewer = Client(), Client()
    user = make_user("reader", supervisor=True)
    Right.objects.create(user=user, permission="full_numbers", given=True)
    reader.force_login(user)
    viewer.force_login(make_user("view", group="viewer"))
    for page in (f"{CALLS}{CALL}/", CALLS, f"/console/contacts/{call.contact_id}/"):
        assert call.to_number in text_of(reader.get(page))
        for masked in (browser, viewer):
            seen = text_of(masked.get(page))
            assert call.to_number not in seen and "+1212***00" in seen
    assert AuditEntry.objects.filter(action="full_numbers_seen", actor="reader").count() == 3
    assert "/recording.wav" not in text_of(viewer.get(f"{CALLS}{CALL}/"))


@pytest.mark.parametrize("page", ["call", "calls", "contact", "search", "agent"])
def test_hostile_words_are_inert(browser, page):
    agents = make_agents(1)
    agents[0].name = HOSTILE[:120]
    agents[0].save()
    call = told_call(agents[0], make_campaign(agents, contacts=1), hostile=HOSTILE)
    Callback.objects.create(campaign=call.campaign, contact=call.contact, at=timezone.now(), note=HOSTILE[:300])
    DoNotCall.objects.create(number=call.to_number, source=HOSTILE[:100])
    address = {
        "call": f"{CALLS}{CALL}/",
        "calls": CALLS,
        "contact": f"/console/contacts/{call.contact_id}/",
        "search": f"{SEARCH}?q=%3Cscript%3E",
        "agent": f"/console/agents/agent_101/?day={call.initiated_at:%Y-%m-%d}",
    }[page]
    answer = browser.get(address, follow=True)
    shown = text_of(answer)
    assert "&lt;script&gt;alert(1)" in shown
    for tag in ("<script>alert", "<img", "{{ 14", 'onerror="'):
        assert tag not in shown
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]


# --- The calls that people look for ---------------------------------------------------------------------------------


def test_calls_are_found_by_number_agent_campaign_outcome_disposition_and_time(browser, call):
    now = timezone.now()
    busy = made(call.campaign, outcome="busy", agent=call.agent, at=now, to_number="+12125559999")
    missing = made(call.campaign, outcome="conversation", bridged_at=now, at=now, to_number="+12125558888")
    day = dt.timedelta(days=1)

    def found(**asked) -> set[int]:
        answer = browser.get(CALLS, asked)
        return {line.call.pk for line in answer.context["lines"]}

    assert found() == {call.pk, busy.pk, missing.pk}
    assert found(agent="agent_101") == {call.pk, busy.pk}
    assert found(campaign=str(call.campaign.campaign_id)) == {call.pk, busy.pk, missing.pk}
    assert found(outcome="busy", agent="agent_101") == {busy.pk}
    assert found(outcome="open") == set()
    assert found(disposition="sale") == {call.pk}
    assert found(disposition="none") == {missing.pk}
    assert found(until=f"{call.initiated_at + day:%Y-%m-%dT%H:%M:%S}") == {call.pk}
    assert found(since=f"{now - day:%Y-%m-%dT%H:%M:%S}") == {busy.pk, missing.pk}
    assert found(contact=call.contact_id) == {call.pk}
    for nothing in ({"agent": "nobody"}, {"campaign": "x"}, {"outcome": "x"}, {"since": "soon"}, {"before": "x~y"},
                    {"before": "2026-01-01~"}, {"as": "x"}, {"contact": "-1"}):  # fmt: skip
        assert browser.get(CALLS, nothing).status_code == 404


@pytest.mark.parametrize("written", ["+1 (212) 555-0000", "2125550000", " 212.555.0000 "])
def test_a_number_in_any_way_of_writing_finds_its_calls_and_stands_in_no_address(browser, call, written):
    assert call.to_number == "+12125550000"
    made(call.campaign, to_number="+12125559999")
    for address, field in ((CALLS, "number"), (SEARCH, "q")):
        answer = browser.post(address, {field: written})
        if address == CALLS:
            assert answer.status_code == 302 and "5550000" not in answer.headers["Location"]
            assert [line.call.pk for line in browser.get(answer.headers["Location"]).context["lines"]] == [call.pk]
        else:
            shown = text_of(answer)
            assert f"/console/contacts/{call.contact_id}/" in shown and f"as={CALL}" in shown
    assert "There was no call to that number" in text_of(browser.post(CALLS, {"number": "+12125550001"}))
    assert 'role="alert"' in text_of(browser.post(CALLS, {"number": "12"}))


def test_pages_of_calls_follow_each_other_without_a_gap_or_a_repetition(browser, monkeypatch):
    monkeypatch.setattr("console.pages_calls.PAGE", 3)
    same = timezone.now()
    # Several of one microsecond: the key decides between them.
    calls = [made(at=same, to_number=f"+1212555{n:04d}") for n in range(8)]
    seen, asked = [], ""
    for _ in range(3):
        answer = browser.get(f"{CALLS}?{asked}")
        seen += [line.call.pk for line in answer.context["lines"]]
        asked = answer.context["older"]
    assert seen == [call.pk for call in reversed(calls)] and asked == ""


def test_a_question_that_would_read_too_much_is_answered_so(browser, monkeypatch):
    def too_much(*args):
        raise call_search.TooMuch

    monkeypatch.setattr(call_search, "page", too_much)
    assert "Choose a time" in text_of(browser.get(CALLS))


def test_a_list_of_calls_costs_as_many_queries_for_fifty_as_for_one(browser):
    agents = make_agents(3)
    campaign = make_campaign(agents, contacts=50)
    contacts = list(campaign.target_list.contacts.all())

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            text_of(browser.get(CALLS))
        return len(captured)

    made(campaign, agent=agents[0], contact=contacts[0])
    before = cost()
    for n, contact in enumerate(contacts):
        made(campaign, agent=agents[n % 3], contact=contact, to_number=contact.number)
    assert cost() == before


# --- The box that finds, and a contact ------------------------------------------------------------------------------


def test_the_box_finds_agents_calls_and_campaigns_and_goes_where_there_is_only_one(browser, call):
    for asked, address in (
        (CALL, f"{CALLS}{CALL}/"),
        (AGENT, f"{CALLS}{CALL}/"),
        ("agent_102", "/console/agents/agent_102/"),
        ("1001", "/console/agents/agent_101/"),
        ("spring", f"/console/decisions/?campaign={call.campaign.campaign_id}"),
        (str(call.campaign.campaign_id), f"/console/decisions/?campaign={call.campaign.campaign_id}"),
    ):
        answer = browser.get(SEARCH, {"q": asked})
        assert (answer.status_code, answer.headers.get("Location")) == (302, address), asked
    both = text_of(browser.post(SEARCH, {"q": "agent"}))
    assert "/console/agents/agent_101/" in both and "/console/agents/agent_102/" in both
    for nothing in ("nobody at all", "\0", "%", "x" * 5000):
        assert browser.post(SEARCH, {"q": nothing}).status_code == 200


def test_a_contacts_page_tells_its_history_and_why_it_is_not_called(browser, call):
    DoNotCall.objects.create(number=call.to_number, source="a letter")
    Callback.objects.create(
        campaign=call.campaign, contact=call.contact, agent=call.agent, at=timezone.now(), note="after lunch"
    )
    other = Contact.objects.create(
        target_list=make_campaign([], contacts=0, name="Other").target_list, number=call.to_number,
        next_attempt_at=timezone.now(),
    )  # fmt: skip
    shown = text_of(browser.get(f"/console/contacts/{call.contact_id}/"))
    for words in ("Do not call: every campaign", "a letter", "after lunch", "with Agent 101", "as agreed", "Sale",
                  f"/console/contacts/{other.pk}/", f"{CALLS}{CALL}/", "not every gate opens by itself",
                  f"/console/why/contacts/{call.contact_id}/"):  # fmt: skip
        assert words in shown, words
    assert browser.get("/console/contacts/999999/").status_code == 404


def test_a_contacts_page_costs_the_same_however_often_it_was_called(browser, call):
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            text_of(browser.get(f"/console/contacts/{call.contact_id}/"))
        return len(captured)

    before = cost()
    for n in range(60):
        old = made(call.campaign, contact=call.contact, agent=call.agent, at=timezone.now() - dt.timedelta(hours=n))
        DispositionChange.objects.create(call=old, disposition=call.disposition, by="x", at=old.ended_at)
    # A gate that is closed now may spare the question of the next.
    assert cost() <= before
    assert "All its calls" in text_of(browser.get(f"/console/contacts/{call.contact_id}/"))
