"""What the switch has said is applied before anything else is decided, and waits until it is."""

import json
import time

import msgspec
import pytest
import redis
from django.db import OperationalError

from dialer import lease, tasks
from dialer.models import CallLog
from dialer.services import facts, hearing, observing, sifting
from events import facts as f
from events import streams
from tests.fakes.events import database_read_only
from tests.fakes.events import tasks as queued
from tests.fakes.floor import Switch, make_agents, make_campaign, now_us, place, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def call() -> CallLog:
    """A call that rings."""
    [agent] = make_agents(1)
    set_state(agent, "available")
    switch = Switch()
    switch.open_softphones()
    [call] = place(make_campaign([agent]))
    streams.shared().delete("dialer_queue")
    return call


def waits(*told: f.AnyFact) -> None:
    for fact in told:
        streams.shared().xadd(streams.FACTS, {streams.FACTS_FIELD: msgspec.json.encode(fact)})


def waiting() -> int:
    return streams.shared().xlen(streams.FACTS)


def answered(call: CallLog) -> f.LegAnswered:
    return f.LegAnswered(leg=call.freeswitch_uuid, at=now_us())


def is_answered(call: CallLog) -> bool:
    call.refresh_from_db()
    return call.answered_at is not None


TASKS = {
    "a wake-up": lambda call: tasks.handle_facts(),
    "a tick": lambda call: tasks.process_dialer_logic(),
    "a decision": lambda call: tasks.execute_dial(str(call.campaign.campaign_id)),
    "an agent's command": lambda call: tasks.handle_agent_state({"agent_id": "nobody"}),
    "a supervisor's command": lambda call: tasks.handle_command({"kind": "none"}),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_begins_with_what_has_been_said(call, name):
    waits(answered(call))
    TASKS[name](call)
    assert is_answered(call)
    assert not waiting()


def test_what_cannot_be_committed_waits_on(call, monkeypatch):
    waits(answered(call))
    with monkeypatch.context() as broken:
        broken.setattr(facts, "apply", away)
        with pytest.raises(OperationalError):
            tasks.handle_facts()
    assert waiting() == 1 and not is_answered(call)
    tasks.handle_facts()
    assert not waiting() and is_answered(call)


def test_a_database_that_takes_no_writes_loses_nothing(call):
    waits(answered(call))
    with database_read_only(), pytest.raises(OperationalError, match="read-only"):
        tasks.handle_facts()
    assert waiting() == 1 and not is_answered(call)
    tasks.handle_facts()
    assert not waiting() and is_answered(call)


def away(*_):
    raise OperationalError("the database is away")


def test_one_who_has_lost_the_lease_takes_nothing_away(call, monkeypatch):
    waits(answered(call))
    with monkeypatch.context() as frozen:
        frozen.setattr(lease, "_held", lease.Held("somebody before", 0))
        with pytest.raises(lease.LeaseLost):
            tasks.handle_facts()
    assert waiting() == 1 and not is_answered(call)


def test_one_who_wakes_after_another_has_taken_over_removes_only_what_it_has_applied(call, monkeypatch):
    waits(answered(call))
    apply_all = facts.apply_all

    def frozen_after_its_commit(told):
        count = apply_all(told)
        streams.shared().delete(streams.FACTS)  # the successor has applied them, too
        ended = f.LegEnded(leg=call.freeswitch_uuid, at=now_us(), cause="NORMAL_CLEARING", complete=True)
        waits(ended)
        monkeypatch.setattr(facts, "apply_all", lost)
        return count

    def lost(told):
        raise lease.LeaseLost("somebody else has taken over")

    monkeypatch.setattr(facts, "apply_all", frozen_after_its_commit)
    with pytest.raises(lease.LeaseLost):
        hearing.catch_up()
    monkeypatch.undo()
    assert waiting() == 1, "the fact that came since is still there"
    tasks.handle_facts()
    call.refresh_from_db()
    assert call.ended_at is not None


def test_what_is_not_understood_is_passed_over(call, caplog):
    client = streams.shared()
    client.xadd(streams.FACTS, {streams.FACTS_FIELD: "no fact"})
    client.xadd(streams.FACTS, {"another": "field"})
    client.xadd(streams.FACTS, {streams.FACTS_FIELD: b"\xff"})
    waits(answered(call))
    tasks.handle_facts()
    assert is_answered(call) and not waiting()
    assert caplog.text.count("a fact was not understood") == 3


def test_what_cannot_even_be_looked_at_is_given_up_alone(call, monkeypatch, caplog):
    look = sifting.sift

    def poisoned(told, now):
        if any(fact.leg == "poison" for fact in told):
            raise ValueError("no such leg can be")
        return look(told, now)

    monkeypatch.setattr(sifting, "sift", poisoned)
    waits(f.LegAnswered(leg="poison", at=now_us()), answered(call), f.LegEnded(leg="poison", at=now_us(), cause="X"))
    tasks.handle_facts()
    assert is_answered(call) and not waiting()
    assert caplog.text.count("of leg poison could not be applied") == 2


def test_what_is_said_while_others_are_applied_is_applied_with_them(call, monkeypatch):
    """The ingest wakes nobody then: it does so for the first that waits, and these are not deleted yet."""
    apply_all, late = facts.apply_all, [answered(call)]

    def meanwhile(told):
        count = apply_all(told)
        if late:
            waits(late.pop())
        return count

    monkeypatch.setattr(facts, "apply_all", meanwhile)
    waits(f.LegCreated(leg=call.freeswitch_uuid, at=now_us(), role="customer"))
    tasks.handle_facts()
    assert is_answered(call) and not waiting()


def test_what_comes_meanwhile_is_left_to_a_task_that_waits_and_never_what_was_there(call, monkeypatch):
    """On a busy floor: a transaction for each fact that comes would keep those tasks waiting."""
    client, apply_all = streams.shared(), facts.apply_all
    late = [f.LegCreated(leg="late", at=now_us(), role="customer")]
    client.rpush("dialer_queue", "a task that waits")

    def meanwhile(told):
        count = apply_all(told)
        if len(told) < 2 and late:
            waits(late.pop())
        return count

    monkeypatch.setattr(facts, "apply_all", meanwhile)
    monkeypatch.setattr(hearing, "AT_ONCE", 2)
    waits(*(f.LegCreated(leg=call.freeswitch_uuid, at=now_us(), role="customer") for _ in range(4)), answered(call))
    hearing.catch_up()
    assert is_answered(call) and waiting() == 1
    client.delete("dialer_queue")
    hearing.catch_up()
    assert not waiting()


@pytest.mark.parametrize(("name", "value"), [("AT_ONCE", 1), ("CHUNK_SECONDS", 0.0)])
def test_facts_that_do_not_fit_into_one_transaction_are_applied_in_the_next(call, monkeypatch, name, value):
    monkeypatch.setattr(facts, name, value)
    leg, at = call.freeswitch_uuid, now_us()
    waits(
        f.LegCreated(leg=leg, at=at, role="customer"),
        answered(call),
        f.LegAnswered(leg="somebody else's", at=at),
        f.LegEnded(leg=leg, at=at, cause="NORMAL_CLEARING", complete=True),
    )
    tasks.handle_facts()
    call.refresh_from_db()
    assert call.answered_at is not None and call.ended_at is not None and not waiting()


def test_a_task_is_not_kept_waiting_for_ever_and_the_rest_has_a_task_of_its_own(call, monkeypatch):
    monkeypatch.setattr(hearing, "SECONDS", 0.0)
    monkeypatch.setattr(hearing, "AT_ONCE", 1)
    waits(f.LegCreated(leg=call.freeswitch_uuid, at=now_us(), role="customer"), answered(call))
    tasks.handle_facts()
    assert waiting() == 1
    assert [name for name, _, _ in queued(streams.shared(), "dialer_queue")] == ["dialer.tasks.handle_facts"]
    tasks.handle_facts()
    assert is_answered(call)


def test_a_task_does_its_own_work_when_redis_does_not_tell_what_waits(call, monkeypatch):
    waits(answered(call))
    with monkeypatch.context() as broken:
        broken.setattr(hearing, "catch_up", unreachable)
        assert tasks.handle_command({"kind": "none"})["status"] == "rejected"
    assert waiting() == 1 and not is_answered(call)


def unreachable():
    raise redis.ConnectionError("Redis is away")


def test_a_decision_knows_how_old_what_waits_is(call):
    now = time.time()
    client = streams.shared()
    client.delete(streams.FACTS)
    for name, more in (("bridge", {"link": "up"}), ("ingest", {"lag_ms": 200})):
        client.set(f"{streams.HEARTBEAT_PREFIX}{name}", json.dumps({"at": now, **more}))
    assert observing.link().age == pytest.approx(0.2)
    client.xadd(streams.FACTS, {streams.FACTS_FIELD: "{}"}, id=f"{int((now - 60) * 1000)}-1")
    assert observing.link().age == pytest.approx(60.2, abs=5)
