"""The floor as everyone holds it: rows by id at one `seq` of one `epoch`. Pure.

The publisher, every web process and the tests change it through `apply_frame` alone, so a snapshot followed by its
frames is what a fresh snapshot would be, by construction and not by care.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.protocol import Frame, Snapshot
from console.rows import AgentRow, AlertRow, CallRow, CampaignRow, Kpis


class OutOfSequence(ValueError):
    """The frame does not follow: of another epoch, or a gap before it."""


@dataclass(slots=True)
class FloorState:
    """Rows by id. `at`: ms, of the last frame applied."""

    epoch: str = ""
    seq: int = 0
    at: int = 0
    agents: dict[str, AgentRow] = field(default_factory=dict)
    calls: dict[str, CallRow] = field(default_factory=dict)
    campaigns: dict[str, CampaignRow] = field(default_factory=dict)
    alerts: dict[str, AlertRow] = field(default_factory=dict)
    kpis: Kpis | None = None

    @classmethod
    def of(cls, snapshot: Snapshot) -> FloorState:
        return cls(
            epoch=snapshot.epoch,
            seq=snapshot.seq,
            at=snapshot.at,
            agents={row.id: row for row in snapshot.agents},
            calls={row.id: row for row in snapshot.calls},
            campaigns={row.id: row for row in snapshot.campaigns},
            alerts={row.id: row for row in snapshot.alerts},
            kpis=snapshot.kpis,
        )

    def snapshot(self) -> Snapshot:
        """The whole state in the order people see it: agents by name, calls oldest first."""
        return Snapshot(
            epoch=self.epoch,
            seq=self.seq,
            at=self.at,
            agents=tuple(sorted(self.agents.values(), key=agent_order)),
            calls=tuple(sorted(self.calls.values(), key=call_order)),
            campaigns=tuple(sorted(self.campaigns.values(), key=campaign_order)),
            alerts=tuple(sorted(self.alerts.values(), key=alert_order)),
            kpis=self.kpis,
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """A frame and the rows it replaced (None: there was none), so that a filtered view knows who has left it."""

    frame: Frame
    agents: Mapping[str, AgentRow | None]
    calls: Mapping[str, CallRow | None]
    campaigns: Mapping[str, CampaignRow | None]
    alerts: Mapping[str, AlertRow | None]
    kpis: Kpis | None


def apply_frame(state: FloorState, frame: Frame) -> Delta:
    """Change `state` in place to what it is after `frame`. Raises OutOfSequence and changes nothing if it does not
    follow."""
    if frame.epoch != state.epoch or frame.seq != state.seq + 1:
        raise OutOfSequence(f"{frame.epoch}/{frame.seq} after {state.epoch}/{state.seq}")
    agents: dict[str, AgentRow | None] = {}
    calls: dict[str, CallRow | None] = {}
    campaigns: dict[str, CampaignRow | None] = {}
    alerts: dict[str, AlertRow | None] = {}
    for agent in frame.agents:
        agents[agent.id] = state.agents.get(agent.id)
        state.agents[agent.id] = agent
    for call in frame.calls:
        calls[call.id] = state.calls.get(call.id)
        state.calls[call.id] = call
    for campaign in frame.campaigns:
        campaigns[campaign.id] = state.campaigns.get(campaign.id)
        state.campaigns[campaign.id] = campaign
    for alert in frame.alerts:
        alerts[alert.id] = state.alerts.get(alert.id)
        state.alerts[alert.id] = alert
    for key in frame.gone.agents:
        agents[key] = state.agents.pop(key, None)
    for key in frame.gone.calls:
        calls[key] = state.calls.pop(key, None)
    for key in frame.gone.campaigns:
        campaigns[key] = state.campaigns.pop(key, None)
    for key in frame.gone.alerts:
        alerts[key] = state.alerts.pop(key, None)
    figures = state.kpis
    if frame.kpis is not None:
        state.kpis = frame.kpis
    state.seq, state.at = frame.seq, frame.at
    return Delta(frame, agents, calls, campaigns, alerts, figures)


def agent_order(row: AgentRow) -> tuple[str, str]:
    return (row.extension.rjust(12, "0"), row.id)


def call_order(row: CallRow) -> tuple[int, str]:
    return (row.started or 0, row.id)


def campaign_order(row: CampaignRow) -> tuple[bool, str, str]:
    """Those that can dial first, then by name."""
    return (row.status not in ("active", "paused", "scheduled"), row.name, row.id)


def alert_order(row: AlertRow) -> tuple[bool, int, str]:
    """The worst first, then the oldest."""
    return (row.level != "critical", row.raised_at, row.id)


def epoch_order(epoch: str) -> tuple[int, int]:
    """Epochs are `{fencing token}.{count}` and only grow; one that cannot be read is older than all."""
    token, _, count = epoch.partition(".")
    try:
        return (int(token), int(count or 0))
    except ValueError:
        return (-1, 0)
