"""Each way a link was seen to fail, on each of the bridge's connections: noticed, said why, made again, agreed anew."""

import json
import time

import gevent
import pytest
from greenswitch.esl import NotConnectedError

from console import health
from dialer import orders
from esl_bridge.bridge import BACKOFF_FIRST
from esl_bridge.client import ESLClient
from esl_bridge.link import PING_SECONDS, Link, Switch
from events import facts
from tests.conftest import wait_until
from tests.fakes.bridge import BridgeProcess, believe, customer, hold, in_time, new
from tests.fakes.esl import DEADLINE, FakeSwitch

pytestmark = pytest.mark.stack
BIG = 16 * 1024 * 1024
# So fast every fault but silence must be noticed; a busy machine has three attempts at it.
NOTICED_SECONDS, ATTEMPTS = 1.0, 3
PARTS = {
    "events reader", "events handlers", "events watch", "commands reader", "commands handlers", "commands watch",
    "watch of events", "watch of commands", "ping",
}  # fmt: skip

FAULTS = {
    "end of file": lambda c: c.close(),
    "end of file in a header": lambda c: (c.send(b"Content-Length: 20\nContent-Ty"), c.close()),
    "end of file in a body": lambda c: (c.send(b"Content-Length: 20\nContent-Type: text/event-json\n\n{"), c.close()),
    "reset": lambda c: c.reset(),
    "garbage": lambda c: c.send(b"\x00\xff\xfe garbage\n\n"),
    "a length too short": lambda c: c.send(b'Content-Length: 5\nContent-Type: text/event-json\n\n{"a":"b"}\n\n'),
    "a negative length": lambda c: c.send(b"Content-Length: -1\nContent-Type: text/event-json\n\n"),
    "a huge length": lambda c: c.send(b"Content-Length: 99999999999\nContent-Type: text/event-json\n\n"),
    "two lengths": lambda c: c.send(b"Content-Length: 1\nContent-Length: 2\nContent-Type: api/response\n\n"),
    "a disconnect notice": lambda c: c.send(b"Content-Type: text/disconnect-notice\nContent-Length: 5\n\ngone\n"),
}


@pytest.fixture
def bridge(switch, tmp_path, floor):
    process = BridgeProcess(tmp_path, switch.port, HOLD_MUSIC="local_stream://moh").start()
    floor.link_up()
    yield process
    process.kill()


def connection_of(switch, which):
    """The newest of the bridge's two."""
    return [c for c in switch.connections if c.subscribed == (which == "events")][-1]


def lose_a_reply(switch, floor):
    """The next command of an order is never answered, and those after it are."""
    usual = switch.answer

    def answer(connection, command):
        if not command.startswith("bgapi"):
            return usual(connection, command)
        switch.answer = usual
        return None

    switch.answer = answer
    floor.order(hold())
    switch.wait(lambda: switch.answer is usual, "the order has come")


def seconds_to_notice(switch, floor, fault):
    """From the fault to the bridge's word in the journal that the link is down, both by the same clock; then it is up
    again and has compared a stranger that the switch has with what the floor believes."""
    downs = len([fact for fact in floor.facts(facts.LinkReported) if not fact.up])
    stranger = new()
    switch.channels.add(stranger)
    began = time.time()
    fault()
    wait_until(lambda: len([f for f in floor.facts(facts.LinkReported) if not f.up]) > downs, "noticed")
    noticed = [fact for fact in floor.facts(facts.LinkReported) if not fact.up][-1].at / 1e6 - began
    wait_until(lambda: [fact for fact in floor.facts(facts.LegCreated) if fact.leg == stranger], "compared anew")
    switch.channels.discard(stranger)
    return noticed


@pytest.mark.parametrize("which", ["events", "commands"])
def test_every_fault_is_noticed_within_a_second_and_agreement_comes_back(bridge, switch, floor, which):
    times = {}
    faults = {name: (lambda fault=fault: fault(connection_of(switch, which))) for name, fault in FAULTS.items()}
    if which == "commands":
        faults["a missing reply"] = lambda: lose_a_reply(switch, floor)
    for name, fault in faults.items():
        for _ in range(ATTEMPTS):
            times[name] = min(times.get(name, 60.0), seconds_to_notice(switch, floor, fault))
            if times[name] < NOTICED_SECONDS:
                break
    print(f"noticed on {which}:", ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in times.items()))
    assert {name: round(seconds, 2) for name, seconds in times.items() if seconds >= NOTICED_SECONDS} == {}
    assert floor.outcome(floor.order(hold())).status == "done"
    wait_until(lambda: floor.status().get("link") == "up", "said in its heartbeat")
    assert (floor.status()["parts_dead"], floor.status()["parts_failed"]) == ([], 0)
    assert bridge.process.poll() is None


def test_slow_latin_1_and_huge_frames_are_no_fault_on_either_connection(bridge, switch, floor):
    events, commands = connection_of(switch, "events"), connection_of(switch, "commands")

    def trickle(connection):
        whole = connection.send

        def send(data):
            for place in range(len(data)):
                whole(data[place : place + 1])

        connection.send = send
        return whole

    at_once = [trickle(connection) for connection in (events, commands)]
    events.event_bytes(json.dumps(switch.event("CHANNEL_ANSWER", Unique_ID="a")).encode()[:-1] + b',"name":"caf\xe9"}')
    assert floor.outcome(floor.order(hold())).status == "done"
    probe = orders.Probe(order_id=new(), expires_at=in_time(), leg=new())
    assert floor.outcome(floor.order(probe)).leg_exists is False
    events.send, commands.send = at_once
    usual = switch.api
    switch.api = lambda command: "x" * BIG if command.startswith("uuid_exists") else usual(command)
    probe = orders.Probe(order_id=new(), expires_at=in_time(), leg=new())
    assert floor.outcome(floor.order(probe)).leg_exists is None
    switch.api = usual
    events.event(switch.event("CHANNEL_ANSWER", Unique_ID="b", variable_big="x" * BIG))
    events.event(switch.event("CHANNEL_ANSWER", Unique_ID="c"))
    wait_until(lambda: [fact.leg for fact in floor.facts(facts.LegAnswered)] == ["a", "b", "c"], "in their order")
    assert [fact for fact in floor.facts(facts.LinkReported) if not fact.up] == []


def test_a_call_that_began_just_before_its_switch_died_ends_with_it(bridge, switch, floor):
    """Young legs are not asked about while the listing may lag; these would stay on the board for 30 s."""
    wait_until(lambda: floor.connection.get("esl:core:test"), "the process is remembered")
    young, lives = new(), new()
    for leg in (young, lives):
        switch.broadcast(switch.event("CHANNEL_CREATE", Unique_ID=leg))
        believe(floor, leg)
    switch.channels.add(lives)
    wait_until(lambda: len(floor.facts(facts.LegCreated)) == 2, "both are known to have begun")
    switch.core_uuid = new()
    FAULTS["end of file in a body"](connection_of(switch, "events"))
    wait_until(lambda: floor.facts(facts.LegEnded), "the end of the young one")
    assert [(fact.leg, fact.cause) for fact in floor.facts(facts.LegEnded)] == [(young, "SYSTEM_SHUTDOWN")]


def test_a_switch_that_ends_every_link_at_once_is_not_stormed(switch, tmp_path, floor):
    usual = switch.answer

    def answer(connection, command):
        """Each link comes up, and goes down before anything is compared."""
        connection.close() if command.startswith("api show channels") else usual(connection, command)

    switch.answer = answer
    process = BridgeProcess(tmp_path, switch.port).start()
    try:
        switch.wait(lambda: switch.accepted >= 2, "the first link", seconds=20)
        began = time.monotonic()
        switch.wait(lambda: switch.accepted >= 8, "three more", seconds=20)
        assert time.monotonic() - began >= 2 * BACKOFF_FIRST
    finally:
        process.kill()


# --- nothing dead while connected -------------------------------------------------------------------------------------


def link_to(switch):
    link = Link(Switch("127.0.0.1", switch.port, "ClueCon"), lambda frame: True)
    link.open()
    return link


def parts_of(link):
    return {
        **{f"events {name}": part for name, part in link.events.parts._lasting.items()},
        **{f"commands {name}": part for name, part in link.commands.parts._lasting.items()},
        **link.parts._lasting,
    }


def test_a_link_tells_of_every_part_that_it_lives(switch):
    link = link_to(switch)
    assert link.alive() == dict.fromkeys(PARTS, True)
    assert set(parts_of(link)) == PARTS
    link.close()
    assert link.alive() == {}
    assert link.failed == 0


def test_a_bridge_with_a_dead_part_is_not_well_although_it_says_connected():
    """What the board, /readyz, /metrics and doctor all ask."""
    beat = {"at": 1_000.0, "link": "up", "compared": True, "parts": 14, "parts_dead": []}
    assert health.assess({"bridge": beat}, 1_001.0)["bridge"].ok
    part = health.assess({"bridge": {**beat, "parts_dead": ["comparison", "ping"]}}, 1_001.0)["bridge"]
    assert (part.ok, part.detail) == (False, "connected, but without its comparison, ping")


def test_a_bridge_that_has_not_compared_yet_is_not_well_although_it_says_connected():
    """What is known of its legs is of before the link was made."""
    beat = {"at": 1_000.0, "link": "up", "compared": False, "parts": 14, "parts_dead": []}
    part = health.assess({"bridge": beat}, 1_001.0)["bridge"]
    assert (part.ok, part.detail) == (False, "connected, comparing with the switch")


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_ends_or_fails_ends_the_link_and_is_counted(switch, name):
    for ended in (gevent.GreenletExit(), ZeroDivisionError()):
        link = link_to(switch)
        parts_of(link)[name].kill(ended, block=False)
        assert link.down.wait(DEADLINE), "the link goes on without it"
        assert not link.events.connected and not link.commands.connected
        assert link.failed == 1
        assert "has ended" in link.reason or "reader failed" in link.reason


def test_a_passing_part_that_fails_ends_the_link_too_and_its_log_holds_no_number(switch, caplog):
    def fails(number):
        raise ValueError(f"what about {number}")

    link = link_to(switch)
    link.parts.passing("order", int, "7")
    assert not link.down.wait(0.05)
    link.parts.passing("order", fails, "+12125551234")
    assert link.down.wait(DEADLINE)
    assert link.reason == "order has ended: ValueError"
    assert "order failed with ValueError" in caplog.text
    assert "2125551234" not in caplog.text


def test_a_question_that_cannot_be_asked_ends_neither_the_pings_nor_the_comparisons(switch, monkeypatch):
    """Too many commands in flight is no lost link; both used to end, silently, while it stayed up."""
    monkeypatch.setattr("esl_bridge.link.PING_SECONDS", 0.05)
    link = link_to(switch)
    asked, usual = [], link.commands.ask

    def refused(commands):
        asked.append(commands)
        raise NotConnectedError("4000 commands are waiting for their reply")

    monkeypatch.setattr(link.commands, "ask", refused)
    with gevent.Timeout(DEADLINE):
        while len(asked) < 3:
            gevent.sleep(0.01)
    monkeypatch.setattr(link.commands, "ask", usual)
    assert all(link.alive().values()) and not link.down.is_set()
    link.close()


# --- answers ----------------------------------------------------------------------------------------------------------


def client_of(behave):
    switch = FakeSwitch(misbehave=lambda connection: connection.login() and behave(connection))
    client = ESLClient("127.0.0.1", switch.port, "ClueCon", 5)
    client.connect()
    return switch, client


def test_a_lost_answer_is_never_made_good_by_the_next_question_of_somebody_else():
    """[a, b, echo] with a's answer lost, and at once another's [c, echo]: by count alone b's would be a's."""

    def behave(connection):
        connection.command()
        return True

    switch, client = client_of(behave)
    first, second = gevent.spawn(client.ask, ["uuid_exists a", "echo b"]), gevent.spawn(client.ask, ["echo c"])
    gevent.joinall([first, second], timeout=DEADLINE)
    for task in (first, second):
        assert isinstance(task.exception, NotConnectedError)
    assert "one was lost" in client.reason
    switch.stop()


def test_a_lost_reply_shows_within_a_second_although_nobody_asks_anything_more():
    def behave(connection):
        connection.command()
        return True

    times = []
    while len(times) < ATTEMPTS and min(times, default=60.0) >= NOTICED_SECONDS:
        switch, client = client_of(behave)
        began = time.monotonic()
        with pytest.raises(NotConnectedError, match="one was lost"):
            client.wait_for(client.submit("bgapi status", f"Job-UUID: {new()}"))
        times.append(time.monotonic() - began)
        switch.stop()
    assert min(times) < NOTICED_SECONDS


def test_a_switch_that_is_only_slow_is_not_given_up():
    def behave(connection):
        said = connection.command()
        assert connection.command().startswith("api echo ")  # asked after, because it takes so long
        connection.api_reply("late")
        connection.api_reply("orchestrator-1")
        return said == "api slow" or None

    switch, client = client_of(behave)
    assert client.api("slow") == "late"
    assert client.api("uuid_exists a") == "false"
    client.stop()
    switch.stop()


def test_a_reply_with_another_orders_id_is_not_believed():
    def behave(connection):
        connection.command()
        connection.reply("+OK Job-UUID: other", Job_UUID="other")
        connection.hang()

    switch, client = client_of(behave)
    with pytest.raises(NotConnectedError, match="one was lost"):
        client.wait_for(client.submit("bgapi status", f"Job-UUID: {new()}"))
    switch.stop()


def test_a_refusal_of_a_call_is_not_believed_before_the_switch_was_asked_for_the_leg(bridge, switch, floor):
    usual = switch.background

    def refuse(connection, command):
        if command.startswith("originate"):
            connection.reply("-ERR no reply")
        else:
            usual(connection, command)

    switch.background = refuse
    call = customer()
    switch.channels.add(call.leg)
    outcome = floor.outcome(floor.order(call))
    assert (outcome.status, outcome.leg_exists) == ("failed", True)


def test_silence_is_noticed_after_45_seconds_on_either_connection():
    """What is waited for is tested with shorter times; the times themselves are these."""
    assert Switch("h", 1, "p").silence == 45.0
    assert PING_SECONDS + ESLClient("h", 1, "p")._command_seconds <= 45.0


# --- music for who waits ----------------------------------------------------------------------------------------------


def park(**fields):
    return orders.Park(**{"order_id": new(), "expires_at": in_time(), "leg": new(), **fields})


def test_a_parked_customer_hears_music_once_parked_never_over_a_conversation_and_a_missing_file_harms_nothing(
    bridge, switch, floor
):
    usual = switch.api
    switch.api = lambda command: "-ERR no such file\n" if command.startswith("uuid_broadcast") else usual(command)
    order = park()
    assert floor.outcome(floor.order(order)).status == "done"
    assert switch.said("api uuid_broadcast") == []
    switch.broadcast(switch.event("CHANNEL_PARK", Unique_ID=new()))  # another's
    switch.broadcast(switch.event("CHANNEL_PARK", Unique_ID=order.leg))
    switch.wait(lambda: switch.said("api uuid_broadcast"), "the music")
    assert switch.said("api uuid_broadcast") == [f"api uuid_broadcast {order.leg} local_stream://moh aleg"]
    assert floor.outcome(floor.order(hold())).status == "done"
    assert len(floor.facts(facts.LinkReported)) == 1

    # One who is taken back before the parking was told: the music would go on over their conversation.
    order = park()
    join = orders.Bridge(order_id=new(), expires_at=in_time(), leg=order.leg, peer=new())
    for each in (order, join):
        assert floor.outcome(floor.order(each)).status == "done"
    switch.broadcast(switch.event("CHANNEL_PARK", Unique_ID=order.leg))
    assert floor.outcome(floor.order(hold())).status == "done"
    assert len(switch.said("api uuid_broadcast")) == 1
