"""Who may be called now: every gate that blocks, with the time at which it next opens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Gate:
    """A closed gate. `opens_at`: None when only a person can open it."""

    name: str
    reason: str
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CampaignView:
    status: str
    has_list: bool
    scheduled_start: datetime | None
    scheduled_end: datetime | None


@dataclass(frozen=True, slots=True)
class ContactView:
    number: str
    status: str
    next_attempt_at: datetime
    number_is_on_a_call: bool = False


def campaign_gates(campaign: CampaignView, now: datetime) -> tuple[Gate, ...]:
    """Why this campaign may not dial at all; () when it may. The end of the schedule is exclusive."""
    gates = []
    if campaign.status != "active":
        gates.append(Gate("status", f"the campaign is {campaign.status}"))
    if not campaign.has_list:
        gates.append(Gate("list", "the campaign has no contact list"))
    if campaign.scheduled_start is not None and now < campaign.scheduled_start:
        gates.append(Gate("schedule", "the campaign has not started yet", campaign.scheduled_start))
    if campaign.scheduled_end is not None and now >= campaign.scheduled_end:
        gates.append(Gate("schedule", "the campaign is over"))
    return tuple(gates)


def number_is_allowed(number: str, prefixes: Sequence[str]) -> bool:
    """Whether the allow-list covers an E.164 number. An empty list allows nothing."""
    return any(number.startswith(prefix) for prefix in prefixes)


def contact_gates(contact: ContactView, allowed_prefixes: Sequence[str], now: datetime) -> tuple[Gate, ...]:
    """Why this contact may not be dialled now; () when it may."""
    gates = []
    if contact.status != "ready":
        gates.append(Gate("status", f"the contact is {contact.status}"))
    if now < contact.next_attempt_at:
        gates.append(Gate("retry_delay", "the next attempt is not due yet", contact.next_attempt_at))
    if not number_is_allowed(contact.number, allowed_prefixes):
        gates.append(Gate("prefix", "the number is outside DIAL_ALLOWED_PREFIXES"))
    if contact.number_is_on_a_call:
        gates.append(Gate("on_call", "this number is on a call already"))
    return tuple(gates)
