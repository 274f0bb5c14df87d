"""Recordings, streamed from the folder that the switch writes to, in parts as players ask for them.

The file's name is made of the call's own id, never of what the database or the switch say the path is.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from console import shown
from console.permissions import Actor
from console.views import with_actor
from dialer.models import CallLog
from dialer.services import audit

# What one person takes of one recording in this time is one playing of it in the audit log.
PLAYED_ONCE_IN: Final = dt.timedelta(minutes=10)
PIECE: Final = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


@dataclass(frozen=True, slots=True)
class Recorded:
    """there: a file that can be played. now: it is being written. why: what to say where there is none."""

    there: bool
    now: bool = False
    why: str = ""


def recording_of(call: CallLog) -> Recorded:
    if call.recording != "off":
        return Recorded(False, now=True, why="It is being recorded; it can be played when the recording has ended.")
    # Not Path's own question, which fails at a folder that may not be entered.
    if os.path.isfile(path_of(call.call_id)):
        return Recorded(True)
    if call.recording_stored or call.recording_url:
        return Recorded(
            False, why="It was recorded, but its file is not here: removed by its retention, or not copied."
        )
    return Recorded(False, why="It was not recorded.")


def path_of(call_id: UUID) -> Path:
    return Path(settings.RECORDINGS_DIR) / f"{call_id}.wav"


@require_safe
@with_actor(shown.hears_recordings)
def recording(request: HttpRequest, actor: Actor, call_id: UUID) -> HttpResponse:
    """The whole file or the one range asked for; several ranges at once get the whole, as RFC 9110 allows."""
    if not CallLog.objects.filter(shown.recorded(actor), call_id=call_id).exists():
        raise Http404
    file = _opened(path_of(call_id))
    size = os.fstat(file).st_size
    first, last, partial = 0, size - 1, False
    if asked := _RANGE.match(request.headers.get("Range", "")):
        span = _span(asked[1], asked[2], size)
        if span is None:
            os.close(file)
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}", "Cache-Control": "no-store"})
        if span != ():
            (first, last), partial = span, True
    if request.method == "GET":
        # A player asks for many ranges of one file.
        audit.note("recording_played", target_kind="call", target=str(call_id), once_in=PLAYED_ONCE_IN)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1), "Cache-Control": "no-store"}
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        os.close(file)
        return HttpResponse(status=status, content_type="audio/wav", headers=headers)
    return StreamingHttpResponse(_Pieces(file, first, last), status=status, content_type="audio/wav", headers=headers)


def _opened(path: Path) -> int:
    """A plain file of the folder itself; 404 for anything else. A link could lead anywhere."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        raise Http404 from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Http404
    return file


def _span(first: str, last: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """(first, last) byte; () where the header means nothing and is ignored; None where nothing of it is in the file."""
    if not first:
        if not last:
            return ()
        return (max(0, size - int(last)), size - 1) if int(last) and size else None
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return ()
    return (start, end) if start < size else None


class _Pieces:
    """Bytes first to last of an open file, read as the client takes them. The response closes it, read or not."""

    def __init__(self, file: int, first: int, last: int) -> None:
        self.file, self.first, self.last = file, first, last

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = self.first
        while at <= self.last:
            piece = await sync_to_async(os.pread)(self.file, min(PIECE, self.last - at + 1), at)
            if not piece:
                return
            at += len(piece)
            yield piece

    def close(self) -> None:
        os.close(self.file)
