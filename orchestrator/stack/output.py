"""One merged log: a prefix per process, whole lines, no secrets, nothing that could steer the terminal."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable
from typing import IO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
# A line may hold a caller's display name: control characters (escape sequences, carriage returns) stay out.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
LONGEST_LINE = 8192  # Bytes; a process that never ends its line must not fill our memory.
PREFIX_WIDTH = 10


class Lines:
    """Cuts a byte stream into lines of text, each at most LONGEST_LINE long."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LONGEST_LINE:
            whole.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def end(self) -> list[str]:
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class Output:
    """The stream that all processes' lines go to. `on_closed` is called once when nobody reads it any more."""

    def __init__(self, stream: IO[str] | None = None, secrets: Iterable[str] = ()) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._secrets = {secret for secret in secrets if len(secret) >= 8}
        self._colours = itertools.cycle(_COLOURS)
        self._colour: dict[str, int] = {}
        self._tty = self._stream.isatty()
        self._closed = False
        self.on_closed: Callable[[], None] = lambda: None

    def hide(self, *secrets: str) -> None:
        """Never print these. Shorter ones than eight characters would turn the log into stars."""
        self._secrets.update(secret for secret in secrets if len(secret) >= 8)

    def line(self, name: str, text: str) -> None:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._write(f"{self._prefix(name)} {_CONTROL.sub('�', text)}\n")

    def say(self, text: str) -> None:
        """A line of the stack itself."""
        self.line("stack", text)

    def block(self, lines: Iterable[str]) -> None:
        """Lines without a prefix, kept together (the banner)."""
        self._write("".join(f"{line}\n" for line in ("", *lines, "")))

    def _prefix(self, name: str) -> str:
        label = f"{name:<{PREFIX_WIDTH}}|"
        if not self._tty:
            return label
        colour = self._colour.setdefault(name, 1 if name == "stack" else next(self._colours))
        return f"\x1b[{colour}m{label}\x1b[0m"

    def _write(self, text: str) -> None:
        if self._closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._closed = True
            self.on_closed()
        except OSError:
            # Written to a file on a full disk: the line is lost, the processes go on.
            return
