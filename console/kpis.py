"""The floor's key figures: one definition each. Pure.

Answer rate: answered / attempts. Abandon rate: abandoned / answered, as VICIdial and the US rule count it
(answered, but no agent within 2 s). Both over the current UTC day, summed over campaigns; a zero denominator gives
null, not 0 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from console.rows import AgentCounts, AgentRow, CallCounts, CallRow, CampaignRow, Health, Kpis, Ratio, Today, Waiting

WINDOW = "today (UTC)"
WRAP_UP = "wrap_up"
_STATUS_FIELD = {"break": "on_break"}


def ratio(numerator: int, denominator: int, window: str = WINDOW) -> Ratio:
    """The figure with its parts; `value` is rounded to 1/10000."""
    value = round(numerator / denominator, 4) if denominator else None
    return Ratio(numerator=numerator, denominator=denominator, window=window, value=value)


def agent_kind(row: AgentRow) -> str:
    """What people call the agent's state: wrap_up apart from busy, otherwise the status."""
    return WRAP_UP if row.status == "busy" and row.reason == WRAP_UP else row.status


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
    return Kpis(
        agents=msgspec.structs.replace(AgentCounts(total=len(agents)), **states),
        calls=msgspec.structs.replace(CallCounts(total=len(calls)), **call_states),
        waiting=Waiting(count=len(waiting), oldest_since=min(waiting, default=None)),
        today=today,
        answer_rate=ratio(today.answered, today.attempts),
        abandon_rate=ratio(today.abandoned, today.answered),
        behind_ms=behind_ms,
        health=dict(health),
    )


def total_today(campaigns: Iterable[CampaignRow]) -> Today:
    total: Counter[str] = Counter()
    for row in campaigns:
        total.update({name: getattr(row.today, name) for name in Today.__struct_fields__})
    return Today(**total)
