"""Events that an external dispatcher only publishes take the same path as those of the bridge."""

import threading

import orjson
import pytest
from django.conf import settings

from events import streams
from events.ingest import Ingest
from events.listener import EVENT_BYTES, Listener, is_foreign
from tests.conftest import wait_until
from tests.fakes.events import BRIDGED, CALL


@pytest.fixture
def listening(redis_empty):
    stop, listener = threading.Event(), Listener()
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    wait_until(listener.subscribed.is_set, "subscribed")
    yield listener
    stop.set()
    thread.join(15)
    assert not thread.is_alive()


def publish(client, raw):
    return client.publish(settings.FREESWITCH_EVENT_CHANNEL, raw)


def journalled(client):
    return [fields[b"e"] for _, fields in client.xrange(streams.JOURNAL)]


def test_a_published_event_is_put_on_the_journal_in_its_order(redis_empty, listening):
    for line in BRIDGED:
        publish(redis_empty, line)
    wait_until(lambda: redis_empty.xlen(streams.JOURNAL) == len(BRIDGED), "all are on the journal")
    assert journalled(redis_empty) == BRIDGED


def test_what_the_bridge_has_journalled_is_not_journalled_again(redis_empty, listening):
    publish(redis_empty, orjson.dumps({**orjson.loads(BRIDGED[0]), streams.JOURNALLED_HEADER: "main"}))
    publish(redis_empty, BRIDGED[1])
    wait_until(lambda: listening.accepted, "the foreign one is accepted")
    assert journalled(redis_empty) == [BRIDGED[1]]


def test_it_subscribes_again_when_its_connection_is_cut(redis_empty, listening):
    redis_empty.client_kill_filter(_type="pubsub")

    def heard():
        publish(redis_empty, BRIDGED[0])  # Again and again: what comes before the subscription counts is lost.
        return redis_empty.xlen(streams.JOURNAL)

    wait_until(heard, "it hears again")


def test_an_event_of_an_absurd_size_is_dropped_and_counted(redis_empty, listening):
    publish(redis_empty, b"x" * (EVENT_BYTES + 1))
    publish(redis_empty, BRIDGED[0])
    wait_until(lambda: listening.accepted, "the next one is accepted")
    assert listening.oversized == 1
    assert redis_empty.xlen(streams.JOURNAL) == 1


@pytest.mark.parametrize(
    ("event", "foreign"),
    [
        ({"Orchestrator-Node": "main"}, False),
        ({"Caller-Caller-ID-Name": "Orchestrator-Node"}, True),
        ({"Caller-Caller-ID-Name": '"Orchestrator-Node": "x"'}, True),
        ({}, True),
    ],
)
def test_no_caller_can_make_their_event_look_journalled(event, foreign):
    for raw in (orjson.dumps(event), orjson.dumps(event, option=orjson.OPT_INDENT_2)):
        assert is_foreign(raw) is foreign


@pytest.mark.django_db(transaction=True)
def test_a_call_that_is_only_published_is_folded_and_stored_like_any_other(redis_empty):
    stop = threading.Event()
    one = Ingest(streams.connect(), stop=stop)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        wait_until(one.listener.subscribed.is_set, "subscribed")
        for line in [b"not an event", *BRIDGED]:
            publish(redis_empty, line)
        wait_until(lambda: one.counts["events"] == len(BRIDGED), "folded")
        assert one.counts["malformed"] == 1
        assert one.legs.get(CALL).cause == "NORMAL_CLEARING"
    finally:
        stop.set()
        thread.join(15)
    assert redis_empty.xpending(streams.JOURNAL, "ingest")["pending"] == 0
