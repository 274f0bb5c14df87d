"""The bridge end to end: orders in, calls made, facts out; against the simulator, and against a real FreeSWITCH when
TEST_FREESWITCH_ESL names one (host:port:password, with the numbering plan of docs and the captures)."""

import os
import socket

import pytest

from dialer import orders
from esl_bridge.simulator import Config, SimulatorThread
from events import facts, streams
from tests.conftest import wait_until
from tests.fakes.bridge import BridgeProcess, believe, customer, in_time, new

pytestmark = pytest.mark.stack
REAL = os.environ.get("TEST_FREESWITCH_ESL", "")


class Switch:
    def __init__(self, host, port, password, real):
        self.host, self.port, self.password, self.real = host, port, password, real

    def say(self, *commands):
        """Commands on a connection of their own, as an operator would."""
        with socket.create_connection((self.host, self.port), timeout=10) as link:
            for command in (f"auth {self.password}", *commands, "exit"):
                link.sendall(f"{command}\n\n".encode())
            while link.recv(65_536):
                pass


@pytest.fixture(
    params=[
        "simulator",
        pytest.param(
            "freeswitch",
            marks=[pytest.mark.freeswitch, pytest.mark.skipif(not REAL, reason="TEST_FREESWITCH_ESL is not set")],
        ),
    ]
)
def switch(request):
    if request.param == "freeswitch":
        host, port, password = REAL.split(":")
        yield Switch(host, int(port), password, True)
        return
    with SimulatorThread(Config(port=0, restart_after=0.5)) as simulator:
        yield Switch("127.0.0.1", simulator.port, simulator.config.password, False)


@pytest.fixture
def start(switch, tmp_path, floor):
    started = []

    def starter():
        bridge = BridgeProcess(
            tmp_path,
            switch.port,
            FREESWITCH_ESL_HOST=switch.host,
            FREESWITCH_ESL_PASSWORD=switch.password,
            RECORDINGS_DIR="/tmp/fs-recordings" if switch.real else "/tmp",
        )
        started.append(bridge.start())
        floor.link_up()
        return bridge

    yield starter
    for bridge in started:
        bridge.kill()
    switch.say("api hupall")


def order(kind, **fields):
    return kind(**{"order_id": new(), "expires_at": in_time(), **fields})


def number(behaviour):
    """A demo number whose customer behaves as the digit says (fifth from the end)."""
    return f"+121255{behaviour}1234"


def some(floor, kind, leg):
    return wait_until(lambda: [fact for fact in floor.facts(kind) if fact.leg == leg], f"{kind.__name__} of {leg}")


def test_a_call_is_made_joined_held_recorded_overheard_and_ended(start, switch, floor):
    start()
    agent, call = (
        order(orders.OriginateAgent, leg=new(), extension="1001", agent_id="agent_1"),
        customer(number=number(9)),
    )
    for each in (agent, call):
        assert floor.outcome(floor.order(each)).status == "done"
        some(floor, facts.LegAnswered, each.leg)
    created = some(floor, facts.LegCreated, call.leg)[0]
    assert (created.role, created.call_id) == ("customer", call.call_id)
    assert created.number.lstrip("+") == call.number.lstrip("+")
    created = some(floor, facts.LegCreated, agent.leg)[0]
    assert (created.role, created.agent_id) == ("agent", "agent_1")

    assert floor.outcome(floor.order(order(orders.Bridge, leg=call.leg, peer=agent.leg))).status == "done"
    assert some(floor, facts.LegBridged, call.leg)[0].peer == agent.leg

    assert floor.outcome(floor.order(order(orders.Hold, leg=agent.leg))).status == "done"
    some(floor, facts.LegHeld, agent.leg)
    assert floor.outcome(floor.order(order(orders.Hold, leg=agent.leg, on=False))).status == "done"
    some(floor, facts.LegUnheld, agent.leg)

    recording = call.call_id
    for action in ("start", "mask", "unmask", "stop"):
        outcome = floor.outcome(floor.order(order(orders.Record, leg=call.leg, action=action, name=recording)))
        assert outcome.status == "done", outcome.reply
    assert recording in some(floor, facts.RecordingStarted, call.leg)[0].path

    overhear = order(orders.Eavesdrop, leg=new(), extension="1003", target=agent.leg, supervisor="sup", mode="whisper")
    outcome = floor.outcome(floor.order(overhear))
    assert outcome.status == "done", outcome.reply
    assert some(floor, facts.LegCreated, overhear.leg)[0].role == "supervisor"
    assert some(floor, facts.DigitPressed, overhear.leg)[0].digit == "2"

    assert floor.outcome(floor.order(order(orders.Probe, leg=call.leg))).leg_exists is True
    assert floor.outcome(floor.order(order(orders.Hangup, leg=call.leg))).status == "done"
    assert some(floor, facts.LegEnded, call.leg)[-1].cause == "NORMAL_CLEARING"
    # The agent's own leg stays and waits for the next customer.
    some(floor, facts.LegParked, agent.leg)
    assert floor.outcome(floor.order(order(orders.Probe, leg=agent.leg))).leg_exists is True
    assert floor.outcome(floor.order(order(orders.Probe, leg=call.leg))).leg_exists is False


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (3, "NO_ANSWER"),
        (4, "USER_BUSY"),
        (5, "CALL_REJECTED"),
        (6, "UNALLOCATED_NUMBER"),
        (8, "NORMAL_TEMPORARY_FAILURE"),
    ],
)
def test_a_call_that_fails_says_why_and_leaves_no_leg(start, floor, behaviour, cause):
    start()
    call = customer(number=number(behaviour), timeout=2)
    outcome = floor.outcome(floor.order(call))
    assert (outcome.status, outcome.reply, outcome.leg_exists) == ("failed", f"-ERR {cause}", False)
    assert {fact.cause for fact in some(floor, facts.LegEnded, call.leg)} == {cause}


def test_a_uuid_in_use_is_refused_by_the_switch_and_the_first_call_goes_on(start, floor):
    start()
    first = customer(number=number(9))
    assert floor.outcome(floor.order(first)).status == "done"
    outcome = floor.outcome(floor.order(customer(number=number(9), leg=first.leg)))
    assert (outcome.status, outcome.leg_exists) == ("failed", True)
    assert outcome.reply == "-ERR DESTINATION_OUT_OF_ORDER"


def test_orders_for_legs_that_are_gone_fail_with_the_switchs_reason(start, floor):
    start()
    replies = {
        kind: floor.outcome(floor.order(order(kind, leg=new(), **more)))
        for kind, more in (
            (orders.Hangup, {}),
            (orders.Bridge, {"peer": new()}),
            (orders.Transfer, {"extension": "1002"}),
        )
    }
    assert {kind.__name__: (outcome.status, outcome.reply) for kind, outcome in replies.items()} == {
        "Hangup": ("failed", "-ERR No such channel!"),
        "Bridge": ("failed", "-ERR Invalid uuid"),
        "Transfer": ("failed", "-ERR No such channel!"),
    }


def test_a_killed_bridge_finds_the_call_that_went_on_without_it(start, floor):
    first = start()
    call = customer(number=number(9))
    assert floor.outcome(floor.order(call)).status == "done"
    first.kill()
    floor.connection.delete("lease:bridge", streams.JOURNAL)
    start()
    assert some(floor, facts.LegAnswered, call.leg)
    assert some(floor, facts.LegCreated, call.leg)[0].call_id == call.call_id
    wait_until(lambda: floor.facts(facts.SyncFinished), "the comparison")
    assert floor.facts(facts.SyncFinished)[0].found == 1


def test_a_restart_of_the_switch_ends_its_calls_and_the_bridge_is_back_by_itself(start, switch, floor):
    start()
    wait_until(lambda: floor.facts(facts.SyncFinished), "the first comparison")
    call, ghost = customer(number=number(9)), new()
    assert floor.outcome(floor.order(call)).status == "done"
    believe(floor, ghost)  # a leg whose end nobody told us
    switch.say("api fsctl shutdown restart")
    wait_until(lambda: [fact for fact in floor.facts(facts.LinkReported) if not fact.up], "the link is down")
    wait_until(lambda: len([f for f in floor.facts(facts.LinkReported) if f.up]) == 2, "and up again", seconds=40)
    assert {fact.cause for fact in some(floor, facts.LegEnded, call.leg)} == {"SYSTEM_SHUTDOWN"}
    # A switch that does not tell which process it is (`global_getvar core_uuid`) leaves only that the leg is gone.
    told = floor.connection.exists("esl:core:test")
    assert {fact.cause for fact in some(floor, facts.LegEnded, ghost)} == {"SYSTEM_SHUTDOWN" if told else "LOST"}
    assert floor.outcome(floor.order(customer(number=number(9)))).status == "done"


def test_twenty_answered_customers_are_joined_at_once(start, floor):
    """From the answer to the joining: the switch's and the bridge's part of the two seconds."""
    start()
    agents = [order(orders.OriginateAgent, leg=new(), extension=str(1001 + n), agent_id=f"a{n}") for n in range(20)]
    calls = [customer(number=number(9)) for _ in agents]
    for each in (*agents, *calls):
        floor.order(each)
    waiting = dict(zip((call.leg for call in calls), agents, strict=True))

    def join():
        for fact in floor.facts(facts.LegAnswered):
            agent = waiting.get(fact.leg)
            if agent and [f for f in floor.facts(facts.LegAnswered) if f.leg == agent.leg]:
                floor.order(order(orders.Bridge, leg=fact.leg, peer=agent.leg))
                del waiting[fact.leg]
        return not waiting

    wait_until(join, "all answered", every=0.005)
    for call in calls:
        some(floor, facts.LegBridged, call.leg)
    answered = {fact.leg: fact.at for fact in floor.facts(facts.LegAnswered)}
    joined = {fact.leg: fact.at for fact in floor.facts(facts.LegBridged)}
    worst = max(joined[call.leg] - max(answered[call.leg], 0) for call in calls) / 1e6
    # The agents are called at the same time, so a customer may have to wait for one; then it is well below a second.
    assert worst < 2, f"{worst:.2f} s"
