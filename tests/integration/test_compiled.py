"""dialer/compiled.py: what is asked with SQL made once is answered as Django itself would answer."""

import datetime as dt
import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Q, Value
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dialer.compiled import any_of, compiled, update_row
from dialer.models import Agent, AgentLeg, PacingDecision
from tests.fakes.floor import make_agents, make_campaign

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents() -> list[Agent]:
    return make_agents(3)


def test_rows_are_djangos_own(agents):
    ask = compiled(lambda pks: Agent.objects.filter(any_of("pk", pks)).order_by("pk"))
    for wanted in ([], agents[:1], agents, agents[1:]):
        keys = [agent.pk for agent in wanted]
        found = ask(keys)
        assert [vars(one) | {"_state": 0} for one in found] == [
            vars(one) | {"_state": 0} for one in Agent.objects.filter(pk__in=keys).order_by("pk")
        ]
        assert all(not one._state.adding and one._state.db == "default" for one in found)
    assert ask.first([agents[2].pk]) == agents[2]
    assert ask.first([]) is None


def test_related_rows_come_with_it(agents, django_assert_num_queries):
    leg = AgentLeg.objects.create(agent=agents[1], leg_uuid=uuid.uuid4())
    ask = compiled(lambda key: AgentLeg.objects.select_related("agent").filter(leg_uuid=key))
    ask(leg.leg_uuid)
    with django_assert_num_queries(1):
        assert ask.first(leg.leg_uuid).agent == agents[1]
    assert ask.first(uuid.uuid4()) is None


def test_values_sums_unions_and_json(agents):
    values = compiled(lambda least: Agent.objects.filter(pk__gte=least).order_by("pk").values("pk", "extension"))
    assert values(agents[1].pk) == list(
        Agent.objects.filter(pk__gte=agents[1].pk).order_by("pk").values("pk", "extension")
    )
    flat = compiled(lambda least: Agent.objects.filter(pk__gte=least).order_by("pk").values_list("pk", flat=True))
    assert flat(agents[1].pk) == [agents[1].pk, agents[2].pk]
    counted = compiled(
        lambda name: Agent.objects.order_by().values_list("status").annotate(n=Count("pk", filter=~Q(agent_id=name)))
    )
    assert counted("agent_101") == [("offline", 2)]
    both = compiled(
        lambda name: Agent.objects.filter(agent_id=name).order_by().values_list(Value(0), "agent_id").union(
            Agent.objects.exclude(agent_id=name).order_by().values_list(Value(1), "agent_id"), all=True
        )
    )  # fmt: skip
    assert sorted(both("agent_102")) == [(0, "agent_102"), (1, "agent_101"), (1, "agent_103")]


def test_a_value_is_never_a_part_of_the_sql(agents):
    ask = compiled(lambda name: Agent.objects.filter(agent_id=name))
    for name in ("a1' OR '1'='1", "%s", "a%", '"; DROP TABLE dialer_agent; --'):
        assert ask(name) == []
        Agent.objects.filter(pk=agents[0].pk).update(agent_id=name)
        assert ask(name) == [agents[0]]


def test_rows_are_locked(agents):
    ask = compiled(lambda pk: Agent.objects.select_for_update(of=("self",)).filter(pk=pk))
    with CaptureQueriesContext(connection) as asked:
        ask(agents[0].pk)
    assert "FOR UPDATE OF" in asked[0]["sql"]


@pytest.mark.django_db(transaction=True)
def test_rows_are_locked_within_a_transaction_only():
    [agent] = make_agents(1)
    ask = compiled(lambda pk: Agent.objects.select_for_update().filter(pk=pk))
    with transaction.atomic():
        assert ask(agent.pk) == [agent]
    with pytest.raises(TransactionManagementError):
        ask(agent.pk)


def test_what_cannot_be_asked_so_is_refused():
    with pytest.raises(ValueError, match="cannot be asked with 2 values"):
        compiled(lambda one, _: Agent.objects.filter(pk=one))(1, 2)
    with pytest.raises(ValueError, match="cannot be asked"):
        compiled(lambda pk: Agent.objects.filter(pk=pk).prefetch_related("campaigns"))(1)


def test_an_update_writes_those_fields_alone_as_save_does(agents):
    campaign = make_campaign(agents)
    row = PacingDecision.objects.create(
        campaign=campaign, decided_at=timezone.now(), last_at=timezone.now(), mode="predictive", placed=0,
        binding_reason="x", summary="before", inputs={},
    )  # fmt: skip
    row.summary, row.inputs, row.repeats = "100 % \"so\" 'so'", {"a": [1, None, "ü"], "b": 1.5}, 7
    update_row(row, ("summary", "inputs"))
    row.refresh_from_db()
    assert (row.summary, row.inputs, row.repeats) == ("100 % \"so\" 'so'", {"a": [1, None, "ü"], "b": 1.5}, 1)

    agent, before = agents[0], agents[0].updated_at
    agent.idle_since, agent.last_call, agent.name = timezone.now(), None, "not saved"
    update_row(agent, ("idle_since", "last_call", "updated_at"))
    again = Agent.objects.get(pk=agent.pk)
    assert again.idle_since == agent.idle_since and again.name != "not saved"
    assert before < again.updated_at == agent.updated_at < timezone.now() + dt.timedelta(seconds=1)


def test_a_row_that_is_gone_is_said_to_be(agents):
    Agent.objects.filter(pk=agents[0].pk).delete()
    with pytest.raises(DatabaseError, match="nothing was saved of it"):
        update_row(agents[0], ("status",))
