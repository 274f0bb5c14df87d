"""From announced changes to numbered frames. Pure: the publisher feeds it, clock and epoch are arguments.

`change()` and `replace()` note what was announced or read and mark it dirty; `frame()` turns what is dirty into the
next frame, holds it against what was last sent and applies it to `floor` with the same code that every reader uses.

A call on the board is the dialer's record joined with the switch's customer leg. Both are kept apart here, so
either may come first, repeat or be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from console import kpis
from console.floor_state import FloorState, agent_order, alert_order, apply_frame, call_order, campaign_order
from console.protocol import Frame
from console.rows import AgentRow, AlertRow, CallRow, CampaignRow, Gone, Health, LegState, Recording
from events.privacy import mask

Row = TypeVar("Row", bound=msgspec.Struct)
RowT = TypeVar("RowT", AgentRow, CallRow, CampaignRow, AlertRow)

KINDS = ("agent", "campaign", "call", "leg", "alert")
# Legs of the agents' own softphones and of listening supervisors are no calls; agent rows speak of them.
SHOWN_ROLES = frozenset({"customer", "other", ""})


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The dialer's row of a call (unknown fields are ignored)."""

    id: str
    campaign_id: str | None = None
    agent_id: str | None = None
    number: str = ""
    contact: str = ""
    attempt: int = 1
    direction: str = "outbound"
    status: str = ""
    started: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    ended_at: int | None = None
    cause: str = ""
    recording: Recording = "off"
    version: int = 0


class Leg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The ingest's state of a leg (unknown fields are ignored)."""

    leg: str
    role: str = "other"
    state: LegState = "initiated"
    since: int | None = None
    call_id: str | None = ""
    agent_id: str | None = ""
    campaign_id: str | None = ""
    number: str | None = ""
    peer: str | None = ""
    direction: str | None = ""
    created_at: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    ended_at: int | None = None
    cause: str | None = ""


class Unreadable(ValueError):
    """An announced row that is not what the contract says."""


class Projection:
    """All sources of the floor and the floor itself. One thread at a time."""

    def __init__(self) -> None:
        self.floor = FloorState()
        self.agents: dict[str, AgentRow] = {}
        self.campaigns: dict[str, CampaignRow] = {}
        self.alerts: dict[str, AlertRow] = {}
        self.records: dict[str, CallRecord] = {}
        self.legs: dict[str, Leg] = {}
        self._ended: dict[str, Leg] = {}
        self.health: dict[str, Health] = {}
        self.behind_ms: int | None = None
        # Every change is counted; a row touched after a reading began is newer than that reading.
        self.count = 0
        self._touched: dict[tuple[str, str], int] = {}
        self._dirty_agents: set[str] = set()
        self._dirty_calls: set[str] = set()
        self._dirty_campaigns: set[str] = set()
        self._dirty_alerts: set[str] = set()
        self._figures_dirty = True

    # --- what happened ---

    def change(self, kind: str, key: str, data: Mapping[str, Any] | None) -> bool:
        """Take one announcement; False when it is older than what is known. Raises Unreadable."""
        match kind:
            case "agent":
                row = None if data is None else _read(AgentRow, data)
                return self._set(kind, self.agents, key, row if row is None or row.active else None)
            case "campaign":
                return self._set(kind, self.campaigns, key, None if data is None else _read(CampaignRow, data))
            case "call":
                record = None if data is None else _read(CallRecord, data)
                return self._set(kind, self.records, key, record if record is None or record.ended_at is None else None)
            case "leg":
                leg = None if data is None else _read(Leg, data)
                if leg is not None and leg.state == "ended":
                    # Kept while the dialer still holds the call open: it has ended, it is not waiting for an agent.
                    self._ended[key] = leg
                    self._dirty_calls.add(key)
                    leg = None
                elif leg is not None:
                    self._ended.pop(key, None)
                return self._set(kind, self.legs, key, leg)
            case "alert":
                return self._set(kind, self.alerts, key, None if data is None else _read(AlertRow, data))
            case _:
                raise Unreadable(f"unknown kind {kind[:20]!r}")

    def replace(self, kind: str, rows: Iterable[tuple[str, Mapping[str, Any]]], as_of: int) -> list[str]:
        """Make `kind` what a full reading said. `as_of`: `count` when the reading began; rows touched since are newer.

        Returns what could not be read, in words.
        """
        complaints = []
        found = set()
        for key, data in rows:
            found.add(key)
            if self._touched.get((kind, key), -1) > as_of:
                continue
            try:
                self.change(kind, key, data)
            except Unreadable as error:
                complaints.append(f"{kind} {key}: {error}")
        held: dict[str, Mapping[str, Any]] = {
            "agent": self.agents,
            "campaign": self.campaigns,
            "call": self.records,
            "leg": self.legs,
            "alert": self.alerts,
        }
        for key in [key for key in held[kind] if key not in found and self._touched.get((kind, key), -1) <= as_of]:
            self.change(kind, key, None)
        return complaints

    def forget_touches(self, as_of: int) -> None:
        """Drop marks that no reading under way can need any more."""
        self._touched = {key: mark for key, mark in self._touched.items() if mark > as_of}

    def set_health(self, health: Mapping[str, Health], behind_ms: int | None) -> None:
        if health != self.health or behind_ms != self.behind_ms:
            self.health, self.behind_ms = dict(health), behind_ms
            self._figures_dirty = True

    def _set(self, kind: str, rows: dict[str, Any], key: str, row: Any) -> bool:
        old = rows.get(key)
        if row is not None and old is not None and getattr(row, "version", 0) < getattr(old, "version", 0):
            return False
        self.count += 1
        self._touched[(kind, key)] = self.count
        if row == old:
            return True
        if row is None:
            del rows[key]
        else:
            rows[key] = row
        self._figures_dirty = True
        match kind:
            case "agent":
                self._dirty_agents.add(key)
            case "campaign":
                self._dirty_campaigns.add(key)
            case "alert":
                self._dirty_alerts.add(key)
            case _:
                self._dirty_calls.add(key)
        return True

    # --- what it means ---

    def call_row(self, key: str) -> CallRow | None:
        """The call as the board shows it; None: not on the board."""
        record, leg = self.records.get(key), self.legs.get(key)
        if record is None:
            # A leg of a call that the dialer still holds open under another id is that call, not one more.
            if leg is None or leg.role not in SHOWN_ROLES or (leg.call_id or key) in self.records:
                return None
            return _leg_row(leg)
        return _merge(record, leg or self._ended.get(key))

    @property
    def dirty(self) -> bool:
        rows = self._dirty_agents or self._dirty_calls or self._dirty_campaigns or self._dirty_alerts
        return bool(rows or self._figures_dirty)

    def start_epoch(self, epoch: str, at: int) -> None:
        """Begin anew: `floor` becomes all that is known, as seq 0 of `epoch`."""
        calls = {key: row for key in {*self.records, *self.legs} if (row := self.call_row(key)) is not None}
        self.floor = FloorState(epoch, 0, at, dict(self.agents), calls, dict(self.campaigns), dict(self.alerts))
        self.floor.kpis = self._figures()
        self._clear()

    def frame(self, at: int) -> Frame:
        """The next frame, applied to `floor`. Empty when nothing that people see has changed."""
        floor = self.floor
        agents, agents_gone = _changed(self._dirty_agents, floor.agents, self.agents.get)
        calls, calls_gone = _changed(self._dirty_calls, floor.calls, self.call_row)
        campaigns, campaigns_gone = _changed(self._dirty_campaigns, floor.campaigns, self.campaigns.get)
        alerts, alerts_gone = _changed(self._dirty_alerts, floor.alerts, self.alerts.get)
        figures = None
        floor_changed = agents or calls or campaigns or agents_gone or calls_gone or campaigns_gone
        frame = Frame(
            epoch=floor.epoch,
            seq=floor.seq + 1,
            at=at,
            agents=tuple(sorted(agents, key=agent_order)),
            calls=tuple(sorted(calls, key=call_order)),
            campaigns=tuple(sorted(campaigns, key=campaign_order)),
            alerts=tuple(sorted(alerts, key=alert_order)),
            gone=Gone(agents=agents_gone, calls=calls_gone, campaigns=campaigns_gone, alerts=alerts_gone),
        )
        if self._figures_dirty or floor_changed:
            figures = self._figures(frame)
            if figures != floor.kpis:
                frame = msgspec.structs.replace(frame, kpis=figures)
        apply_frame(floor, frame)
        self._clear()
        self._ended = {key: leg for key, leg in self._ended.items() if key in self.records}
        return frame

    def _figures(self, coming: Frame | None = None) -> Any:
        calls = dict(self.floor.calls)
        if coming is not None:
            for key in coming.gone.calls:
                calls.pop(key, None)
            calls.update({row.id: row for row in coming.calls})
        return kpis.compute(self.agents.values(), calls.values(), self.campaigns.values(), self.health, self.behind_ms)

    def _clear(self) -> None:
        self._dirty_agents.clear()
        self._dirty_calls.clear()
        self._dirty_campaigns.clear()
        self._dirty_alerts.clear()
        self._figures_dirty = False


def _changed(dirty: set[str], sent: Mapping[str, RowT], now: Any) -> tuple[list[RowT], tuple[str, ...]]:
    rows, gone = [], []
    for key in dirty:
        row = now(key)
        if row is None:
            if key in sent:
                gone.append(key)
        elif row != sent.get(key):
            rows.append(row)
    return rows, tuple(sorted(gone))


def _merge(record: CallRecord, leg: Leg | None) -> CallRow:
    answered = record.answered_at or (leg.answered_at if leg else None)
    bridged = record.bridged_at or (leg.bridged_at if leg else None)
    if leg is not None:
        state, since = leg.state, leg.since
    elif bridged:
        state, since = "bridged", bridged
    elif answered:
        state, since = "answered", answered
    else:
        state, since = "initiated", record.started
    return CallRow(
        id=record.id,
        campaign_id=record.campaign_id,
        agent_id=record.agent_id,
        number=record.number,
        contact=record.contact,
        attempt=record.attempt,
        direction=record.direction,
        status=record.status,
        state=state,
        since=since,
        started=record.started,
        answered_at=answered,
        bridged_at=bridged,
        waiting_since=since if state == "answered" else None,
        peer=(leg.peer or "") if leg else "",
        cause=record.cause or ((leg.cause or "") if leg else ""),
        recording=record.recording,
        version=record.version,
    )


def _leg_row(leg: Leg) -> CallRow:
    return CallRow(
        id=leg.leg,
        source="leg",
        campaign_id=leg.campaign_id or None,
        agent_id=leg.agent_id or None,
        number=mask(leg.number) if leg.number else "",
        direction=leg.direction or "",
        status="",
        state=leg.state,
        since=leg.since,
        started=leg.created_at or leg.since,
        answered_at=leg.answered_at,
        bridged_at=leg.bridged_at,
        waiting_since=leg.since if leg.state == "answered" and leg.role == "customer" else None,
        peer=leg.peer or "",
        cause=leg.cause or "",
    )


def _read(kind: type[Row], data: Mapping[str, Any]) -> Row:
    """The row, from a mapping that may hold more fields than it knows: rooms may grow at different times."""
    known = {name: data[name] for name in kind.__struct_fields__ if name in data}
    try:
        return msgspec.convert(known, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
