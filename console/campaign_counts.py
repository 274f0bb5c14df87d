"""What the agents and lines of each campaign do now, counted from the floor's rows. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from console.kpis import WRAP_UP, agent_kind, is_idle
from console.rows import AgentRow, CallRow, CampaignAgents, Lines

# Counted again no more often than this, ms: people read counts, and a busy campaign's change with every event.
COUNTS_MS: Final = 1_000
# Wrap-ups that are over within this time, ms, count as nearly free.
NEARLY_FREE_MS: Final = 20_000

_LINES: Final = {"initiated": "dialling", "alerting": "ringing", "bridged": "live", "held": "live"}


class Counts(NamedTuple):
    agents: CampaignAgents
    lines: Lines


def count(campaigns: Iterable[str], agents: Iterable[AgentRow], calls: Iterable[CallRow], at: int) -> dict[str, Counts]:
    """By campaign. Agents of several campaigns count in each. at: ms."""
    people: dict[str, dict[str, int]] = {key: {} for key in campaigns}
    lines: dict[str, dict[str, int]] = {key: {} for key in people}
    for agent in agents:
        kinds = _kinds(agent, at)
        for key in agent.campaigns:
            if (counted := people.get(key)) is not None:
                for kind in kinds:
                    counted[kind] = counted.get(kind, 0) + 1
    for call in calls:
        stage = "waiting" if call.waiting_since is not None else _LINES.get(call.state)
        if stage is not None and (counted := lines.get(call.campaign_id or "")) is not None:
            counted[stage] = counted.get(stage, 0) + 1
    return {key: Counts(CampaignAgents(**people[key]), Lines(**lines[key])) for key in people}


def _kinds(agent: AgentRow, at: int) -> tuple[str, ...]:
    """The fields of CampaignAgents that count this agent."""
    match agent_kind(agent):
        case "available":
            if agent.call_id or agent.preview:
                return ("reserved",)
            return ("idle",) if is_idle(agent) else ("unready",)
        case "on_call":
            return ("talking",)
        case kind if kind == WRAP_UP:
            over = agent.wrap_up_until
            soon = over is not None and over - at <= NEARLY_FREE_MS and agent.pending is None
            return (WRAP_UP, "nearly_free") if soon else (WRAP_UP,)
        case "break":
            return ("on_break",)
        case kind:
            return (kind,)
