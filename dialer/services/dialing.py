"""Whom to call now: the decision of a campaign, and one call from it. Everything is checked again where it is
dialled."""

import datetime as dt
import json
import logging
import time
import uuid

import redis
from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from dialer import announce, eligibility, limits, orders, outbox, pacing
from dialer.models import (
    Agent,
    CallLog,
    CallStatus,
    CampaignStatus,
    Contact,
    ContactStatus,
    DialerCampaign,
    PacingDecision,
)
from dialer.services import agents, calls
from dialer.services.acting import Act
from events import streams

log = logging.getLogger(__name__)


def link_is_up() -> bool:
    """Whether the bridge said within LINK_STALE_SECONDS that it is connected to the switch."""
    try:
        raw = streams.shared().get(f"{streams.HEARTBEAT_PREFIX}bridge")
    except redis.RedisError:
        return False
    if not raw:
        return False
    try:
        beat = json.loads(raw)
        return beat.get("link") == "up" and time.time() - float(beat["at"]) < limits.LINK_STALE_SECONDS
    except (ValueError, KeyError, TypeError):
        return False


def campaign_view(campaign: DialerCampaign) -> eligibility.CampaignView:
    return eligibility.CampaignView(
        campaign.status, campaign.target_list_id is not None, campaign.scheduled_start, campaign.scheduled_end
    )


def follow_schedules(act: Act) -> None:
    """Scheduled campaigns start when their time comes; active ones whose time is over are completed."""
    due = Q(status=CampaignStatus.SCHEDULED) & (Q(scheduled_start=None) | Q(scheduled_start__lte=act.now))
    over = Q(status__in=[CampaignStatus.ACTIVE, CampaignStatus.SCHEDULED], scheduled_end__lte=act.now)
    for campaign in DialerCampaign.objects.select_for_update().filter(due | over):
        ended = campaign.scheduled_end is not None and campaign.scheduled_end <= act.now
        set_status(campaign, CampaignStatus.COMPLETED if ended else CampaignStatus.ACTIVE)


def set_status(campaign: DialerCampaign, status: CampaignStatus) -> None:
    campaign.status = status
    campaign.version += 1
    campaign.save(update_fields=["status", "version", "updated_at"])
    announce.changed("campaign", campaign.pk)


def due_contacts(campaign: DialerCampaign, now: dt.datetime) -> QuerySet[Contact]:
    """Contacts that may be dialled now, in order, read from the index contact_due; numbers on a call are left out."""
    allowed = Q(pk__in=[])
    for prefix in settings.DIAL_ALLOWED_PREFIXES:
        allowed |= Q(number__startswith=prefix)
    busy = CallLog.objects.filter(to_number=OuterRef("number"), ended_at=None)
    return Contact.objects.filter(
        allowed,
        ~Exists(busy),
        target_list=campaign.target_list_id,
        status=ContactStatus.READY,
        next_attempt_at__lte=now,
    ).order_by("-priority", "next_attempt_at", "id")


def may_take(campaign: DialerCampaign, candidates: list[int], now: dt.datetime) -> list[int]:
    """Those of the candidates (agents' keys) that are below the campaign's hourly limit."""
    if not candidates:
        return []
    counted = CallLog.objects.filter(agent__in=candidates, initiated_at__gt=now - limits.RATE_WINDOW)
    recent = dict(counted.values_list("agent").annotate(n=Count("id")))
    per_hour = campaign.calls_per_agent_per_hour
    return [agent for agent in candidates if limits.calls_left(recent.get(agent, 0), per_hour) > 0]


def dial(act: Act, campaign_pk: int, *, link_ok: bool) -> list[CallLog]:
    """Decide for one campaign how many calls to place, store why, and place them: one transaction, so that what is
    stored is what was done. Returns the attempts."""
    campaign = DialerCampaign.objects.select_for_update(of=("self",)).filter(pk=campaign_pk).first()
    if campaign is None:
        return []
    able, decision = decide(act, campaign, link_ok=link_ok)
    row = _store(act, campaign, decision)
    placed = place_calls(act, campaign, able[: decision.place], row.pk)
    if len(placed) != decision.place:
        # Contacts were locked by an import, or hold a number that another list has just dialled.
        row.placed = len(placed)
        row.summary = f"{decision.summary} ({len(placed)} found a free contact)"[:300]
        row.save(update_fields=["placed", "summary"])
    return placed


def decide(act: Act, campaign: DialerCampaign, *, link_ok: bool) -> tuple[list[int], pacing.Decision]:
    """The agents (keys, longest idle first) who could take a call now, and the decision how many are placed."""
    gates = eligibility.campaign_gates(campaign_view(campaign), act.now)
    idle = list(agents.idle(campaign.pk).values_list("pk", flat=True))
    able = may_take(campaign, idle, act.now)
    lines = CallLog.objects.filter(campaign=campaign, ended_at=None).aggregate(
        ringing=Count("id", filter=Q(answered_at=None)), live=Count("id", filter=Q(answered_at__isnull=False))
    )
    due = 0
    if able and not gates and link_ok:
        due = len(due_contacts(campaign, act.now).values_list("pk")[: len(able)])
    decision = pacing.progressive(
        pacing.Inputs(
            assigned=campaign.assigned_agents.filter(is_active=True).count(),
            idle=len(idle),
            rate_limited=len(idle) - len(able),
            ringing=lines["ringing"],
            live=lines["live"],
            due=due,
            max_lines=campaign.max_lines,
            closed_gate=gates[0].name if gates else "",
            closed=gates[0].reason if gates else "",
            link_ok=link_ok,
        )
    )
    return able, decision


def _store(act: Act, campaign: DialerCampaign, decision: pacing.Decision) -> PacingDecision:
    """A row per decision that places a call or changes the answer; the same 'none' again only counts up."""
    if not decision.place:
        newest = PacingDecision.objects.filter(campaign=campaign).order_by("-id").first()
        if newest is not None and not newest.placed and newest.summary == decision.summary:
            newest.repeats += 1
            newest.last_at = act.now
            newest.save(update_fields=["repeats", "last_at"])
            return newest
    announce.changed("campaign", campaign.pk)
    return PacingDecision.objects.create(
        campaign=campaign,
        decided_at=act.now,
        last_at=act.now,
        mode=decision.mode,
        placed=decision.place,
        binding_reason=decision.reason,
        summary=decision.summary,
        inputs=decision.inputs,
    )


def place_calls(act: Act, campaign: DialerCampaign, able: list[int], decision_pk: int | None = None) -> list[CallLog]:
    """Reserve these agents and the next due contacts, commit the attempts with their uuids, order the calls.

    Everything that forbids a call is asked again here, where it is dialled.
    """
    if not able or eligibility.campaign_gates(campaign_view(campaign), act.now):
        return []
    locked = agents.idle(campaign.pk).filter(pk__in=able).select_for_update(of=("self",))
    contacts = due_contacts(campaign, act.now).select_for_update(skip_locked=True, of=("self",))[: len(able)]
    placed, seen = [], set[str]()
    for agent, contact in zip(locked, contacts, strict=False):
        view = eligibility.ContactView(contact.number, contact.status, contact.next_attempt_at, contact.number in seen)
        if not eligibility.contact_gates(view, settings.DIAL_ALLOWED_PREFIXES, act.now):
            seen.add(contact.number)
            placed.append(_place(act, campaign, agent, contact, decision_pk))
    if placed:
        calls.count(placed[0], act, attempts=len(placed))
    return placed


def _place(act: Act, campaign: DialerCampaign, agent: Agent, contact: Contact, decision_pk: int | None) -> CallLog:
    leg = uuid.uuid4()
    contact.status = ContactStatus.DIALING
    contact.attempts += 1
    contact.save(update_fields=["status", "attempts", "updated_at"])
    call = CallLog.objects.create(
        call_id=leg,
        freeswitch_uuid=str(leg),
        from_extension=agent.extension,
        to_number=contact.number,
        agent=agent,
        campaign=campaign,
        contact=contact,
        status=CallStatus.INITIATED,
        initiated_at=act.now,
        attempt_number=contact.attempts,
        decision_id=decision_pk,
    )
    order = orders.OriginateCustomer(
        **outbox.header(),
        leg=str(leg),
        number=contact.number,
        call_id=str(call.call_id),
        campaign_id=str(campaign.campaign_id),
        agent_id=agent.agent_id,
        caller_id_number=campaign.caller_id_number or settings.CALLER_ID_NUMBER,
        caller_id_name=orders.caller_name(campaign.caller_id_name or settings.CALLER_ID_NAME),
        timeout=campaign.ring_timeout_seconds,
    )
    outbox.add(order, token=act.token, call_id=call.pk, agent_id=agent.pk)
    announce.changed("call", call.pk)
    announce.changed("agent", agent.pk)
    return call
