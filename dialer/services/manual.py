"""A number that an agent dials by hand: every rule holds as for any other call, and each that forbids it is told."""

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F
from psycopg2.errorcodes import LOCK_NOT_AVAILABLE

from dialer import limits, numbers, preview
from dialer.models import (
    Agent,
    CallLog,
    Contact,
    ContactReservation,
    ContactStatus,
    DialerCampaign,
    DialerTargetList,
    DialingMode,
)
from dialer.services import dialing, following, observing, offers
from dialer.services import preview as previews
from dialer.services.acting import Act, Rejected

MANUAL_SOURCE = "manual"


def dial(act: Act, agent: Agent, campaign: DialerCampaign, text: str) -> CallLog:
    """Place one call for a locked agent in a locked campaign. text: the number as typed. Raises Rejected."""
    if not (campaign.allow_manual_dial or campaign.mode == DialingMode.MANUAL):
        raise Rejected("agents of this campaign may not dial by hand")
    if campaign.target_list_id is None:
        raise Rejected("the campaign has no contact list; give it one first")
    if not campaign.assigned_agents.filter(pk=agent.pk).exists():
        raise Rejected("this campaign is not one of the agent's")
    if not observing.link().up:
        raise Rejected("the link to the switch is down")
    try:
        number = numbers.normalise(text, settings.DEFAULT_REGION)
    except numbers.NumberError as error:
        raise Rejected(str(error)) from None
    # Refused, all of it is undone: the new contact, and the contact that was before the agent is so again.
    offer = offers.of_agent(agent.pk)
    if offer is not None:
        offers.give_back(act, offer, ContactReservation.State.WITHDRAWN, "the agent dialled by hand")
    contact = _contact(act, campaign.target_list_id, number)
    if refusal := previews.refusal(act, campaign, contact, agent)[0]:
        raise Rejected(refusal)
    decision = preview.dialled(preview.MANUAL, agent.agent_id, "dialled a number by hand")
    return dialing.place_for_agent(act, campaign, agent, contact, decision)


def _contact(act: Act, target_list: int, number: str) -> Contact:
    """The number's contact in the list, made when there is none; locked, and as the gates shall see it. Raises
    Rejected."""
    contact, made = _found_or_made(act, target_list, number)
    if made:
        DialerTargetList.objects.filter(pk=target_list).update(total_contacts=F("total_contacts") + 1)
        return contact
    if contact.status == ContactStatus.COMPLETED:
        # The list was done with them; the agent is not. Attempts, quiet days and all other rules still count.
        contact.status = ContactStatus.READY
        following.count(contact, ContactStatus.COMPLETED, None, act.now)
    # When the dialer would have tried again by itself. The delay after an outcome is a rule, and is asked as such.
    contact.next_attempt_at = min(contact.next_attempt_at, act.now)
    return contact


def _found_or_made(act: Act, target_list: int, number: str) -> tuple[Contact, bool]:
    """An import that has written the number and goes on for minutes would keep the worker, and with it the floor,
    waiting; one that ends meanwhile has brought the contact."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{limits.CONTACT_WAIT_MS}ms"])
            found = Contact.objects.select_for_update().get_or_create(
                target_list_id=target_list,
                number=number,
                defaults={"source": MANUAL_SOURCE, "next_attempt_at": act.now},
            )
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
            return found
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Rejected("this number is being imported or changed at this moment; try again in a moment") from None
