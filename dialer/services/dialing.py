"""Whom to call now: the decision of a campaign, and one call from it. Everything is checked again where it is
dialled."""

import datetime as dt
import json
import logging
import time
import uuid
from dataclasses import replace

import redis
from django.conf import settings
from django.db.models import Count, Q

from dialer import announce, eligibility, limits, orders, outbox, pacing, rules
from dialer.models import (
    Agent,
    Callback,
    CallLog,
    CallStatus,
    CampaignStatus,
    Contact,
    ContactStatus,
    DialerCampaign,
    PacingDecision,
)
from dialer.services import agents, calls, choosing, freeing
from dialer.services.acting import Act
from events import streams

log = logging.getLogger(__name__)

# What a closed gate of the campaign binds as, in the words of stored decisions.
GATE_REASONS = {
    "schedule": "calling_window",
    "lines": "trunks",
    "calls_per_second": "rate_limit",
    "spend": "spend_limit",
}


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
    if status == CampaignStatus.ACTIVE:
        # What another campaign's rules, or yesterday's, have set aside may be open under these.
        freeing.later([campaign.target_list_id])


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
    campaigns = DialerCampaign.objects.select_for_update(of=("self",)).select_related("profile")
    campaign = campaigns.filter(pk=campaign_pk).first()
    if campaign is None:
        return []
    able, decision = decide(act, campaign, link_ok=link_ok)
    row = _store(act, campaign, decision)
    placed = place_calls(act, campaign, able, decision.place, row.pk)
    if len(placed) != decision.place:
        # Contacts were locked by an import, or hold a number that another list has just dialled.
        row.placed = len(placed)
        row.summary = f"{decision.summary} ({len(placed)} found a free contact)"[:300]
        row.save(update_fields=["placed", "summary"])
    return placed


def decide(act: Act, campaign: DialerCampaign, *, link_ok: bool) -> tuple[list[int], pacing.Decision]:
    """The agents (keys, longest idle first) who could take a call now, and the decision how many are placed."""
    view = rules.campaign_view(campaign, act.now)
    gates = eligibility.campaign_gates(view, act.now)
    idle = list(agents.idle(campaign.pk).values_list("pk", flat=True))
    able = may_take(campaign, idle, act.now)
    lines = CallLog.objects.filter(campaign=campaign, ended_at=None).aggregate(
        ringing=Count("id", filter=Q(answered_at=None)), live=Count("id", filter=Q(answered_at__isnull=False))
    )
    chosen, room = choosing.Chosen(), eligibility.room(view)
    if able and not gates and link_ok:
        want = len(able) if room is None else min(len(able), room)
        chosen = choosing.choose(campaign, want, act.now, idle=tuple(able))
    decision = pacing.progressive(
        pacing.Inputs(
            assigned=campaign.assigned_agents.filter(is_active=True).count(),
            idle=len(idle),
            rate_limited=len(idle) - len(able),
            ringing=lines["ringing"],
            live=lines["live"],
            due=len(chosen.contacts),
            # The narrowest of all limits, as lines: pacing knows no other.
            max_lines=campaign.max_lines if room is None else lines["ringing"] + lines["live"] + room,
            closed_gate=gates[0].name if gates else "",
            closed=gates[0].reason if gates else "",
            link_ok=link_ok,
        )
    )
    if gates:
        decision = replace(decision, reason=GATE_REASONS.get(gates[0].name, decision.reason))
    if chosen.blocked:
        decision.inputs["blocked"] = dict(chosen.blocked)
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


def place_calls(
    act: Act, campaign: DialerCampaign, able: list[int], count: int, decision_pk: int | None = None
) -> list[CallLog]:
    """Reserve up to `count` of these agents (keys, longest idle first) and the next contacts, commit the attempts with
    their uuids, order the calls. Everything that forbids a call is asked again here, where it is dialled."""
    view = rules.campaign_view(campaign, act.now)
    if not able or eligibility.campaign_gates(view, act.now):
        return []
    room = eligibility.room(view)
    able, count = list(able), min(count, len(able)) if room is None else min(count, len(able), room)
    chosen = choosing.choose(campaign, count, act.now, idle=tuple(able))
    # Appointments with one agent first, so that nobody else's contact takes that agent; then the longest idle.
    pairs = []
    for contact, whose in sorted(chosen.contacts, key=lambda pair: pair[1] is None):
        pk = whose if whose is not None else next(iter(able), None)
        if pk in able:
            able.remove(pk)
            pairs.append((contact, pk))
    free = agents.idle(campaign.pk).filter(pk__in=[pk for _, pk in pairs]).select_for_update(of=("self",))
    locked = {agent.pk: agent for agent in free}
    placed = [_place(act, campaign, locked[pk], contact, decision_pk) for contact, pk in pairs if pk in locked]
    if placed:
        calls.count(placed[0], act, attempts=len(placed), spent=campaign.price_per_attempt * len(placed))
    return placed


def _place(act: Act, campaign: DialerCampaign, agent: Agent, contact: Contact, decision_pk: int | None) -> CallLog:
    leg = uuid.uuid4()
    contact.status = ContactStatus.DIALING
    contact.attempts += 1
    contact.blocked_by = ""
    contact.save(update_fields=["status", "attempts", "blocked_by", "updated_at"])
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
    Callback.objects.filter(contact=contact, campaign=campaign, status=Callback.Status.OPEN).update(
        status=Callback.Status.DIALLED, call=call
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
