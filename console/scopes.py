"""Which part of the floor a socket sees. Pure.

A scope turns the floor's snapshots and frames into the same for its part: a row that leaves the part is `gone` there,
a row that enters it is sent, and `seq` stays the floor's, without gaps. Its epoch carries the scope's mark, so that
nobody can resume in one part what they have seen of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from console import kpis
from console.floor_state import Delta, FloorState
from console.protocol import Frame, Kind, Snapshot
from console.roles import Actor, Permission, Reach
from console.rows import AgentRow, AlertRow, CallRow, CampaignRow, Gone, Kpis

RowT = TypeVar("RowT", AgentRow, CallRow, CampaignRow, AlertRow)


@dataclass(frozen=True, slots=True)
class Part:
    """What a team supervisor supervises: codes of teams, ids of campaigns."""

    teams: frozenset[str] = frozenset()
    campaigns: frozenset[str] = frozenset()


def part_of(who: Actor) -> Part | None:
    """The widest that this user may see; None: the whole floor."""
    if who.reach(Permission.SEE_FLOOR) is Reach.ALL:
        return None
    return Part(who.teams, who.campaigns)


@dataclass(frozen=True, slots=True)
class Scope:
    """`agent`: only this agent and their calls, without figures. `part`: what the user may see, None for everything.
    `campaigns`, `teams`, `kinds`: what they have subscribed to of that; empty leaves it out of account.
    """

    agent: str = ""
    campaigns: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    part: Part | None = None

    @property
    def everything(self) -> bool:
        return self is FLOOR or self == FLOOR

    def within(self, part: Part | None) -> Scope:
        """The same subscription in what the user may see now."""
        return replace(self, part=part)

    def epoch(self, epoch: str) -> str:
        """The floor's epoch as this part is told it."""
        return epoch if self.everything else f"{epoch}/{_mark(self)}"

    def sees_agent(self, row: AgentRow) -> bool:
        return self._wants("agents") and self._of_agent(row)

    def sees_call(self, row: CallRow) -> bool:
        return self._wants("calls") and self._of_call(row)

    def sees_campaign(self, row: CampaignRow) -> bool:
        return self._wants("campaigns") and self._of_campaign(row)

    def sees_alert(self, row: AlertRow) -> bool:
        if self.agent or not self._wants("alerts"):
            return False
        if self.part and not (row.team in self.part.teams or row.campaign_id in self.part.campaigns):
            return False
        return self._chosen(row.campaign_id, row.team)

    def snapshot(self, state: FloorState) -> Snapshot:
        whole = state.snapshot()
        if self.everything:
            return whole
        return Snapshot(
            epoch=self.epoch(whole.epoch),
            seq=whole.seq,
            at=whole.at,
            agents=tuple(filter(self.sees_agent, whole.agents)),
            calls=tuple(filter(self.sees_call, whole.calls)),
            campaigns=tuple(filter(self.sees_campaign, whole.campaigns)),
            alerts=tuple(filter(self.sees_alert, whole.alerts)),
            kpis=self.kpis(state),
        )

    def kpis(self, state: FloorState) -> Kpis | None:
        """The part's figures; None where it has none. The day's counts are those of its campaigns."""
        if self.agent or not self._wants("kpis") or state.kpis is None:
            return None
        if self.part is None and not self.campaigns and not self.teams:
            return state.kpis
        return kpis.compute(
            filter(self._of_agent, state.agents.values()),
            filter(self._of_call, state.calls.values()),
            filter(self._of_campaign, state.campaigns.values()),
            state.kpis.health,
            state.kpis.behind_ms,
        )

    def frame(self, delta: Delta, figures: Callable[[], Kpis | None]) -> Frame:
        """`figures`: the part's at the latest state that is known, which may be later than the frame. Whoever has
        caught up has then the latest; frames that change nothing of the part leave them out."""
        frame = delta.frame
        if self.everything:
            return frame
        agents, agents_gone = _part(frame.agents, delta.agents, self.sees_agent)
        calls, calls_gone = _part(frame.calls, delta.calls, self.sees_call)
        campaigns, campaigns_gone = _part(frame.campaigns, delta.campaigns, self.sees_campaign)
        alerts, alerts_gone = _part(frame.alerts, delta.alerts, self.sees_alert)
        return Frame(
            epoch=self.epoch(frame.epoch),
            seq=frame.seq,
            at=frame.at,
            agents=agents,
            calls=calls,
            campaigns=campaigns,
            alerts=alerts,
            gone=Gone(agents=agents_gone, calls=calls_gone, campaigns=campaigns_gone, alerts=alerts_gone),
            kpis=figures() if self._figures_may_differ(delta) else None,
        )

    def _wants(self, kind: Kind) -> bool:
        return not self.kinds or kind in self.kinds

    def _of_agent(self, row: AgentRow) -> bool:
        if self.agent:
            return row.id == self.agent
        if self.part and row.team not in self.part.teams:
            return False
        if self.teams and row.team not in self.teams:
            return False
        return not self.campaigns or not self.campaigns.isdisjoint(row.campaigns)

    def _of_call(self, row: CallRow) -> bool:
        if self.agent:
            return row.agent_id == self.agent
        if self.part and not (row.team in self.part.teams or row.campaign_id in self.part.campaigns):
            return False
        return self._chosen(row.campaign_id, row.team)

    def _of_campaign(self, row: CampaignRow) -> bool:
        """A campaign is of no team: a choice of teams does not leave it out."""
        if self.agent or (self.part and row.id not in self.part.campaigns):
            return False
        return not self.campaigns or row.id in self.campaigns

    def _chosen(self, campaign_id: str | None, team: str) -> bool:
        return (not self.campaigns or campaign_id in self.campaigns) and (not self.teams or team in self.teams)

    def _figures_may_differ(self, delta: Delta) -> bool:
        if self.agent or not self._wants("kpis"):
            return False
        frame = delta.frame
        return (
            frame.kpis is not None
            or _touches(frame.agents, delta.agents, self._of_agent)
            or _touches(frame.calls, delta.calls, self._of_call)
            or _touches(frame.campaigns, delta.campaigns, self._of_campaign)
        )


FLOOR = Scope()


@lru_cache(maxsize=1_000)
def one_of(scope: Scope) -> Scope:
    """An equal scope, the same object for all who see the same: what is looked up by it for every socket and frame is
    then found at once."""
    return FLOOR if scope == FLOOR else _one_of(scope)


@lru_cache(maxsize=1_000)
def _one_of(scope: Scope) -> Scope:
    return scope


@lru_cache(maxsize=1_000)
def _mark(scope: Scope) -> str:
    """The same in every process for the same scope, and for no other."""
    part = scope.part and (sorted(scope.part.teams), sorted(scope.part.campaigns))
    parts = (scope.agent, sorted(scope.campaigns), sorted(scope.teams), sorted(scope.kinds), part)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _part(
    rows: tuple[RowT, ...], before: Mapping[str, RowT | None], sees: Callable[[RowT], bool]
) -> tuple[tuple[RowT, ...], tuple[str, ...]]:
    """Rows the part shows now, and ids of those it showed before and does not any more."""
    shown = tuple(row for row in rows if sees(row))
    kept = {row.id for row in shown}
    gone = tuple(key for key, old in before.items() if key not in kept and old is not None and sees(old))
    return shown, gone


def _touches(rows: tuple[RowT, ...], before: Mapping[str, RowT | None], sees: Callable[[RowT], bool]) -> bool:
    return any(map(sees, rows)) or any(old is not None and sees(old) for old in before.values())
