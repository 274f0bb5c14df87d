"""The floor's key figures, of whatever rows are given: the floor's, or a part's. Pure.

What each figure is, is defined in dialer/figures alone. All are of the current UTC day: calls summed over campaigns,
time summed over agents up to the beginning of each one's present state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import zip_longest

import msgspec

from console.rows import (
    AgentCounts,
    AgentRow,
    AgentToday,
    CallCounts,
    CallRow,
    CampaignRow,
    Health,
    Kpis,
    Ratio,
    Today,
    Waiting,
    WaitTimes,
)
from dialer import figures

WRAP_UP = "wrap_up"
_STATUS_FIELD = {"break": "on_break"}
_ADDED = tuple(name for name in Today.__struct_fields__ if name != "waits")
_SECONDS = ("talk_seconds", "hold_seconds", "wrap_up_seconds", "idle_seconds")
_AWAY = ("break_seconds", "busy_seconds")


def ratio(rate: figures.Rate) -> Ratio:
    """The figure as the protocol tells it."""
    return msgspec.convert(rate.as_row(), Ratio)


def agent_kind(row: AgentRow) -> str:
    """What people call the agent's state: wrap_up apart from busy, otherwise the status."""
    return WRAP_UP if row.status == "busy" and row.reason == WRAP_UP else row.status


def is_idle(row: AgentRow) -> bool:
    """Whether they can be given a call now, as far as their row tells: the dialer also asks for the campaign's skills
    and for the switch's node (dialer/services/agents.py)."""
    free = row.call_id is None and row.preview is None and row.pending is None
    return row.active and row.status == "available" and row.softphone == "open" and free


def compute(
    agents: Iterable[AgentRow],
    calls: Iterable[CallRow],
    campaigns: Iterable[CampaignRow],
    health: Mapping[str, Health],
    behind_ms: int | None,
) -> Kpis:
    agents, calls = list(agents), list(calls)
    states = Counter(_STATUS_FIELD.get(kind, kind) for kind in map(agent_kind, agents))
    call_states: Counter[str] = Counter(row.state for row in calls)
    waiting = [row.waiting_since for row in calls if row.waiting_since is not None]
    today = total_today(campaigns)
    days = [row.today for row in agents]
    talk, hold, wrap_up, idle = (_total(days, name) for name in _SECONDS)
    away, handled = sum(_total(days, name) for name in _AWAY), _total(days, "handled")
    return Kpis(
        agents=msgspec.structs.replace(AgentCounts(total=len(agents)), **states),
        calls=msgspec.structs.replace(CallCounts(total=len(calls)), **call_states),
        waiting=Waiting(count=len(waiting), oldest_since=min(waiting, default=None)),
        today=today,
        answer_rate=ratio(figures.answer_rate(today.answered, today.attempts)),
        abandon_rate=ratio(figures.abandon_rate(today.abandoned, today.people)),
        contact_rate=ratio(figures.contact_rate(today.contacts, today.attempts)),
        service_level=ratio(figures.service_level(figures.in_time(today.waits), today.abandoned)),
        speed_of_answer=ratio(figures.average_speed_of_answer(today.wait_ms, sum(today.waits))),
        wait=WaitTimes(
            calls=sum(today.waits),
            p50_ms=figures.percentile(today.waits, 0.5),
            p95_ms=figures.percentile(today.waits, 0.95),
            window=figures.TODAY,
        ),
        occupancy=ratio(figures.occupancy(talk, hold, wrap_up, idle)),
        utilisation=ratio(figures.utilisation(talk, hold, wrap_up, idle, away)),
        handle_time=ratio(figures.average_handle_time(talk, hold, wrap_up, handled)),
        calls_per_agent_hour=ratio(figures.calls_per_agent_hour(handled, talk + hold + wrap_up + idle + away)),
        behind_ms=behind_ms,
        health=dict(health),
    )


def _total(days: Iterable[AgentToday], name: str) -> int:
    return sum(getattr(day, name) for day in days)


def total_today(campaigns: Iterable[CampaignRow]) -> Today:
    rows = [row.today for row in campaigns]
    waits = tuple(sum(step) for step in zip_longest(*(row.waits for row in rows), fillvalue=0))
    return Today(**{name: sum(getattr(row, name) for row in rows) for name in _ADDED}, waits=waits)
