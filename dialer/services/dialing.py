"""Whom to call now: the decision of a campaign, and one call from it. Everything is checked again where it is
dialled."""

import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Q

from dialer import announce, limits, orders, outbox, pacing, preview, rules, stops
from dialer.compiled import any_of, compiled, update_row
from dialer.models import (
    DIALS_AHEAD,
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
from dialer.services import agents, calls, choosing, freeing, observing, offers, pacers
from dialer.services.acting import Act, note
from events import counters

log = logging.getLogger(__name__)
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
_CAMPAIGN = compiled(
    lambda campaign_id: (
        DialerCampaign.objects.select_for_update(of=("self",))
        .select_related("profile", "message")
        .filter(campaign_id=campaign_id)
    )
)
_FREE = compiled(lambda campaign, pks: agents.idle(campaign).filter(any_of("pk", pks)).select_for_update(of=("self",)))
_NEWEST = compiled(lambda campaign: PacingDecision.objects.filter(campaign=campaign).order_by("-id")[:1])
_DIALLED = """
UPDATE dialer_contact SET status = %s, attempts = attempts + 1, blocked_by = '', updated_at = %s WHERE id = ANY(%s)
"""


def follow_schedules(act: Act) -> None:
    """Scheduled campaigns start when their time comes; active ones whose time is over are completed."""
    due = Q(status=CampaignStatus.SCHEDULED) & (Q(scheduled_start=None) | Q(scheduled_start__lte=act.now))
    over = Q(status__in=[CampaignStatus.ACTIVE, CampaignStatus.SCHEDULED], scheduled_end__lte=act.now)
    for campaign in DialerCampaign.objects.select_for_update().filter(due | over):
        ended = campaign.scheduled_end is not None and campaign.scheduled_end <= act.now
        try:
            set_status(campaign, CampaignStatus.COMPLETED if ended else CampaignStatus.ACTIVE)
        except redis.RedisError as error:
            log.warning("campaign %s follows its schedule with the next tick: %s", campaign.pk, type(error).__name__)


def set_status(campaign: DialerCampaign, status: CampaignStatus) -> None:
    """What is ordered and has not left for the switch stays unsaid once the campaign is stopped. Raises
    redis.RedisError when that cannot be made sure."""
    if status != CampaignStatus.ACTIVE:
        stops.mark(str(campaign.campaign_id))
    campaign.status = status
    campaign.version += 1
    campaign.save(update_fields=["status", "version", "updated_at"])
    announce.changed("campaign", campaign.pk)
    if status == CampaignStatus.ACTIVE:
        # What another campaign's rules, or yesterday's, have set aside may be open under these.
        freeing.later([campaign.target_list_id])


def dial(act: Act, campaign_id: str | uuid.UUID, told: observing.Link) -> list[CallLog]:
    """Decide for one campaign how many calls to place, store why, and place them: one transaction, so that what is
    stored is what was done. Returns the attempts."""
    campaign = _CAMPAIGN.first(uuid.UUID(str(campaign_id)))
    if campaign is None:
        return []
    if campaign.mode in preview.MODES:
        _offer(act, campaign, told)
        return []
    floor, decision = decide(act, campaign, told)
    return place_calls(act, campaign, floor, decision)


def decide(act: Act, campaign: DialerCampaign, told: observing.Link) -> tuple[observing.Floor, pacing.Decision]:
    """The floor, and how many calls it bears; whom they reach is found where they are placed."""
    floor = observing.look(act, campaign, told)
    return floor, pacers.decide(campaign, floor.seen, act.now)


def place_calls(act: Act, campaign: DialerCampaign, floor: observing.Floor, decision: pacing.Decision) -> list[CallLog]:
    """Find and lock the next contacts, store the decision, commit the attempts with their uuids, order the calls.

    Every gate of every contact is asked here, in the transaction that dials. A decision to dial progressively (also
    one that another mode has fallen back to) reserves an agent for each call; one that dials ahead does not.
    """
    ahead = decision.mode in DIALS_AHEAD
    count = decision.place if ahead else min(decision.place, len(floor.able))
    chosen = choosing.choose(campaign, count, act.now, idle=tuple(floor.able), agent_reserved=not ahead)
    pairs = choosing.paired(chosen, floor.able, ahead=ahead)
    wanted = [pk for _, pk in pairs if pk]
    free = _FREE(campaign.pk, wanted) if wanted else ()
    locked = {agent.pk: agent for agent in free}
    found = [(contact, locked.get(pk) if pk else None) for contact, pk in pairs if pk is None or pk in locked]
    row = _store(act, campaign, _as_found(decision, chosen, len(found)))
    return _place(act, campaign, found, row.pk)


def _as_found(decision: pacing.Decision, chosen: choosing.Chosen, found: int) -> pacing.Decision:
    """The decision as it comes out: with what blocked contacts, and with fewer calls where contacts were missing."""
    inputs = {**decision.inputs, "blocked": dict(chosen.blocked)} if chosen.blocked else decision.inputs
    if found == decision.place:
        return replace(decision, inputs=inputs)
    text = decision.summary.partition(": ")[2]
    short = "no contact is due" if not found else "no more contacts are due"
    return replace(
        decision,
        place=found,
        reason="list_empty",
        summary=f"placed {found or 'none'}: {short} (wanted {decision.place}: {text})"[:300],
        inputs={**inputs, "wanted": decision.place},
    )


def _offer(act: Act, campaign: DialerCampaign, told: observing.Link) -> None:
    """Where agents place the calls: put contacts before the idle ones, or only say that it is theirs to dial."""
    floor = observing.look(act, campaign, told)
    able, chosen = floor.able[: limits.MAX_PLACED_PER_DECISION], choosing.Chosen()
    if campaign.mode == preview.PREVIEW:
        chosen = choosing.choose(campaign, len(able), act.now, idle=tuple(able))
    pairs = [(contact, pk) for contact, pk in choosing.paired(chosen, able) if pk is not None]
    decision = preview.decide(
        preview.Inputs(
            mode=campaign.mode,
            assigned=floor.seen.assigned,
            idle=floor.seen.idle,
            previewing=offers.open_offers(campaign),
            rate_limited=floor.seen.idle - len(floor.able),
            offered=len(pairs),
            closed_gate=floor.seen.closed_gate,
            closed=floor.seen.closed,
            link_ok=told.up,
        )
    )
    if chosen.blocked:
        decision.inputs["blocked"] = dict(chosen.blocked)
    offers.reserve(act, campaign, pairs, _store(act, campaign, decision))


def place_for_agent(
    act: Act, campaign: DialerCampaign, agent: Agent, contact: Contact, decision: pacing.Decision
) -> CallLog:
    """The one call that an agent asked for, with the decision that explains it. All gates have been asked."""
    return _place(act, campaign, [(contact, agent)], _store(act, campaign, decision).pk)[0]


def _store(act: Act, campaign: DialerCampaign, decision: pacing.Decision) -> PacingDecision:
    """A row per decision that places a call or changes the answer; 'none' for the same reason again counts up."""
    counters.count("decisions", reason=decision.reason, mode=decision.mode)
    if decision.place:
        counters.count("calls_placed", decision.place, mode=decision.mode)
    said = {"summary": decision.summary, "inputs": decision.inputs, "last_at": act.now}
    if not decision.place:
        newest = _NEWEST.first(campaign.pk)
        same = newest is not None and (newest.placed, newest.mode, newest.binding_reason) == (
            0, decision.mode, decision.reason
        )  # fmt: skip
        if newest is not None and same and _alike(newest.summary, decision.summary):
            told = newest.summary != decision.summary
            newest.repeats += 1
            for name, value in said.items():
                setattr(newest, name, value)
            update_row(newest, ("repeats", *said))
            if told:
                announce.changed("campaign", campaign.pk)
            return newest
    announce.changed("campaign", campaign.pk)
    return PacingDecision.objects.create(
        campaign=campaign,
        decided_at=act.now,
        mode=decision.mode,
        placed=decision.place,
        binding_reason=decision.reason,
        **said,
    )


def _alike(one: str, other: str) -> bool:
    """The same sentence with other figures in it."""
    return _FIGURES.sub("#", one) == _FIGURES.sub("#", other)


def _place(
    act: Act, campaign: DialerCampaign, pairs: Sequence[tuple[Contact, Agent | None]], decision_pk: int | None
) -> list[CallLog]:
    """An attempt for each contact, in as many statements for one as for fifty. agent: reserved for it; None when it is
    dialled ahead of whoever is free by then."""
    if not pairs:
        return []
    contacts = [contact for contact, _ in pairs]
    keys = [contact.pk for contact in contacts]
    with connection.cursor() as cursor:
        cursor.execute(_DIALLED, [ContactStatus.DIALING.value, act.now, keys])
    for contact in contacts:
        contact.status, contact.blocked_by = ContactStatus.DIALING, ""
        contact.attempts += 1
    placed = CallLog.objects.bulk_create(
        _attempt(act, campaign, contact, agent, decision_pk) for contact, agent in pairs
    )
    by_contact = {call.contact_id: call for call in placed}
    for row in rules.open_appointments(keys, campaign.pk):
        row.status, row.call = Callback.Status.DIALLED, by_contact[row.contact_id]
        row.save(update_fields=["status", "call"])
    outbox.add_all(
        [(_order(campaign, call), call.pk, call.agent_id) for call in placed],
        token=act.token,
    )
    for call in placed:
        agent_id = call.agent.agent_id if call.agent else ""
        note("call placed", call_id=call.call_id, campaign_id=campaign.campaign_id, agent_id=agent_id)
        announce.changed("call", call.pk)
        if call.agent_id is not None:
            announce.changed("agent", call.agent_id)
    calls.count(
        placed[0],
        act,
        attempts=len(placed),
        tried=sum(call.attempt_number == 1 for call in placed),
        spent=campaign.price_per_attempt * len(placed),
    )
    pacers.placed(campaign.pk, act.now, [call.attempt_number for call in placed])
    return placed


def _attempt(
    act: Act, campaign: DialerCampaign, contact: Contact, agent: Agent | None, decision_pk: int | None
) -> CallLog:
    leg = uuid.uuid4()
    return CallLog(
        call_id=leg,
        freeswitch_uuid=str(leg),
        from_extension=agent.extension if agent else "",
        to_number=contact.number,
        agent=agent,
        campaign=campaign,
        contact=contact,
        status=CallStatus.INITIATED,
        initiated_at=act.now,
        attempt_number=contact.attempts,
        decision_id=decision_pk,
    )


def _order(campaign: DialerCampaign, call: CallLog) -> orders.OriginateCustomer:
    return orders.OriginateCustomer(
        # Before any rule was asked: whatever is forbidden after that counts as after the decision.
        **outbox.header(call.initiated_at),
        leg=call.freeswitch_uuid,
        number=call.to_number,
        call_id=str(call.call_id),
        campaign_id=str(campaign.campaign_id),
        agent_id=call.agent.agent_id if call.agent else "",
        caller_id_number=campaign.caller_id_number or settings.CALLER_ID_NUMBER,
        caller_id_name=orders.caller_name(campaign.caller_id_name or settings.CALLER_ID_NAME),
        timeout=campaign.ring_timeout_seconds,
    )
