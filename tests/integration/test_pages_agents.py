"""An agent's day: states, figures and calls, and who may see them."""

import datetime as dt

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dialer import agent_day, row_figures
from dialer.models import AgentDay, AgentState, CallLog
from tests.fakes.console import make_team, make_user
from tests.fakes.events import CALL
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.pages import made, text_of
from tests.fakes.story import told_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
DAY = dt.date(2026, 3, 1)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def page(agent_id: str, day: object = "") -> str:
    return f"/console/agents/{agent_id}/{f'?day={day}' if day else ''}"


def was(agent, state: str, at: dt.datetime, reason: str = "", **more) -> AgentState:
    return AgentState.objects.create(agent=agent, state=state, timestamp=at, reason=reason, **more)


def test_a_day_begins_with_the_state_of_the_day_before_and_ends_at_midnight():
    [agent] = make_agents(1)
    was(agent, "available", START - HOUR)
    was(agent, "break", START + HOUR, "lunch", metadata={"by": "sup"})
    was(agent, "busy", START + 2 * HOUR, "wrap_up")
    was(agent, "offline", START + 25 * HOUR)
    day = agent_day.read(agent, DAY, START + 48 * HOUR)
    assert [(span.kind, span.reason, span.start, span.end) for span in day.spans] == [
        ("available", "", START, START + HOUR),
        ("break", "lunch", START + HOUR, START + 2 * HOUR),
        ("wrap_up", "", START + 2 * HOUR, START + 24 * HOUR),
    ]
    assert day.spans[1].by == "sup"
    lasting = agent_day.read(agent, DAY, START + 3 * HOUR)
    assert lasting.spans[-1].end is None
    assert agent_day.read(agent, DAY - dt.timedelta(days=9), START).spans == ()


def test_a_call_that_was_handed_on_is_still_of_the_day_of_who_talked_on_it():
    one, other = make_agents(2)
    handed = made(agent=other, at=START + HOUR, to_number="+12125550001")
    own = made(agent=one, at=START + 2 * HOUR, to_number="+12125550002")
    made(agent=one, at=START + 25 * HOUR, to_number="+12125550003")
    was(one, "on_call", START + HOUR, call=handed)
    assert [call.pk for call in agent_day.read(one, DAY, START + 48 * HOUR).calls] == [handed.pk, own.pk]


def test_the_page_shows_strip_table_figures_and_calls(browser):
    agents = make_agents(1)
    call = told_call(agents[0], make_campaign(agents, contacts=1))
    day = call.initiated_at.date()
    kept = AgentDay.objects.create(
        agent=agents[0], day=day, talk_ms=600_000, hold_ms=60_000, wrap_up_ms=40_000, idle_ms=700_000, handled=5
    )
    shown = text_of(browser.get(page("agent_101", day)))
    for words in ('class="strip"', "On call", "Wrap-up", "7.00 s", "Conversation", "Sale", f"/console/calls/{CALL}/",
                  "2:20", "5 calls", "50.0 %", "11:40 of 23:20", "WFM Clubs"):  # fmt: skip
        assert words in shown, words
    # The page says what the board says.
    today = row_figures.agent_today(kept)
    assert (today["handle_time"]["value"], today["occupancy"]["value"]) == (140, 0.5)
    assert "style=" not in shown


def test_days_are_turned_by_links_and_the_future_has_none(browser):
    make_agents(1)
    today = timezone.now().date()
    shown = text_of(browser.get(page("agent_101")))
    assert f"?day={today - dt.timedelta(days=1)}" in shown and 'rel="next"' not in shown
    earlier = text_of(browser.get(page("agent_101", "2026-03-01")))
    assert "?day=2026-02-28" in earlier and "?day=2026-03-02" in earlier and "Nothing is known" in earlier
    assert 'rel="next"' not in text_of(browser.get(page("agent_101", "2199-01-01")))
    for nonsense in ("soon", "2026-02-31", "0001-01-01", "-1"):
        assert browser.get(page("agent_101", nonsense)).status_code == 404
    assert browser.get(page("nobody")).status_code == 404


def test_agents_see_their_own_day_and_no_other(browser):
    ann, bob = make_agents(2)
    call = told_call(ann, make_campaign([ann], contacts=1))
    client = Client()
    client.force_login(make_user("ann", agent=ann))
    own = text_of(client.get(page("agent_101", call.initiated_at.date())))
    assert "Contact 0" in own and f"/console/calls/{CALL}/" not in own
    assert client.get(page("agent_102")).status_code == 404
    assert Client().get(page("agent_101")).status_code == 302
    lead = make_user("lead")
    make_team("red", [bob], [lead])
    client.force_login(lead)
    assert client.get(page("agent_102")).status_code == 200
    assert client.get(page("agent_101")).status_code == 404


def test_a_busy_day_costs_as_many_queries_as_a_quiet_one(browser):
    agents = make_agents(1)
    campaign = make_campaign(agents, contacts=1)

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            text_of(browser.get(page("agent_101", DAY)))
        return len(captured)

    def work(n: int) -> None:
        at = START + n * dt.timedelta(minutes=3)
        call = made(campaign, agent=agents[0], at=at, to_number=f"+1212555{n:04d}")
        was(agents[0], "on_call", at, call=call)
        was(agents[0], "available", at + dt.timedelta(minutes=2))

    work(0)
    before = cost()
    for n in range(1, 60):
        work(n)
    assert cost() == before
    assert CallLog.objects.count() == 60
