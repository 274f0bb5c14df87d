"""What an agent does with the contact before them: dial, skip, reschedule; and what happens when they do nothing."""

import datetime as dt
from typing import Any

from dialer import eligibility, preview, rules
from dialer.models import (
    Agent,
    Callback,
    CallLog,
    Contact,
    ContactReservation,
    ContactStatus,
    DialerCampaign,
    PreviewEnd,
)
from dialer.services import agents, choosing, dialing, observing, offers
from dialer.services.acting import Act, Rejected, RejectedAndKept, moment

State = ContactReservation.State
ACTIONS = ("dial", "skip", "reschedule")


def control(act: Act, agent: Agent, command: dict[str, Any]) -> dict[str, Any]:
    """{action, preview_id, at, personal, reason}; `agent` is locked. Raises Rejected."""
    action = str(command.get("action", ""))
    if action not in ACTIONS:
        raise Rejected(f"{action[:30]!r} is not one of {', '.join(ACTIONS)}")
    offer = offers.of_agent(agent.pk)
    if offer is None:
        raise Rejected("there is no contact for preview now; it was withdrawn, or its time was over")
    meant = str(command.get("preview_id") or "")
    if meant and meant != str(offer.reservation_id):
        raise Rejected("that contact was given back; another one is before you now")
    answer: dict[str, Any] = {"agent_id": agent.agent_id, "action": action}
    reason = str(command.get("reason") or "")
    if action == "dial":
        answer["call_id"] = str(dial(act, offer).call_id)
    elif action == "skip":
        skip(act, offer, reason)
    else:
        reschedule(act, offer, moment(command.get("at")), personal=bool(command.get("personal")), note=reason)
    return answer


def _campaign(offer: ContactReservation) -> DialerCampaign:
    campaigns = DialerCampaign.objects.select_for_update(of=("self",)).select_related("profile")
    return campaigns.get(pk=offer.campaign_id)


def dial(act: Act, offer: ContactReservation) -> CallLog:
    """Place the call, every gate asked again here. A closed one gives the contact back, which stays so. Raises
    Rejected."""
    if not observing.link().up:
        raise Rejected("the link to the switch is down; the contact stays before you until its time is over")
    campaign = _campaign(offer)
    contact = Contact.objects.select_for_update().get(pk=offer.contact_id)
    offers.close(act, offer, State.DIALLED)
    # For the gates it is what it was before it was reserved for this agent.
    contact.status = ContactStatus.READY
    why, own = refusal(act, campaign, contact, offer.agent)
    if why:
        offers.close(act, offer, State.REFUSED, why)
        contact.save(update_fields=["status", "updated_at"])
        if own:
            choosing.set_aside([(contact, own)], campaign, act.now)
        raise RejectedAndKept(why)
    decision = preview.dialled(preview.PREVIEW, offer.agent.agent_id, "dialled the contact before them")
    offer.call = dialing.place_for_agent(act, campaign, offer.agent, contact, decision)
    offer.save(update_fields=["call"])
    return offer.call


def refusal(
    act: Act, campaign: DialerCampaign, contact: Contact, agent: Agent
) -> tuple[str, tuple[eligibility.Gate, ...]]:
    """Why the agent may not dial the contact now, or ''; and the contact's own closed gates."""
    if not agents.idle(campaign.pk).filter(pk=agent.pk).exists():
        return agents.why_not_idle(agent) or "the agent is not one of this campaign's", ()
    if not observing.may_take(campaign, [agent.pk], act.now):
        return "the agent is at the campaign's hourly limit of calls", ()
    closed = eligibility.campaign_gates(rules.campaign_view(campaign, act.now), act.now)
    own = rules.contact_gates(contact, campaign, act.now, agent=agent.pk)
    return preview.told([*closed, *own]), own


def skip(act: Act, offer: ContactReservation, reason: str = "") -> None:
    """Give the contact back for later; skipped too often, behind all others."""
    campaign = _campaign(offer)
    contact = offers.give_back(act, offer, State.SKIPPED, reason)
    skips = ContactReservation.objects.filter(contact=contact, campaign=campaign, state=State.SKIPPED).count()
    delay = dt.timedelta(minutes=campaign.preview_skip_minutes)
    following = preview.after_skip(skips, campaign.preview_max_skips, contact.priority, act.now, delay)
    contact.next_attempt_at, contact.priority = following.at, following.priority
    contact.save(update_fields=["next_attempt_at", "priority", "updated_at"])
    # An appointment that has come would put it before the next agent at once.
    for kept in Callback.objects.filter(contact=contact, campaign=campaign, status=Callback.Status.OPEN):
        kept.at = following.at
        kept.anyone_at = kept.anyone_at and max(kept.anyone_at, following.at)
        kept.save()


def reschedule(
    act: Act, offer: ContactReservation, at: dt.datetime | None, *, personal: bool, note: str = ""
) -> Callback:
    """An appointment, the agent's own (with fall-back to anyone) or anyone's. Raises Rejected; the offer then stays."""
    if wrong := preview.wrong_time(at, act.now):
        raise Rejected(wrong)
    assert at is not None
    campaign = _campaign(offer)
    then = rules.contact_gates(offer.contact, campaign, act.now, at=at)
    if closed := [gate for gate in then if gate.name in preview.AGREED_GATES]:
        raise Rejected(f"no call at that time: {preview.told(closed)}")
    contact = offers.give_back(act, offer, State.RESCHEDULED, note)
    contact.next_attempt_at, contact.blocked_by = at, ""
    contact.save(update_fields=["next_attempt_at", "blocked_by", "updated_at"])
    fallback = rules.callback_fallback(campaign)
    callback, _ = Callback.objects.update_or_create(
        contact=contact,
        status=Callback.Status.OPEN,
        defaults={
            "campaign": campaign,
            "at": at,
            "agent": offer.agent if personal else None,
            "anyone_at": at + fallback if personal and fallback is not None else None,
            "note": note[:300],
            "created_by": act.by,
        },
    )
    return callback


def upkeep(act: Act) -> int:
    """Withdraw what makes no sense any more, end what is over; returns how many offers ended."""
    if not offers.any_open():
        return 0
    ended = offers.withdraw_unfit(act)
    rows = ContactReservation.objects.select_for_update(of=("self",)).select_related("agent", "campaign", "contact")
    over = list(rows.filter(state=State.OFFERED, expires_at__lte=act.now).order_by("expires_at"))
    for offer in over:
        if offer.campaign.preview_at_end == PreviewEnd.DIAL:
            try:
                dial(act, offer)
            except Rejected:
                pass  # given back by a gate, with its words; or the link is down, and then its time is over
        if offer.state == State.OFFERED:
            offers.give_back(act, offer, State.EXPIRED, "its time was over", behind=True)
    return ended + len(over)
