"""A supervisor's message is before each agent it was sent to until that agent has read it; nobody else is told."""

import datetime as dt
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.rows import AgentRow
from dialer import floor_rows, tasks
from dialer.models import Agent, AgentMessage, AppliedCommand, Team
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]


def say(kind: str, **fields: Any) -> dict[str, Any]:
    command = {"command_id": str(uuid.uuid4()), "actor": "sup", "kind": kind}
    return tasks.handle_command({**command, **fields})


def note(agent: Agent) -> dict[str, Any] | None:
    return floor_rows.agent_rows([agent.pk])[0]["note"]


def test_a_message_is_on_the_agents_row_until_they_have_read_it_and_then_the_next():
    [agent] = make_agents(1)
    before = floor_rows.agent_rows([agent.pk])[0]["version"]
    answer = say("send_message", agents=[agent.agent_id], text=" Please call me.\nAt once ")
    assert (answer["status"], answer["result"]) == ("applied", {"agents": 1})
    say("send_message", agents=[agent.agent_id], text="Second")
    row = floor_rows.agent_rows([agent.pk])[0]
    assert row["version"] > before, "the floor takes the row as changed"
    assert set(row) <= set(AgentRow.__struct_fields__)
    first = row["note"]
    assert (first["sender"], first["text"]) == ("sup", "Please call me.\nAt once")
    for _ in range(2):  # read twice is no mistake
        assert say("read_message", agent_id=agent.agent_id, message_id=first["id"])["status"] == "applied"
    second = note(agent)
    assert second is not None and second["text"] == "Second"
    say("read_message", agent_id=agent.agent_id, message_id=second["id"])
    assert note(agent) is None
    assert AgentMessage.objects.filter(read_at=None).count() == 0


def test_teams_and_campaigns_reach_their_active_agents_each_once():
    agents = make_agents(5)
    red = Team.objects.create(code="red", name="Red")
    Agent.objects.filter(pk__in=[agents[0].pk, agents[1].pk]).update(team=red)
    Agent.objects.filter(pk=agents[1].pk).update(is_active=False)
    campaign = make_campaign(agents[2:4])
    answer = say(
        "send_message",
        agents=[agents[0].agent_id, agents[2].agent_id, agents[0].agent_id],
        teams=["red"],
        campaigns=[str(campaign.campaign_id).upper()],
        text="Meeting at noon",
    )
    assert answer["result"] == {"agents": 3}
    got = AgentMessage.objects.values_list("agent__agent_id", flat=True)
    assert sorted(got) == ["agent_101", "agent_103", "agent_104"]
    assert AppliedCommand.objects.get().target.startswith("agent_101, agent_103, red")


def test_the_same_command_again_sends_nothing_more():
    [agent] = make_agents(1)
    command = {"command_id": str(uuid.uuid4()), "actor": "sup", "kind": "send_message", "agents": [agent.agent_id]}
    first = tasks.handle_command({**command, "text": "Once"})
    assert tasks.handle_command({**command, "text": "Once"}) == first
    assert AgentMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ({"agents": ["agent_101", "ghost"]}, "no agent ghost"),
        ({"teams": ["nowhere", "neither"]}, "no team nowhere, neither"),
        (
            {"campaigns": [str(uuid.UUID(int=7)), "no-uuid"]},
            "no campaign 00000000-0000-0000-0000-000000000007, no-uuid",
        ),
        ({"agents": [f"g{n}" for n in range(9)]}, "no agent g0, g1, g2, g3, g4 and 4 more"),
        ({"agents": ["agent_102"]}, "no agent agent_102"),
        ({"teams": ["empty"]}, "nobody is addressed"),
        ({}, "nobody is addressed"),
    ],
)
def test_who_does_not_exist_is_refused_by_name_and_nobody_gets_it(to, words):
    agents = make_agents(2)
    Agent.objects.filter(pk=agents[1].pk).update(is_active=False)
    Team.objects.create(code="empty", name="Empty")
    answer = say("send_message", text="Hello", **to)
    assert answer["status"] == "rejected" and words in answer["reason"]
    assert not AgentMessage.objects.exists()


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 501])
def test_an_empty_or_an_endless_message_is_refused(text):
    make_agents(1)
    assert say("send_message", agents=["agent_101"], text=text)["status"] == "rejected"


def test_an_agent_reads_only_their_own_messages():
    agents = make_agents(2)
    say("send_message", agents=[agents[0].agent_id], text="For 101")
    key = str(AgentMessage.objects.get().message_id)
    for agent_id, message_id in (("agent_102", key), ("agent_101", "no-uuid"), ("agent_101", str(uuid.uuid4()))):
        answer = say("read_message", agent_id=agent_id, message_id=message_id)
        assert (answer["status"], answer["reason"]) == ("rejected", "there is no such message")
    assert note(agents[0]) is not None


def test_a_row_costs_the_same_queries_however_many_messages_wait(django_assert_num_queries):
    agents = make_agents(6)
    say("send_message", agents=[agents[0].agent_id], text="1")
    with CaptureQueriesContext(connection) as one:
        floor_rows.agent_rows()
    for n in range(5):
        say("send_message", agents=[agent.agent_id for agent in agents], text=str(n))
    with django_assert_num_queries(len(one)):
        floor_rows.agent_rows()


def test_old_messages_go_once_they_are_read(settings):
    [agent] = make_agents(1)
    settings.MESSAGES_KEEP_DAYS = 30
    now = timezone.now()
    for age, read in ((40, True), (40, False), (10, True)):
        at = now - dt.timedelta(days=age)
        AgentMessage.objects.create(
            agent=agent, sender="sup", text=f"{age} {read}", at=at, read_at=at if read else None
        )
    out = StringIO()
    call_command("retention", stdout=out)
    assert "messages to agents: 1 removed (kept 30 days)" in out.getvalue()
    assert sorted(AgentMessage.objects.values_list("text", flat=True)) == ["10 True", "40 False"]
