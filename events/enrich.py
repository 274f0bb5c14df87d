"""What an event means beyond its own row: which call it belongs to, and whether it is its detail record. Pure."""

from __future__ import annotations

import uuid
from typing import Any, Final, NamedTuple

from events import facts
from events.facts import Event, text

# Longest value kept in a call's detail record, characters; the raw event keeps all of it.
RECORD_VALUE: Final = 2_000


class Enriched(NamedTuple):
    """`call_id`: of the call the event belongs to. `final`: the event is that call's detail record, the customer's
    leg's last full one.

    `needed` is False for events that have nothing to enrich.
    """

    call_id: uuid.UUID | None
    final: bool
    needed: bool


def enrich(event: Event) -> Enriched:
    """Raises ValueError for an event that names a call which cannot be one."""
    named = text(event, f"variable_{facts.VARIABLE_CALL}")
    if not named:
        return Enriched(None, final=False, needed=False)
    try:
        call_id = uuid.UUID(named)
    except ValueError:
        raise ValueError(f"{facts.event_name(event)} names the call {named[:60]!r}, which is not a uuid") from None
    customers = text(event, f"variable_{facts.VARIABLE_ROLE}") == "customer"
    complete = text(event, "Event-Name") == "CHANNEL_HANGUP_COMPLETE"
    return Enriched(call_id, final=customers and complete, needed=True)


def detail_record(event: Event) -> dict[str, Any]:
    """The event without empty values and cut where a value is a novel."""
    return {
        name: value[:RECORD_VALUE] if isinstance(value, str) else value
        for name, value in event.items()
        if value and not name.startswith("_")
    }
