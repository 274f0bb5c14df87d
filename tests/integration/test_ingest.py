"""The ingest with a real Redis and a real PostgreSQL: what a switch's events become."""

import signal
import threading

import orjson
import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError as BrokerError

from events import call_state, live, streams
from events.ingest import Ingest
from events.journal import Journal
from events.models import CallStateEvent, EventBatch, EventProcessingStatus, FreeSwitchEvent
from tests.conftest import wait_until
from tests.fakes.events import AGENT, BRIDGED, CALL, TALKING, drain, facts_sent, ingest, record, store_sent, tasks
from tests.fakes.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)


def heartbeat(client):
    return orjson.loads(client.get(f"{streams.HEARTBEAT_PREFIX}ingest") or b"{}")


def changes(client):
    return [orjson.loads(fields[b"c"]) for _, fields in client.xrange(streams.CHANGES)]


def test_a_live_call_is_seen_in_redis_in_the_cache_and_by_the_floor(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    drain(one)

    legs = {name.decode(): call_state.from_json(raw) for name, raw in redis_empty.hgetall(streams.LIVE_LEGS).items()}
    assert {name: (leg.role, leg.state, leg.peer) for name, leg in legs.items()} == {
        CALL: ("customer", "bridged", AGENT),
        AGENT: ("agent", "bridged", CALL),
    }
    assert cache.get(f"call_state:{CALL}") == call_state.to_row(legs[CALL])
    assert 3500 < cache.ttl(f"call_state:{CALL}") <= settings.CALL_STATE_CACHE_TIMEOUT
    announced = changes(redis_empty)
    assert [(change["kind"], change["id"]) for change in announced] == [("leg", CALL), ("leg", AGENT)]
    assert announced[0]["data"] == call_state.to_row(legs[CALL])


def test_an_ended_call_leaves_the_live_legs_and_stays_in_the_cache_for_a_while(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    assert redis_empty.hlen(streams.LIVE_LEGS) == 0
    assert cache.get(f"call_state:{CALL}")["cause"] == "NORMAL_CLEARING"
    assert {change["data"]["state"] for change in changes(redis_empty)} == {"ended"}


def test_the_dialer_gets_its_facts_in_order_on_its_own_queue(redis_empty):
    one = ingest()
    for line in BRIDGED:
        one.journal.append([line])
        drain(one)
    told = [(fact["type"], fact["leg"]) for fact in facts_sent(redis_empty) if fact["leg"] == CALL]
    assert [kind for kind, _ in told] == [
        "LegCreated", "LegRinging", "LegAnswered", "LegParked", "LegBridged", "LegUnbridged", "LegEnded", "LegEnded",
    ]  # fmt: skip
    assert [kind for kind, _, _ in tasks(redis_empty, "dialer_queue")] == ["dialer.tasks.handle_facts"]


def test_the_dialer_is_woken_for_the_first_fact_that_waits_and_for_no_further_one(redis_empty):
    one = ingest()
    for place in range(450):
        created = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": f"leg-{place}", "variable_orch_role": "customer"}
        one.journal.append([orjson.dumps(created)])
        if place % 50 == 0:
            drain(one)
    drain(one)
    assert len(tasks(redis_empty, "dialer_queue")) == 1
    assert [fact["leg"] for fact in facts_sent(redis_empty)] == [f"leg-{place}" for place in range(450)]
    redis_empty.delete(streams.FACTS)
    one.journal.append([orjson.dumps({"Event-Name": "HEARTBEAT", "Core-UUID": "c", "Event-Sequence": "7"})])
    one.journal.append([orjson.dumps({**created, "Unique-ID": "leg-451"})])
    drain(one)
    assert len(tasks(redis_empty, "dialer_queue")) == 1, "the task that waits begins with them"
    redis_empty.delete(streams.FACTS, "dialer_queue")
    one.journal.append([orjson.dumps({**created, "Unique-ID": "leg-452"})])
    drain(one)
    assert len(tasks(redis_empty, "dialer_queue")) == 1


def test_facts_wait_for_the_next_task_when_the_dialer_cannot_be_woken(redis_empty, monkeypatch):
    one = ingest()
    one.journal.append(BRIDGED)
    with monkeypatch.context() as broken:
        broken.setattr(one.app, "send_task", unreachable)
        assert drain(one) == len(BRIDGED)
    assert facts_sent(redis_empty)
    assert one.journal.unacknowledged(one.folded, count=1_000), "folded, and to be recorded as ever"


def unreachable(*_, **__):
    raise BrokerError("no broker")


def test_everything_is_stored_once_with_its_batch_its_status_and_its_transitions(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    assert record(one) == len(BRIDGED)
    assert store_sent(redis_empty) == ["stored"]

    batch = EventBatch.objects.get()
    assert (batch.status, batch.event_count, batch.processed_count) == ("completed", len(BRIDGED), len(BRIDGED))
    assert batch.events.count() == FreeSwitchEvent.objects.count() == len(BRIDGED)
    assert EventProcessingStatus.objects.count() == len(BRIDGED)
    steps = CallStateEvent.objects.filter(channel_uuid=CALL).order_by("id")
    assert [step.current_state for step in steps] == [
        "initiated",
        "alerting",
        "answered",
        "bridged",
        "answered",
        "ended",
    ]
    assert {str(step.call_log_id) for step in steps} == {CALL}
    assert [step.freeswitch_event.event_type for step in steps] == [
        "CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HANGUP",
    ]  # fmt: skip
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == 0
    assert redis_empty.hlen(live.TRANSITIONS) == 0


def test_the_journal_is_trimmed_behind_what_is_stored_and_never_further(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    one.recorder.trim()
    assert redis_empty.xlen(streams.JOURNAL) == len(BRIDGED)  # folded, but not recorded
    record(one)
    one.recorder.trim()
    assert redis_empty.xlen(streams.JOURNAL) == len(BRIDGED)  # recorded, but not stored
    store_sent(redis_empty)
    one.journal.append(TALKING[:3])  # not even read
    one.recorder.trim()
    assert 3 <= redis_empty.xlen(streams.JOURNAL) <= 3 + 100  # Redis drops whole nodes
    assert drain(one) == 3


def test_a_loop_of_its_own_folds_records_and_says_how_it_is(redis_empty):
    stop = threading.Event()
    one = Ingest(streams.connect(), stop=stop)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        Journal(redis_empty).append([b"rubbish", *BRIDGED, *BRIDGED[:5]])
        wait_until(EventBatch.objects.exists, "a batch")
        beat = wait_until(lambda: heartbeat(redis_empty).get("events") and heartbeat(redis_empty), "a heartbeat")
        assert (beat["events"], beat["malformed"], beat["duplicates"]) == (len(BRIDGED), 1, 5)
        assert 0 <= beat["depth"] <= len(BRIDGED) + 6
        wait_until(lambda: tasks(redis_empty, "default", "events.tasks.sweep_batches"), "a sweep")
    finally:
        stop.set()
        thread.join(15)
    assert not thread.is_alive()
    assert redis_empty.get("lease:ingest") is None
    assert sum(EventBatch.objects.values_list("event_count", flat=True)) == len(BRIDGED) + 6
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == 0


def test_only_one_of_two_works_and_the_other_takes_over(redis_empty):
    first, second = (Ingest(streams.connect(), stop=threading.Event(), lease_seconds=1.0) for _ in range(2))
    threads = [threading.Thread(target=one.run) for one in (first, second)]
    threads[0].start()
    wait_until(lambda: first.lease.held(), "the first is active")
    threads[1].start()
    try:
        first.journal.append(TALKING)
        wait_until(lambda: first.counts["events"] == len(TALKING), "the first folds")
        assert second.counts["events"] == 0
        first.stop.set()
        threads[0].join(15)
        first.journal.append(BRIDGED[len(TALKING) :])
        wait_until(lambda: second.counts["events"] == len(BRIDGED) - len(TALKING), "the second goes on")
        assert second.legs.get(CALL).state == "ended"
        assert second.legs.get(CALL).role == "customer"  # it knew from the live legs
    finally:
        for one in (first, second):
            one.stop.set()
        for thread in threads:
            thread.join(15)


@pytest.mark.stack
@pytest.mark.slow
def test_a_killed_ingest_is_followed_by_the_next_and_nothing_is_lost_or_doubled(redis_empty, tmp_path):
    journal = Journal(redis_empty)
    with Processes(tmp_path) as run:
        for name in ("one", "two"):
            run.manage(name, "run_event_ingest")
        wait_until(lambda: redis_empty.get("lease:ingest"), "one of them is active")
        journal.append(TALKING)
        beat = wait_until(lambda: heartbeat(redis_empty).get("events") and heartbeat(redis_empty), "it has folded")
        active = next(name for name, process in run.running.items() if process.pid == beat["pid"])
        journal.append(BRIDGED[len(TALKING) :])
        run.kill(active)
        (left,) = run.running.values()
        wait_until(lambda: heartbeat(redis_empty).get("pid") == left.pid, "the other one works", seconds=40)
        wait_until(lambda: redis_empty.hlen(streams.LIVE_LEGS) == 0, "the call has ended")
        wait_until(
            lambda: sum(EventBatch.objects.values_list("event_count", flat=True)) == len(BRIDGED), "all is recorded"
        )
        left.send_signal(signal.SIGTERM)
        assert left.wait(20) == 0
    store_sent(redis_empty)
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)
    assert [step.current_state for step in CallStateEvent.objects.filter(channel_uuid=CALL).order_by("id")] == [
        "initiated", "alerting", "answered", "bridged", "answered", "ended",
    ]  # fmt: skip
