"""What a disposition asks for, done to the contact."""

import datetime as dt

from dialer import dispositions, rules
from dialer.models import FINISHED_CONTACTS, Callback, CallLog, Contact, ContactStatus, DialerTargetList
from dialer.services import closing, drops
from dialer.services.acting import Act


def move(contact: Contact, following: dispositions.Following) -> bool:
    """Set (and not save) what the locked contact becomes; False when it is left as it is."""
    match following:
        case dispositions.Keep():
            return False
        case dispositions.Complete():
            contact.status = ContactStatus.COMPLETED
        case dispositions.Exhausted():
            contact.status = ContactStatus.EXHAUSTED
        case dispositions.Retry(at=at) | dispositions.Appointment(at=at):
            contact.status, contact.next_attempt_at, contact.blocked_by = ContactStatus.READY, at, ""
    return True


def count(contact: Contact, before: str, campaign: int | None, at: dt.datetime) -> None:
    """Keep the list's count of finished contacts true after the status has changed from `before`; and the pace of the
    campaign (key) that finished it."""
    change = (contact.status in FINISHED_CONTACTS) - (before in FINISHED_CONTACTS)
    if change:
        closing.add(DialerTargetList, {"processed_contacts": change}, id=contact.target_list_id)
    if change > 0 and campaign is not None:
        drops.finished(campaign, at)


def of(act: Act, call: CallLog, contact: Contact) -> dispositions.Following:
    """What follows from the disposition that the call was given while it lasted."""
    if call.disposition is None:
        return dispositions.Keep()
    latest = call.disposition_changes.select_related("callback").first()
    appointment = latest.callback if latest else None
    if appointment is not None and appointment.status == Callback.Status.OPEN:
        return dispositions.Appointment(appointment.at, appointment.agent_id is not None, appointment.anyone_at)
    found = dispositions.following(
        rules.flags(call.disposition), now=act.now, attempts=contact.attempts, **rules.retries(call.campaign)
    )
    return dispositions.Keep() if isinstance(found, dispositions.Refused) else found
