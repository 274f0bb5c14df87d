"""The journal's writer with a real Redis: everything once, in order, acknowledged together, bounded."""

import gevent
import pytest
import redis

from esl_bridge.writer import MALFORMED_BYTES, TOGETHER, JournalWriter
from events import streams

CHANNEL = "test:events"


@pytest.fixture
def written(redis_empty):
    """A running writer; `journal()` gives what it has written."""
    writer = JournalWriter(redis_empty, CHANNEL)
    task = gevent.spawn(writer.run)
    yield writer
    task.kill()


def journal(connection):
    return [fields[b"e"] for _, fields in connection.xrange(streams.JOURNAL)]


def test_events_are_journalled_and_published_in_order(written, redis_empty):
    listener = redis_empty.pubsub()
    listener.subscribe(CHANNEL)
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    expected = [b'{"n":"%d"}' % number for number in range(1_500)]
    assert all(written.put(raw) for raw in expected)
    assert written.drain(10)
    assert journal(redis_empty) == expected
    assert [listener.get_message(timeout=5)["data"] for _ in expected] == expected
    assert written.written == 1_500


def test_a_report_acknowledges_its_order_in_the_same_step(written, redis_empty):
    redis_empty.xgroup_create(streams.ORDERS, streams.ORDERS_GROUP, id="0", mkstream=True)
    entry = redis_empty.xadd(streams.ORDERS, {"o": "x"})
    redis_empty.xreadgroup(streams.ORDERS_GROUP, "c", {streams.ORDERS: ">"})
    written.report(b'{"sent":"1"}')
    assert written.unsettled == set()
    written.report(b'{"done":"1"}', entry)
    assert written.unsettled == {entry}
    assert written.drain(10)
    assert written.unsettled == set()
    assert journal(redis_empty) == [b'{"sent":"1"}', b'{"done":"1"}']
    assert redis_empty.xpending(streams.ORDERS, streams.ORDERS_GROUP)["pending"] == 0


def test_a_full_buffer_refuses_events_but_not_reports(redis_empty):
    writer = JournalWriter(redis_empty, CHANNEL, buffer_events=2)
    assert [writer.put(b"{}") for _ in range(3)] == [True, True, False]
    writer.report(b"{}")
    assert len(writer) == 3
    assert not writer.ready
    by_bytes = JournalWriter(redis_empty, CHANNEL, buffer_bytes=10)
    assert [by_bytes.put(b"x" * 11) for _ in range(2)] == [True, False]


def test_what_is_unreadable_is_kept_apart_and_cut(written, redis_empty):
    written.put_malformed(b"x" * (MALFORMED_BYTES + 1))
    assert written.drain(10)
    ((_, fields),) = redis_empty.xrange(streams.MALFORMED)
    assert len(fields[b"e"]) == MALFORMED_BYTES
    assert journal(redis_empty) == []


class Flaky:
    """A connection whose first pipelines fail: the network's fault, then Redis's own refusals."""

    def __init__(self, connection, faults):
        self.connection, self.faults = connection, list(faults)

    def pipeline(self, transaction):
        pipe = self.connection.pipeline(transaction=transaction)
        if self.faults:
            fault, execute = self.faults.pop(0), pipe.execute

            def failing(raise_on_error=True):
                if fault == "network":
                    raise redis.ConnectionError("gone")
                replies = execute(raise_on_error=raise_on_error)
                return [redis.ResponseError("OOM command not allowed"), *replies[1:]]

            pipe.execute = failing
        return pipe


def test_nothing_is_lost_or_reordered_while_redis_fails(redis_empty):
    writer = JournalWriter(Flaky(redis_empty, ["network", "network"]), CHANNEL)
    task = gevent.spawn(writer.run)
    expected = [b'{"n":"%d"}' % number for number in range(3)]
    for raw in expected:
        writer.put(raw)
    gevent.sleep(0)
    assert writer.trouble
    writer.put(b'{"later":"1"}')
    assert writer.drain(10)
    assert journal(redis_empty) == [*expected, b'{"later":"1"}']
    assert writer.trouble == ""
    task.kill()


def test_only_what_redis_refused_is_written_again(redis_empty):
    writer = JournalWriter(Flaky(redis_empty, ["refusal"]), CHANNEL)
    expected = [b'{"n":"%d"}' % number for number in range(TOGETHER + 2)]
    for raw in expected:
        writer.put(raw)
    task = gevent.spawn(writer.run)
    assert writer.drain(10)
    # The stand-in reports a refusal of what was in fact written, hence the first command's entries twice.
    assert journal(redis_empty) == [*expected, *expected[:TOGETHER]]
    assert writer.written == len(expected)
    task.kill()


def test_behind_an_entry_that_redis_refuses_nothing_is_written_before_it(redis_empty):
    redis_empty.set(streams.MALFORMED, "no stream")
    writer = JournalWriter(redis_empty, CHANNEL)
    writer.put(b'{"n":"1"}')
    writer.put_malformed(b"x")
    writer.put(b'{"n":"2"}')
    task = gevent.spawn(writer.run)
    gevent.sleep(0.05)
    assert journal(redis_empty) == [b'{"n":"1"}'] and writer.trouble
    redis_empty.delete(streams.MALFORMED)
    assert writer.drain(10)
    assert journal(redis_empty) == [b'{"n":"1"}', b'{"n":"2"}']
    assert [fields[b"e"] for _, fields in redis_empty.xrange(streams.MALFORMED)] == [b"x"]
    task.kill()
