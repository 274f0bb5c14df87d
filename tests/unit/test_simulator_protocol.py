"""The simulator's protocol code alone, held against the bytes of the captures."""

from __future__ import annotations

import gzip
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from esl_bridge.simulator.dialstring import Request, parse
from esl_bridge.simulator.protocol import (
    MAX_COMMAND,
    Block,
    CommandParser,
    CommandTooLong,
    Event,
    api_response,
    dump_json,
    reply,
    separate,
    unquote,
    url_encode,
)

DATA = Path(__file__).parent.parent / "data" / "esl"
NAMES = [path.name.removesuffix(".esl.gz") for path in sorted((DATA / "json").glob("*.esl.gz"))]


def _bodies(fmt: str, name: str) -> Iterator[bytes]:
    data = gzip.decompress((DATA / fmt / f"{name}.esl.gz").read_bytes())
    position = 0
    while (end := data.find(b"\n\n", position)) >= 0:
        head = data[position:end]
        position = end + 2
        length = next((int(line[16:]) for line in head.split(b"\n") if line.startswith(b"Content-Length: ")), 0)
        body = data[position : position + length]
        if len(body) < length:
            return
        position += length
        if b"text/event" in head:
            yield body


@pytest.mark.parametrize("name", NAMES)
def test_json_members_are_written_as_freeswitch_writes_them(name: str) -> None:
    for body in _bodies("json", name):
        pairs = json.loads(body.decode("utf-8", "surrogateescape"), object_pairs_hook=list)
        written = b",".join(dump_json({key: value})[1:-1] for key, value in pairs)
        assert b"{" + written + b"}" == body


@pytest.mark.parametrize("name", NAMES)
def test_plain_values_are_encoded_as_freeswitch_encodes_them(name: str) -> None:
    for body in _bodies("plain", name):
        for line in body.partition(b"\n\n")[0].split(b"\n"):
            raw = line.partition(b": ")[2].decode()
            if name.startswith("13") and ("%25" in raw or "%41" in raw):
                continue  # the encoding is lossy: what can be decoded here is not what was encoded
            value = urllib.parse.unquote(raw, errors="surrogateescape")
            assert raw == url_encode(value)


def test_percent_and_two_hex_digits_are_left_alone_and_so_lost() -> None:
    assert url_encode("100% of 50%25 %0A") == "100%25%20of%2050%25%20%0A"


def test_an_empty_value_is_called_undefined() -> None:
    assert url_encode("") == "_undef_"


def test_a_byte_that_is_no_utf8_passes_both_formats() -> None:
    event = Event("X", 1, [Block({"a": b"caf\xe9".decode("utf-8", "surrogateescape")})])
    assert event.serialise("json") == b'{"a":"caf\xe9"}'
    assert event.serialise("plain") == b"a: caf%E9\n\n"


def test_lists_are_arrays_in_json_and_array_text_in_plain() -> None:
    event = Event("X", 1, [Block({"a": ["one", "thr|ee"]})])
    assert event.serialise("json") == b'{"a":["one","thr|ee"]}'
    assert event.serialise("plain") == b"a: ARRAY%3A%3Aone%7C%3Athr%7Cee\n\n"


def test_a_header_in_two_blocks_is_written_twice() -> None:
    event = Event("X", 1, [Block({"a": "1"}), Block({"a": "2"})])
    assert event.serialise("json") == b'{"a":"1","a":"2"}'
    assert event.get("A") == "1"


def test_a_body_follows_in_both_formats() -> None:
    event = Event("X", 1, [Block({"a": "1"})], body="+OK ü\n")
    assert event.serialise("json") == '{"a":"1","Content-Length":"7","_body":"+OK ü\\n"}'.encode()
    assert event.serialise("plain") == "a: 1\nContent-Length: 7\n\n+OK ü\n".encode()
    assert event.frame("json").startswith(b"Content-Length: 49\nContent-Type: text/event-json\n\n{")


def test_an_event_is_serialised_once_per_format() -> None:
    event = Event("X", 1, [Block({"a": "1"})])
    assert event.frame("json") is event.frame("json")


def test_commands_are_cut_from_any_chunks() -> None:
    stream = b"\n\nauth x\n\nbgapi status\nJob-UUID: 7\n\nsendmsg u\ncontent-length: 5\n\na\n\nbc"
    whole = CommandParser().feed(stream)
    parser = CommandParser()
    bytewise = [command for byte in stream for command in parser.feed(bytes([byte]))]
    assert whole == bytewise
    assert [c.verb for c in whole] == ["auth", "bgapi", "sendmsg"]
    assert whole[1].header("job-uuid") == "7"
    assert whole[2].body == "a\n\nbc"


def test_carriage_returns_are_ignored() -> None:
    (command,) = CommandParser().feed(b"bgapi status x\r\nJob-UUID: 7\r\n\r\n")
    assert (command.verb, command.argument, command.header("Job-UUID")) == ("bgapi", "status x", "7")


def test_an_endless_command_is_refused() -> None:
    with pytest.raises(CommandTooLong):
        CommandParser().feed(b"x" * (MAX_COMMAND + 1))


def test_replies_have_the_type_first_and_no_length() -> None:
    assert reply("+OK accepted") == b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
    assert api_response("true") == b"Content-Type: api/response\nContent-Length: 4\n\ntrue"


def test_quotes_hold_a_part_together_and_a_lone_one_swallows_the_rest() -> None:
    assert separate("{a='x y'}url  &park() XML") == ["{a='x y'}url", "&park()", "XML"]
    assert separate("{a=O'Brien}url &park()") == ["{a=O'Brien}url &park()"]
    assert unquote("'&eavesdrop(7)'") == "&eavesdrop(7)"
    assert unquote(r"'a\,b\'c'") == "a,b'c"


def test_an_originate_is_parsed_into_its_parts() -> None:
    request = parse("{origination_uuid=7,a='x\\,y',b='',originate_timeout=9}[leg=1]user/1001@d &park() XML default")
    assert isinstance(request, Request)
    assert request.url == "user/1001@d"
    assert request.destination == "&park()"
    assert request.timeout == 9
    assert request.variables == {"origination_uuid": "7", "a": "x,y", "originate_timeout": "9", "leg": "1"}


def test_another_delimiter_can_be_chosen() -> None:
    request = parse("{^^:a=1,2:b=3}user/1001 &park()")
    assert isinstance(request, Request)
    assert request.variables == {"a": "1,2", "b": "3"}


@pytest.mark.parametrize("text", ["", "foo", "{a=1 user/1001 &park()", "{a=it's}user/1001 '&park()'"])
def test_what_is_no_originate_is_an_error(text: str) -> None:
    answer = parse(text)
    assert isinstance(answer, str)
    assert answer.startswith(("-USAGE:", "-ERR"))
