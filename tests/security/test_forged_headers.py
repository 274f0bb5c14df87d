"""What a far end writes into an event is never anything but what it wrote (`make fuzz NAMES=headers`: in full)."""

import gzip
import random
import re
import threading
from urllib.parse import unquote_to_bytes

import orjson
import pytest
from django.conf import settings

from esl_bridge.framing import FrameSplitter
from esl_bridge.normalise import event_of_json
from events import streams
from events.ingest import Ingest
from tests.conftest import wait_until
from tests.fakes import captures
from tests.fakes.events import BRIDGED, CALL
from tests.fuzz import headers

ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
MEMBER = re.compile(rb'"(?:[^"\\]|\\.)*":"((?:[^"\\]|\\.)*)"')


def bodies(form: str, name: str) -> list[bytes]:
    data = gzip.decompress((captures.DATA / form / f"{name}.esl.gz").read_bytes())
    return [one.body for one in FrameSplitter().feed(data) if one.content_type.startswith("text/event-")]


def test_the_attacks_are_written_as_freeswitch_writes_them():
    """Every value of the captures comes out of our encoders as it came from the switch, byte for byte."""
    values = 0
    for name in ("02_answered_bridged_agent_hangs_up", "13_unicode_percent_newline_long"):
        for body in bodies("plain", name):
            for line in body.partition(b"\n\n")[0].split(b"\n"):
                coded = line.partition(b": ")[2]
                # `%41` is what the switch does not escape, and no decoder can know.
                assert headers.plain_value(unquote_to_bytes(coded)) == coded or b"%41" in coded
                values += 1
        for body in bodies("json", name):
            for coded in MEMBER.findall(body):
                raw = re.sub(
                    rb"\\(u[0-9a-f]{4}|.)",
                    lambda sign: ESCAPED.get(sign[1], sign[1]) if len(sign[1]) == 1 else bytes((int(sign[1][1:], 16),)),
                    coded,
                )
                assert headers.json_value(raw) == coded
                values += 1
    assert values > 20_000


@pytest.mark.parametrize("form", ["plain", "json"])
def test_no_separator_in_any_field_of_the_far_end_forges_a_header(form):
    """Each separator once in each field of an answer and of a hang-up; the rest is for the fuzzer."""
    rng = random.Random(form)
    chosen = [one for one in headers.honest() if one.get("Event-Name") in (b"CHANNEL_CREATE", b"CHANNEL_HANGUP")]
    tried = 0
    for event in chosen:
        owned = [name for name in event if headers.REMOTE.fullmatch(name)]
        for n, mark in enumerate((*(one.encode() for one in headers.SEPARATORS), *headers.RAW)):
            name = owned[n % len(owned)]
            value = mark.join((b"Eve", b"Unique-ID: " + headers.VICTIM.encode(), b"Event-Name: CHANNEL_DESTROY", b""))
            headers.check(event, {**event, name: value}, {name}, form, rng)
            tried += 1
    assert tried == 2 * (len(headers.SEPARATORS) + len(headers.RAW))


def test_a_thousand_fuzzed_events_are_about_their_own_leg():
    assert "0 about the wrong leg" in headers.run(seed=5, size=1_000)


def test_the_check_would_notice_a_reader_that_decodes_before_it_splits(monkeypatch):
    """As stock greenswitch reads: unquote the whole, then split at every line break that Unicode knows."""

    def careless(body: bytes):
        text = unquote_to_bytes(body).decode("utf-8", "replace")
        pairs = (line.partition(": ") for line in text.splitlines() if ": " in line)
        return event_of_json(orjson.dumps({name: value for name, _, value in pairs}))

    monkeypatch.setattr("esl_bridge.normalise._from_plain", careless)
    with pytest.raises(AssertionError):
        headers.run(seed=5, size=20)


@pytest.mark.django_db(transaction=True)
def test_a_forged_event_that_is_only_published_is_folded_for_its_own_leg_alone(redis_empty):
    """The external dispatcher's way, whole: Redis channel, listener, journal, ingest, live legs."""
    victim = {**orjson.loads(BRIDGED[0]), "Unique-ID": headers.VICTIM, "Event-Name": "CHANNEL_CREATE"}
    victim |= {"Event-Sequence": "1", "variable_orch_role": "customer", "variable_orch_call": headers.VICTIM}
    rng, lines = random.Random(9), [orjson.dumps(victim)]
    fields = ("Caller-Caller-ID-Name", "Caller-Destination-Number", "variable_sip_full_from")
    for n, line in enumerate(BRIDGED * 3):
        event = orjson.loads(line) | {"Event-Sequence": str(1_000 + n)}
        lines.append(orjson.dumps(event | {name: headers.forged(rng).decode("utf-8", "replace") for name in fields}))
    stop = threading.Event()
    one = Ingest(streams.connect(), stop=stop)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        wait_until(one.listener.subscribed.is_set, "subscribed")
        for line in lines:
            redis_empty.publish(settings.FREESWITCH_EVENT_CHANNEL, line)
        wait_until(lambda: one.counts["events"] == len(lines), "folded")
    finally:
        stop.set()
        thread.join(15)
    assert one.counts["malformed"] == 0
    left = one.legs.get(headers.VICTIM)
    assert left is not None and left.state == "initiated" and left.call_id == headers.VICTIM
    # Its own legs have all ended; nobody ended the other.
    assert one.legs.get(CALL).state == "ended" and set(one.legs.live) == {headers.VICTIM}
    assert {key.decode() for key in redis_empty.hkeys(streams.LIVE_LEGS)} == {headers.VICTIM}
