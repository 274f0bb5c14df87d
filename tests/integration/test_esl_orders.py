"""The order runner's housekeeping, in one process with a real Redis; the rest of it is tested as a process."""

import time
import uuid

import gevent
import orjson
import pytest

from dialer import orders
from esl_bridge.order_runner import JOB_GRACE_SECONDS, InFlight, OrderRunner
from esl_bridge.order_stream import OrderStream
from esl_bridge.render import DialPlan
from esl_bridge.reports import Reporter
from esl_bridge.writer import JournalWriter
from events import facts, streams


class Switch:
    """A link whose `ask` answers as told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, *questions):
        return [self.answers.pop(0) for _ in questions]


@pytest.fixture
def runner(redis_empty):
    writer = JournalWriter(redis_empty, "test:events")
    reporter = Reporter("test", str(uuid.uuid4()), time.time)
    plan = DialPlan("sofia/gateway/carrier/{number}", "user/{extension}", ("+1212",), "/tmp")
    runner = OrderRunner(OrderStream(redis_empty, redis_empty, "test"), writer, reporter, plan, lambda: True)
    task = gevent.spawn(writer.run)
    yield runner
    task.kill()


def reports(runner):
    assert runner.writer.drain(10)
    entries = runner.stream.commands.xrange(streams.JOURNAL)
    return [fact for _, fields in entries for fact in facts.facts_of(orjson.loads(fields[b"e"]))]


def in_flight(runner):
    order = orders.Hold(order_id=str(uuid.uuid4()), expires_at=1.0, leg=str(uuid.uuid4()))
    entry = runner.stream.commands.xadd(streams.ORDERS, {"o": orders.encode(order)})
    runner.in_flight[order.order_id] = InFlight(order, entry, deadline=1_000.0)
    return order


@pytest.mark.parametrize(("answer", "exists"), [("true", True), ("false", False), ("-ERR what", None)])
def test_an_order_whose_job_never_ends_is_in_doubt_with_the_legs_existence(runner, answer, exists):
    order = in_flight(runner)
    runner.link = Switch(answer)
    runner.give_up_overdue(999.0)
    gevent.sleep(0)
    assert runner.in_flight
    runner.give_up_overdue(1_001.0)
    gevent.sleep(0)
    (report,) = reports(runner)
    assert (report.order_id, report.status, report.leg_exists) == (order.order_id, "in_doubt", exists)
    runner.job_finished(order.order_id, "+OK late")  # its job comes after all: the outcome stands
    assert len(reports(runner)) == 1


def test_each_order_has_one_outcome_even_if_the_link_is_lost_while_it_is_settled(runner):
    order = in_flight(runner)
    runner.job_finished(order.order_id, "+OK Success")
    runner.link_lost("gone")
    (report,) = reports(runner)
    assert report.status == "done"


def test_the_grace_covers_a_switch_that_is_seconds_late():
    assert JOB_GRACE_SECONDS >= 10


def test_settled_orders_leave_the_stream_after_an_hour_pending_and_unread_ones_do_not(runner):
    connection = runner.stream.commands
    old = int((time.time() - 7_200) * 1000)
    for number in range(600):
        connection.xadd(streams.ORDERS, {"o": "x"}, id=f"{old + number}-0")
    connection.xgroup_create(streams.ORDERS, streams.ORDERS_GROUP, id="0")
    runner.stream.trim()
    assert connection.xlen(streams.ORDERS) == 600  # unread
    ((_, read),) = connection.xreadgroup(streams.ORDERS_GROUP, "c", {streams.ORDERS: ">"}, count=500)
    ids = [entry for entry, _ in read]
    connection.xack(streams.ORDERS, streams.ORDERS_GROUP, *ids[:250], *ids[251:])
    runner.stream.trim()
    left = [entry for entry, _ in connection.xrange(streams.ORDERS)]
    assert ids[250] in left  # pending
    assert len(left) < 600
    connection.xack(streams.ORDERS, streams.ORDERS_GROUP, ids[250])
    runner.stream.trim()
    assert 100 <= connection.xlen(streams.ORDERS) < 300  # the 100 that were never read
    connection.delete(streams.ORDERS)
    runner.stream.trim()  # nothing there: no harm
