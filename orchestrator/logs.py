"""Logging: no full phone number and no secret reaches a log, and one file serves many processes."""

import fcntl
import logging
import logging.handlers
import os

from events.privacy import clean, mask

__all__ = ["Private", "SharedRotatingFileHandler", "clean", "mask"]


class Private(logging.Filter):
    """Masks each record's message; a caller's text cannot start a new line of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        record.msg = clean(message).replace("\r", "\\r").replace("\n", "\\n")
        record.args = ()
        return True


class SharedRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """Rotation that several processes may share: a lock file decides who rotates, the others reopen."""

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

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream and os.path.exists(self.baseFilename):
                if os.fstat(self.stream.fileno()).st_ino != os.stat(self.baseFilename).st_ino:
                    self.stream.close()
                    self.stream = self._open()
        except OSError:
            self.stream = None  # type: ignore[assignment]
        super().emit(record)
