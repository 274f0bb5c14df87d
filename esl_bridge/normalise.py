"""A frame's body as one flat event, and as the one line of JSON that goes to the journal. Pure.

Both of FreeSWITCH's formats end in the same shape: header name -> string, or list of strings for multi-value ones;
a payload under `_body`. Where a name comes twice the last one holds, in either format. Bytes that are not UTF-8 are
replaced (U+FFFD) and reported, never refused: a caller's name in latin-1 must not lose the answer it came with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson

from esl_bridge.framing import Frame

JSON_TYPE: Final = "text/event-json"
PLAIN_TYPE: Final = "text/event-plain"

Headers = dict[str, str | list[str]]

_SURROGATE = re.compile("[\ud800-\udfff]")
_ARRAY_MARK: Final = "ARRAY::"
_ARRAY_SEPARATOR: Final = "|:"


class Unreadable(ValueError):
    """The body is not an event; the message says why."""


class Normalised(NamedTuple):
    """`headers`: the flat event; `raw`: its JSON, one object in UTF-8; `repaired`: something had to be replaced."""

    headers: Headers
    raw: bytes
    repaired: bool

    @property
    def name(self) -> str:
        return self.text("Event-Name")

    def text(self, name: str) -> str:
        """A header as text: the first of several values, '' when absent."""
        value = self.headers.get(name, "")
        if isinstance(value, list):
            value = value[0] if value else ""
        return value


def event_of(frame: Frame) -> Normalised:
    """The event in a `text/event-json` or `text/event-plain` frame. Raises Unreadable for anything else."""
    if frame.content_type == JSON_TYPE:
        # Exactly the object: with a byte lost in it, a blank line behind it would make its length right again.
        if not (frame.body.startswith(b"{") and frame.body.endswith(b"}")):
            raise Unreadable("the JSON does not begin and end with the event")
        return event_of_json(frame.body)
    if frame.content_type == PLAIN_TYPE:
        return _from_plain(frame.body)
    raise Unreadable(f"content type {frame.content_type[:60]!r} is not an event")


def to_json(headers: Mapping[str, str | list[str]]) -> bytes:
    """One JSON object in UTF-8."""
    return orjson.dumps(headers)


def with_header(raw: bytes, name: str, value: str) -> bytes:
    """The same JSON object (not an empty one) with one more member at its end, where it wins over its namesakes."""
    return raw.rstrip()[:-1] + b"," + orjson.dumps(name) + b":" + orjson.dumps(value) + b"}"


def event_of_json(body: bytes) -> Normalised:
    """A JSON object of headers, as in an event or in the reply to `uuid_dump ... json`. Raises Unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_damaged_json(body)
    if not isinstance(event, dict) or not event:
        raise Unreadable("the JSON is not an object with members")
    # The usual case: strings only, and the bytes go on as they came.
    if set(map(type, event.values())) == {str}:
        return Normalised(event, body, False)
    flat = _flatten(event)
    return Normalised(flat, body if flat == event else to_json(flat), False)


def _from_damaged_json(body: bytes) -> Normalised:
    """FreeSWITCH passes a variable's bytes through: latin-1 and control characters are what strict parsers refuse."""
    text = body.decode("utf-8", "replace")
    try:
        event = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {str(error)[:120]}") from None
    if not isinstance(event, dict) or not event:
        raise Unreadable("the JSON is not an object with members")
    flat = _flatten(event)
    return Normalised(flat, to_json(flat), True)


def _whole(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8; it becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return _whole(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return _whole(json.dumps(value, ensure_ascii=False))


def _flatten(event: dict[str, Any]) -> Headers:
    try:
        return {
            _whole(name): [_as_text(item) for item in value] if isinstance(value, list) else _as_text(value)
            for name, value in event.items()
        }
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a nest of thousands of lists
        raise Unreadable(f"a value that cannot be text: {str(error)[:80]}") from None


def _from_plain(body: bytes) -> Normalised:
    block, end, rest = body.partition(b"\n\n")
    if not end:
        raise Unreadable("a plain event that is cut short")  # half a value would be believed: of a leg's uuid, say
    headers: Headers = {}
    repaired = False
    for line in block.split(b"\n"):
        name, colon, coded = line.partition(b":")
        if not colon or not name:
            if line:
                repaired = True  # no such line in a real event; its text has no name to go under
            continue
        value, damaged = _decode(unquote_to_bytes(coded.strip(b" ")))
        key, damaged_key = _decode(name)
        repaired = repaired or damaged or damaged_key
        if value.startswith(_ARRAY_MARK):
            headers[key] = value[len(_ARRAY_MARK) :].split(_ARRAY_SEPARATOR)
        else:
            headers[key] = value
    if not headers:
        raise Unreadable("a plain event without a header")
    length = headers.get("Content-Length")
    if isinstance(length, str) and length.isascii() and length.isdigit() and len(length) <= 9:
        # The payload is not url-encoded; its own length counts.
        if len(rest) < int(length):
            raise Unreadable("a plain event whose payload is cut short")
        headers["_body"], damaged = _decode(rest[: int(length)])
        repaired = repaired or damaged
    return Normalised(headers, to_json(headers), repaired)


def _decode(data: bytes) -> tuple[str, bool]:
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), True
