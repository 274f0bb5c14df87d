"""Forged headers: what a far end may write into an event, written by us the way FreeSWITCH sends it, and read.

The oracle is the same event without the attack: every header that the far end does not own, and every fact, must be as
if they had written nothing. A whole honest frame follows each attack, so that nobody swallows what comes next.
"""

from __future__ import annotations

import random
import re
from functools import cache, lru_cache
from typing import Any

from esl_bridge import normalise
from esl_bridge.framing import FrameSplitter
from esl_bridge.link import CUSTOM_EVENTS, EVENTS
from events import facts, intake, streams
from events.call_state import LegState
from events.entries import Entry, Window, parse
from events.listener import is_foreign
from tests.fakes import captures

SIZE = 200_000

# What splits a line for somebody: in Python, in Unicode, in a log, in an encoding, after decoding once or twice.
SEPARATORS = (
    "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029",
    "\r\n", "\n\n", "%0A", "%0a%0a", "%250A", "%25250A", "%0D%0A", "%C2%85", "%E2%80%A8", "\\n", "\\u000a", "&#10;",
    "\x00",
)  # fmt: skip
# As bytes that are no UTF-8: latin-1 of the same, and beginnings of characters that would swallow what comes behind.
RAW = (
    b"\x85", b"caf\xe9\n", b"\xc2", b"\xe2\x80", b"\xf0\x9f", b"\xc0\x8a", b"\xe0\x80\x8a", b"\xff\xfe\n\x00", b"\x7f",
)  # fmt: skip
VICTIM = "99999999-9999-4999-8999-999999999999"
# Headers whose text comes from the other end of the line, or from whoever registers.
REMOTE = re.compile(
    r"(?:Caller|Other-Leg)-(?:.*ID-(?:Name|Number)|ANI|RDNIS|Username|Destination-Number|Channel-Name|Network-Addr)"
    r"|Channel-(?:Name|Presence-ID)|variable_(?:channel_name|caller_id|presence_id|.*caller_id_n.*|last_sent_callee_.*"
    r"|switch_r_sdp|bridge_channel|sip_(?:full_|from_|to_|contact_|req_|h_|rh_|P-).*|sip_call_id|sip_user_agent"
    r"|sip_reason|sip_recover_.*|sip_hangup_phrase|remote_media_.*)"
    r"|contact|user-agent|call-id|network-ip|from-host|status|ping-status"
)
# Names which some far ends make up themselves, behind what FreeSWITCH puts before them.
MADE_UP = ("variable_sip_h_X-Unique-ID", "variable_sip_h_X-orch_role", "variable_sip_rh_X-Event-Name")
# Words of a fact that may be the far end's own.
_WORDS = ("number", "caller_name", "caller_number", "registration", "reply")
_UNSAFE = b'\r\n "#%&+:;<=>?@[\\]^`{|}'
_HEX = b"0123456789abcdefABCDEF"

Told = dict[str, bytes]


@lru_cache(10_000)
def plain_value(value: bytes) -> bytes:
    """As FreeSWITCH url-encodes it: a `%` before two hex digits stays as it is."""
    coded = bytearray()
    for place, byte in enumerate(value):
        pair = value[place + 1 : place + 3]
        if byte == 0x25 and len(pair) == 2 and all(digit in _HEX for digit in pair):
            coded.append(byte)
        elif byte < 0x20 or byte > 0x7E or byte in _UNSAFE:
            coded += b"%%%02X" % byte
        else:
            coded.append(byte)
    return bytes(coded)


@lru_cache(10_000)
def json_value(value: bytes) -> bytes:
    """As FreeSWITCH's JSON has it: control characters escaped, everything above them byte for byte."""
    short = {0x22: b'\\"', 0x5C: b"\\\\", 8: b"\\b", 12: b"\\f", 10: b"\\n", 13: b"\\r", 9: b"\\t"}
    return b"".join(short.get(byte) or (b"\\u%04x" % byte if byte < 0x20 else bytes((byte,))) for byte in value)


def frame(event: Told, form: str) -> bytes:
    if form == "plain":
        body = b"".join(b"%s: %s\n" % (name.encode(), plain_value(value)) for name, value in event.items()) + b"\n"
    else:
        body = b"{%s}" % b",".join(b'"%s":"%s"' % (name.encode(), json_value(value)) for name, value in event.items())
    return b"Content-Length: %d\nContent-Type: text/event-%s\n\n%s" % (len(body), form.encode(), body)


def expected(value: bytes, form: str) -> str | list[str]:
    """What a reader may make of the value: itself, without what is no UTF-8; in plain once decoded."""
    if form == "plain":
        coded = plain_value(value).strip(b" ")
        value = re.sub(rb"%([0-9A-Fa-f]{2})", lambda pair: bytes((int(pair[1], 16),)), coded)
    text = value.decode("utf-8", "replace")
    if form == "plain" and text.startswith("ARRAY::"):
        return text[7:].split("|:")
    return text


@cache
def honest() -> tuple[Told, ...]:
    """One captured event of each kind that the bridge subscribes to, and the bridge of two legs."""
    found: dict[str, Told] = {}
    for name in captures.NAMES:
        for event in captures.events(name):
            kind = facts.event_name(event)
            if kind in EVENTS or kind.removeprefix("CUSTOM ") in CUSTOM_EVENTS:
                flat = {key: value for key, value in event.items() if isinstance(value, str) and key != "_body"}
                flat.pop("Content-Length", None)
                flat |= {name: "x" for name in MADE_UP if kind.startswith("CHANNEL_")}
                found.setdefault(kind, {key: value.encode() for key, value in flat.items()})
    return tuple(found.values())


def forged(rng: random.Random) -> bytes:
    """A name that some reader would take for headers, a frame, or the end of a string."""
    mark = rng.choice(SEPARATORS).encode() if rng.random() < 0.8 else rng.choice(RAW)
    victim = VICTIM.encode()
    lines = (
        b"Unique-ID: " + victim, b"Event-Name: CHANNEL_HANGUP_COMPLETE", b"Hangup-Cause: CALL_REJECTED",
        b"Content-Length: 0", b"Content-Length: 99999", b"variable_orch_role: agent", b"Other-Leg-Unique-ID: " + victim,
        b"Event-Subclass: orchestrator::order", b"Orchestrator-Node: main", b"Core-UUID: x", b"Job-UUID: " + victim,
        b"Content-Type: text/disconnect-notice",
    )  # fmt: skip
    breaks = (
        b'","Unique-ID":"%s","x":"' % victim, b'\\","Unique-ID":"%s' % victim, b'"}\n\n{"Event-Name":"X', b"\\",
        b'"Orchestrator-Node": "x"', b"ARRAY::a|:" + victim, b"\\u0022,\\u0022Unique-ID\\u0022:\\u0022x", b'"',
        b"Content-Length: 2\nContent-Type: text/event-json\n\n{}", b"{", b"\xed\xa0\x80", b"",
    )  # fmt: skip
    parts = [rng.choice((b"Eve", b"", b"+12125551234", "Zo\u00eb \u202e".encode()))]
    parts += [rng.choice(lines if rng.random() < 0.7 else breaks) for _ in range(rng.randint(1, 4))]
    return mark.join(parts) + (mark if rng.random() < 0.3 else b"")


def attacked(event: Told, rng: random.Random) -> tuple[Told, set[str]]:
    """The event as the switch would send it, and which of its headers the far end has written."""
    owned = [name for name in event if REMOTE.fullmatch(name)]
    chosen = set(rng.sample(owned, min(len(owned), rng.choice((1, 1, 2, 5)))))
    return {name: forged(rng) if name in chosen else value for name, value in event.items()}, chosen


def told(event: normalise.Headers) -> list[dict[str, Any]]:
    """The facts, without the words that are the far end's own, and without the node."""
    found = [facts.to_json(fact) for fact in facts.facts_of(event)]
    return [{key: value for key, value in fact.items() if key not in {*_WORDS, "node"}} for fact in found]


def nodes(event: normalise.Headers) -> set[str]:
    """Those that the facts name."""
    return {fact["node"] for fact in map(facts.to_json, facts.facts_of(event)) if fact.get("node")}


def moved(raw: bytes) -> tuple[set[str], list[str]]:
    """Which legs an ingest changes by it that knows the victim's, and which legs the dialer hears of."""
    legs = intake.Legs({VICTIM: LegState(leg=VICTIM, role="customer", state="bridged", since=1, call_id=VICTIM)})
    outcome = intake.take_in([Entry("1700000000000-0", raw)], legs, Window())
    assert not outcome.malformed, outcome.malformed
    return set(outcome.changed), sorted(fact.get("leg", "") for fact in outcome.for_dialer)


def read(data: bytes, rng: random.Random) -> list[normalise.Normalised]:
    """Framed in chunks as they come from a socket, and read."""
    splitter, events, place = FrameSplitter(), [], 0
    while place < len(data):
        size = rng.choice((1, 7, 64, 1448, 65_536)) if rng.random() < 0.2 else 65_536
        events += [normalise.event_of(one) for one in splitter.feed(data[place : place + size])]
        place += size
    assert splitter.waiting == "", "bytes are left over"
    return events


def check(event: Told, attack: Told, owned: set[str], form: str, rng: random.Random) -> None:
    """AssertionError when anything but what the far end owns is different from the honest event."""
    events = read(frame(attack, form) + frame(event, form), rng)
    assert len(events) == 2, "another number of frames than were sent"
    got, clean = events
    assert set(got.headers) == set(event), set(got.headers) ^ set(event)
    for name in event:
        want = expected(attack[name], form) if name in owned else clean.headers[name]
        assert got.headers[name] == want, name
    wanted = told(clean.headers)
    assert told(got.headers) == wanted
    # As the bridge journals it, and as an external dispatcher would publish it.
    journal = normalise.with_header(got.raw, streams.JOURNALLED_HEADER, "main")
    assert is_foreign(got.raw) and not is_foreign(journal)
    calm = moved(normalise.with_header(clean.raw, streams.JOURNALLED_HEADER, "main"))
    for raw in (got.raw, journal):
        assert told(parse(raw)[0]) == wanted
        # Which node it was is the bridge's word, and nobody else's.
        assert nodes(parse(raw)[0]) <= ({"main"} if raw is journal else set())
        assert moved(raw) == calm
    assert parse(journal)[0][streams.JOURNALLED_HEADER] == "main"


def run(seed: int, size: int) -> str:
    rng = random.Random(seed)
    fields: set[str] = set()
    for n in range(size):
        event = rng.choice(honest())
        attack, owned = attacked(event, rng)
        form = "json" if n % 2 else "plain"
        try:
            check(event, attack, owned, form, rng)
        except (AssertionError, ValueError) as error:
            shown = {name: attack[name] for name in owned}
            raise AssertionError(f"{form} {event.get('Event-Name')!r} {shown}: {error!r}") from None
        fields |= owned
    return f"{size} events, {len(fields)} fields of the far end, 0 about the wrong leg"
