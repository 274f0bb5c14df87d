"""The order runner's housekeeping, in one process with a real Redis; the rest of it is tested as a process."""

import time
import uuid
from types import SimpleNamespace

import gevent
import orjson
import pytest
import redis

from dialer import orders, stops
from dialer.limits import ORDER_SECONDS
from esl_bridge import order_runner
from esl_bridge.order_runner import JOB_GRACE_SECONDS, InFlight, OrderRunner
from esl_bridge.order_stream import Memory, OrderStream
from esl_bridge.render import DialPlan
from esl_bridge.reports import Reporter
from esl_bridge.writer import JournalWriter
from events import facts, streams


class Switch:
    """A link whose `ask` answers as told, and that takes every command. `joined`: leg -> the one it is joined to;
    `after`: called once it has taken some."""

    def __init__(self, *answers, joined=()):
        self.answers, self.joined = list(answers), dict(joined)
        self.commands, self.said, self.after = self, [], lambda: None

    def ask(self, *questions):
        return [self._answer(question) for question in questions]

    def _answer(self, question):
        command, leg, *variable = question.split()
        if command != "uuid_getvar":
            return self.answers.pop(0)
        assert variable == ["bridge_to"]
        return self.joined.get(leg, "_undef_")

    def bgapi(self, jobs, replied):
        self.said += [line for line, _ in jobs]
        self.after()
        for _, job in jobs:
            replied(job, SimpleNamespace(data="+OK", headers={"Job-UUID": job}))


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


# --- At most once, whatever Redis has lost ------------------------------------------------------------------------


def call_order(**more):
    header = {"order_id": str(uuid.uuid4()), "expires_at": time.time() + ORDER_SECONDS, "leg": str(uuid.uuid4())}
    number = {"number": "+12125550100", "call_id": str(uuid.uuid4()), "caller_id_number": "+12125550100"}
    return orders.OriginateCustomer(**{**header, **number, "campaign_id": "spring", **more})


def send(runner, *wanted, **fields):
    """Into the stream, and read as the runner reads."""
    for order in wanted:
        runner.stream.commands.xadd(streams.ORDERS, {"o": orders.encode(order), **fields})
    runner.stream.ensure_group()
    runner._take(runner.stream.read_new())
    gevent.sleep(0)


def outcomes(runner):
    return [report.status for report in reports(runner) if report.status != "sent"]


def detection():
    return orders.DetectMachine(order_id=str(uuid.uuid4()), expires_at=time.time() + 30, leg=str(uuid.uuid4()))


def test_a_leg_is_listened_to_only_where_the_switch_can_for_it_would_end_the_call_otherwise(runner):
    runner.link, order = Switch("true"), detection()
    send(runner, order)
    assert runner.link.said == [f"uuid_broadcast {order.leg} avmd_start:: aleg"]
    runner.link, order = Switch("false"), detection()
    send(runner, order)
    assert runner.link.said == []
    (report,) = [report for report in reports(runner) if report.order_id == order.order_id]
    assert (report.status, report.reply) == ("failed", orders.NO_DETECTION)


@pytest.mark.parametrize("lost", [False, True])
def test_an_order_that_comes_again_is_executed_once_even_if_redis_has_lost_its_claim(runner, lost):
    runner.link, order = Switch(), call_order()
    send(runner, order)
    if lost:
        runner.stream.commands.flushdb()
    send(runner, order)
    assert len(runner.link.said) == 1


def test_an_order_that_another_bridge_has_claimed_is_passed_over(runner):
    runner.link, order = Switch(), call_order()
    send(runner, order)
    runner._taken.clear()  # as a bridge has it that begins now
    send(runner, order)
    assert len(runner.link.said) == 1


def test_what_a_bridge_has_taken_does_not_leave_once_it_has_lost_its_lease(runner):
    """It may have been frozen between the two, and another one may be at work by now."""
    runner.link, runner.may_act = Switch(), lambda: False
    send(runner, call_order())
    assert outcomes(runner) == ["refused"] and not runner.link.said


def test_an_order_is_not_executed_after_its_time(runner):
    runner.link = Switch()
    send(runner, call_order(expires_at=time.time() - 0.1))
    assert outcomes(runner) == ["expired"] and not runner.link.said


def test_orders_in_doubt_since_their_link_was_lost_do_not_leave_by_the_next_one(runner):
    """They are written by the fifty; a write waits for the socket, and meanwhile everything may happen."""
    first, second = Switch(), Switch()
    first.after = lambda: (runner.link_lost("gone"), runner.link_up(second))
    runner.link = first
    send(runner, *(call_order() for _ in range(2 * order_runner.TOGETHER)))
    assert len(first.said) == order_runner.TOGETHER and not second.said
    assert outcomes(runner) == ["in_doubt"] * 2 * order_runner.TOGETHER


def test_a_bridge_begun_after_redis_was_restarted_dials_nothing_that_its_predecessor_may_have_dialled(runner):
    runner.link, memory = Switch(), runner.stream.commands
    memory.set(streams.ORDERS + streams.ORDERS_MEMORY, "another process")
    runner._ask_what_is_remembered()
    older, newer = call_order(expires_at=runner._began + ORDER_SECONDS - 1), call_order()
    hangup = orders.Hangup(order_id=str(uuid.uuid4()), expires_at=older.expires_at, leg=older.leg)
    send(runner, older, hangup, newer)
    assert outcomes(runner) == ["in_doubt"]
    assert [line.split()[0] for line in runner.link.said] == ["uuid_kill", "originate"]


def test_after_redis_was_flushed_only_what_was_sent_before_may_have_been_dialled(runner):
    runner.link = Switch()
    runner._ask_what_is_remembered()
    early = runner._began + ORDER_SECONDS - 1
    send(runner, call_order(expires_at=early))
    assert len(runner.link.said) == 1
    send(runner, call_order(expires_at=early), again="1")
    assert outcomes(runner) == ["in_doubt"] and len(runner.link.said) == 1


def test_redis_is_believed_as_long_as_it_is_the_same_process_with_the_same_memory(runner):
    stream = runner.stream
    assert [stream.memory(), stream.memory()] == [Memory.EMPTY, Memory.WHOLE]
    stream.commands.set(stream.key + streams.ORDERS_MEMORY, "another process")
    assert [stream.memory(), stream.memory()] == [Memory.RESTARTED, Memory.WHOLE]


# --- Stop means stop ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["spring", "+12125550100"])
def test_a_call_that_was_decided_before_its_campaign_or_number_was_stopped_does_not_leave(runner, target):
    runner.link, before = Switch(), call_order()
    stops.mark(target)
    other = call_order(campaign_id="autumn", number="+12125550101")
    send(runner, before, other, call_order(expires_at=time.time() + ORDER_SECONDS + 1))
    assert outcomes(runner) == ["refused"]
    assert len(runner.link.said) == 2, "the other's, and what was decided after the stop"


def test_a_call_that_was_decided_while_redis_was_away_does_not_leave_since_a_stop_may_have_left_no_mark(
    runner, monkeypatch
):
    class Over(Exception):
        pass

    def read_new():
        step = next(steps)
        if isinstance(step, Exception):
            raise step
        for order in step:
            runner.stream.commands.xadd(streams.ORDERS, {"o": orders.encode(order)})
        return usual()

    runner.link, decided_then = Switch(), call_order()
    hangup = orders.Hangup(order_id=str(uuid.uuid4()), expires_at=decided_then.expires_at, leg=decided_then.leg)
    decided_later = call_order(expires_at=time.time() + ORDER_SECONDS + 5)
    steps = iter([[call_order()], redis.ConnectionError("away"), [decided_then, hangup, decided_later], Over()])
    usual = runner.stream.read_new
    monkeypatch.setattr(runner.stream, "read_new", read_new)
    monkeypatch.setattr(order_runner, "RETRY_SECONDS", 0)
    with pytest.raises(Over):
        runner.run()
    gevent.sleep(0)
    assert [line.split()[0] for line in runner.link.said] == ["originate", "uuid_kill", "originate"]
    assert outcomes(runner) == ["refused"]


# --- Nobody who talks is moved or hung up because a fact is late ---------------------------------------------------


def unless_joined(kind, leg):
    header = {"order_id": str(uuid.uuid4()), "expires_at": time.time() + ORDER_SECONDS, "leg": leg}
    more = {"bridge": {"peer": str(uuid.uuid4())}, "play_message": {"name": str(uuid.uuid4())}}.get(kind, {})
    made = {"bridge": orders.Bridge, "play_message": orders.PlayMessage, "hangup": orders.Hangup}[kind]
    return made(**header, **more, unless_joined=True)


@pytest.mark.parametrize("kind", ["bridge", "play_message", "hangup"])
def test_an_order_for_a_customer_who_waits_is_refused_once_the_switch_has_joined_them(runner, kind):
    leg = str(uuid.uuid4())
    runner.link = Switch(joined={leg: str(uuid.uuid4())})
    send(runner, unless_joined(kind, leg))
    (report,) = reports(runner)
    assert (report.status, report.reply) == ("refused", orders.JOINED)
    assert not runner.link.said and not runner.in_flight
    runner.link = Switch()
    send(runner, unless_joined(kind, leg))
    assert len(runner.link.said) == 1


def both_at_once(runner, kind):
    """An order that was decided before another's outcome was known is read together with that one: the bridge was
    away."""
    leg, peer = str(uuid.uuid4()), str(uuid.uuid4())
    header = {"order_id": str(uuid.uuid4()), "expires_at": time.time() + ORDER_SECONDS, "leg": leg}
    send(runner, orders.Bridge(**header, peer=peer), unless_joined(kind, leg))
    gevent.sleep(0)
    assert [line.split()[0] for line in runner.link.said] == ["uuid_bridge"]
    return header["order_id"], leg, peer


@pytest.mark.parametrize("kind", ["bridge", "play_message", "hangup"])
def test_who_is_just_being_joined_is_not_asked_about_before_they_are(runner, kind):
    runner.link = Switch()
    _, leg, peer = both_at_once(runner, kind)
    runner.link.joined[leg] = peer
    runner.joined(peer, leg)
    gevent.sleep(0)
    assert len(runner.link.said) == 1
    assert [(report.status, report.reply) for report in reports(runner)][-1] == ("refused", orders.JOINED)


@pytest.mark.parametrize("how", ["the joining fails", "the leg ends", "nothing is heard of it", "the link is lost"])
def test_who_could_not_be_joined_is_not_kept_waiting(runner, monkeypatch, how):
    runner.link = Switch()
    if how == "nothing is heard of it":
        runner.joining.seconds = 0.02
    order_id, leg, _ = both_at_once(runner, "hangup")
    if how == "the joining fails":
        runner.job_finished(order_id, "-ERR no such channel")
    elif how == "the leg ends":
        runner.ended(leg)
    elif how == "the link is lost":
        runner.link_lost("gone")
    with gevent.Timeout(10):
        while len(runner.joining):
            gevent.sleep(0.01)
    gevent.sleep(0.01)
    said = [line.split()[0] for line in runner.link.said] if runner.link else ["uuid_bridge"]
    assert said == ["uuid_bridge"] + ["uuid_kill"] * (how != "the link is lost")


# --- Nobody is moved before the switch has finished calling them ----------------------------------------------------


def being_called(runner, **more):
    """A customer who has answered while the thread that calls them has not returned, and a bridge for them."""
    runner.link, runner.rising.seconds = Switch(), 0.0
    call = call_order()
    send(runner, call)
    header = {"order_id": str(uuid.uuid4()), "expires_at": time.time() + ORDER_SECONDS, "leg": call.leg}
    join = orders.Bridge(**{**header, **more}, peer=str(uuid.uuid4()))
    send(runner, join)
    gevent.sleep(0.02)
    return call, join


def said(runner):
    return [line.split()[0] for line in runner.link.said]


def until(condition):
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.01)


@pytest.mark.parametrize("how", ["the leg parks", "the calling is reported done", "the leg ends"])
def test_a_customer_is_not_joined_while_the_switch_still_calls_them_however_late_it_is(runner, how):
    call, _ = being_called(runner)
    assert said(runner) == ["originate"], "the parking that is still to come would undo it and end the agent's leg"
    if how == "the leg parks":
        runner.parked(call.leg)
    elif how == "the calling is reported done":
        runner.job_finished(call.order_id, f"+OK {call.leg}")
    else:
        runner.ended(call.leg)
    until(lambda: said(runner) == ["originate", "uuid_bridge"])
    assert not len(runner.calling) and not len(runner.rising)


def test_a_join_whose_customer_is_still_being_called_when_its_time_is_over_does_not_leave(runner):
    call, join = being_called(runner, expires_at=time.time() + 0.3)
    until(lambda: join.order_id not in runner.in_flight)
    assert said(runner) == ["originate"] and outcomes(runner) == ["expired"]
    assert call.leg in runner.calling, "the next order waits for it as well"


def test_a_hangup_unless_joined_waits_for_a_join_that_waits_for_the_call(runner):
    """The join comes late, but in the middle of it nobody is hung up."""
    call, join = being_called(runner)
    send(runner, unless_joined("hangup", call.leg))
    runner.parked(call.leg)
    until(lambda: said(runner) == ["originate", "uuid_bridge"])
    runner.link.joined[call.leg] = join.peer
    runner.joined(call.leg, join.peer)
    until(lambda: "refused" in outcomes(runner))
    assert said(runner) == ["originate", "uuid_bridge"]


def test_who_is_called_for_ever_is_hung_up_all_the_same(runner, monkeypatch):
    monkeypatch.setattr(order_runner, "JOIN_SECONDS", 0.02)
    call, _ = being_called(runner)
    send(runner, unless_joined("hangup", call.leg))
    until(lambda: said(runner) == ["originate", "uuid_kill"])
