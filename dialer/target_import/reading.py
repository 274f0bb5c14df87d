"""A CSV file as rows, in constant memory, whatever somebody has put into it. No Django.

A quote that is never closed costs one row, not the rest of the file: the record is given up after a bounded number
of lines and reading goes on with the line after the one that opened it.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from .errors import ImportRefusedError
from .mapping import role_of

# A row is a person and a few fields: more than this is not a row, and must not fill our memory.
LONGEST_ROW = 64 * 1024
# Lines of one row: cells may hold line breaks, but an open quote must not swallow the file.
MOST_LINES = 50
DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20

# Longer marks first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "a spreadsheet or archive"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (b"\x1f\x8b", "a compressed file"),
    (b"%PDF", "a PDF document"),
)

csv.field_size_limit(max(csv.field_size_limit(), LONGEST_ROW))


@dataclass(frozen=True, slots=True)
class Encoding:
    """`note`: what a person should know about how it was chosen; empty when there was no doubt."""

    name: str
    note: str = ""


class Row(NamedTuple):
    line: int
    cells: list[str]


class BadRow(NamedTuple):
    """A row that could not be read; `start` is how it begins."""

    line: int
    start: str
    reason: str


def choose_encoding(file: IO[bytes], wanted: str = "") -> Encoding:
    """How to read the file, which is left at its beginning. Raises ImportRefusedError if it is no such text.

    The whole file is looked at once: a decision taken on its first lines would fail at the first foreign name.
    """
    file.seek(0)
    head = file.read(4096)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise ImportRefusedError("The file is empty.")
    for mark, what in _OTHER_FILES:
        if head.startswith(mark):
            raise ImportRefusedError(f"This is {what}, not a CSV file: save it as CSV first.")
    if wanted:
        return _as_wanted(file, wanted)
    for mark, name in _MARKS:
        if head.startswith(mark):
            _require(file, name)
            return Encoding(name)
    if guess := _utf16_without_mark(head):
        _require(file, guess)
        return Encoding(guess, f"no byte order mark; read as {guess}")
    if _failure(file, "utf-8") is None:
        return Encoding("utf-8")
    # Windows programs say latin-1 and mean cp1252, whose quotes and dashes lie where latin-1 has control characters.
    name = "cp1252" if _failure(file, "cp1252") is None else "latin-1"
    return Encoding(name, f"not valid UTF-8; read as {name} (Western European): check that the names look right")


def _as_wanted(file: IO[bytes], wanted: str) -> Encoding:
    try:
        # str.encode refuses the codecs that are no text encodings (zlib, hex, ...), which lookup would allow.
        "a".encode(wanted)
    except (LookupError, ValueError) as error:
        raise ImportRefusedError(f"There is no text encoding {wanted!r}.") from error
    name = "utf-8-sig" if codecs.lookup(wanted).name == "utf-8" else wanted
    try:
        codecs.getincrementaldecoder(name)
    except LookupError as error:
        raise ImportRefusedError(f"The encoding {wanted!r} cannot be read piece by piece.") from error
    _require(file, name)
    return Encoding(name)


def _require(file: IO[bytes], name: str) -> None:
    failure = _failure(file, name)
    if failure is not None:
        raise ImportRefusedError(f"The file is not {name}: it cannot be read near byte {failure:,}.")


def _failure(file: IO[bytes], name: str) -> int | None:
    """Near which byte the decoding fails; None if it does not. Leaves the file at its beginning."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(name)("strict")
    done = 0
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
            done += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        return done + (error.start if isinstance(error, UnicodeDecodeError) else 0)
    finally:
        file.seek(0)
    return None


def _utf16_without_mark(head: bytes) -> str:
    """UTF-16 of mostly Western text has a zero in every second byte; nothing else has."""
    even, odd = head[0::2], head[1::2]
    if len(head) >= 8 and odd.count(0) > 0.7 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    if len(head) >= 8 and even.count(0) > 0.7 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "utf-16-be"
    return ""


class RowReader:
    """The file's rows, one at a time. `delimiter` is found in the first line, unless the file says `sep=`."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        file.seek(0)
        # No newline translation: the csv module wants the line ends inside quoted cells as they are.
        self._text = io.TextIOWrapper(file, encoding=encoding, errors="strict", newline="")
        self._lines = _Lines(self._text)
        self.delimiter = self._find_delimiter()

    def detach(self) -> None:
        """Let go of the file, which would otherwise be closed together with this reader."""
        self._text.detach()

    def give_up_latest(self, reason: str) -> BadRow:
        """Refuse the latest row because it has swallowed lines that are rows of their own: those are read again."""
        line, start = self._lines.give_up()
        return BadRow(line, start.strip()[:60], reason)

    def seems_to_hold_rows(self, width: int) -> bool:
        """Whether the latest row spans lines that could be rows of `width` cells themselves."""
        following = self._lines.latest[1:]
        return any(len(next(csv.reader([line], delimiter=self.delimiter), [])) == width for line in following)

    def __iter__(self) -> Iterator[Row | BadRow]:
        delimiter, plain_line = self.delimiter, self._lines.plain
        while True:
            # Most lines hold no quote, and are a row each: nothing that the csv module would be needed for.
            while (line := plain_line()) is not None:
                cells = line.rstrip("\r\n").split(delimiter)
                if cells[0].strip() or any(cell.strip() for cell in cells):
                    yield Row(self._lines.first, cells)
            reader = csv.reader(self._lines, delimiter=self.delimiter)
            self._lines.begin()
            try:
                for cells in reader:
                    if self._lines.ended:
                        # The reader asked for a line after the last one: a quote is open, and has eaten what follows.
                        yield self.give_up_latest("A quote is opened here and never closed.")
                        break
                    if any(cell.strip() for cell in cells):
                        yield Row(self._lines.first, cells)
                    # One row at a time: the next line may need no csv reader again.
                    break
                else:
                    return
            except _TooLongError as error:
                yield self.give_up_latest(str(error))
            except csv.Error as error:
                yield self.give_up_latest(f"The row cannot be read: {error}.")

    def _find_delimiter(self) -> str:
        line = self._lines.peek()
        if line[:4].lower() == "sep=" and len(line.rstrip("\r\n")) == 5:
            self._lines.drop()
            return line[4]

        def score(delimiter: str) -> tuple[int, int]:
            cells = next(csv.reader([line], delimiter=delimiter), [])
            return sum(role_of(cell) is not None for cell in cells), len(cells)

        # The best is the one whose cells we recognise; a tie goes to the first named.
        return max(DELIMITERS, key=score)


class _TooLongError(Exception):
    """The current record is longer than a row may be."""


class _Lines:
    """The text's physical lines for csv.reader. Remembers those of the current record, so that it can be given up."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self.latest: list[str] = []
        self._length = 0
        self._handed_out = 0
        self.first = 1
        self.ended = False

    def begin(self) -> None:
        self.latest, self._length = [], 0
        self.first = self._handed_out + 1
        self.ended = False

    def plain(self) -> str | None:
        """The next line, if it is a row by itself: no quote in it, not too long. None leaves it where it is."""
        line = self._again.popleft() if self._again else self._read()
        if not line:
            return None
        if '"' in line or len(line) > LONGEST_ROW:
            self._again.appendleft(line)
            return None
        self._handed_out += 1
        self.first = self._handed_out
        self.latest = [line]
        return line

    def give_up(self) -> tuple[int, str]:
        """Number and text of the record's first line; its other lines will come again."""
        first, *others = self.latest or [""]
        self._again.extendleft(reversed(others))
        self._handed_out -= len(others)
        self.latest = []
        return self.first, first

    def peek(self) -> str:
        """The first line that is not blank, without taking it. Raises ImportRefusedError."""
        while True:
            line = self._again[0] if self._again else self._read()
            if not line:
                raise ImportRefusedError("The file is empty.")
            if len(line) > LONGEST_ROW:
                raise ImportRefusedError(f"The first line is longer than {LONGEST_ROW:,} characters.")
            if line.strip():
                if not self._again:
                    self._again.append(line)
                return line
            self._again.clear()
            self._handed_out += 1

    def drop(self) -> None:
        self._again.popleft()
        self._handed_out += 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            self.ended = True
            raise StopIteration
        self._handed_out += 1
        self.latest.append(line)
        self._length += len(line)
        if len(line) > LONGEST_ROW and len(self.latest) == 1:
            raise _TooLongError(f"The line is longer than {LONGEST_ROW:,} characters.")
        if self._length > LONGEST_ROW or len(self.latest) > MOST_LINES:
            raise _TooLongError("A quote is opened here and not closed soon enough.")
        return line

    def _read(self) -> str:
        """The next line, cut when it is too long: the rest of it is passed over, never held."""
        line = self._text.readline(LONGEST_ROW + 1)
        rest = line
        while len(rest) > LONGEST_ROW and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(LONGEST_ROW + 1)
        return line
