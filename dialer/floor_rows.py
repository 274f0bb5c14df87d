"""The floor's rows of agents, campaigns and calls. Each list costs a fixed number of queries, whatever its length."""

from collections.abc import Iterable
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from dialer import census, row_figures
from dialer.compiled import any_of, compiled
from dialer.models import (
    Agent,
    AgentDay,
    AgentMessage,
    Assignment,
    CallLog,
    CampaignDay,
    CampaignStatus,
    ContactReservation,
    DialerCampaign,
    DialingMode,
    Order,
    PacingDecision,
    SideLeg,
)
from dialer.selectors import ms, today
from dialer.services import drops
from events.privacy import mask

Row = dict[str, Any]
# An agent's: its id, its campaign's, and whether they are joined.
OpenCall = tuple[str, str | None, bool]


def _agents() -> QuerySet[Agent]:
    with_last = ("team", "last_call__contact", "last_call__campaign", "last_call__disposition")
    return Agent.objects.select_related(*with_last).defer("last_call__cdr_data")


_AGENTS = compiled(lambda pks: _agents().filter(any_of("pk", pks)))
_ACTIVE_AGENTS = compiled(lambda: _agents().filter(is_active=True))
_OPEN_CALLS = compiled(
    lambda agents: CallLog.objects.filter(any_of("agent", agents), ended_at=None).values_list(
        "agent_id", "call_id", "campaign__campaign_id", "bridged_at"
    )
)
_PLACES = compiled(
    lambda agents: Assignment.objects.filter(any_of("agent", agents)).values_list("agent_id", "campaign__campaign_id")
)
_AGENT_DAYS = compiled(lambda agents, day: AgentDay.objects.filter(any_of("agent", agents), day=day))
_OFFERS = compiled(
    lambda agents: ContactReservation.objects.filter(
        any_of("agent", agents), state=ContactReservation.State.OFFERED
    ).select_related("campaign", "contact")
)
_LISTENERS = compiled(
    lambda agents: SideLeg.objects.filter(
        any_of("agent", agents), ended_at=None, purpose=SideLeg.Purpose.LISTEN
    ).order_by("id")
)
_UNREAD = compiled(
    lambda agents: (
        AgentMessage.objects.filter(any_of("agent", agents), read_at=None)
        .order_by("agent_id", "id")
        .distinct("agent_id")
    )
)


def agent_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these agents, or for all active ones."""
    found = _ACTIVE_AGENTS() if pks is None else _AGENTS(list(pks))
    keys = [agent.pk for agent in found]
    open_calls = {
        agent: (str(call_id), str(campaign) if campaign else None, bridged_at is not None)
        for agent, call_id, campaign, bridged_at in _OPEN_CALLS(keys)
    }
    days = {day.agent_id: day for day in _AGENT_DAYS(keys, today())}
    before = {offer.agent_id: offer for offer in _OFFERS(keys)}
    heard_by: dict[int, list[SideLeg]] = {}
    for side in _LISTENERS(keys):
        heard_by.setdefault(side.agent_id or 0, []).append(side)
    campaigns: dict[int, list[str]] = {}
    for agent, campaign in _PLACES(keys):
        campaigns.setdefault(agent, []).append(str(campaign))
    notes = _notes(keys)
    return [
        _agent_row(agent, open_calls.get(agent.pk), before.get(agent.pk))
        | {
            "campaigns": sorted(campaigns.get(agent.pk, ())),
            "calls_today": _calls_today(days.get(agent.pk), open_calls.get(agent.pk)),
            "today": row_figures.agent_today(days.get(agent.pk)),
            "listeners": listeners(heard_by.get(agent.pk, ())),
            "note": notes.get(agent.pk),
        }
        for agent in found
    ]


def listeners(sides: Iterable[SideLeg]) -> list[Row]:
    """Those of a call's open side legs that listen, as the switch has confirmed."""
    return [
        {"user": side.actor, "mode": side.mode, "since": ms(side.joined_at)}
        for side in sides
        if side.purpose == SideLeg.Purpose.LISTEN and side.joined_at is not None
    ]


def _notes(agents: list[int]) -> dict[int, Row]:
    """For each agent the oldest message they have not read."""
    return {
        note.agent_id: {"id": str(note.message_id), "sender": note.sender, "text": note.text, "at": ms(note.at)}
        for note in _UNREAD(agents)
    }


def _calls_today(day: AgentDay | None, call: OpenCall | None) -> int:
    """By the agent's day and not by whose the records are now: a call that goes on elsewhere stays counted."""
    return (day.handled if day else 0) + (call is not None and call[2])


def _agent_row(agent: Agent, call: OpenCall | None, offer: ContactReservation | None) -> Row:
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
        "call_id": call[0] if call else None,
        "preview": _offer_row(offer) if offer else None,
        "wrap_up_until": ms(agent.wrap_up_until),
        "over_at": ms(agent.over_at),
        "registered": agent.registered,
        "last_call": _last_call(agent.last_call) if agent.last_call else None,
        "team": agent.team.code if agent.team else "",
        "team_name": agent.team.name if agent.team else "",
        "campaign_id": call[1] if call else str(offer.campaign.campaign_id) if offer else None,
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


def _campaigns() -> QuerySet[DialerCampaign]:
    return DialerCampaign.objects.select_related("target_list", "profile").annotate(
        agent_count=Count("assigned_agents", filter=Q(assigned_agents__is_active=True))
    )


_CAMPAIGNS = compiled(lambda pks: _campaigns().filter(any_of("pk", pks)))
_NOT_CANCELLED = compiled(lambda: _campaigns().exclude(status=CampaignStatus.CANCELLED))
_CAMPAIGN_DAYS = compiled(lambda campaigns, day: CampaignDay.objects.filter(any_of("campaign", campaigns), day=day))
# By a look into the index for each of them: of all its decisions the newest is wanted.
_DECISIONS = compiled(
    lambda campaigns: (
        PacingDecision.objects.filter(any_of("campaign", campaigns))
        .order_by("campaign_id", "-id")
        .distinct("campaign_id")
    )
)


def campaign_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these campaigns, or for all that are not cancelled."""
    found = _NOT_CANCELLED() if pks is None else _CAMPAIGNS(list(pks))
    keys = [campaign.pk for campaign in found]
    days = {day.campaign_id: day for day in _CAMPAIGN_DAYS(keys, today())}
    decisions = {decision.campaign_id: decision for decision in _DECISIONS(keys)}
    now = timezone.now()
    month = drops.month(found, now)
    counted, reached = census.kept(found), row_figures.reached(found)
    paces = row_figures.paces({c.target_list_id for c in found if c.target_list_id is not None}, now)
    return [
        _campaign_row(c, days.get(c.pk) or CampaignDay(), decisions.get(c.pk))
        | {
            "drops": _drops(month.get(c.pk)),
            "contact_rate_per_contact": reached.get(c.pk),
            "contacts": census.counts(counted.get(c.pk)),
            "forecast": row_figures.forecast(c, paces.get(c.target_list_id), now),
        }
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
        "contacts_left": row_figures.contacts_left(campaign),
        "limits": {
            "max_lines": campaign.max_lines,
            "calls_per_second": campaign.max_calls_per_second,
            "power_ratio": float(campaign.power_ratio),
            "ring_timeout": campaign.ring_timeout_seconds,
        },
        **row_figures.campaign_today(day),
        "decision": decision_row(decision) if decision else None,
        "version": campaign.version,
    }


def decision_row(decision: PacingDecision) -> Row:
    return {
        "at": ms(decision.decided_at),
        "placed": decision.placed,
        "reason": decision.binding_reason,
        "summary": decision.summary,
    }


def _calls() -> QuerySet[CallLog]:
    return CallLog.objects.select_related("agent__team", "campaign", "contact").order_by("id")


_CALLS = compiled(lambda pks: _calls().filter(any_of("pk", pks)))
_ALL_OPEN_CALLS = compiled(lambda: _calls().filter(ended_at=None))
_SIDES = compiled(lambda calls: SideLeg.objects.filter(any_of("call", calls), ended_at=None).order_by("id"))


def call_rows(pks: Iterable[int] | None = None) -> list[Row]:
    """Rows of the floor for these calls, ended or not, or for all open ones."""
    found = _ALL_OPEN_CALLS() if pks is None else _CALLS(list(pks))
    sides: dict[int, list[SideLeg]] = {}
    for side in _SIDES([call.pk for call in found]):
        sides.setdefault(side.call_id, []).append(side)
    muted_since = _muted_since([call.pk for call in found if call.muted])
    return [_call_row(call, sides.get(call.pk, [])) | {"muted_since": muted_since.get(call.pk)} for call in found]


def _muted_since(muted: list[int]) -> dict[int, int | None]:
    """When the switch reported that each of these muted calls is: the last it has done of that kind."""
    if not muted:
        return {}
    done = Order.objects.filter(call__in=muted, kind="mute", status=Order.Status.DONE).order_by("id")
    return {call: ms(at) for call, at in done.values_list("call_id", "settled_at")}


def _call_row(call: CallLog, sides: list[SideLeg]) -> Row:
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
        "team": call.agent.team.code if call.agent and call.agent.team else "",
        "decision_id": call.decision_id,
        "version": call.version,
    } | _control_row(call, sides)


def _control_row(call: CallLog, sides: list[SideLeg]) -> Row:
    """What people have done with the talk, as the switch has confirmed."""
    consulted = [side for side in sides if side.purpose == SideLeg.Purpose.CONSULT and call.agent_id and side.known_at]
    return {
        "muted": call.muted,
        "held_at": ms(call.held_at),
        "parked": call.parked_at is not None,
        "consulting": consulted[0].extension if consulted else "",
        "consult_answered": bool(consulted and consulted[0].joined_at),
        "taken_over_by": call.taken_over_by,
        "operation": call.operation.removesuffix("_join"),
        "listeners": listeners(sides),
    }


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
