"""One agent's UTC day: the states they were in, and the calls they talked on. A fixed number of queries."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch, Q

from dialer.models import Agent, AgentState, CallLog

# Of one day. Nobody works so many states; a page must end somewhere.
STATES, CALLS = 2_000, 1_000
WRAP_UP = "wrap_up"


@dataclass(frozen=True, slots=True)
class Span:
    """A state from start to end, cut to the day; end None: it lasts. kind: a state, or wrap_up. by: who changed it."""

    kind: str
    reason: str
    start: dt.datetime
    end: dt.datetime | None
    call_id: UUID | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """start, end: of the day. more: there are states or calls beyond what is read."""

    start: dt.datetime
    end: dt.datetime
    spans: tuple[Span, ...]
    calls: tuple[CallLog, ...]
    more: bool


def read(agent: Agent, day: dt.date, now: dt.datetime) -> Day:
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    end = start + dt.timedelta(days=1)
    # No join with the calls: the planner might read all of them for it.
    named = Prefetch("call", CallLog.objects.only("call_id"))
    states = AgentState.objects.filter(agent=agent).prefetch_related(named)
    before = states.filter(timestamp__lt=start).order_by("-timestamp", "-id").first()
    rows = list(states.filter(timestamp__gte=start, timestamp__lt=end).order_by("timestamp", "id")[: STATES + 1])
    changes = [*([before] if before else []), *rows[:STATES]]
    spans = []
    for place, row in enumerate(changes):
        following = changes[place + 1].timestamp if place + 1 < len(changes) else None
        if following is None and end <= now:
            following = end
        if following is None or following > max(row.timestamp, start):
            spans.append(_span(row, max(row.timestamp, start), following))
    calls = _calls(agent, start, end, [row.call_id for row in changes if row.state == "on_call" and row.call_id])
    return Day(start, end, tuple(spans), tuple(calls[:CALLS]), len(rows) > STATES or len(calls) > CALLS)


def _span(row: AgentState, start: dt.datetime, end: dt.datetime | None) -> Span:
    wrap_up = row.state == "busy" and row.reason == WRAP_UP
    by = str(row.metadata.get("by") or "") if isinstance(row.metadata, dict) else ""
    reason = "" if wrap_up else row.reason
    return Span(WRAP_UP if wrap_up else row.state, reason, start, end, row.call.call_id if row.call else None, by)


def _calls(agent: Agent, start: dt.datetime, end: dt.datetime, talked: list[int]) -> list[CallLog]:
    """Those that are theirs, and those they talked on (`talked`) before somebody else did; the oldest first."""
    calls = CallLog.objects.filter(Q(agent=agent, initiated_at__gte=start, initiated_at__lt=end) | Q(pk__in=talked))
    related = ("agent__team", "campaign", "contact", "disposition", "side_legs")
    return list(calls.order_by("initiated_at", "id").defer("cdr_data").prefetch_related(*related)[: CALLS + 1])
