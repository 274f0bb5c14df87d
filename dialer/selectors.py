"""Reads for pages and reports; the rows of the floor are in floor_rows.py."""

import datetime as dt
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from dialer.models import CallLog, Contact, ContactReservation, Disposition, PacingDecision


def ms(moment: dt.datetime | None) -> int | None:
    """Milliseconds since the epoch."""
    return None if moment is None else int(moment.timestamp() * 1000)


def today() -> dt.date:
    return timezone.now().date()


def dispositions(campaign_pk: int | None) -> list[Disposition]:
    """The choices for a call of this campaign in their order: its own, and the general ones whose code and hot key it
    has not taken."""
    rows = Disposition.objects.filter(Q(campaign=None) | Q(campaign=campaign_pk)).order_by("position", "pk")
    own = [row for row in rows if row.campaign_id is not None]
    taken = {row.code for row in own}
    keys = {row.hot_key for row in own if row.is_active}
    chosen = []
    for row in rows:
        if row.campaign_id is None:
            if row.code in taken:
                continue
            row.hot_key = "" if row.hot_key in keys else row.hot_key
        if row.is_active:
            chosen.append(row)
    return chosen


def decisions_page(
    campaign: int | None,
    *,
    among: list[int] | None = None,
    only: str = "",
    until: dt.datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[list[PacingDecision], bool]:
    """One page of stored decisions, newest first, and whether there are older ones. Read by an index whatever is asked.

    campaign: its key, None for all, or for all of `among`.
    only: of a campaign's, "placed" for those that placed calls, or a binding reason.
    until: made no later. before: the key of the last decision of the page before.
    """
    found = PacingDecision.objects.select_related("campaign").order_by("-id")
    if campaign is not None:
        found = found.filter(campaign=campaign)
        if only == "placed":
            found = found.filter(placed__gt=0)
        elif only:
            found = found.filter(binding_reason=only)
    elif among is not None:
        found = found.filter(campaign__in=among)
    if until is not None:
        # Keys grow with time, so a time is a key, found by the index of times.
        newest = PacingDecision.objects.filter(decided_at__lte=until).order_by("-decided_at", "-pk").only("pk").first()
        found = found.filter(pk__lte=newest.pk) if newest else found.none()
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: limit + 1])
    return rows[:limit], len(rows) > limit


def offered(reservation_id: UUID, agent_id: str) -> ContactReservation | None:
    """The agent's own open offer with its contact and campaign; None when it is over, or another's."""
    rows = ContactReservation.objects.select_related("contact", "campaign", "agent")
    state = ContactReservation.State.OFFERED
    return rows.filter(reservation_id=reservation_id, agent__agent_id=agent_id, state=state).first()


def last_calls(contact: Contact, limit: int = 5) -> list[CallLog]:
    """The newest attempts at a contact."""
    rows = CallLog.objects.select_related("agent", "disposition").defer("cdr_data")
    return list(rows.filter(contact=contact).order_by("-id")[:limit])
