"""Occupancy by the minute, as the floor publisher sees it: sums of a few seconds, added to one row a minute for the
floor and one for each campaign."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection

from console.floor_state import FloorState
from console.kpis import WRAP_UP, agent_kind

# Few and small writes; what a publisher that dies takes with it.
WRITE_SECONDS: Final = 10.0
# Two looks further apart than this were not one after the other: what was between is not known.
GAP_SECONDS: Final = 5.0
_ADD = """
INSERT INTO console_occupancyminute AS kept (campaign, minute, busy_seconds, idle_seconds) VALUES {}
ON CONFLICT (minute, campaign) DO UPDATE
SET busy_seconds = kept.busy_seconds + EXCLUDED.busy_seconds, idle_seconds = kept.idle_seconds + EXCLUDED.idle_seconds
"""


class Occupancy:
    """Sums not yet written, by campaign ('': the floor) and minute (s since 1970)."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], list[float]] = {}
        self._last: int | None = None
        self._written = 0

    def look(self, floor: FloorState, now: int) -> None:
        """Count the time since the last look (ms) for what agents do now."""
        last, self._last = self._last, now
        if last is None or not 0 < now - last <= 1000 * GAP_SECONDS:
            return
        seconds, minute = (now - last) / 1000, now // 60_000 * 60
        for campaign in ("", *(row.id for row in floor.campaigns.values() if row.status == "active")):
            self._sums.setdefault((campaign, minute), [0.0, 0.0])
        for agent in floor.agents.values():
            kind = agent_kind(agent)
            busy = kind in ("on_call", WRAP_UP)
            if not busy and kind != "available":
                continue
            for campaign in ("", *agent.campaigns):
                if (sums := self._sums.get((campaign, minute))) is not None:
                    sums[0 if busy else 1] += seconds

    def write(self, now: int) -> None:
        """Add what is due to the table. Raises DatabaseError and keeps it for the next time."""
        if not self._sums or now - self._written < 1000 * WRITE_SECONDS:
            return
        values = [
            (campaign, dt.datetime.fromtimestamp(minute, dt.UTC), *sums)
            for (campaign, minute), sums in sorted(self._sums.items())
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                _ADD.format(", ".join(["(%s, %s, %s, %s)"] * len(values))), [one for row in values for one in row]
            )
        self._sums, self._written = {}, now
