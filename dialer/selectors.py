"""Reads for boards, caches and reports. Each list costs a fixed number of queries, whatever its length."""

import datetime as dt
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q
from django.utils import timezone

from dialer.models import (
    Agent,
    CallLog,
    CampaignDay,
    CampaignStatus,
    Contact,
    ContactReservation,
    DialerCampaign,
    DialingMode,
    Disposition,
    PacingDecision,
)
from dialer.services import drops
from events.privacy import mask

Row = dict[str, Any]


def ms(moment: dt.datetime | None) -> int | None:
    """Milliseconds since the epoch."""
    return None if moment is None else int(moment.timestamp() * 1000)


def today() -> dt.date:
    return timezone.now().date()


def start_of_today() -> dt.datetime:
    return dt.datetime.combine(today(), dt.time(), dt.UTC)


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


def agent_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these agents, or for all active ones."""
    with_last = ("last_call__contact", "last_call__campaign", "last_call__disposition")
    agents = Agent.objects.prefetch_related("campaigns").select_related(*with_last).defer("last_call__cdr_data")
    agents = agents.filter(pk__in=list(pks)) if pks is not None else agents.filter(is_active=True)
    found = list(agents)
    keys = [agent.pk for agent in found]
    open_calls = dict(CallLog.objects.filter(agent__in=keys, ended_at=None).values_list("agent_id", "call_id"))
    calls = dict(
        CallLog.objects.filter(agent__in=keys, initiated_at__gte=start_of_today(), bridged_at__isnull=False)
        .values_list("agent_id")
        .annotate(n=Count("id"))
    )
    offers = ContactReservation.objects.filter(agent__in=keys, state=ContactReservation.State.OFFERED)
    before = {offer.agent_id: offer for offer in offers.select_related("campaign", "contact")}
    return [
        _agent_row(agent, open_calls.get(agent.pk), calls.get(agent.pk, 0), before.get(agent.pk)) for agent in found
    ]


def _agent_row(agent: Agent, call_id: Any, calls_today: int, offer: ContactReservation | None) -> Row:
    pending = {"status": agent.pending_status, "reason": agent.pending_reason} if agent.pending_status else None
    return {
        "id": agent.agent_id,
        "name": agent.name or agent.agent_id,
        "extension": agent.extension,
        "active": agent.is_active,
        "status": agent.status,
        "reason": agent.status_reason,
        "since": ms(agent.status_since or agent.created_at),
        "pending": pending,
        "softphone": agent.softphone,
        "campaigns": sorted(str(campaign.campaign_id) for campaign in agent.campaigns.all()),
        "call_id": str(call_id) if call_id else None,
        "preview": _offer_row(offer) if offer else None,
        "wrap_up_until": ms(agent.wrap_up_until),
        "over_at": ms(agent.over_at),
        "registered": agent.registered,
        "last_call": _last_call(agent.last_call) if agent.last_call else None,
        "calls_today": calls_today,
        "version": agent.version,
    }


def _offer_row(offer: ContactReservation) -> Row:
    return {
        "id": str(offer.reservation_id),
        "campaign_id": str(offer.campaign.campaign_id),
        "contact": offer.contact.name,
        "number": mask(offer.contact.number),
        "offered_at": ms(offer.offered_at),
        "expires_at": ms(offer.expires_at),
        "at_end": offer.campaign.preview_at_end,
    }


def _last_call(call: CallLog) -> Row:
    return {
        "id": str(call.call_id),
        "campaign_id": str(call.campaign.campaign_id) if call.campaign else None,
        "contact": call.contact.name if call.contact else "",
        "number": mask(call.to_number),
        "disposition": call.disposition.code if call.disposition else "",
        "label": call.disposition.label if call.disposition else "",
        "required": bool(call.campaign and call.campaign.disposition_required),
    }


def campaign_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these campaigns, or for all that are not cancelled."""
    campaigns = DialerCampaign.objects.select_related("target_list", "profile").annotate(
        agent_count=Count("assigned_agents", filter=Q(assigned_agents__is_active=True))
    )
    if pks is not None:
        campaigns = campaigns.filter(pk__in=list(pks))
    else:
        campaigns = campaigns.exclude(status=CampaignStatus.CANCELLED)
    found = list(campaigns)
    days = {day.campaign_id: day for day in CampaignDay.objects.filter(campaign__in=found, day=today())}
    newest = PacingDecision.objects.filter(campaign__in=found).order_by("campaign_id", "-id").distinct("campaign_id")
    decisions = {decision.campaign_id: decision for decision in newest}
    month = drops.month(found, timezone.now())
    return [
        _campaign_row(c, days.get(c.pk) or CampaignDay(), decisions.get(c.pk)) | {"drops": _drops(month.get(c.pk))}
        for c in found
    ]


def _drops(counts: drops.Counts | None) -> Row | None:
    """The abandoned calls that a campaign's cap is judged by; None where nobody has answered yet."""
    if counts is None or not counts.people:
        return None
    window = counts.window
    return {
        "abandoned": counts.abandoned,
        "answered": counts.people,
        "window": window.name,
        "cap": window.cap,
        "left": counts.budget.left,
    }


def _campaign_row(campaign: DialerCampaign, day: CampaignDay, decision: PacingDecision | None) -> Row:
    contacts = campaign.target_list
    return {
        "id": str(campaign.campaign_id),
        "name": campaign.name,
        "status": campaign.status,
        "mode": campaign.mode,
        "manual_dial": campaign.status == CampaignStatus.ACTIVE
        and (campaign.allow_manual_dial or campaign.mode == DialingMode.MANUAL),
        "agents": campaign.agent_count,  # type: ignore[attr-defined]  # annotated above
        "max_lines": campaign.max_lines,
        "contacts_total": contacts.total_contacts if contacts else 0,
        "contacts_left": max(0, contacts.total_contacts - contacts.processed_contacts) if contacts else 0,
        "today": {
            name: getattr(day, name)
            for name in (
                "attempts",
                "answered",
                "connected",
                "abandoned",
                "busy",
                "no_answer",
                "failed",
                "talk_seconds",
            )
        },
        "decision": decision_row(decision) if decision else None,
        "version": campaign.version,
    }


def decision_row(decision: PacingDecision) -> Row:
    return {
        "at": ms(decision.last_at),
        "placed": decision.placed,
        "reason": decision.binding_reason,
        "summary": decision.summary,
    }


def call_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these calls, ended or not, or for all open ones."""
    calls = CallLog.objects.select_related("agent", "campaign", "contact")
    calls = calls.filter(pk__in=list(pks)) if pks is not None else calls.filter(ended_at=None)
    return [_call_row(call) for call in calls.order_by("id")]


def open_call_rows() -> list[Row]:
    return call_rows()


def _call_row(call: CallLog) -> Row:
    return {
        "id": str(call.call_id),
        "campaign_id": str(call.campaign.campaign_id) if call.campaign else None,
        "agent_id": call.agent.agent_id if call.agent else None,
        "number": mask(call.to_number),
        "contact": call.contact.name if call.contact else "",
        "attempt": call.attempt_number,
        "direction": call.direction,
        "status": call.status,
        "started": ms(call.initiated_at),
        "answered_at": ms(call.answered_at),
        "bridged_at": ms(call.bridged_at),
        "ended_at": ms(call.ended_at),
        "cause": call.disconnect_reason,
        "recording": call.recording,
        "version": call.version,
    }


def decisions_page(
    campaign: int | None,
    *,
    only: str = "",
    until: dt.datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[list[PacingDecision], bool]:
    """One page of stored decisions, newest first, and whether there are older ones. Read by an index whatever is asked.

    campaign: its key, None for all. only: of a campaign's, "placed" for those that placed calls, or a binding reason.
    until: made no later. before: the key of the last decision of the page before.
    """
    found = PacingDecision.objects.select_related("campaign").order_by("-id")
    if campaign is not None:
        found = found.filter(campaign=campaign)
        if only == "placed":
            found = found.filter(placed__gt=0)
        elif only:
            found = found.filter(binding_reason=only)
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
    return list(CallLog.objects.select_related("agent").filter(contact=contact).order_by("-id")[:limit])


def agent_state(agent_id: str) -> Row | None:
    """The documented cache entry, read through from PostgreSQL: an expired key never changes the answer."""
    key = f"{settings.AGENT_STATE_CACHE_PREFIX}{agent_id}"
    try:
        if (cached := cache.get(key)) is not None:
            return cached  # type: ignore[no-any-return]
    except (redis.RedisError, ValueError):
        pass
    pk = Agent.objects.filter(agent_id=agent_id).values_list("pk", flat=True).first()
    if pk is None:
        return None
    row = agent_rows([pk])[0]
    try:
        cache.set(key, row, settings.AGENT_STATE_CACHE_TIMEOUT)
    except redis.RedisError:
        pass
    return row
