"""The pages that explain: who may see them, what they say first, that no number leaks and no table is scanned."""

import datetime as dt
import logging
import uuid
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from console import whatif as whatif_page
from console.models import Right
from dialer import census, measured, tasks, whatif
from dialer.models import AgentState, AuditEntry, CallLog, CampaignDay, Contact, DoNotCall, PacingDecision
from tests.fakes.console import make_user
from tests.fakes.explained import explained
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.pages import text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

DECISIONS, WHY, WHAT_IF = "/console/decisions/", "/console/why/", "/console/what-if/"
HOUR = dt.timedelta(hours=1)


def decide(campaign, count=1, **fields) -> list[PacingDecision]:
    now = timezone.now()
    known = {"binding_reason": "no_agents", "summary": "placed none", "decided_at": now, "last_at": now}
    return [PacingDecision.objects.create(campaign=campaign, **(known | fields)) for _ in range(count)]


def make_call(campaign, contact=None, **fields) -> CallLog:
    at = fields.pop("at", timezone.now())
    known = {
        "freeswitch_uuid": str(uuid.uuid4()),
        "to_number": "+12125550100",
        "initiated_at": at,
        "status": "completed",
    }
    if contact is not None:
        known |= {"contact": contact, "to_number": contact.number}
    return CallLog.objects.create(campaign=campaign, **(known | {"ended_at": at} | fields))


# --- Who ------------------------------------------------------------------------------------------------------------


def test_only_supervisors_see_why():
    campaign = make_campaign([], contacts=1)
    (made,) = decide(campaign)
    pages = (DECISIONS, f"{DECISIONS}{made.pk}/", WHY, f"{WHY}contacts/{Contact.objects.get().pk}/", WHAT_IF)
    agent = Client()
    agent.force_login(make_user("ann", agent=make_agents(1)[0]))
    for page in pages:
        assert Client().get(page).status_code == 302
        assert agent.get(page).status_code == 403
    assert agent.post(WHY, {"number": "+12125550000"}).status_code == 403
    assert agent.post(WHAT_IF, {"agents": 3}).status_code == 403


def test_numbers_are_full_only_for_those_with_the_right_and_each_page_of_them_is_audited(browser):
    contact = make_campaign([], contacts=1).target_list.contacts.get()
    (made,) = decide(contact.target_list.campaigns.get(), placed=1)
    make_call(made.campaign, contact, decision=made)
    pages = [f"{WHY}contacts/{contact.pk}/", f"{DECISIONS}{made.pk}/"]
    for page in pages:
        shown = text_of(browser.get(page))
        assert contact.number not in shown and "+1212***00" in shown
    seen = AuditEntry.objects.filter(action="full_numbers_seen").values_list("actor", "target")
    assert not seen
    reader = make_user("reader", supervisor=True)
    Right.objects.create(user=reader, permission="full_numbers", given=True)
    browser.force_login(reader)
    for page in pages:
        assert contact.number in text_of(browser.get(page))
    assert sorted(seen.all()) == sorted(("reader", page) for page in pages)


# --- Numbers --------------------------------------------------------------------------------------------------------


def test_a_number_in_any_way_of_writing_is_explained_and_stands_in_no_address_or_log(browser, caplog):
    campaign = make_campaign([], contacts=1)
    contact = campaign.target_list.contacts.get()
    DoNotCall.objects.create(number=contact.number, source="a letter <b>")
    (made,) = decide(campaign, placed=1, summary="placed 1: because")
    make_call(campaign, contact, decision=made, outcome="busy", disconnect_reason="USER_BUSY")
    with caplog.at_level(logging.DEBUG):
        for written in ("+1 (212) 555-0000", "2125550000", " 212.555.0000 "):
            shown = text_of(browser.post(WHY, {"number": written}))
            for words in (
                "In the list List of Spring", "do_not_call:", "a letter &lt;b&gt;", "USER_BUSY", "busy",
                "not every gate opens by itself", "America/New_York", f'href="{DECISIONS}{made.pk}/"',
                "placed 1: because",
            ):  # fmt: skip
                assert words in shown, words
    assert contact.number not in caplog.text and "5550000" not in caplog.text
    assert "It is in no list." in text_of(browser.post(WHY, {"number": "+12125550199"}))


def test_what_is_no_number_is_answered_with_why(browser):
    for written in ("", "12", "<script>alert(1)</script>", "x" * 5000, "+1 212 555 0000 or 1"):
        shown = text_of(browser.post(WHY, {"number": written}))
        assert 'role="alert"' in shown and "<script>alert" not in shown and "x" * 100 not in shown


def test_the_console_says_what_the_command_says(browser):
    """One explanation, two renderings."""
    campaign = make_campaign([], contacts=2, status="paused", scheduled_start=timezone.now() + HOUR)
    contact = campaign.target_list.contacts.first()
    Contact.objects.filter(pk=contact.pk).update(next_attempt_at=timezone.now() + 2 * HOUR)
    out = StringIO()
    call_command("explain", number=contact.number, stdout=out)
    shown = text_of(browser.get(f"{WHY}contacts/{contact.pk}/"))
    closed = [line.split("closed  ")[1] for line in out.getvalue().splitlines() if "closed  " in line]
    assert len(closed) == 3
    for line in closed:
        name, _, rest = line.partition(": ")
        reason, _, opens = rest.partition("; opens ")
        assert f"<b>{name}:</b> {reason}" in shown and opens in shown


# --- Campaigns and decisions ----------------------------------------------------------------------------------------


def test_a_campaigns_page_says_first_why_nobody_is_dialling(browser):
    campaign = make_campaign(make_agents(1), contacts=2, status="paused")
    address = DECISIONS, {"campaign": str(campaign.campaign_id)}
    shown = text_of(browser.get(*address))
    main = shown[shown.index("<main") :]
    assert main.index("Not dialling: the campaign is paused") < main.index("Gates of the campaign")
    Contact.objects.update(next_attempt_at=timezone.now() + 5 * HOUR)
    census.refresh(campaign)
    found = text_of(browser.get(*address))
    assert "waiting for their time" in found and "in 4\xa0hours, 59\xa0minutes" in found, "when the next ones open"


def test_the_drop_budget_stands_on_the_page_with_both_rates(browser):
    campaign = make_campaign([])
    today = timezone.now().date()
    CampaignDay.objects.create(campaign=campaign, day=today, answered=1000, connected=900, abandoned=23)
    shown = text_of(browser.get(DECISIONS, {"campaign": str(campaign.campaign_id)}))
    assert "7 more before 3 %" in shown and "2.30 %" in shown and "23 of 1000" in shown and "23 of 923" in shown
    CampaignDay.objects.update(abandoned=31)
    assert "over 3 %: 34 answered calls" in text_of(browser.get(DECISIONS, {"campaign": str(campaign.campaign_id)}))


def test_decisions_are_paged_by_key_and_filtered(browser):
    campaign = make_campaign([])
    old = timezone.now() - 3 * HOUR
    decide(campaign, 3, summary="early", decided_at=old, last_at=old, binding_reason="trunks")
    decide(campaign, 60, summary="none")
    (placed,) = decide(campaign, placed=2, summary="two", binding_reason="price")
    chosen = {"campaign": str(campaign.campaign_id)}
    first = text_of(browser.get(DECISIONS, chosen))
    assert first.count('id="decision-') == 50 and "two" in first and "early" not in first
    older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = text_of(browser.get(older))
    assert second.count('id="decision-') == 14 and "early" in second and 'rel="next"' not in second
    assert 'hx-trigger="every' not in second, "a page of the past stays as it is"
    only = text_of(browser.get(DECISIONS, chosen | {"only": "placed"}))
    assert only.count('id="decision-') == 1 and f"decision-{placed.pk}" in only
    assert text_of(browser.get(DECISIONS, chosen | {"only": "trunks"})).count('id="decision-') == 3
    until = (timezone.now() - HOUR).strftime("%Y-%m-%dT%H:%M")
    assert text_of(browser.get(DECISIONS, chosen | {"until": until})).count('id="decision-') == 3
    assert text_of(browser.get(DECISIONS, {"until": "2001-01-01T00:00"})).count('id="decision-') == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"campaign": "x"}, {"campaign": str(uuid.uuid4())}, {"before": "x"}, {"before": "-1"}, {"before": "9" * 40},
        {"until": "yesterday"}, {"until": "2026-13-40T00:00"}, {"only": "<b>", "campaign": "own"},
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_not_found(browser, asked):
    campaign = make_campaign([])
    if asked.get("campaign") == "own":
        asked = asked | {"campaign": str(campaign.campaign_id)}
    assert browser.get(DECISIONS, asked).status_code == 404


def test_a_decision_is_told_in_words_with_the_calls_it_placed(browser):
    campaign = make_campaign(make_agents(1), contacts=1)
    inputs = {"idle": 1, "windows": {"30 d": [1, 50, 0.03]}, "blocked": {"calling_hours": 4}}
    (made,) = decide(campaign, placed=1, summary="placed 1: for <i>one</i>", binding_reason="price", inputs=inputs)
    contact = campaign.target_list.contacts.get()
    make_call(campaign, contact, decision=made, outcome="no_answer")
    shown = text_of(browser.get(f"{DECISIONS}{made.pk}/"))
    for words in (
        "for &lt;i&gt;one", "next call&#x27;s risk", "idle agents", "30 d: 1 of 50, cap 3 %", "calling hours 4",
        f'href="{WHY}contacts/{contact.pk}/"', "No answer",
    ):  # fmt: skip
        assert words in shown, words
    assert browser.get(f"{DECISIONS}999999/").status_code == 404


def test_no_page_of_decisions_reads_more_of_the_table_than_it_shows(browser):
    campaign, quiet = make_campaign([]), make_campaign([], name="Quiet", offset=50)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dialer_pacingdecision"
            " (campaign_id, decided_at, last_at, mode, placed, binding_reason, summary, inputs, repeats)"
            " SELECT CASE WHEN n %% 1000 = 0 THEN %s ELSE %s END, now() - (30000 - n) * interval '1 s', now(), 'power',"
            " (n %% 500 = 0)::int, CASE WHEN n %% 700 = 0 THEN 'price' ELSE 'no_agents' END, 's', '{}', 1"
            " FROM generate_series(1, 30000) AS n",
            [quiet.pk, campaign.pk],
        )
        cursor.execute("ANALYZE dialer_pacingdecision")
    middle = PacingDecision.objects.order_by("pk")[15_000].pk
    early = (timezone.now() - dt.timedelta(seconds=29_000)).isoformat()
    root = Client()
    root.force_login(make_user("root", is_superuser=True))
    for one in (campaign, quiet):
        chosen = {"campaign": str(one.campaign_id)}
        for asked in (
            {}, chosen, *(chosen | {"only": only} for only in ("placed", "price", "cap_guard")), {"before": middle},
            chosen | {"before": middle}, chosen | {"until": early}, {"until": early},
        ):  # fmt: skip
            for read, query in explained(root, DECISIONS, asked):
                assert read <= 120, f"{asked}: {read} rows read by {query}"


# --- What if --------------------------------------------------------------------------------------------------------

ASKED = {
    "agents": 3, "answer_rate": 25, "talk": 60, "wrap_up": 10, "ring": 8, "ring_timeout": 25, "hours": 0.25, "cap": 3,
    "ratio": 3, "seed": 1, "modes": ["progressive", "power"],
}  # fmt: skip


@pytest.fixture
def queue(monkeypatch) -> list:
    sent: list = []
    monkeypatch.setattr(whatif_page.current_app, "send_task", lambda name, **more: sent.append((name, more["args"])))
    return sent


def test_a_run_is_queued_once_shown_when_done_and_kept_by_its_parameters(browser, queue):
    answer = browser.post(WHAT_IF, ASKED)
    assert answer.status_code == 302
    shown = text_of(browser.get(answer.headers["Location"]))
    assert "Running" in shown and 'hx-trigger="every 1s"' in shown
    assert browser.post(WHAT_IF, ASKED).status_code == 302 and len(queue) == 1, "the same run is not queued again"
    other = text_of(browser.post(WHAT_IF, ASKED | {"seed": 2}))
    assert "Your last run is still going on" in other
    browser.force_login(make_user("second", supervisor=True))
    assert "Somebody else&#x27;s run" in text_of(browser.post(WHAT_IF, ASKED | {"seed": 3}))
    name, arguments = queue[0]
    assert name == tasks.simulate_pacing.name
    tasks.simulate_pacing(*arguments)
    shown = text_of(browser.get(answer.headers["Location"]))
    assert "3 agents" in shown and "<polyline" in shown and "Occupancy" in shown and "every 1s" not in shown
    assert cache.get(whatif_page.BUSY) is None
    assert browser.post(WHAT_IF, ASKED).status_code == 302 and len(queue) == 1, "known already"
    assert browser.post(WHAT_IF, ASKED | {"seed": 2}).status_code == 302 and len(queue) == 2


@pytest.mark.parametrize(
    "wrong",
    [{"agents": 501}, {"hours": 9}, {"hours": "nan"}, {"seed": "x"}, {"modes": ["magic"]}, {"modes": []}, {"talk": -1}],
)
def test_a_run_that_is_too_large_or_makes_no_sense_is_refused(browser, queue, wrong):
    assert 'role="alert"' in text_of(browser.post(WHAT_IF, ASKED | wrong))
    assert not queue


def test_a_run_that_takes_too_long_says_so(monkeypatch, browser, queue):
    answer = browser.post(WHAT_IF, ASKED)
    monkeypatch.setattr(whatif, "run", lambda asked: (_ for _ in ()).throw(tasks.whatif_runs.SoftTimeLimitExceeded))
    tasks.simulate_pacing(*queue[0][1])
    assert "longer than 180 s" in text_of(browser.get(answer.headers["Location"]))
    assert cache.get(whatif_page.BUSY) is None


def _days_of_calls(campaign, agents) -> None:
    """200 attempts: every fourth answered after 5 s, talked 100 s, wrapped up 20 s; ten found to be machines."""
    now = timezone.now()
    for n in range(200):
        at = now - dt.timedelta(minutes=10 * n + 10)
        call = make_call(
            campaign, at=at, outcome="no_answer", status="no_answer", ended_at=at + dt.timedelta(seconds=25)
        )
        if n % 4 == 0:
            call.status, call.outcome, call.agent = "completed", "conversation", agents[n % 3]
            call.answered_at = call.bridged_at = at + dt.timedelta(seconds=5)
            call.ended_at = at + dt.timedelta(seconds=105)
            call.save()
            wrapped = {"agent": call.agent, "call": call, "state": "busy", "reason": "wrap_up"}
            AgentState.objects.create(timestamp=call.ended_at, **wrapped)
            AgentState.objects.create(
                agent=call.agent, state="available", timestamp=call.ended_at + dt.timedelta(seconds=20)
            )
        elif n % 20 == 1:
            call.status, call.outcome, call.answered_at = "completed", "machine", at + dt.timedelta(seconds=5)
            call.save()
    make_call(campaign, at=now - dt.timedelta(days=30), outcome="conversation", answered_at=now - dt.timedelta(days=30))


def test_a_campaigns_own_days_are_measured_as_they_were(browser):
    agents = make_agents(3)
    campaign = make_campaign(agents, name="Measured")
    _days_of_calls(campaign, agents)
    found = measured.measure(campaign, 7, timezone.now())
    assert (found.attempts, found.answered, found.agents, found.sampled) == (200, 50, 3, False)
    assert found.parameters() == {
        "agents": 3, "answer_rate": 0.25, "ring_timeout": 25.0, "talk": 100.0, "talk_sigma": 0.0, "wrap_up": 20.0,
        "wrap_up_sigma": 0.0, "ring": 5.0, "ring_sigma": 0.0,
    }  # fmt: skip
    shown = text_of(browser.get(WHAT_IF, {"campaign": str(campaign.campaign_id), "days": 7}))
    assert "50 of 200" in shown and 'value="100.0"' in shown and 'value="20.0"' in shown
    out = StringIO()
    call_command("simulate_pacing", from_campaign="measured", days=7, hours=0.25, mode=["power"], stdout=out)
    assert "measured over 200 attempts, 50 answered" in out.getvalue() and "3 agents, 0.25 h, seed 1" in out.getvalue()


def test_too_few_calls_measure_nothing(browser):
    campaign = make_campaign([], name="Empty")
    assert measured.measure(campaign, 7, timezone.now()).parameters() == {"ring_timeout": 25.0}
    assert "0 of 0" in text_of(browser.get(WHAT_IF, {"campaign": str(campaign.campaign_id), "days": 7}))
    with pytest.raises(CommandError, match="placed no call"):
        call_command("simulate_pacing", from_campaign="empty")
    for wrong in ({"campaign": "x", "days": 7}, {"campaign": str(campaign.campaign_id), "days": 1000}):
        assert 'role="alert"' in text_of(browser.get(WHAT_IF, wrong))
