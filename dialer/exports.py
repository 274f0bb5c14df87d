"""Contacts and calls as CSV, in constant memory however many, with nothing in it that a spreadsheet would run.

Read page by page along the primary key, each page a short query of its own: a download of an hour holds no transaction
open, which would keep PostgreSQL from cleaning up behind the dialer. What changes meanwhile is in it or not.

Numbers are written '+12125550100: the apostrophe is how a spreadsheet marks a text, and the import takes it away again.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from dialer.models import CallLog, Contact, ExportRun
from events.privacy import mask

# Rows of one query, and of one piece that is sent: some hundred kilobytes.
PAGE = 2_000
# With a byte order mark, spreadsheets read UTF-8.
_MARK = "\ufeff"
# What begins a formula, also behind blanks; full-width signs count where such keyboards are usual.
_FORMULA = frozenset("=+-@|%＝＋－＠")


def guarded(cell: str) -> str:
    """The cell as text for every spreadsheet; line breaks inside it stay."""
    cell = cell.replace("\0", "")
    inside = cell.lstrip().lstrip("'")
    if cell[:1] in {"\t", "\r", "\n", "'"} or (inside and inside.lstrip()[:1] in _FORMULA):
        return f"'{cell}"
    return cell


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    value: Callable[[Any, bool], Any]


def _number(field: str) -> Callable[[Any, bool], str]:
    return lambda row, full: getattr(row, field) if full else mask(getattr(row, field))


def _plain(field: str) -> Callable[[Any, bool], Any]:
    return lambda row, full: getattr(row, field)


def _of(field: str, inner: str) -> Callable[[Any, bool], Any]:
    def value(row: Any, full: bool) -> Any:
        other = getattr(row, field)
        return getattr(other, inner) if other is not None else ""

    return value


def _fields(row: Contact, full: bool) -> str:
    return json.dumps(row.custom_fields, ensure_ascii=False, sort_keys=True) if row.custom_fields else ""


@dataclass(frozen=True, slots=True)
class _Kind:
    model: type[Model]
    permission: str
    columns: Sequence[Column]
    related: Sequence[str]
    deferred: Sequence[str] = ()


KINDS: dict[str, _Kind] = {
    ExportRun.What.CONTACTS: _Kind(
        Contact,
        "dialer.export_contacts",
        [
            Column("number", _number("number")),
            Column("name", _plain("name")),
            Column("list", _of("target_list", "name")),
            Column("time_zone", _plain("time_zone")),
            Column("priority", _plain("priority")),
            Column("status", _plain("status")),
            Column("attempts", _plain("attempts")),
            Column("last_outcome", _plain("last_outcome")),
            Column("next_attempt_at", _plain("next_attempt_at")),
            Column("blocked_by", _plain("blocked_by")),
            Column("custom_fields", _fields),
            Column("created_at", _plain("created_at")),
        ],
        ["target_list"],
    ),
    ExportRun.What.CALLS: _Kind(
        CallLog,
        "dialer.export_calls",
        [
            Column("call_id", _plain("call_id")),
            Column("number", _number("to_number")),
            Column("campaign", _of("campaign", "name")),
            Column("agent", _of("agent", "agent_id")),
            Column("status", _plain("status")),
            Column("outcome", _plain("outcome")),
            Column("hangup_cause", _plain("disconnect_reason")),
            Column("attempt", _plain("attempt_number")),
            Column("initiated_at", _plain("initiated_at")),
            Column("answered_at", _plain("answered_at")),
            Column("bridged_at", _plain("bridged_at")),
            Column("ended_at", _plain("ended_at")),
            Column("duration_seconds", _plain("duration_seconds")),
            Column("talk_seconds", _plain("talk_time_seconds")),
            Column("abandoned", _plain("abandoned")),
            Column("freeswitch_uuid", _plain("freeswitch_uuid")),
        ],
        ["campaign", "agent"],
        ["cdr_data"],
    ),
}
FULL_NUMBERS = "dialer.export_full_numbers"


def begin(what: str, *, actor: str, filters: dict[str, Any], full_numbers: bool, user_id: int | None = None) -> int:
    """Write down that somebody takes rows out, before the first leaves; returns the ExportRun's key."""
    run = ExportRun(what=what, actor=actor[:150], filters=filters, full_numbers=full_numbers, created_by_id=user_id)
    # By itself: what fails later has been asked for all the same.
    with transaction.atomic():
        run.save()
    return run.pk


def pieces(run: int, rows: QuerySet[Any]) -> Iterator[str]:
    """The file, some thousand rows at a time. `rows`: what `begin` was told, unordered or not."""
    export = ExportRun.objects.get(pk=run)
    kind = KINDS[export.what]
    full, count, last = export.full_numbers, 0, 0
    yield _MARK + _text([[column.name for column in kind.columns]])
    # Related rows are few and asked for by themselves: joined, a planner may sort the whole table for each page.
    ordered = rows.order_by("pk").select_related(None).prefetch_related(*kind.related).defer(*kind.deferred)
    while page := list(ordered.filter(pk__gt=last)[:PAGE]):
        last = page[-1].pk
        count += len(page)
        yield _text([[_cell(column.value(row, full)) for column in kind.columns] for row in page])
    ExportRun.objects.filter(pk=run).update(rows=count, ended_at=timezone.now())


def _text(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    # Everything in quotes: a spreadsheet that separates by another sign must not find one inside.
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat(timespec="seconds")
        case bool():
            return "yes" if value else "no"
        case int():
            # A negative priority is a number, not a formula.
            return str(value)
        case _:
            return guarded(str(value))
