"""What is kept no longer than the settings say: decisions, orders, commands, minutes of figures, messages, recordings.
Not raw events.

Everything goes in batches, each its own short transaction, so that nobody waits for a long lock; stopped half way, the
next run goes on. Call records, agents' states and audit rows are never removed here.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import connection, transaction

from dialer.models import CallLog, ContactReservation
from dialer.services import drops
from events.retention import BATCH, Counted, old_ranges, removed, rows_from_before

# What a switch writes; anything else beside the recordings is not ours.
SUFFIXES = frozenset({".wav", ".mp3", ".ogg", ".opus", ".flac"})


# A call record that points to a decision keeps it: it is why that call was placed.
_OLD_DECISIONS = """
SELECT d.id FROM dialer_pacingdecision d
WHERE d.id BETWEEN %s AND %s AND d.last_at < %s
  AND NOT EXISTS (SELECT 1 FROM dialer_calllog c WHERE c.decision_id = d.id)
"""


def decisions(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Decisions last made before then, but never one that placed a call: it is kept as long as the call's record. What
    was offered for preview stays, too, and says by itself how it ended; it no longer says by which decision."""
    counted = Counted("decisions")
    for first, last in old_ranges("dialer_pacingdecision", "decided_at", before):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_OLD_DECISIONS, [first, last, before])
                keys = [key for (key,) in cursor.fetchall()]
            counted.rows += len(keys)
            if keys and not dry_run:
                ContactReservation.objects.filter(decision__in=keys).update(decision=None)
                removed("dialer_pacingdecision", "id = ANY(%s)", [keys], dry_run=False)
    return counted


# The order is over, or so old that nobody waits for it; and so is the call that it was about.
_CALL_OVER = "NOT EXISTS (SELECT 1 FROM dialer_calllog c WHERE c.id = dialer_order.call_id AND c.ended_at IS NULL)"


def orders(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Orders to the switch given before then, except those about a call that is not over."""
    return rows_from_before("orders", "dialer_order", "created_at", before, also=_CALL_OVER, dry_run=dry_run)


def commands(before: dt.datetime, *, dry_run: bool) -> Counted:
    """What people asked for before then, with its answer, except what the switch has still to confirm. Who did what
    stays in the audit log; a command older than a minute is refused, so none of these can come again."""
    settled = "confirmation <> 'waiting'"
    return rows_from_before("commands", "dialer_appliedcommand", "applied_at", before, also=settled, dry_run=dry_run)


def minutes(now: dt.datetime, *, dry_run: bool) -> Counted:
    """Minutes of figures that no window reads any more."""
    before = now - drops.KEEP_MINUTES
    return rows_from_before("minutes of figures", "dialer_campaignminute", "minute", before, dry_run=dry_run)


def messages(before: dt.datetime, *, dry_run: bool) -> Counted:
    """Messages to agents that were sent before then. Those that an agent has not read yet stay before them."""
    return rows_from_before(
        "messages to agents", "dialer_agentmessage", "at", before, also="read_at IS NOT NULL", dry_run=dry_run
    )


def recordings(before: dt.datetime, directory: Path, *, dry_run: bool) -> Counted:
    """Recordings of calls that ended before then: the file, and the link to it in the call record. Only files directly
    named by a call's own uuid are touched; others, links that lead elsewhere, and calls going on are left alone."""
    counted = Counted("recordings", bytes=0)
    for paths in _named(directory):
        ended = CallLog.objects.filter(call_id__in=list(paths), ended_at__lt=before)
        for key in ended.values_list("call_id", flat=True):
            path = paths[key]
            try:
                # A broken or foreign link must not lead out of the directory.
                size = path.lstat().st_size
                if not dry_run:
                    path.unlink()
            except OSError as error:
                counted.problems.append(f"{path.name}: {error.strerror or type(error).__name__}")
                continue
            counted.rows, counted.bytes = counted.rows + 1, (counted.bytes or 0) + size
            if not dry_run:
                CallLog.objects.filter(call_id=key).update(recording_url="", recording_stored=False)
    return counted


# What other rooms keep for a time only: (name of the setting in days, what removes rows older than a moment). Without a
# setting it is what no figure reads any more after a day.
others: list[tuple[str, Callable[..., Counted]]] = []


def _named(directory: Path) -> Iterator[dict[uuid.UUID, Path]]:
    """Files of the directory that are named as our recordings are, by their uuid; a batch at a time."""
    found: dict[uuid.UUID, Path] = {}
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            path = Path(entry.path)
            if path.suffix.lower() not in SUFFIXES or not entry.is_file(follow_symlinks=False):
                continue
            try:
                key = uuid.UUID(path.stem)
            except ValueError:
                continue
            if str(key) != path.stem:
                continue
            found[key] = path
            if len(found) >= BATCH:
                yield found
                found = {}
    if found:
        yield found
