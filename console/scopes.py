"""Which part of the floor a socket sees. Pure.

A scope turns the floor's snapshots and frames into the same for its part: a row that leaves the part is `gone` there,
a row that enters it is sent, and `seq` stays the floor's, without gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from console.floor_state import Delta, FloorState
from console.protocol import Frame, Snapshot
from console.rows import AgentRow, AlertRow, CallRow, CampaignRow, Gone

RowT = TypeVar("RowT", AgentRow, CallRow, CampaignRow, AlertRow)


@dataclass(frozen=True, slots=True)
class Scope:
    """`agent`: only this agent and their calls, without figures. `campaigns`: only these; both empty: everything."""

    agent: str = ""
    campaigns: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        return not self.agent and not self.campaigns

    def sees_agent(self, row: AgentRow) -> bool:
        if self.agent:
            return row.id == self.agent
        return not self.campaigns or not self.campaigns.isdisjoint(row.campaigns)

    def sees_call(self, row: CallRow) -> bool:
        if self.agent:
            return row.agent_id == self.agent
        return not self.campaigns or row.campaign_id in self.campaigns

    def sees_campaign(self, row: CampaignRow) -> bool:
        if self.agent:
            return False
        return not self.campaigns or row.id in self.campaigns

    def sees_alert(self, row: AlertRow) -> bool:
        if self.agent:
            return False
        return not self.campaigns or row.campaign_id in self.campaigns

    def snapshot(self, state: FloorState) -> Snapshot:
        whole = state.snapshot()
        if self.everything:
            return whole
        return Snapshot(
            epoch=whole.epoch,
            seq=whole.seq,
            at=whole.at,
            agents=tuple(filter(self.sees_agent, whole.agents)),
            calls=tuple(filter(self.sees_call, whole.calls)),
            campaigns=tuple(filter(self.sees_campaign, whole.campaigns)),
            alerts=tuple(filter(self.sees_alert, whole.alerts)),
            kpis=None if self.agent else whole.kpis,
        )

    def frame(self, delta: Delta) -> Frame:
        frame = delta.frame
        if self.everything:
            return frame
        agents, agents_gone = _part(frame.agents, delta.agents, self.sees_agent)
        calls, calls_gone = _part(frame.calls, delta.calls, self.sees_call)
        campaigns, campaigns_gone = _part(frame.campaigns, delta.campaigns, self.sees_campaign)
        alerts, alerts_gone = _part(frame.alerts, delta.alerts, self.sees_alert)
        return Frame(
            epoch=frame.epoch,
            seq=frame.seq,
            at=frame.at,
            agents=agents,
            calls=calls,
            campaigns=campaigns,
            alerts=alerts,
            gone=Gone(agents=agents_gone, calls=calls_gone, campaigns=campaigns_gone, alerts=alerts_gone),
            kpis=None if self.agent else frame.kpis,
        )


FLOOR = Scope()


def _part(
    rows: tuple[RowT, ...], before: Mapping[str, RowT | None], sees: Callable[[RowT], bool]
) -> tuple[tuple[RowT, ...], tuple[str, ...]]:
    """Rows the part shows now, and ids of those it showed before and does not any more."""
    shown = tuple(row for row in rows if sees(row))
    kept = {row.id for row in shown}
    gone = tuple(key for key, old in before.items() if key not in kept and old is not None and sees(old))
    return shown, gone
