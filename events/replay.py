"""The stored log read again, in the order of the journal: what did the legs do then; and back on the journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
from django.db.models import QuerySet

from events import call_state, facts
from events.call_state import LegState, Transition
from events.models import FreeSwitchEvent

CHUNK = 500


def chosen(
    channel: str = "", since: datetime | None = None, until: datetime | None = None, batch: str = ""
) -> QuerySet[FreeSwitchEvent]:
    """The events of a leg, of a time (received from `since` on, before `until`) and of a batch, oldest first."""
    events = FreeSwitchEvent.objects.all()
    if channel:
        events = events.filter(channel_uuid=channel)
    if since is not None:
        events = events.filter(timestamp__gte=since)
    if until is not None:
        events = events.filter(timestamp__lt=until)
    if batch:
        events = events.filter(batches__batch_id=batch)
    # Batches are stored in parallel, so ids alone do not follow the journal; within a millisecond they nearly do.
    return events.order_by("timestamp", "id")


def payloads(events: QuerySet[FreeSwitchEvent]) -> Iterator[dict[str, Any]]:
    yield from events.values_list("event_data", flat=True).iterator(chunk_size=CHUNK)


def transitions(events: Iterator[dict[str, Any]]) -> Iterator[Transition | facts.Malformed]:
    """Fold them from nothing; a malformed event is handed out in its place."""
    legs: dict[str, LegState] = {}
    for event in events:
        try:
            told = facts.facts_of(event)
        except facts.Malformed as error:
            yield error
            continue
        for fact in told:
            after, transition = call_state.fold(legs.get(fact.leg), fact)
            if after is not None:
                legs[fact.leg] = after
            if transition is not None:
                yield transition


def chunks(events: Iterator[dict[str, Any]]) -> Iterator[list[bytes]]:
    """As the journal takes them, some at a time."""
    part: list[bytes] = []
    for event in events:
        part.append(orjson.dumps(event))
        if len(part) == CHUNK:
            yield part
            part = []
    if part:
        yield part
