"""What the worker announces is what the database says when it is told, not when it was read."""

import json
from types import SimpleNamespace

import pytest

from dialer import announce, floor_rows
from dialer.models import Agent
from events import streams
from tests.fakes.floor import make_agents

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


def told(client) -> list[str]:
    rows = [json.loads(fields[streams.CHANGES_FIELD.encode()]) for _, fields in client.xrange(streams.CHANGES)]
    return [row["data"]["status"] for row in rows]


@pytest.fixture
def reading(monkeypatch):
    """Each reading takes `seconds`, and the agent's state changes after it; returns how many there were."""
    state = SimpleNamespace(now=100.0, seconds=[], read=0)
    agent_rows = floor_rows.agent_rows

    def slow(pks):
        rows = agent_rows(pks)
        state.now += state.seconds[min(state.read, len(state.seconds) - 1)]
        state.read += 1
        Agent.objects.update(status="break" if state.read % 2 else "busy")
        return rows

    monkeypatch.setattr(announce, "time", SimpleNamespace(monotonic=lambda: state.now))
    monkeypatch.setattr(announce.floor_rows, "agent_rows", slow)
    return state


def test_what_was_read_before_a_worker_was_frozen_is_read_again_before_it_is_told(redis_empty, reading):
    [agent] = make_agents(1)
    reading.seconds = [15.0, 0.01]
    announce.tell([("agent", agent.pk)])
    assert told(redis_empty) == ["break"] and reading.read == 2


def test_a_slow_database_is_believed_in_the_end(redis_empty, reading):
    [agent] = make_agents(1)
    reading.seconds = [1.5]
    announce.tell([("agent", agent.pk)])
    assert len(told(redis_empty)) == 1 and reading.read == announce.READINGS
