"""The figures in the floor's rows of agents and campaigns, from rows that are kept with each outcome."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db.models import Min, Sum

from dialer import figures
from dialer.compiled import any_of, compiled
from dialer.models import AgentDay, CampaignDay, CampaignMinute, CampaignStatus, DialerCampaign

Row = dict[str, Any]
# The pace of a list is that of the last hour; of a younger campaign that of its time, which is at least this.
PACE_WINDOW = dt.timedelta(hours=1)
PACE_LEAST = dt.timedelta(minutes=5)
FORECAST_STEP = dt.timedelta(minutes=5)
FORECAST_LONGEST = dt.timedelta(days=366)


def agent_today(day: AgentDay | None) -> Row:
    """Whole seconds of the present UTC day, up to the beginning of the present state."""
    day = day or AgentDay()
    talk, hold, wrap_up, idle = (round(ms / 1000) for ms in (day.talk_ms, day.hold_ms, day.wrap_up_ms, day.idle_ms))
    return {
        "handled": day.handled,
        "contacts": day.contacts,
        "talk_seconds": talk,
        "hold_seconds": hold,
        "wrap_up_seconds": wrap_up,
        "idle_seconds": idle,
        "break_seconds": round(day.break_ms / 1000),
        "busy_seconds": round(day.busy_ms / 1000),
        "handle_time": figures.average_handle_time(talk, hold, wrap_up, day.handled).as_row(),
        "occupancy": figures.occupancy(talk, hold, wrap_up, idle).as_row(),
    }


def campaign_today(day: CampaignDay) -> Row:
    """The day's counts, and the figures made of them. A machine is neither a contact nor abandoned."""
    plain = ("attempts", "answered", "connected", "busy", "no_answer", "failed", "talk_seconds", "wait_ms")
    people = max(0, day.answered - day.machines)
    contacts = max(0, day.connected - day.machines_connected)
    abandoned = max(0, day.abandoned - day.machines_abandoned)
    return {
        "today": {name: getattr(day, name) for name in plain}
        | {"people": people, "contacts": contacts, "abandoned": abandoned, "waits": list(day.waits)},
        "answer_rate": figures.answer_rate(day.answered, day.attempts).as_row(),
        "contact_rate": figures.contact_rate(contacts, day.attempts).as_row(),
        "abandon_rate": figures.abandon_rate(abandoned, people).as_row(),
    }


_REACHED = compiled(
    lambda campaigns: (
        CampaignDay.objects.filter(any_of("campaign", campaigns))
        .order_by()
        .values_list("campaign")
        .annotate(Sum("reached"), Sum("tried"))
    )
)
_PACES = compiled(
    lambda lists, since: (
        CampaignMinute.objects.filter(any_of("campaign__target_list", lists), minute__gt=since, finished__gt=0)
        .order_by()
        .values_list("campaign__target_list")
        .annotate(Sum("finished"), Min("minute"))
    )
)


def reached(campaigns: Sequence[DialerCampaign]) -> dict[int, Row]:
    """The contact rate per contact of each campaign (key), since it began."""
    sums = _REACHED([campaign.pk for campaign in campaigns])
    return {pk: figures.contact_rate_per_contact(found, tried).as_row() for pk, found, tried in sums}


def paces(lists: set[int], now: dt.datetime) -> dict[int, float]:
    """Contacts per hour that each list (key) was done with in the last hour, or since its campaigns began within it."""
    found = _PACES(list(lists), now - PACE_WINDOW)
    return {pk: finished / (max(now - first, PACE_LEAST) / dt.timedelta(hours=1)) for pk, finished, first in found}


def forecast(campaign: DialerCampaign, per_hour: float | None, now: dt.datetime) -> Row | None:
    """When the list will be used up; in steps, so that a steady pace says the same all the time."""
    if not per_hour or campaign.target_list is None or campaign.status != CampaignStatus.ACTIVE:
        return None
    left = contacts_left(campaign)
    if not left:
        return None
    step = FORECAST_STEP.total_seconds()
    end = now.timestamp() + min(left / per_hour * 3600, FORECAST_LONGEST.total_seconds())
    return {"per_hour": float(f"{per_hour:.3g}"), "ends_at": int(-(-end // step) * step * 1000)}


def contacts_left(campaign: DialerCampaign) -> int:
    contacts = campaign.target_list
    return max(0, contacts.total_contacts - contacts.processed_contacts) if contacts else 0
