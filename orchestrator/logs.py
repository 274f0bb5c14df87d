"""Logging: no full phone number and no secret reaches a log, and one file serves many processes."""

import fcntl
import functools
import logging
import logging.handlers
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

from celery.exceptions import Reject

from events.privacy import clean, mask

__all__ = ["NotGivenBack", "Private", "SharedRotatingFileHandler", "clean", "log_what_nobody_catches", "mask"]

_formatter = logging.Formatter()

# How often a process looks whether another has rotated the file: until then it writes to the end of the old one.
LOOK_SECONDS = 1.0
# Messages of at most so many characters are remembered with what is shown of them.
SHORT = 100


class Private(logging.Filter):
    """Masks each record's message and traceback: what a database or a parser says of a row may hold all of it. A
    caller's text cannot start a new line of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        record.msg = _remembered(message) if len(message) <= SHORT else _line(message)
        record.args = ()
        if record.exc_info:
            # What formatters take in place of the exception itself.
            record.exc_text = _inside(_formatter.formatException(record.exc_info))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = _inside(record.stack_info)
        return True


class NotGivenBack(logging.Filter):
    """Leaves out what Celery says of a task that is given back to its queue, with a traceback of hundreds of lines: the
    task has said it in one (dialer/tasks.py)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Reject))


def _line(message: str) -> str:
    return clean(message).replace("\r", "\\r").replace("\n", "\\n")


# The most frequent ones are few, and always the same.
_remembered = functools.lru_cache(256)(_line)


def _inside(lines: str) -> str:
    """A traceback keeps its lines, none of which looks like one of the log."""
    return "\n".join(f"    {line}" for line in clean(lines).splitlines())


def log_what_nobody_catches() -> None:
    """The interpreter would print its traceback as it is; and a warning beside the log."""
    log = logging.getLogger("orchestrator")

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("nobody caught this", exc_info=(kind, error, trace))

    def thread_crashed(args: Any) -> None:
        if args.exc_type is not SystemExit and args.exc_value is not None:
            log.critical("a thread ended with this", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    def lost(args: Any) -> None:
        log.error("an error in passing: %s", args.err_msg or "", exc_info=args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = crashed, thread_crashed, lost
    logging.captureWarnings(True)


class SharedRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """Rotation that several processes may share: a lock file decides who rotates, the others reopen."""

    _looked_at = 0.0

    def doRollover(self) -> None:
        lock = os.open(f"{self.baseFilename}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have rotated while we waited: then only reopen.
            if os.path.exists(self.baseFilename) and os.path.getsize(self.baseFilename) >= self.maxBytes:
                super().doRollover()
            elif self.stream:
                self.stream.close()
                self.stream = self._open()
        finally:
            os.close(lock)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """As the original, without formatting the record a second time: a line more is no harm."""
        if self.stream is None:
            self.stream = self._open()
        return self.maxBytes > 0 and self.stream.seek(0, os.SEEK_END) >= self.maxBytes

    def emit(self, record: logging.LogRecord) -> None:
        try:
            now = time.monotonic()
            if self.stream and now - self._looked_at > LOOK_SECONDS and os.path.exists(self.baseFilename):
                self._looked_at = now
                if os.fstat(self.stream.fileno()).st_ino != os.stat(self.baseFilename).st_ino:
                    self.stream.close()
                    self.stream = self._open()
        except OSError:
            self.stream = None  # type: ignore[assignment]
        super().emit(record)
