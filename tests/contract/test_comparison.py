"""What nobody heard, made on the switch, and what the comparison with it then tells: that, exactly that, and once."""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
import redis

from esl_bridge.reports import Reporter
from esl_bridge.resync import Condition, believed, channels_in, said
from esl_bridge.sync import Synchroniser
from events import call_state, facts, streams
from tests.contract.client import Client
from tests.contract.conftest import Calls, Switch

# What render.py gives to the legs that the product calls (ignore_early_media is the fixture's).
CUSTOMER = "hangup_after_bridge=true"
AGENT = "park_after_bridge=true,hangup_after_bridge=false"
MUSIC = "local_stream://moh"


class _Link:
    """As the bridge's, over a connection of its own."""

    opened = float("-inf")

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, *commands: str) -> list[str]:
        return [self._client.api(command) for command in commands]


class _Writer(list[bytes]):
    report = list.append


class Floor:
    """A floor that believes what it has heard, and now and then hears nothing for a while."""

    def __init__(self, client: Client, link: _Link, connection: redis.Redis) -> None:
        self.legs: dict[str, call_state.LegState] = {}
        self._client, self._link, self._connection = client, link, connection
        self._told = _Writer()
        reporter = Reporter("test", str(uuids.uuid4()), time.time)
        self._comparison = Synchroniser(connection, self._told, reporter, "test")  # type: ignore[arg-type]
        self._at = 0

    def hear(self) -> None:
        """All that the switch has said since."""
        events, self._at = self._client.events[self._at :], len(self._client.events)
        for event in events:
            self._believe(facts.facts_of(dict(event.pairs)))

    def miss(self) -> None:
        """As much, unheard. The listing lags, and what it does not have yet is told of by the next comparison only."""
        known = [leg for leg, state in self.legs.items() if state.state != "ended"]
        alive = {leg for leg in known if self._client.api(f"uuid_exists {leg}") == "true"}
        self._client.until(lambda: alive <= channels_in(self._client.api("show channels as json")), "the listing")
        self._at = len(self._client.events)

    def compare(self) -> list[facts.AnyFact]:
        """What a comparison tells, believed from now on."""
        told = self._asked()
        self._believe(told)
        return told

    def compare_listening(self) -> list[facts.AnyFact]:
        """The same, while the floor goes on hearing."""
        with ThreadPoolExecutor(1) as pool:
            comparison = pool.submit(self._asked)
            while not comparison.done():
                self._client.quiet(0.02)
                self.hear()
        self._believe(comparison.result())
        return comparison.result()

    def _asked(self) -> list[facts.AnyFact]:
        self._told.clear()
        self._comparison.compare_once(self._link, restarted=False)  # type: ignore[arg-type]
        return [fact for raw in self._told for fact in facts.facts_of(orjson.loads(raw))]

    def condition(self, leg: str) -> Condition | None:
        belief = believed(self._connection.hget(streams.LIVE_LEGS, leg))
        return belief and belief.condition

    def live(self) -> set[str]:
        return {key.decode() for key in self._connection.hkeys(streams.LIVE_LEGS)}

    def _believe(self, told: Sequence[facts.AnyFact]) -> None:
        for fact in told:
            leg, _ = call_state.fold(self.legs.get(fact.leg), fact)
            if leg is None or not fact.leg:
                continue
            self.legs[leg.leg] = leg
            if leg.state == "ended":
                self._connection.hdel(streams.LIVE_LEGS, leg.leg)
            else:
                self._connection.hset(streams.LIVE_LEGS, leg.leg, call_state.to_json(leg))


@pytest.fixture
def link(switch: Switch) -> Iterator[_Link]:
    with switch.connect() as client:
        yield _Link(client.login())


@pytest.fixture
def floor(client: Client, link: _Link, redis_empty: redis.Redis) -> Floor:
    # Legs of the test before may still be ending.
    client.until(lambda: client.api("show channels count") == "\n0 total.\n", "an empty switch")
    found = Floor(client, link, redis_empty)
    found.miss()
    return found


def parted(leg: str, peer: str) -> tuple[str, str, str]:
    return "LegUnbridged", leg, peer


def joined(leg: str, peer: str) -> tuple[str, str, str]:
    return "LegBridged", leg, peer


def moves(told: list[facts.AnyFact]) -> set[tuple[str, str, str]]:
    """All that was told but what each report of a leg repeats, that it began and was answered, and the summary."""
    repeated = facts.LegCreated | facts.LegAnswered | facts.SyncFinished
    found = [
        (type(fact).__name__, fact.leg, getattr(fact, "peer", "")) for fact in told if not isinstance(fact, repeated)
    ]
    assert len(found) == len(set(found)), "told twice"
    return set(found)


def _agree(floor: Floor, link: _Link, *legs: str) -> None:
    """The floor believes what the switch says, and another comparison has nothing to add."""
    for leg in legs:
        dump = orjson.loads(link.ask(f"uuid_dump {leg} json")[0])
        assert floor.condition(leg) == said(dump), leg
    (nothing,) = floor.compare()
    assert isinstance(nothing, facts.SyncFinished) and (nothing.gone, nothing.found, nothing.changed) == (0, 0, 0)


def _bridged(client: Client, calls: Calls) -> tuple[str, str]:
    c, a = calls.bridged(variables=CUSTOMER, agent_variables=AGENT)
    client.quiet(0.2)
    return c, a


def _another_agent(client: Client, calls: Calls, extension: str = "1002") -> str:
    return calls.answered(calls.agent(extension, AGENT))


def _until_parted(client: Client, link: _Link, *legs: str) -> None:
    """No event tells the end of it for every one of them."""

    def apart(reply: str) -> bool:
        if reply.startswith("-ERR"):
            return True
        dump = orjson.loads(reply)
        return dump["Channel-State"] in ("CS_PARK", "CS_EXECUTE") and not facts.joined_to(dump)

    client.until(lambda: all(apart(link.ask(f"uuid_dump {leg} json")[0]) for leg in legs), "both apart")


def test_an_answer_that_nobody_heard(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, _ = calls.customer("71234", CUSTOMER)
    client.wait_for("CHANNEL_PROGRESS", c)
    floor.hear()
    assert floor.condition(c) == Condition(answered=False, peer="")
    _agree(floor, link, c)
    answer = client.wait_for("CHANNEL_ANSWER", c)
    client.wait_for("CHANNEL_PARK", c)
    floor.miss()
    told = floor.compare()
    assert moves(told) == set()
    (answered,) = (fact for fact in told if isinstance(fact, facts.LegAnswered))
    assert (answered.leg, answered.at) == (c, int(answer["Caller-Channel-Answered-Time"])), (
        "the switch's own time of it"
    )
    assert floor.legs[c].state == "answered"
    _agree(floor, link, c)


def test_a_joining_that_nobody_heard(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, a = calls.parked(variables=CUSTOMER, agent_variables=AGENT)
    floor.hear()
    client.api(f"uuid_bridge {c} {a}")
    bridge = client.wait_for("CHANNEL_BRIDGE", c)
    client.quiet(0.2)
    floor.miss()
    told = floor.compare()
    assert moves(told) == {joined(c, a), joined(a, c)}
    at = int(bridge["Caller-Channel-Bridged-Time"])
    assert {fact.at for fact in told if isinstance(fact, facts.LegBridged)} == {at}, "the switch's own time of it"
    _agree(floor, link, c, a)


@pytest.mark.parametrize(
    "command",
    [
        "uuid_park {c}",
        "uuid_park {a}",
        "uuid_transfer {c} -both park inline",
        "uuid_transfer {a} -both park inline",
        "uuid_transfer {c} park inline",
        "uuid_transfer {c} -bleg park inline",
    ],
)
def test_a_parting_that_nobody_heard(client: Client, calls: Calls, floor: Floor, link: _Link, command: str) -> None:
    c, a = _bridged(client, calls)
    floor.hear()
    assert (floor.condition(c), floor.condition(a)) == (Condition(True, a), Condition(True, c))
    order = command.format(c=c, a=a)
    assert client.api(order) == "+OK\n"
    _until_parted(client, link, c, a)
    left = [leg for leg in (c, a) if client.api(f"uuid_exists {leg}") == "true"]
    floor.miss()
    told = floor.compare()
    ended = {("LegEnded", leg, "") for leg in (c, a) if leg not in left}
    assert moves(told) == {parted(leg, a if leg == c else c) for leg in left} | ended
    assert {floor.legs[leg].state for leg in left} == {"answered"}
    _agree(floor, link, *left)
    if left == [c, a]:  # signal_bond still names the other: it is none of it
        assert client.api(f"uuid_bridge {c} {a}").startswith("+OK")
        client.until(lambda: client.leg_names(c).count("BRIDGE") == 2, "joined again")
        client.quiet(0.2)
        floor.miss()
        assert moves(floor.compare()) == {joined(c, a), joined(a, c)}
        _agree(floor, link, c, a)


def test_a_customer_taken_to_another_agent(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, a = _bridged(client, calls)
    b = _another_agent(client, calls)
    floor.hear()
    client.api(f"uuid_bridge {c} {b}")
    client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] == b, "the new bridge")
    _until_parted(client, link, a)
    floor.miss()
    assert moves(floor.compare()) == {parted(c, a), parted(a, c), joined(c, b), joined(b, c)}
    _agree(floor, link, c, a, b)


def test_an_agent_who_parted_and_talks_to_the_next(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, a = _bridged(client, calls)
    d = calls.answered(calls.customer("91235", CUSTOMER))
    floor.hear()
    client.api(f"uuid_kill {c}")
    client.wait_gone(c)
    client.until(lambda: client.leg_names(a).count("PARK") == 2, "the agent parked")
    client.api(f"uuid_bridge {d} {a}")
    client.wait_for("CHANNEL_BRIDGE", d)
    client.quiet(0.2)
    floor.miss()
    assert moves(floor.compare()) == {("LegEnded", c, ""), parted(a, c), joined(a, d), joined(d, a)}
    _agree(floor, link, a, d)


def test_who_parted_and_is_joined_again_has_missed_nothing(
    client: Client, calls: Calls, floor: Floor, link: _Link
) -> None:
    c, a = _bridged(client, calls)
    floor.hear()
    client.api(f"uuid_park {c}")
    _until_parted(client, link, c, a)
    client.api(f"uuid_bridge {c} {a}")
    client.until(lambda: client.leg_names(c).count("BRIDGE") == 2, "joined again")
    client.quiet(0.2)
    floor.miss()
    _agree(floor, link, c, a)


def test_what_sounds_on_a_leg_joins_and_parts_nobody(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    """Music for one who is parked, a supervisor who listens, a hold."""
    c, a = calls.settled(variables=CUSTOMER, agent_variables=AGENT)
    waits = calls.answered(calls.customer("91235", CUSTOMER))
    floor.hear()
    client.api(f"uuid_broadcast {waits} {MUSIC} aleg")
    listens, job = calls.agent("1003", app=f"'&eavesdrop({a})'")
    client.job_done(job)
    client.wait_for("MEDIA_BUG_START", a)
    floor.hear()
    client.api(f"uuid_hold {a}")
    client.wait_for("CHANNEL_HOLD", a)
    client.quiet(0.5)
    floor.hear()
    _agree(floor, link, c, a, waits, listens)
    client.api(f"uuid_hold off {a}")
    client.wait_for("CHANNEL_UNHOLD", a)
    client.quiet(0.2)
    floor.hear()
    _agree(floor, link, c, a, waits, listens)


def test_a_hold_and_its_end_that_nobody_heard(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, a = calls.settled(variables=CUSTOMER, agent_variables=AGENT)
    floor.hear()
    client.api(f"uuid_hold {a}")
    client.wait_for("CHANNEL_HOLD", a)
    client.quiet(0.2)
    floor.miss()
    told = floor.compare()
    assert moves(told) == {("LegHeld", a, "")}
    (held,) = (fact for fact in told if isinstance(fact, facts.LegHeld))
    dump = orjson.loads(link.ask(f"uuid_dump {a} json")[0])
    assert held.at == int(dump["Caller-Channel-Last-Hold"]), "the switch's own time of it"
    assert (floor.legs[a].state, floor.legs[a].peer, floor.legs[c].state) == ("held", c, "bridged")
    _agree(floor, link, c, a)
    client.api(f"uuid_hold off {a}")
    client.wait_for("CHANNEL_UNHOLD", a)
    client.quiet(0.2)
    floor.miss()
    assert moves(floor.compare()) == {("LegUnheld", a, "")}
    assert (floor.legs[a].state, floor.legs[a].peer) == ("bridged", c)
    _agree(floor, link, c, a)


@pytest.mark.parametrize("command", ["uuid_park {c}", "uuid_bridge {c} {b}", "uuid_transfer {c} -both park inline"])
def test_a_held_agent_who_is_parted_is_held_no_more(
    client: Client, calls: Calls, floor: Floor, link: _Link, command: str
) -> None:
    """Whether that is heard or not."""
    c, a = calls.settled(variables=CUSTOMER, agent_variables=AGENT)
    b = _another_agent(client, calls)
    floor.hear()
    client.api(f"uuid_hold {a}")
    client.wait_for("CHANNEL_HOLD", a)
    client.quiet(0.2)
    floor.hear()
    assert floor.condition(a) == Condition(True, c, held=True)
    client.api(command.format(c=c, a=a, b=b))
    _until_parted(client, link, a)
    client.quiet(0.3)
    assert client.leg_names(a).count("UNHOLD") == 1
    floor.miss()
    told = moves(floor.compare())
    assert {what for what in told if what[1] == a} == {parted(a, c), ("LegUnheld", a, "")}
    assert floor.legs[a].state == "answered"
    _agree(floor, link, c, a, b)


def test_who_hung_up_is_gone_even_where_the_switch_lists_them_still(
    client: Client, calls: Calls, floor: Floor, link: _Link
) -> None:
    """When both had held, the real one keeps the customer's leg until the agent's is moved."""
    c, a = calls.settled(variables=f"{CUSTOMER},hold_hangup_xfer_exten=hangup:inline", agent_variables=AGENT)
    for leg in (c, a):
        client.api(f"uuid_hold {leg}")
        client.wait_for("CHANNEL_HOLD", leg)
    client.quiet(0.5)
    floor.hear()
    client.api(f"uuid_kill {c}")
    client.wait_for("CHANNEL_HANGUP", c)
    client.quiet(0.5)
    floor.miss()
    assert ("LegEnded", c, "") in moves(floor.compare())
    assert c not in floor.live()
    _agree(floor, link, a)
    d = calls.answered(calls.customer("91235", CUSTOMER))
    client.api(f"uuid_bridge {d} {a}")
    client.wait_for("CHANNEL_BRIDGE", d)
    client.wait_gone(c)
    client.quiet(0.2)
    floor.hear()
    _agree(floor, link, a, d)


def test_a_blind_transfer_that_nobody_heard(client: Client, calls: Calls, floor: Floor, link: _Link) -> None:
    c, a = _bridged(client, calls)
    floor.hear()
    client.api(f"uuid_transfer {c} 1002 XML default")
    bridge = client.wait(lambda e: e.name == "CHANNEL_BRIDGE" and e["Bridge-B-Unique-ID"] != a, "the new bridge")
    new = bridge["Bridge-B-Unique-ID"]
    _until_parted(client, link, a)
    client.until(lambda: new in channels_in(client.api("show channels as json")), "the listing has it")
    floor.miss()
    assert moves(floor.compare()) == {parted(c, a), parted(a, c), joined(c, new), joined(new, c)}
    _agree(floor, link, c, a, new)


def test_whom_early_media_joined_before_their_answer_is_not_parted(
    client: Client, calls: Calls, floor: Floor, link: _Link, switch: Switch
) -> None:
    """As where a dialplan lets a transferred caller hear the ringing tone of the far end."""
    c, _ = calls.parked(variables=CUSTOMER, agent_variables=AGENT)
    client.api(f"uuid_setvar {c} ignore_early_media false")
    floor.hear()
    client.api(f"uuid_transfer {c} 'bridge:sofia/gateway/carrier/11234' inline")
    bridge = client.wait_for("CHANNEL_BRIDGE", c)
    early = bridge["Bridge-B-Unique-ID"]
    floor.hear()
    assert "ANSWER" not in client.leg_names(early)
    dump = orjson.loads(link.ask(f"uuid_dump {early} json")[0])
    assert (dump["Answer-State"], facts.joined_to(dump)) == ("early", c)
    assert said(dump) == floor.condition(early)


def test_a_steady_floor_is_asked_again_and_again_and_nothing_is_told(
    client: Client, calls: Calls, floor: Floor, switch: Switch
) -> None:
    pairs = []
    for number in range(20):
        c, customer = calls.customer(f"9{number:04}", CUSTOMER)
        a, agent = calls.agent(str(1001 + number), AGENT)
        pairs.append((c, a, customer, agent))
    for c, a, customer, agent in pairs:
        assert client.job_done(customer) == f"+OK {c}\n" and client.job_done(agent) == f"+OK {a}\n"
        client.wait_for("CHANNEL_PARK", c)
        client.wait_for("CHANNEL_PARK", a)
    for c, a, _, _ in pairs:
        client.api(f"uuid_bridge {c} {a}")
        client.wait_for("CHANNEL_BRIDGE", c)
    client.quiet(1)
    for _, a, _, _ in pairs[:4]:
        client.api(f"uuid_hold {a}")
    for c, _, _, _ in pairs[4:8]:
        client.api(f"uuid_park {c}")
    for c, _, _, _ in pairs[4:6]:
        client.wait(lambda e, c=c: e.name == "CHANNEL_PARK" and e.uuid == c, "parked")  # type: ignore[misc]
        client.api(f"uuid_broadcast {c} {MUSIC} aleg")
    client.quiet(1)
    floor.hear()
    assert [leg.state for leg in floor.legs.values()].count("bridged") == 28
    comparisons, end = 0, time.monotonic() + (2 if switch.simulated else 30)
    while time.monotonic() < end:
        (nothing,) = floor.compare()
        assert isinstance(nothing, facts.SyncFinished) and (nothing.gone, nothing.found, nothing.changed) == (0, 0, 0)
        # Each question is an event for whoever listens to all; of 100,000 unread ones the switch ends the connection.
        client.quiet(0.001)
        comparisons += 1
    assert comparisons > 5


def test_a_floor_in_motion_is_told_nothing_that_it_hears_by_itself(
    client: Client, calls: Calls, floor: Floor, switch: Switch
) -> None:
    """Legs are joined, parted, held and moved while the comparison asks its two questions."""
    c, a = _bridged(client, calls)
    b = _another_agent(client, calls)
    steps = (
        f"uuid_hold {a}", f"uuid_hold off {a}", f"uuid_park {c}", f"uuid_bridge {c} {b}", f"uuid_bridge {c} {a}",
        f"uuid_transfer {c} -both park inline", f"uuid_bridge {c} {a}",
    )  # fmt: skip
    floor.hear()
    for turn in range(1 if switch.simulated else 4):
        for step in steps:
            client.api(step)
            # Of the very moment, of a leg on its way, and of one that has come.
            for pause in (0.02 * turn, 0.3):
                client.quiet(pause)
                (nothing,) = floor.compare_listening()
                assert isinstance(nothing, facts.SyncFinished) and nothing.changed == nothing.gone == 0, step
