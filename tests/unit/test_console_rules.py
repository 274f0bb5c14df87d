"""From where, how often, how late, and in which words: the pure rules."""

import itertools

import pytest

from console import health, intents, origins, words
from console.protocol import CallControl, SetAgentState
from console.rates import Rate
from dialer.services.audit import Source


def state(agent_id: str) -> SetAgentState:
    return SetAgentState(id="1", agent_id=agent_id, state="break")


def control(action: str) -> CallControl:
    return CallControl(id="1", call_id="c1", action=action)


OWN = "http://floor.example:8000"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (OWN, True),
        ("http://FLOOR.example:8000", True),
        ("https://board.example", True),
        ("https://board.example:443", True),
        (None, False),
        ("", False),
        ("null", False),
        ("https://floor.example:8000", False),
        ("http://floor.example", False),
        ("http://floor.example:8001", False),
        ("http://floor.example.evil.test:8000", False),
        ("http://evil.test", False),
        ("http://user@floor.example:8000", False),
        ("http://floor.example:8000/", False),
        ("http://floor.example:99999", False),
        ("file://", False),
        ("floor.example:8000", False),
        ("ws://floor.example:8000", False),
    ],
)
def test_origin_matrix(origin, allowed):
    assert origins.allowed(origin, "floor.example:8000", False, ["floor.example"], ["https://board.example"]) is allowed


def test_a_name_pointed_at_this_machine_is_not_its_own_origin():
    assert not origins.allowed("http://evil.test:8000", "evil.test:8000", False, ["floor.example"], [])


def test_behind_tls_the_own_origin_is_https():
    assert origins.allowed("https://floor.example", "floor.example", True, ["floor.example"], [])
    assert not origins.allowed("http://floor.example", "floor.example", True, ["floor.example"], [])


def test_a_header_sent_twice_counts_as_missing():
    scope = {"headers": [(b"origin", b"http://a"), (b"origin", b"http://b")]}
    assert origins.header(scope, b"origin") is None


def test_a_hundred_messages_a_minute_pass_and_no_more():
    rate = Rate(now=0.0)
    assert sum(rate.take(0.0) for _ in range(150)) == 100
    assert not rate.take(0.3)
    assert rate.take(0.61)
    assert sum(rate.take(61.0) for _ in range(150)) == 100


def test_whoever_goes_on_sending_is_hopeless_and_whoever_waits_is_not():
    rate = Rate(now=0.0, limit=5)
    for _ in range(11):
        rate.take(0.0)
    assert rate.hopeless
    assert rate.take(60.0) and not rate.hopeless


def test_the_same_user_and_client_id_are_the_same_command_and_others_are_not():
    ids = {intents.command_id(user, text) for user, text in itertools.product((1, 2, 12), ("1", "2", "2:1"))}
    assert len(ids) == 9
    assert intents.command_id(1, "x") == intents.command_id(1, "x")


def test_a_command_that_waited_in_an_offline_page_is_refused():
    intents.check_fresh(SetAgentState(id="1", agent_id="a", state="break", sent_at=1_000), 5_900)
    intents.check_fresh(SetAgentState(id="1", agent_id="a", state="break"), 10**12)
    with pytest.raises(intents.Refused) as refused:
        intents.check_fresh(SetAgentState(id="1", agent_id="a", state="break", sent_at=1_000), 6_500)
    assert refused.value.code == "stale_command"


def test_tasks_carry_exactly_what_the_dialer_expects():
    source = Source("session 1", "/ws/v1/floor/", "127.0.0.1", 7)
    told = {"via": "session 1", "page": "/ws/v1/floor/", "address": "127.0.0.1", "user_id": 7}
    name, command = intents.task_of(control("transfer"), "id", "ann", 5.0, source)
    assert name == "dialer.tasks.handle_command"
    assert command == {
        "command_id": "id", "actor": "ann", "requested_at": 5.0, "kind": "call_control",
        "call_id": "c1", "action": "transfer", "extension": "", "source": told,
    }  # fmt: skip
    name, command = intents.task_of(state("a1"), "id", "ann", 5.0, source)
    assert name == "dialer.tasks.handle_agent_state"
    assert command == {
        "command_id": "id", "actor": "ann", "requested_at": 5.0, "agent_id": "a1",
        "state": "break", "reason": "", "cancel_pending": False, "source": told,
    }  # fmt: skip


NOW = 1_000.0


@pytest.mark.parametrize(
    ("name", "beat", "ok", "words_in_it"),
    [
        ("dialer", None, False, "not running"),
        ("dialer", {"at": NOW - 1}, True, "running"),
        ("dialer", {"at": NOW - 30}, False, "silent for 30 s"),
        ("dialer", {"at": "soon"}, False, "silent"),
        ("default", {"at": NOW, "queue": 500}, True, "500 tasks"),
        ("bridge", {"at": NOW, "link": "up"}, True, "connected"),
        ("bridge", {"at": NOW, "link": "down", "reason": "refused"}, False, "refused"),
        ("bridge", {"at": NOW}, False, "unknown"),
        ("ingest", {"at": NOW, "lag_ms": None, "depth": 0}, True, "keeping up"),
        ("ingest", {"at": NOW, "lag_ms": 9_000}, False, "9 s behind"),
        ("ingest", {"at": NOW, "lag_ms": 0, "depth": 50_000}, False, "50000 events"),
    ],
)
def test_health_in_words(name, beat, ok, words_in_it):
    part = health.assess({name: beat}, NOW)[name]
    assert part.ok is ok
    assert words_in_it in part.detail


@pytest.mark.parametrize("raw", [None, b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_heartbeat_that_cannot_be_read_is_none(raw):
    assert health.read_beat(raw) is None


def test_no_two_keys_share_an_element():
    keys = ["a.b", "a_b", "a-b", "a_2e_b", "a b", "A.b", "é", "e", "a:b"]
    assert len({words.dom_id("agent", key) for key in keys}) == len(keys)
