"""Files of imports from the admin, in a folder that only this user can read: what was uploaded, until it is imported,
and the rows that were not, for some days. Named by the run's id, never by what somebody called the file."""

from __future__ import annotations

import csv
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from django.conf import settings

from .errors import Problem

# Of one file from a web page; longer ones are for the command. Some 1.5 million rows.
LARGEST_FILE = 64 * 1024 * 1024
# What nobody has started is not kept longer: it is people's numbers.
UPLOAD_HOURS = 24
PROBLEMS_DAYS = 30
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def folder() -> Path:
    path = Path(settings.IMPORT_DIR)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def upload_path(run_id: uuid.UUID) -> Path:
    return folder() / f"{run_id}.upload"


def problems_path(run_id: uuid.UUID) -> Path:
    return folder() / f"{run_id}.problems.csv"


def keep(run_id: uuid.UUID, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Store an upload; returns its size in bytes and its SHA-256. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    path = upload_path(run_id)
    try:
        with open(path, "xb", opener=_private) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return size, digest.hexdigest()


def drop(run_id: uuid.UUID) -> None:
    upload_path(run_id).unlink(missing_ok=True)


def sweep(now: float | None = None) -> int:
    """Delete what has been kept long enough; returns how many files. Asked for with every new upload."""
    now = time.time() if now is None else now
    gone = 0
    for pattern, seconds in (("*.upload", UPLOAD_HOURS * 3600), ("*.problems.csv", PROBLEMS_DAYS * 86_400)):
        for path in folder().glob(pattern):
            try:
                if now - path.stat().st_mtime > seconds:
                    path.unlink()
                    gone += 1
            except FileNotFoundError:
                continue
    return gone


def problems_writer(stack: ExitStack, path: Path) -> Callable[[Problem], None]:
    """Writes each row that is not imported, and why, into a CSV file that no spreadsheet runs. Raises OSError."""
    # With a byte order mark, so that spreadsheets show names and signs as they are.
    file: IO[str] = stack.enter_context(os.fdopen(_private(str(path), _NEW), "w", encoding="utf-8-sig", newline=""))
    writer = csv.writer(file)
    writer.writerow(["row", "number", "reason"])

    def write(problem: Problem) -> None:
        writer.writerow([problem.line, problem.number, problem.reason])

    return write


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
