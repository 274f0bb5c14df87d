"""The event-socket protocol, server side: bytes in, commands out; events in, frames out. Pure.

Source of every oddity here: captures of FreeSWITCH 1.10.12 in tests/data/esl.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

import orjson

Value = str | list[str]
Headers = Mapping[str, Value]

MAX_COMMAND = 10 * 1024 * 1024
"""Bytes of one command, the limit in mod_event_socket."""

# What switch_url_encode leaves alone, read off the captures.
_SAFE = "!$'()*,-./_~"
_ALREADY_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")

AUTH_REQUEST = b"Content-Type: auth/request\n\n"
GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
SHUTTING_DOWN = "The system is being shut down.\n"
LOST_EVENTS = "killed listener because of lost events\n"


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a client sent it: the first line, the header lines below it, the body."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def verb(self) -> str:
        return self.line.split(" ", 1)[0].lower()

    @property
    def argument(self) -> str:
        return self.line.partition(" ")[2].strip()

    def header(self, name: str) -> str:
        """The value of a header line, names compared without case; empty if absent."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), "")


class CommandTooLong(Exception):
    """The client sent more than MAX_COMMAND bytes without finishing a command."""


class CommandParser:
    """Cuts a byte stream into commands. Feed it chunks of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: tuple[str, dict[str, str], int] | None = None

    def feed(self, data: bytes) -> list[Command]:
        """Return the commands completed by `data`. Raises CommandTooLong."""
        self._buffer += data
        done: list[Command] = []
        while (command := self._next()) is not None:
            done.append(command)
        if len(self._buffer) > MAX_COMMAND:
            raise CommandTooLong
        return done

    def _next(self) -> Command | None:
        if self._waiting is None:
            head = self._take_head()
            if head is None:
                return None
            self._waiting = head
        line, headers, length = self._waiting
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._waiting = None
        return Command(line, headers, _text(body))

    def _take_head(self) -> tuple[str, dict[str, str], int] | None:
        while self._buffer[:1].strip() == b"" and self._buffer:
            del self._buffer[:1]
        match = re.search(rb"\r?\n\r?\n", self._buffer)
        if match is None:
            return None
        lines = _text(bytes(self._buffer[: match.start()])).replace("\r", "").split("\n")
        del self._buffer[: match.end()]
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip()] = value.strip()
        raw = next((v for k, v in headers.items() if k.lower() == "content-length"), "0")
        length = int(raw) if raw.isdigit() else 0
        return lines[0].rstrip(), headers, min(length, MAX_COMMAND)


def reply(text: str, **headers: str) -> bytes:
    """A command/reply. It carries no Content-Length, and Reply-Text stays on one line."""
    lines = ["Content-Type: command/reply", f"Reply-Text: {text}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return _bytes("\n".join(lines) + "\n\n")


def api_response(body: str) -> bytes:
    """The answer to `api`; its body is sent as it is, with or without a final newline."""
    raw = _bytes(body)
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(raw), raw)


def disconnect_notice(text: str) -> bytes:
    """What precedes an orderly end of file."""
    raw = _bytes(text)
    return b"Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%b" % (len(raw), raw)


@functools.lru_cache(maxsize=16_384)
def url_encode(value: str) -> str:
    """Encode as switch_url_encode does: `%` before two hex digits is left alone, hence lossy."""
    if not value:
        return "_undef_"
    if "%" not in value:
        return quote(value, safe=_SAFE, errors="surrogateescape")
    parts: list[str] = []
    position = 0
    for match in _ALREADY_ENCODED.finditer(value):
        parts.append(quote(value[position : match.start()], safe=_SAFE, errors="surrogateescape"))
        parts.append(match.group())
        position = match.end()
    parts.append(quote(value[position:], safe=_SAFE, errors="surrogateescape"))
    return "".join(parts)


def dump_json(headers: Headers) -> bytes:
    """JSON as FreeSWITCH prints it; bytes that are not UTF-8 are passed through raw."""
    try:
        return orjson.dumps(headers)
    except TypeError:  # a surrogate: a byte of some client that was no UTF-8
        text = json.dumps(headers, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogateescape")


class Block:
    """Part of an event's headers, in order, serialised at most once per format.

    Events of one leg share blocks: that is what makes an event cost microseconds.
    """

    __slots__ = ("_json", "_plain", "headers")

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self._json: bytes | None = None
        self._plain: bytes | None = None

    def json(self) -> bytes:
        """The members of a JSON object, without the braces."""
        if self._json is None:
            self._json = dump_json(self.headers)[1:-1]
        return self._json

    def plain(self) -> bytes:
        """Header lines with url-encoded values."""
        if self._plain is None:
            lines = [f"{name}: {url_encode(_flat(value))}\n" for name, value in self.headers.items()]
            self._plain = "".join(lines).encode("ascii", "surrogateescape")
        return self._plain


class Event:
    """One event: blocks of headers and perhaps a body. A header may occur in two blocks."""

    __slots__ = ("_frames", "blocks", "body", "name", "sequence", "subclass")

    def __init__(self, name: str, sequence: int, blocks: list[Block], subclass: str = "", body: str = "") -> None:
        self.name = name
        self.sequence = sequence
        self.blocks = blocks
        self.subclass = subclass
        self.body = body
        self._frames: dict[str, bytes] = {}

    def get(self, header: str) -> str | None:
        """The first value of a header, names compared without case."""
        wanted = header.lower()
        for block in self.blocks:
            for name, value in block.headers.items():
                if name.lower() == wanted:
                    return _flat(value)
        return None

    def frame(self, fmt: str) -> bytes:
        """The event as it goes on the wire in `plain`, `json` or `xml`."""
        frame = self._frames.get(fmt)
        if frame is None:
            body = self.serialise(fmt)
            frame = b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (
                len(body),
                fmt.encode(),
                body,
            )
            self._frames[fmt] = frame
        return frame

    def bracketed(self) -> str:
        """The headers as `uuid_dump UUID plain` prints them: nothing encoded, every value in brackets."""
        lines = [f"{name}: [{_flat(value)}]\n" for block in self.blocks for name, value in block.headers.items()]
        return "".join(lines) + "\n"

    def serialise(self, fmt: str) -> bytes:
        """The event without the frame around it."""
        if fmt == "json":
            parts = [part for block in self.blocks if (part := block.json())]
            if self.body:
                length = str(len(_bytes(self.body)))
                parts.append(dump_json({"Content-Length": length, "_body": self.body})[1:-1])
            return b"{" + b",".join(parts) + b"}"
        if fmt == "plain":
            parts = [block.plain() for block in self.blocks]
            if self.body:
                raw = _bytes(self.body)
                parts.append(b"Content-Length: %d\n\n%b" % (len(raw), raw))
            else:
                parts.append(b"\n")
            return b"".join(parts)
        return _xml(self)


def separate(text: str, delimiter: str = " ") -> list[str]:
    """Split as switch_separate_string: single quotes hold a part together, backslash escapes.

    A lone quote swallows the rest of the text, which is how a name like O'Brien breaks a command.
    """
    parts: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for char in text:
        if escaped:
            current.append("\\" + char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "'":
            quoted = not quoted
            current.append(char)
        elif char == delimiter and not quoted:
            if current or delimiter != " ":
                parts.append("".join(current))
                current = []
        else:
            current.append(char)
    if escaped:
        current.append("\\")
    if current:
        parts.append("".join(current))
    return parts


def unquote(text: str) -> str:
    """A part as its reader gets it: outer blanks and quotes gone, escapes resolved."""
    text = text.strip(" ")
    if len(text) >= 2 and text[0] == text[-1] == "'":
        text = text[1:-1]
    return re.sub(r"\\(.)", r"\1", text).strip(" ")


def _xml(event: Event) -> bytes:
    lines = ["<event>", "  <headers>"]
    for block in event.blocks:
        lines += [f"    <{name}>{escape(url_encode(_flat(value)))}</{name}>" for name, value in block.headers.items()]
    lines.append("  </headers>")
    if event.body:
        lines.append(f"  <Content-Length>{len(_bytes(event.body))}</Content-Length>")
        lines.append(f"  <body>{escape(event.body)}</body>")
    lines.append("</event>")
    return _bytes("\n".join(lines))


def _flat(value: Value) -> str:
    if isinstance(value, str):
        return value
    return "ARRAY::" + "|:".join(value)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def join(frames: Iterable[bytes]) -> bytes:
    """One buffer for one write."""
    return b"".join(frames)
