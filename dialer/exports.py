"""Contacts, calls and days as CSV or JSON, in constant memory however many, with nothing in a CSV that a spreadsheet
would run.

Read page by page along the primary key, each page a short query of its own: a download of an hour holds no transaction
open, which would keep PostgreSQL from cleaning up behind the dialer. What changes meanwhile is in it or not.

In a CSV numbers are written '+12125550100: the apostrophe is how a spreadsheet marks a text, and the import takes it
away again. JSON has them as they are.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from dialer import day_figures
from dialer.figures import Rate
from dialer.models import AgentDay, CallLog, CampaignDay, Contact, ExportRun
from dialer.target_import.errors import begins_formula
from events.privacy import mask

Form = Literal["csv", "json"]
FORMS: tuple[Form, ...] = ("csv", "json")
# Rows of one query, and of one piece that is sent: some hundred kilobytes.
PAGE = 2_000
# With a byte order mark, spreadsheets read UTF-8.
_MARK = "\ufeff"


def guarded(cell: str) -> str:
    """The cell as text for every spreadsheet; line breaks inside it stay."""
    cell = cell.replace("\0", "")
    if cell[:1] in {"\t", "\r", "\n", "'"} or begins_formula(cell):
        return f"'{cell}"
    return cell


@dataclass(frozen=True, slots=True)
class Column:
    """value: of (row, whether numbers are full). meaning: what it is, where its name does not say enough; of a figure
    its definition."""

    name: str
    value: Callable[[Any, bool], Any]
    meaning: str = ""


def _number(field: str) -> Callable[[Any, bool], str]:
    return lambda row, full: getattr(row, field) if full else mask(getattr(row, field))


def _plain(field: str) -> Callable[[Any, bool], Any]:
    return lambda row, full: getattr(row, field)


def _of(field: str, inner: str) -> Callable[[Any, bool], Any]:
    def value(row: Any, full: bool) -> Any:
        other = getattr(row, field)
        return getattr(other, inner) if other is not None else ""

    return value


def _seconds(start: str, end: str) -> Callable[[Any, bool], float | None]:
    def value(row: Any, full: bool) -> float | None:
        first, last = getattr(row, start), getattr(row, end)
        return round((last - first).total_seconds(), 3) if first and last else None

    return value


def _fields(row: Contact, full: bool) -> str:
    return json.dumps(row.custom_fields, ensure_ascii=False, sort_keys=True) if row.custom_fields else ""


def _count(of: Callable[[Any], Mapping[str, int]], name: str, meaning: str) -> Column:
    return Column(name, lambda row, full: of(row)[name], meaning)


def _rate(of: Callable[[Any], Mapping[str, Rate]], name: str) -> list[Column]:
    """A figure carries what it is made of: its value, then numerator and denominator."""
    text = day_figures.meaning(name)
    return [
        Column(name, lambda row, full: of(row)[name].rounded, text),
        Column(f"{name}_numerator", lambda row, full: round(of(row)[name].numerator), f"{name}: its numerator"),
        Column(f"{name}_denominator", lambda row, full: round(of(row)[name].denominator), f"{name}: its denominator"),
    ]


def _wait(name: str) -> Column:
    return Column(f"{name}_ms", lambda row, full: day_figures.wait_percentile(row, name), day_figures.meaning(name))


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
            Column(
                "outcome", _plain("outcome"), "how it ended: conversation, busy, no_answer, abandoned, hung_up, ..."
            ),
            Column("hangup_cause", _plain("disconnect_reason"), "of the switch"),
            Column("attempt", _plain("attempt_number")),
            Column("initiated_at", _plain("initiated_at")),
            Column("answered_at", _plain("answered_at")),
            Column("bridged_at", _plain("bridged_at")),
            Column("ended_at", _plain("ended_at")),
            Column("duration_seconds", _plain("duration_seconds"), "from placing to end"),
            Column("talk_seconds", _plain("talk_time_seconds"), "from joining agent and customer to end, with hold"),
            Column("abandoned", _plain("abandoned"), "answered, and no agent within 2 s"),
            Column("freeswitch_uuid", _plain("freeswitch_uuid"), "the customer leg's uuid at the switch"),
            Column("wait_seconds", _seconds("answered_at", "bridged_at"), "from answer to agent"),
            Column("hold_seconds", lambda row, full: round(row.hold_ms / 1000), "of the talk, the customer on hold"),
            Column("disposition", _of("disposition", "code")),
            Column("disposition_label", _of("disposition", "label")),
            Column("disposed_by", _plain("disposed_by")),
            Column("machine", _plain("machine"), "the switch heard an answering machine"),
        ],
        ["campaign", "agent", "disposition"],
        ["cdr_data"],
    ),
    ExportRun.What.AGENTS: _Kind(
        AgentDay,
        "dialer.export_calls",
        [
            Column("day", _plain("day"), "UTC; of today, up to the beginning of the present state"),
            Column("agent", _of("agent", "agent_id")),
            Column("name", _of("agent", "name")),
            Column("team", lambda row, full: row.agent.team.name if row.agent.team else ""),
            *(_count(day_figures.agent_counts, *each) for each in day_figures.AGENT_COUNTS.items()),
            *(column for name in day_figures.AGENT_FIGURES for column in _rate(day_figures.agent_figures, name)),
        ],
        ["agent__team"],
    ),
    ExportRun.What.CAMPAIGNS: _Kind(
        CampaignDay,
        "dialer.export_calls",
        [
            Column("day", _plain("day"), "UTC"),
            Column("campaign_id", _of("campaign", "campaign_id")),
            Column("campaign", _of("campaign", "name")),
            *(_count(day_figures.campaign_counts, *each) for each in day_figures.CAMPAIGN_COUNTS.items()),
            *(column for name in day_figures.CAMPAIGN_FIGURES for column in _rate(day_figures.campaign_figures, name)),
            *(_wait(name) for name in day_figures.WAITS),
            Column("spent", _plain("spent"), "at the campaign's prices"),
        ],
        ["campaign"],
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


def pieces(run: int, rows: QuerySet[Any], *, form: Form = "csv", explained: bool = False) -> Iterator[str]:
    """The file, some thousand rows at a time. `rows`: what `begin` was told, unordered or not.

    explained: a CSV says in a second row what its columns mean; JSON always does, under `columns`.
    """
    export = ExportRun.objects.get(pk=run)
    kind = KINDS[export.what]
    written = _csv(kind, explained) if form == "csv" else _json(export, kind)
    full, count, last = export.full_numbers, 0, 0
    yield written.head
    # Related rows are few and asked for by themselves: joined, a planner may sort the whole table for each page.
    ordered = rows.order_by("pk").select_related(None).prefetch_related(*kind.related).defer(*kind.deferred)
    while page := list(ordered.filter(pk__gt=last)[:PAGE]):
        last = page[-1].pk
        yield written.rows([[column.value(row, full) for column in kind.columns] for row in page], count == 0)
        count += len(page)
    yield written.tail
    ExportRun.objects.filter(pk=run).update(rows=count, ended_at=timezone.now())


async def sent(parts: Iterator[str]) -> AsyncIterator[str]:
    """One part at a time, as the client takes them: of a plain iterator the server would first make a list."""
    while (part := await sync_to_async(next)(parts, None)) is not None:
        yield part


@dataclass(frozen=True, slots=True)
class _Written:
    """How a file begins, goes on (of some rows, and whether they are the first) and ends."""

    head: str
    rows: Callable[[list[list[Any]], bool], str]
    tail: str = ""


def _csv(kind: _Kind, explained: bool) -> _Written:
    heads = [[column.name for column in kind.columns]]
    if explained:
        heads.append([guarded(column.meaning or column.name.replace("_", " ")) for column in kind.columns])
    return _Written(_MARK + _text(heads), lambda rows, first: _text([[_cell(value) for value in row] for row in rows]))


def _json(export: ExportRun, kind: _Kind) -> _Written:
    names = [column.name for column in kind.columns]
    about = {
        "what": export.what,
        "at": export.started_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        "columns": {column.name: column.meaning or column.name.replace("_", " ") for column in kind.columns},
    }

    def rows(page: list[list[Any]], first: bool) -> str:
        objects = (dict(zip(names, map(_plain_value, row), strict=True)) for row in page)
        return ("" if first else ",\n") + ",\n".join(json.dumps(one, ensure_ascii=False) for one in objects)

    return _Written(json.dumps(about, ensure_ascii=False)[:-1] + ', "rows": [\n', rows, "\n]}\n")


def _plain_value(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat(timespec="seconds")
        case _:
            return str(value)


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
        case int() | float():
            # A negative priority is a number, not a formula.
            return str(value)
        case _:
            return guarded(str(value))
