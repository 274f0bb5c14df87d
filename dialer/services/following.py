"""What becomes of a contact: what the disposition of its call asks for, or else what follows from the outcome."""

import datetime as dt
from collections.abc import Collection

from dialer import dispositions, eligibility, retry, rules
from dialer.compiled import any_of, compiled, update_row
from dialer.models import FINISHED_CONTACTS, Callback, CallLog, Contact, ContactStatus, DialerTargetList
from dialer.services import ahead, closing, drops, endings
from dialer.services.acting import Act

_LOCKED = compiled(lambda pks: Contact.objects.select_for_update().filter(any_of("pk", pks)).order_by("pk"))


def read_ahead(pks: Collection[int]) -> None:
    ahead.keep("contact", pks, {contact.pk: contact for contact in _LOCKED(list(pks))})


def contact_of(call: CallLog) -> Contact | None:
    """The call's contact, locked."""
    if call.contact_id is None:
        return None
    contact = ahead.take("contact", call.contact_id)
    return _LOCKED.first([call.contact_id]) if contact is ahead.NOT_READ else contact


def call_ended(act: Act, call: CallLog, contact: Contact, known: endings.Known) -> None:
    """The outcome is known: decide about the locked contact, and set (and not save) when the call's is tried again."""
    before = contact.status
    contact.last_outcome = call.outcome
    settle(call, contact, of(act, call, contact), known, act.now)
    count(contact, before, call.campaign_id, act.now)
    update_row(
        contact, ("status", "next_attempt_at", "attempts", "last_outcome", "blocked_by", "updated_at")
    )  # fmt: skip


def settle(
    call: CallLog, contact: Contact, what: dispositions.Following, known: endings.Known, at: dt.datetime
) -> None:
    """Set (and not save) what the locked contact of an ended call becomes: as its disposition says, or else as its
    outcome, of that time, does."""
    if _move(contact, what):
        call.retry_after = what.at if isinstance(what, dispositions.Retry) else None
    else:
        _follow_outcome(call, contact, known, at)
    if known.appointed:
        keep_appointment(contact)


def keep_appointment(contact: Contact) -> None:
    """Set (and not save): whoever asked to be called back is called, even where the list is done with them."""
    if contact.status not in FINISHED_CONTACTS:
        return
    appointment = Callback.objects.filter(contact=contact, status=Callback.Status.OPEN).first()
    if appointment is not None:
        contact.status, contact.next_attempt_at, contact.blocked_by = ContactStatus.READY, appointment.at, ""


def _move(contact: Contact, following: dispositions.Following) -> bool:
    """False when the contact is left as it is."""
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


def _follow_outcome(call: CallLog, contact: Contact, known: endings.Known, at: dt.datetime) -> None:
    campaign, kind = call.campaign, call.outcome
    rule = rules.retry_rule(campaign, kind) if campaign else eligibility.AT_ONCE
    after = retry.after_attempt(
        kind,
        attempts=contact.attempts,
        max_retries=campaign.max_retry_attempts if campaign else 0,
        rule=rule,
        count=known.outcomes.get(kind, 0) + 1,
        now=at,
    )
    call.retry_after = after.at if isinstance(after, retry.TryAgain) else None
    match after:
        case retry.Finished(status=status):
            contact.status = ContactStatus(status)
        case retry.TryAgain(at=again, counts=counts):
            contact.status, contact.next_attempt_at, contact.blocked_by = ContactStatus.READY, again, ""
            if not counts:
                # Nobody was called: the appointment, if it was one, still stands, unless another was made since.
                for kept in Callback.objects.filter(call=call) if not known.appointed else ():
                    kept.status, kept.at, kept.call = Callback.Status.OPEN, again, None
                    kept.anyone_at = kept.anyone_at and max(kept.anyone_at, again)
                    kept.save()
                contact.attempts = max(0, contact.attempts - 1)
