"""Whatever dies between two steps, nothing is lost and repetition is harmless."""

import threading
import time
from contextlib import contextmanager

import orjson
import pytest
import redis

from esl_bridge.reports import Reporter
from events import call_state, live, streams
from events.ingest import Ingest
from events.journal import DEPTH_COUNTED, START
from events.models import CallStateEvent, EventBatch, FreeSwitchEvent
from tests.conftest import wait_until
from tests.fakes.events import (
    AGENT,
    BRIDGED,
    CALL,
    TALKING,
    database_away,
    drain,
    facts_sent,
    ingest,
    record,
    store_sent,
    tasks,
)

pytestmark = pytest.mark.django_db(transaction=True)

STATES = ["initiated", "alerting", "answered", "bridged", "answered", "ended"]


def successor(dead):
    """The next ingest, after the lease of the dead one has run out."""
    dead.redis.delete(dead.lease.key)
    return ingest()


def history(leg=CALL):
    return [step.current_state for step in CallStateEvent.objects.filter(channel_uuid=leg).order_by("id")]


def finish(one, client):
    """Everything the living one does in the end, and the `default` workers with it."""
    drain(one)
    record(one)
    assert set(store_sent(client)) <= {"stored", "done already"}
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)
    assert history() == STATES
    assert history(AGENT)[-1] == "ended"
    assert not EventBatch.objects.exclude(status="completed").exists()
    assert client.hlen(streams.LIVE_LEGS) == 0
    assert client.xpending(streams.JOURNAL, "ingest")["pending"] == 0


def test_killed_after_reading(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    assert one.read(None)
    finish(successor(one), redis_empty)


def test_killed_after_writing_the_live_state_before_anything_is_recorded(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    assert one.write(one.fold(one.read(None))), "and before the dialer is woken, which looks for them by itself"
    told = facts_sent(redis_empty)
    two = successor(one)
    assert {leg.leg: leg.state for leg in two.legs.live.values()} == {CALL: "bridged", AGENT: "bridged"}
    assert drain(two) == 0  # folded already, up to the place that was written down with the legs
    two.journal.append(BRIDGED[len(TALKING) :])
    finish(two, redis_empty)
    assert facts_sent(redis_empty)[: len(told)] == told
    legs_created = [fact["leg"] for fact in facts_sent(redis_empty) if fact["type"] == "LegCreated"]
    assert len(legs_created) == len(set(legs_created)), "each was told once"


def test_killed_between_the_batch_and_its_task(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    ids = one.recorder._journal.unacknowledged(one.folded)
    one.recorder.create(ids)
    two = successor(one)
    # The successor sees that a batch covers them and only acknowledges; the sweep sends the task that was lost.
    assert record(two) == len(BRIDGED)
    assert EventBatch.objects.count() == 1
    assert tasks(redis_empty, "default", "events.tasks.store_batch") == []
    two.recorder.send(str(EventBatch.objects.get().batch_id))
    finish(two, redis_empty)


def test_killed_between_the_task_and_the_acknowledgement(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    one.recorder.send(one.recorder.create(one.recorder._journal.unacknowledged(one.folded)))
    two = successor(one)
    finish(two, redis_empty)
    assert EventBatch.objects.count() == 1


def test_a_batch_is_closed_earlier_than_its_predecessor_would_have_closed_it(redis_empty):
    # The dead one's batch ends in the middle of what is pending: the rest gets a batch of its own.
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    one.recorder.send(one.recorder.create(one.recorder._journal.unacknowledged(one.folded)[:30]))
    two = successor(one)
    finish(two, redis_empty)
    assert sorted(EventBatch.objects.values_list("event_count", flat=True)) == sorted([30, len(BRIDGED) - 30])


def test_an_ingest_that_was_frozen_writes_nothing_when_it_wakes(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    outcome = one.fold(one.read(None))
    two = successor(one)
    drain(two)
    before = redis_empty.hgetall(streams.LIVE_LEGS), redis_empty.xlen(streams.CHANGES), facts_sent(redis_empty)
    with pytest.raises(live.LeaseLost):
        one.write(outcome)
    after = redis_empty.hgetall(streams.LIVE_LEGS), redis_empty.xlen(streams.CHANGES), facts_sent(redis_empty)
    assert after == before


def test_a_step_that_fails_is_read_again_and_nothing_of_it_was_adopted(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    redis_empty.delete(one.lease.key)
    with pytest.raises(live.LeaseLost):
        one.step(None)
    assert (one.legs.live, one.counts["events"], one.folded) == ({}, 0, START)
    assert one.lease.keep()
    one.take_over()
    assert drain(one) == len(TALKING)
    assert one.legs.get(CALL).state == "bridged"


def test_a_step_that_could_not_be_written_down_is_read_again(redis_empty, monkeypatch):
    one = ingest()
    one.journal.append(TALKING)

    def away(outcome):
        raise redis.ConnectionError("Redis is away")

    monkeypatch.setattr(one, "write", away)
    with pytest.raises(redis.ConnectionError):
        one.step(None)
    monkeypatch.undo()
    assert (one.legs.live, one.counts["events"], one.folded) == ({}, 0, START)
    assert not facts_sent(redis_empty)
    assert drain(one) == len(TALKING)
    assert one.legs.get(CALL).state == "bridged"


def test_redis_flushed_in_the_middle_of_a_call(redis_empty):
    stop = threading.Event()
    one = Ingest(streams.connect(), stop=stop)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        wait_until(lambda: one.lease.held() and redis_empty.exists(streams.JOURNAL), "it works")
        one.journal.append(TALKING)
        wait_until(lambda: one.counts["events"] == len(TALKING), "the call is folded")
        redis_empty.flushall()
        wait_until(lambda: redis_empty.hlen(streams.LIVE_LEGS) == 2, "the live legs are written down again")
        announced = [orjson.loads(fields[b"c"])["id"] for _, fields in redis_empty.xrange(streams.CHANGES)]
        assert sorted(announced) == sorted([CALL, AGENT])
        one.journal.append(BRIDGED[len(TALKING) :])
        wait_until(lambda: redis_empty.hlen(streams.LIVE_LEGS) == 0, "the rest is folded")
        # Into memory once it is written down.
        wait_until(lambda: one.legs.get(CALL).cause == "NORMAL_CLEARING", "the end is known")
    finally:
        stop.set()
        thread.join(15)
    assert not thread.is_alive()


@contextmanager
def running(one):
    """It folds in a thread of its own, as if it had never done otherwise."""
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield
    finally:
        one.stop.set()
        thread.join(15)
    assert not thread.is_alive()


def copy_of(client):
    """What Redis has now of all that the ingest writes."""
    names = [streams.JOURNAL, streams.FACTS, streams.LIVE_LEGS, live.FOLDED, live.TRANSITIONS]
    return {name: client.dump(name) for name in names}


def come_back(client, copy):
    """Redis began again from an older copy of itself; the lease had been written before that."""
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(*copy, *client.keys(f"{live.ENDED_PREFIX}*"))
        for name, raw in copy.items():
            if raw is not None:
                pipe.restore(name, 0, raw)
        pipe.execute()


def told(kind, client):
    """The legs of which the dialer is told that."""
    return {fact["leg"] for fact in facts_sent(client) if fact["type"] == kind}


@pytest.mark.parametrize("kept", [True, False], ids=["its events are delivered again", "its events are lost, too"])
def test_redis_back_without_its_last_second_knows_again_of_an_end_that_was_folded_in_it(redis_empty, kept):
    """The ingest lives, and remembers what Redis has lost: nothing that mends it may fall on that memory."""
    one = ingest(stop=threading.Event())
    one.journal.append(TALKING)
    drain(one)
    if kept:
        one.journal.append(BRIDGED[len(TALKING) :])
    copy = copy_of(redis_empty)
    if not kept:
        one.journal.append(BRIDGED[len(TALKING) :])
    drain(one)
    assert told("LegEnded", redis_empty) == {CALL, AGENT}
    come_back(redis_empty, copy)
    assert redis_empty.hlen(streams.LIVE_LEGS) == 2
    assert not told("LegEnded", redis_empty)
    with running(one):
        said = Reporter("n", "the bridge", time.time)
        one.journal.append([said.leg_gone(leg, "LOST") for leg in (CALL, AGENT)])
        wait_until(lambda: redis_empty.hlen(streams.LIVE_LEGS) == 0, "neither leg is live any more")
        wait_until(lambda: told("LegEnded", redis_empty) == {CALL, AGENT}, "and the dialer is told")


def test_redis_back_without_its_last_second_knows_again_of_an_answer_that_was_folded_in_it(redis_empty):
    one = ingest(stop=threading.Event())
    lines = [orjson.loads(line) for line in BRIDGED]
    answer = lines.index(next(e for e in lines if (e["Event-Name"], e["Unique-ID"]) == ("CHANNEL_ANSWER", CALL)))
    one.journal.append(BRIDGED[:answer])
    drain(one)
    copy = copy_of(redis_empty)
    one.journal.append(BRIDGED[answer : answer + 1])
    drain(one)
    come_back(redis_empty, copy)
    assert CALL not in told("LegAnswered", redis_empty)
    with running(one):
        dump = {**lines[answer], "Answer-State": "answered"}
        one.journal.append([Reporter("n", "the bridge", time.time).leg_found(CALL, dump)])
        wait_until(lambda: CALL in told("LegAnswered", redis_empty), "the dialer is told")
        assert call_state.from_json(redis_empty.hget(streams.LIVE_LEGS, CALL)).state == "answered"


def test_what_redis_has_lost_is_not_acknowledged_before_it_is_folded_again(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    drain(one)
    one.journal.append(BRIDGED[len(TALKING) :])
    outcome = one.fold(one.read(None))
    copy = copy_of(redis_empty)
    one.write(outcome)
    one.adopt(outcome, outcome.events)
    come_back(redis_empty, copy)
    assert record(one) == len(TALKING)
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == len(BRIDGED) - len(TALKING)


def test_batches_whose_acknowledgement_redis_has_lost_are_only_acknowledged(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    drain(one)
    copy = copy_of(redis_empty)
    assert record(one) == len(TALKING)
    one.journal.append(BRIDGED[len(TALKING) :])
    drain(one)
    record(one)
    come_back(redis_empty, copy)
    assert record(one) == len(TALKING), "and nothing hinders what comes"
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == 0
    assert EventBatch.objects.count() == 2


def test_an_ingest_whose_lease_ran_out_meanwhile_begins_anew_as_well(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    drain(one)
    copy = copy_of(redis_empty)
    one.journal.append(BRIDGED[len(TALKING) :])
    drain(one)
    come_back(redis_empty, copy)
    redis_empty.delete(one.lease.key)
    assert one.lease.keep()
    one.take_over()
    assert set(one.legs.live) == {CALL, AGENT}
    one.journal.append(BRIDGED[len(TALKING) :])
    finish(one, redis_empty)
    assert told("LegEnded", redis_empty) == {CALL, AGENT}


def test_the_journal_flushed_before_a_batch_was_stored_is_said_and_not_tried_for_ever(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    drain(one)
    record(one)
    (_, _, sent), *_ = tasks(redis_empty, "default", "events.tasks.store_batch")
    redis_empty.delete(streams.JOURNAL)
    assert store_sent(redis_empty) == ["incomplete"]
    batch = EventBatch.objects.get(batch_id=sent["batch_id"])
    assert batch.status == "failed"
    assert "74 of 74 journal entries" in batch.error_message
    assert history() == STATES  # what was folded is known all the same


def test_without_the_database_the_floor_lives_and_everything_is_stored_later(redis_empty):
    one = ingest()
    stop = threading.Event()
    thread = threading.Thread(target=one.recorder.run, args=(stop,))
    with database_away():
        thread.start()
        one.journal.append(TALKING)
        drain(one)
        assert redis_empty.hlen(streams.LIVE_LEGS) == 2
        assert facts_sent(redis_empty)
        one.recorder.wake.set()
        wait_until(lambda: one.recorder.unstored is None, "the recorder has noticed")
        one.journal.append(BRIDGED[len(TALKING) :])
        drain(one)
        assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == len(BRIDGED)
        one.beat()
        assert orjson.loads(redis_empty.get("heartbeat:ingest"))["unstored"] is None
    wait_until(lambda: not redis_empty.xpending(streams.JOURNAL, "ingest")["pending"], "all is recorded")
    stop.set()
    one.recorder.wake.set()
    thread.join(15)
    finish(one, redis_empty)


def test_an_ingest_that_has_just_taken_over_says_how_much_it_has_before_it(redis_empty):
    def lag() -> int | None:
        one.beat()
        found: int | None = orjson.loads(redis_empty.get("heartbeat:ingest"))["lag_ms"]
        return found

    one = ingest()
    assert lag() is None, "nothing has come: there is nothing to be behind with"
    begun = int(time.time() * 1000) - 60_000
    for n, line in enumerate(TALKING):
        redis_empty.xadd(streams.JOURNAL, {streams.JOURNAL_FIELD: line}, id=f"{begun}-{n + 1}")
    assert (lag() or 0) >= 60_000, "it has folded nothing yet"
    one.journal.read_new(block_ms=None)
    assert (lag() or 0) >= 60_000, "nor has it what it only has read"
    drain(one)
    one._last_event = (0.0, 0)
    assert lag() is None


def test_what_is_folded_and_only_waits_to_be_stored_does_not_wait_for_the_board(redis_empty):
    one = ingest()
    one.journal.append(TALKING)
    drain(one)
    one.beat()
    beat = orjson.loads(redis_empty.get("heartbeat:ingest"))
    assert (beat["depth"], beat["unstored"]) == (0, len(TALKING))


def test_how_much_an_ingest_has_before_it_is_said_beyond_what_is_counted(redis_empty):
    def depth() -> int:
        one.beat()
        found: int = orjson.loads(redis_empty.get("heartbeat:ingest"))["depth"]
        return found

    one = ingest()
    pipe = redis_empty.pipeline(transaction=False)
    for n in range(5 * DEPTH_COUNTED):  # one each millisecond, of a short event
        pipe.xadd(streams.JOURNAL, {streams.JOURNAL_FIELD: b"x"}, id=f"{1_000_000 + n}-0")
    pipe.execute()
    assert depth() == pytest.approx(5 * DEPTH_COUNTED, rel=0.01)
    one.folded = f"{1_000_000 + 5 * DEPTH_COUNTED - 8}-0"
    assert depth() == 7


def test_malformed_events_are_kept_for_people_and_the_call_goes_on(redis_empty):
    one = ingest()
    # Can be read, and not be written again to tell it by its content.
    nested = b'{"Event-Name": "CUSTOM", "deep": ' + b"[" * 300 + b"]" * 300 + b"}"
    malformed = [b"\xff rubbish", b'{"Event-Name": "CHANNEL_ANSWER"}', nested]
    one.journal.append([*TALKING, *malformed, *BRIDGED[len(TALKING) :]])
    drain(one)
    kept = [fields for _, fields in redis_empty.xrange(streams.MALFORMED)]
    assert sorted(fields[b"e"] for fields in kept) == sorted(malformed)
    assert sum(b"not JSON" in fields[b"reason"] for fields in kept) == 1
    record(one)
    assert store_sent(redis_empty) == ["stored"]
    # The second is an event all the same, and the log keeps all of those.
    assert FreeSwitchEvent.objects.count() == len(BRIDGED) + 1
    assert history() == STATES


def test_killed_after_the_cache_was_written_and_before_the_live_legs(redis_empty):
    one = ingest()
    one.journal.append(BRIDGED)
    live.remember(one.fold(one.read(None)).changed.values())
    finish(successor(one), redis_empty)


def test_a_late_event_after_a_restart_raises_nobody_from_the_dead(redis_empty):
    one = ingest()
    one.journal.append([line for line in BRIDGED if b'"CHANNEL_DESTROY"' not in line])
    drain(one)
    two = successor(one)
    before = redis_empty.xlen(streams.CHANGES), len(facts_sent(redis_empty))
    two.journal.append(BRIDGED)
    drain(two)
    assert (redis_empty.xlen(streams.CHANGES), len(facts_sent(redis_empty))) == before
    assert two.legs.live == {}
    record(two)
    store_sent(redis_empty)
    assert history() == STATES
    assert FreeSwitchEvent.objects.count() == len(BRIDGED)
