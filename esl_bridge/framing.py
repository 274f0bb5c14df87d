r"""Bytes from FreeSWITCH's event socket in, whole frames out. Pure; no I/O, no clock.

A frame is a block of `Name: value` lines, a blank line and, when Content-Length says so, that many bytes of body. The
next frame follows without a separator. Lines end with \n and with nothing else: everything is split as bytes, and only
then decoded, so no other line break that Unicode knows can forge a header.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# A real header block has two or three short lines (a Reply-Text is cut at about 500 characters): more is not a switch.
MAX_HEADER_BYTES: Final = 64 * 1024
# `show channels as json` grows by 1 KB a channel and an event stays below 33 KB: room for 16 MiB and then some, yet
# a wrong length cannot eat the machine's memory.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
# What FreeSWITCH calls its headers. The rest of a body, read as a header because a length was wrong, is no such name.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class FramingError(ValueError):
    """The bytes are not frames; where the next one begins cannot be known, so the connection is of no more use."""


class Frame(NamedTuple):
    """One frame. `headers`: values without surrounding spaces; `body`: raw bytes."""

    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise FramingError(f"not a header line: {line[:80]!r}")
        value = value.strip(" ")
        if headers.setdefault(name, value) != value:
            raise FramingError(f"two different {name} headers in one frame")
    return headers


def _body_length(headers: dict[str, str]) -> int:
    """Also refuses what the switch sends in no frame: no type, an event without its length."""
    kind, text = headers.get("Content-Type", ""), headers.get("Content-Length")
    if text is None:
        if not kind or kind.startswith("text/event-"):
            raise FramingError("an event without Content-Length" if kind else "a frame without Content-Type")
        return 0
    if not (text.isascii() and text.isdigit()):
        raise FramingError(f"Content-Length is not a number: {text[:40]!r}")
    # Nine digits at most before int(): a number of a megabyte would itself be the attack.
    if len(text) > 9 or int(text) > MAX_BODY_BYTES:
        raise FramingError(f"Content-Length {text[:12]} is above the limit of {MAX_BODY_BYTES} bytes")
    if not kind:
        raise FramingError("a frame without Content-Type")
    return int(text)


class FrameSplitter:
    """Feed it chunks of any size, get frames. Cost is linear in the bytes fed: nothing is searched or copied twice.

    After a FramingError every further call raises it again: there is no way back into step.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no blank line begins before this offset
        self._headers: dict[str, str] | None = None  # of the frame whose body is still coming
        self._needed = 0
        self.broken: FramingError | None = None  # why there are no more frames to come

    @property
    def waiting(self) -> str:
        """What the end of the stream would cut off: '' (between frames), 'header' or 'body'."""
        if self._headers is not None:
            return "body"
        return "header" if self._buffer else ""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order. Raises FramingError; whole frames before the fault come first."""
        if self.broken:
            raise self.broken
        self._buffer += data
        frames: list[Frame] = []
        try:
            self._split(frames)
        except FramingError as error:
            self.broken = error
            self._buffer.clear()
            if frames:
                # The whole ones are good: hand them over now, and fail on the next call.
                return frames
            raise
        return frames

    def _split(self, frames: list[Frame]) -> None:
        buffer, offset, size = self._buffer, 0, len(self._buffer)
        try:
            while True:
                if self._headers is not None:
                    if size - offset < self._needed:
                        return
                    end = offset + self._needed
                    frames.append(Frame(self._headers, bytes(buffer[offset:end])))
                    self._headers, offset, self._searched = None, end, end
                    continue
                # Stray blank lines between frames are seen in the wild and mean nothing.
                while offset < size and buffer[offset] == 0x0A:
                    offset += 1
                end = buffer.find(b"\n\n", max(self._searched, offset))
                if end < 0:
                    self._searched = max(offset, size - 1)
                    if size - offset > MAX_HEADER_BYTES:
                        raise FramingError(f"no end of header within {MAX_HEADER_BYTES} bytes")
                    return
                if end - offset > MAX_HEADER_BYTES:
                    raise FramingError(f"a header block of more than {MAX_HEADER_BYTES} bytes")
                headers = _parse_headers(bytes(buffer[offset:end]))
                self._needed = _body_length(headers)
                self._headers, offset = headers, end + 2
        finally:
            if offset:
                del buffer[:offset]
                self._searched = max(0, self._searched - offset)
