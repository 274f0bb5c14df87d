"""From announced changes to numbered frames. Pure: the publisher feeds it, clock and epoch are arguments.

`change()` and `replace()` note what was announced or read and mark it dirty; `frame()` turns what is dirty into the
next frame, holds it against what was last sent and applies it to `floor` with the same code that every reader uses.

A call on the board is the dialer's record joined with the switch's customer leg and its agent's. They are kept apart
here, so either may come first, repeat or be missing. What a campaign's agents and lines do now is counted here too, and
an agent's round trip is added to what the dialer says of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from console import campaign_counts, kpis
from console.call_rows import SHOWN_ROLES, CallRecord, Leg, leg_row, merge
from console.campaign_counts import COUNTS_MS, Counts
from console.floor_state import FloorState, agent_order, alert_order, apply_frame, call_order, campaign_order
from console.protocol import Frame
from console.rows import AgentRow, AlertRow, CallRow, CampaignRow, Gone, Health, Kpis

Row = TypeVar("Row", bound=msgspec.Struct)
RowT = TypeVar("RowT", AgentRow, CallRow, CampaignRow, AlertRow)

KINDS = ("agent", "campaign", "call", "leg", "alert")


class Unreadable(ValueError):
    """An announced row that is not what the contract says."""


class Projection:
    """All sources of the floor and the floor itself. One thread at a time.

    `before`: of the epoch before this one. Legs that had ended then have not come to life again, whatever Redis has
    forgotten.
    """

    def __init__(self, before: Projection | None = None) -> None:
        self.floor = FloorState()
        self.agents: dict[str, AgentRow] = {}
        self.campaigns: dict[str, CampaignRow] = {}
        self.alerts: dict[str, AlertRow] = {}
        self.records: dict[str, CallRecord] = {}
        self.legs: dict[str, Leg] = {}
        self._ended: dict[str, Leg] = dict(before._ended) if before else {}
        # By agent: the softphone's held-open leg, and the calls that are theirs.
        self._agent_legs: dict[str, str] = {}
        self._calls_of: dict[str, set[str]] = {}
        self.round_trips: dict[str, int] = {}
        self._counts: dict[str, Counts] = {}
        self._counted_at: int | None = None
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

    def set_round_trips(self, measured: Mapping[str, int]) -> None:
        """What each agent's panel has measured, ms; who is not in it has no panel. A change that nobody would notice
        changes nothing."""
        for key in self.round_trips.keys() | measured.keys():
            old, new = self.round_trips.get(key), measured.get(key)
            if new is None:
                del self.round_trips[key]
            elif old is None or _noticeable(old, new):
                self.round_trips[key] = new
            else:
                continue
            self._dirty_agents.add(key)

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
        if kind == "call":
            self._index_call(key, old, row)
        elif kind == "leg":
            self._index_leg(key, old, row)
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

    def _index_call(self, key: str, old: CallRecord | None, row: CallRecord | None) -> None:
        if old is not None and old.agent_id:
            held = self._calls_of[old.agent_id]
            held.discard(key)
            if not held:
                del self._calls_of[old.agent_id]
        if row is not None and row.agent_id:
            self._calls_of.setdefault(row.agent_id, set()).add(key)

    def _index_leg(self, key: str, old: Leg | None, row: Leg | None) -> None:
        """An agent's leg has changed: so have their calls."""
        for leg in (old, row):
            if leg is None or leg.role != "agent" or not leg.agent_id:
                continue
            if row is not None:
                self._agent_legs[leg.agent_id] = key
            elif self._agent_legs.get(leg.agent_id) == key:
                del self._agent_legs[leg.agent_id]
            self._dirty_calls.update(self._calls_of.get(leg.agent_id, ()))

    # --- what it means ---

    def agent_row(self, key: str) -> AgentRow | None:
        """The agent as the board shows them; None: not on the board."""
        row = self.agents.get(key)
        trip = self.round_trips.get(key)
        if row is None or trip is None:
            return row
        return msgspec.structs.replace(row, round_trip_ms=trip)

    def campaign_row(self, key: str) -> CampaignRow | None:
        """The campaign with what its agents and lines did when they were counted last."""
        row, counts = self.campaigns.get(key), self._counts.get(key)
        if row is None or counts is None:
            return row
        return msgspec.structs.replace(row, agents_now=counts.agents, lines=counts.lines)

    def call_row(self, key: str) -> CallRow | None:
        """The call as the board shows it; None: not on the board."""
        record, leg = self.records.get(key), self.legs.get(key)
        if record is None:
            # A leg of a call that the dialer still holds open under another id is that call, not one more.
            if leg is None or leg.role not in SHOWN_ROLES or (leg.call_id or key) in self.records:
                return None
            return leg_row(leg)
        agent_leg = self.legs.get(self._agent_legs.get(record.agent_id or "", ""))
        return merge(record, leg or self._ended.get(key), agent_leg)

    @property
    def dirty(self) -> bool:
        rows = self._dirty_agents or self._dirty_calls or self._dirty_campaigns or self._dirty_alerts
        return bool(rows or self._figures_dirty)

    def start_epoch(self, epoch: str, at: int) -> None:
        """Begin anew: `floor` becomes all that is known, as seq 0 of `epoch`."""
        calls = {key: row for key in {*self.records, *self.legs} if (row := self.call_row(key)) is not None}
        self._count_again(calls, at)
        agents = {key: self.agent_row(key) or row for key, row in self.agents.items()}
        campaigns = {key: self.campaign_row(key) or row for key, row in self.campaigns.items()}
        self.floor = FloorState(epoch, 0, at, agents, calls, campaigns, dict(self.alerts))
        self.floor.kpis = self._figures(calls)
        self._clear()

    def frame(self, at: int) -> Frame:
        """The next frame, applied to `floor`. Empty when nothing that people see has changed."""
        floor = self.floor
        agents, agents_gone = _changed(self._dirty_agents, floor.agents, self.agent_row)
        calls, calls_gone = _changed(self._dirty_calls, floor.calls, self.call_row)
        calls_now = {**floor.calls, **{row.id: row for row in calls}}
        for key in calls_gone:
            del calls_now[key]
        self._count_again(calls_now, at)
        campaigns, campaigns_gone = _changed(self._dirty_campaigns, floor.campaigns, self.campaign_row)
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
            figures = self._figures(calls_now)
            if figures != floor.kpis:
                frame = msgspec.structs.replace(frame, kpis=figures)
        apply_frame(floor, frame)
        self._clear()
        self._ended = {key: leg for key, leg in self._ended.items() if key in self.records}
        return frame

    def _count_again(self, calls: Mapping[str, CallRow], at: int) -> None:
        """Count each campaign's agents and lines, at most once in COUNTS_MS: a busy campaign would otherwise be sent
        with every frame."""
        if self._counted_at is not None and 0 <= at - self._counted_at < COUNTS_MS:
            return
        self._counted_at = at
        counts = campaign_counts.count(self.campaigns, self.agents.values(), calls.values(), at)
        self._dirty_campaigns.update(key for key, now in counts.items() if now != self._counts.get(key))
        self._counts = counts

    def _figures(self, calls: Mapping[str, CallRow]) -> Kpis:
        return kpis.compute(self.agents.values(), calls.values(), self.campaigns.values(), self.health, self.behind_ms)

    def _clear(self) -> None:
        self._dirty_agents.clear()
        self._dirty_calls.clear()
        self._dirty_campaigns.clear()
        self._dirty_alerts.clear()
        self._figures_dirty = False


def _noticeable(old: int, new: int) -> bool:
    """Whether a round trip (ms) has changed by 20 % and by 10 ms."""
    return abs(new - old) >= max(10, 0.2 * old)


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


def _read(kind: type[Row], data: Mapping[str, Any]) -> Row:
    """The row, from a mapping that may hold more fields than it knows: rooms may grow at different times."""
    known = {name: data[name] for name in kind.__struct_fields__ if name in data}
    try:
        return msgspec.convert(known, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
