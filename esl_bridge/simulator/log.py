"""The simulator's own memory of every INVITE: what a fault test asks for the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import IO, Any

import orjson

from esl_bridge.simulator.legs import Leg


@dataclass(slots=True)
class Meeting:
    """One bridge of a leg. Times in seconds since 1970."""

    peer: str
    at: float
    until: float | None = None


@dataclass(slots=True)
class Record:
    """One INVITE from beginning to end. Times in seconds since 1970, None for not (yet)."""

    uuid: str
    number: str
    kind: str
    """`customer` or `agent`."""
    fate: str
    nth: int
    """The how-manieth INVITE to this number this is, from 1."""
    invited_at: float
    result: str | None = None
    """`+OK` or `-ERR CAUSE`, as the originate reported it."""
    answered_at: float | None = None
    bridges: list[Meeting] = field(default_factory=list)
    hangup_cause: str | None = None
    disposition: str | None = None
    ended_at: float | None = None


class LegLog:
    """Keeps the records and writes them as JSON lines: `invite`, then `ended` or `live`."""

    def __init__(self, path: str | None) -> None:
        self.records: dict[str, Record] = {}
        self._finished: list[Record] = []
        self._times: dict[str, int] = {}
        self._file: IO[bytes] | None = open(path, "ab", buffering=0) if path else None  # noqa: SIM115

    def nth(self, number: str) -> int:
        """Count an INVITE to a number; returns which one it is, from 1."""
        self._times[number] = self._times.get(number, 0) + 1
        return self._times[number]

    def invite(self, leg: Leg, nth: int, now: float) -> None:
        """An INVITE left the switch."""
        record = Record(
            uuid=leg.uuid,
            number=leg.number,
            kind="agent" if leg.is_agent else "customer",
            fate=leg.fate.name if leg.fate else "",
            nth=nth,
            invited_at=now,
        )
        self.records[leg.uuid] = record
        self._write("invite", record)

    def result(self, leg: Leg, result: str) -> None:
        """The originate that made the leg was answered."""
        if (record := self.records.get(leg.uuid)) is not None:
            record.result = result

    def answered(self, leg: Leg, now: float) -> None:
        """The far end picked up."""
        if (record := self.records.get(leg.uuid)) is not None:
            record.answered_at = now

    def bridged(self, leg: Leg, peer: Leg, now: float) -> None:
        """Two legs hear each other; call once for each."""
        if (record := self.records.get(leg.uuid)) is not None:
            record.bridges.append(Meeting(peer.uuid, now))

    def unbridged(self, leg: Leg, now: float) -> None:
        """A leg's bridge is over."""
        record = self.records.get(leg.uuid)
        if record is not None and record.bridges and record.bridges[-1].until is None:
            record.bridges[-1].until = now

    def ended(self, leg: Leg, now: float) -> None:
        """A leg is gone."""
        record = self.records.pop(leg.uuid, None)
        if record is None:
            return
        if record.bridges and record.bridges[-1].until is None:
            record.bridges[-1].until = now
        record.hangup_cause = leg.hangup_cause or None
        record.disposition = leg.disposition or None
        record.ended_at = now
        self._finished.append(record)
        self._write("ended", record)

    def as_list(self) -> list[dict[str, Any]]:
        """Every leg so far, oldest first, live ones with `ended_at` null."""
        records = sorted([*self._finished, *self.records.values()], key=lambda r: r.invited_at)
        return [asdict(record) for record in records]

    def live(self) -> list[dict[str, Any]]:
        """The legs of now."""
        return [asdict(record) for record in self.records.values()]

    def close(self) -> None:
        """Write what is still live and close the file."""
        for record in self.records.values():
            self._write("live", record)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, event: str, record: Record) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps({"event": event, **asdict(record)}) + b"\n")
