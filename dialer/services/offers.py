"""Contacts before agents: reserved for one agent for a limited time, and given back the moment that makes no sense.

What an agent does with an offer is in services/preview.py. All changes are made by the sequential worker.
"""

import datetime as dt
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from dialer import announce
from dialer.models import (
    AgentStatus,
    Assignment,
    CampaignStatus,
    ConsentRevocation,
    Contact,
    ContactReservation,
    ContactStatus,
    DialerCampaign,
    DialingMode,
    DoNotCall,
    PacingDecision,
    Softphone,
)
from dialer.services import agents, wake
from dialer.services.acting import Act

State = ContactReservation.State


def open_offers(campaign: DialerCampaign) -> int:
    """How many agents of the campaign have a contact before them."""
    return ContactReservation.objects.filter(state=State.OFFERED, campaign=campaign).count()


def any_open() -> bool:
    """Whether there is anything to look after: cheap, and mostly there is not."""
    return ContactReservation.objects.filter(state=State.OFFERED).exists()


def of_agent(agent_pk: int) -> ContactReservation | None:
    """The agent's open offer, locked."""
    return _open().filter(agent=agent_pk).first()


def of_contact(contact_pk: int) -> ContactReservation | None:
    """The contact's open offer, locked."""
    return _open().filter(contact=contact_pk).first()


def _open() -> QuerySet[ContactReservation]:
    rows = ContactReservation.objects.select_for_update(of=("self",)).select_related("contact", "agent")
    return rows.filter(state=State.OFFERED)


def reserve(
    act: Act, campaign: DialerCampaign, pairs: Sequence[tuple[Contact, int]], decision: PacingDecision
) -> list[ContactReservation]:
    """Put each contact (ready, and locked by this transaction) before its agent (a key; passed over when not idle)."""
    idle = agents.idle(campaign.pk).filter(pk__in=[pk for _, pk in pairs]).select_for_update(of=("self",))
    free = {agent.pk for agent in idle}
    taken = [(contact, pk) for contact, pk in pairs if pk in free]
    Contact.objects.filter(pk__in=[contact.pk for contact, _ in taken]).update(
        status=ContactStatus.RESERVED, blocked_by="", updated_at=act.now
    )
    for _, pk in taken:
        announce.changed("agent", pk)
    expires_at = act.now + dt.timedelta(seconds=campaign.preview_seconds)
    return ContactReservation.objects.bulk_create(
        ContactReservation(
            campaign=campaign,
            contact=contact,
            agent_id=pk,
            offered_at=act.now,
            expires_at=expires_at,
            decision=decision,
        )
        for contact, pk in taken
    )


def close(act: Act, offer: ContactReservation, state: str, reason: str = "") -> None:
    """The agent is free of it; what becomes of the contact is the caller's to say."""
    offer.state, offer.ended_at, offer.reason = state, act.now, reason[:300]
    offer.save(update_fields=["state", "ended_at", "reason"])
    announce.changed("agent", offer.agent_id)
    wake.dialer()


def give_back(act: Act, offer: ContactReservation, state: str, reason: str = "", *, behind: bool = False) -> Contact:
    """Close the offer; the contact is ready again. behind: the others that are due now come first."""
    close(act, offer, state, reason)
    contact = Contact.objects.select_for_update().get(pk=offer.contact_id)
    if contact.status == ContactStatus.RESERVED:
        contact.status = ContactStatus.READY
        if behind:
            contact.next_attempt_at = max(contact.next_attempt_at, act.now)
        contact.save(update_fields=["status", "next_attempt_at", "updated_at"])
    return contact


def withdraw_unfit(act: Act) -> int:
    """Withdraw every offer whose agent, campaign or number is no longer what it was made for; returns how many."""
    if not any_open():
        return 0
    listed = Q(campaign=None) | Q(campaign=OuterRef("campaign"))
    entries = {
        model: Exists(model.objects.filter(listed, number=OuterRef("contact__number")))
        for model in (DoNotCall, ConsentRevocation)
    }
    assigned = Assignment.objects.filter(agent=OuterRef("agent"), campaign=OuterRef("campaign"))
    offers = ContactReservation.objects.select_for_update(of=("self",)).select_related("agent", "campaign")
    offers = offers.filter(state=State.OFFERED).annotate(
        refused=entries[DoNotCall] | entries[ConsentRevocation], assigned=Exists(assigned)
    )
    fit = Q(
        refused=False, assigned=True,
        campaign__status=CampaignStatus.ACTIVE, campaign__mode=DialingMode.PREVIEW,
        agent__status=AgentStatus.AVAILABLE, agent__is_active=True, agent__softphone=Softphone.OPEN,
        agent__pending_status="",
    )  # fmt: skip
    unfit = list(offers.exclude(fit))
    for offer in unfit:
        give_back(act, offer, State.WITHDRAWN, _why_unfit(offer))
    return len(unfit)


def _why_unfit(offer: ContactReservation) -> str:
    campaign, agent = offer.campaign, offer.agent
    if offer.refused:  # type: ignore[attr-defined]  # annotated above
        return "the number has been put on a list of those not to be called"
    if campaign.status != CampaignStatus.ACTIVE:
        return f"the campaign is {campaign.status}"
    if campaign.mode != DialingMode.PREVIEW:
        return f"the campaign dials in mode {campaign.mode} now"
    if not offer.assigned:  # type: ignore[attr-defined]
        return "the agent has left the campaign"
    return agents.why_not_idle(agent) or "the agent cannot take a call now"
