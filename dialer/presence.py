"""Whether an agent's panel is there: several tabs and web processes are one presence, and a lost one has a grace time.

Each web process writes the agents whose panels it holds into one sorted set, with the time at which the entry expires;
the sequential worker reads it. A process that is killed stops renewing, which is the same as closing. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# Of the entries in events.streams.PANELS.
RENEW_SECONDS = 5.0
EXPIRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Panel:
    """since: a panel has been open since the agent came to work (None: they work without one). lost_at: since when
    none is open any more."""

    since: datetime | None = None
    lost_at: datetime | None = None


def step(panel: Panel, *, present: bool, now: datetime) -> Panel:
    """The same panel when nothing has changed."""
    if present:
        if panel.since is None:
            return Panel(now)
        return panel if panel.lost_at is None else replace(panel, lost_at=None)
    if panel.since is None or panel.lost_at is not None:
        return panel
    return replace(panel, lost_at=now)


def is_lost(panel: Panel, *, now: datetime, grace: timedelta) -> bool:
    """Whether the grace time of a lost panel is used up; a grace of 0 means that panels do not count."""
    return bool(grace) and panel.lost_at is not None and now - panel.lost_at >= grace


def member(agent_id: str, process: str) -> str:
    """The entry's name."""
    return f"{agent_id} {process}"
