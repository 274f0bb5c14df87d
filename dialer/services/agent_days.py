"""An agent's time and calls of each UTC day, added up as their states end."""

from __future__ import annotations

import datetime as dt

from dialer import agent_states as machine
from dialer.models import AgentDay
from dialer.services import closing

# A state that has lasted longer is of an agent forgotten, not of one at work: its last days are counted.
LONGEST = dt.timedelta(days=7)
_COLUMN = {
    machine.Status.AVAILABLE: "idle_ms",
    machine.Status.BREAK: "break_ms",
    machine.Status.BUSY: "busy_ms",
    machine.Status.ON_CALL: "talk_ms",
}


def state_ended(
    agent: int,
    state: machine.State,
    since: dt.datetime,
    until: dt.datetime,
    *,
    hold_ms: int = 0,
    handled: int = 0,
    contacts: int = 0,
) -> None:
    """Add a state's time to its days. hold_ms: of a conversation, the part on hold. handled, contacts: calls that ended
    with it. Time offline is nobody's."""
    column = "wrap_up_ms" if state.in_wrap_up else _COLUMN.get(state.status)
    rows = []
    begin = max(since, until - LONGEST)
    while column is not None and begin < until:
        day = begin.astimezone(dt.UTC).date()
        end = min(until, dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC))
        rows.append((day, {column: round((end - begin).total_seconds() * 1000)}))
        begin = end
    if handled and not rows:
        rows.append((until.astimezone(dt.UTC).date(), {}))
    if rows:
        # What ended is counted on the day it ended.
        day, amounts = rows[-1]
        held = min(hold_ms, amounts.get("talk_ms", 0))
        amounts |= {"handled": handled, "contacts": contacts, "hold_ms": held}
        if held:
            amounts["talk_ms"] -= held
    for day, amounts in rows:
        closing.add(AgentDay, amounts, agent_id=agent, day=day)
