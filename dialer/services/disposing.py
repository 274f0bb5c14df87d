"""An agent or supervisor says what a call came to. It can be corrected for a while; every version is kept, and a
correction takes back what the one before has done."""

import datetime as dt
from typing import Any

from dialer import agent_states as machine
from dialer import announce, appointments, dispositions, rules, selectors
from dialer.models import (
    Agent,
    Callback,
    CallLog,
    Contact,
    ContactReservation,
    Disposition,
    DispositionChange,
    DoNotCall,
)
from dialer.services import agents, calls, endings, following, offers
from dialer.services.acting import Act, Rejected, moment

Command = dict[str, Any]
Result = dict[str, Any]
NOTES_LENGTH = 2_000


def dispose(act: Act, command: Command) -> Result:
    """{call_id, code, notes, callback_at (ms), callback_personal}; see docs/protocol.md. Raises Rejected."""
    call = calls.locked(str(command.get("call_id", "")))
    if call is None:
        raise Rejected("there is no such call")
    # Before any of its appointments, as everybody does who changes one.
    contact = following.contact_of(call)
    refused = dispositions.refusal(answered=call.answered_at is not None, disposed_at=call.disposed_at, now=act.now)
    if refused:
        raise Rejected(refused)
    chosen = _chosen(call, str(command.get("code", "")))
    notes = str(command.get("notes") or "").replace("\0", "")[:NOTES_LENGTH]
    what = _following(act, call, chosen, command)
    before = call.disposition_changes.select_related("do_not_call", "callback").first()
    change = DispositionChange(
        call=call, disposition=chosen, notes=notes, by=act.by, at=act.now, command_id=act.command_id
    )
    _take_back(before, change, chosen)
    # Only now: what the disposition before this one has forbidden does not stand against it.
    _check_time(act, call, what)
    if chosen.is_do_not_call and change.do_not_call is None:
        change.do_not_call = _forbid(act, call)
    if isinstance(what, dispositions.Appointment):
        change.callback = _appoint(act, call, what, notes)
    change.effect = _move_contact(act, call, contact, what, before)
    change.save()
    call.disposition, call.disposition_notes, call.disposed_by = chosen, notes, act.by
    call.disposed_at = call.disposed_at or act.now
    calls.save(call, "disposition", "disposition_notes", "disposed_by", "disposed_at", "retry_after")
    _end_wrap_ups(act, call)
    return {"call_id": str(call.call_id), "code": chosen.code, **change.effect}


def _chosen(call: CallLog, code: str) -> Disposition:
    valid = selectors.dispositions(call.campaign_id)
    for disposition in valid:
        if disposition.code == code:
            return disposition
    names = ", ".join(disposition.code for disposition in valid) or "none are set up"
    raise Rejected(f"{code[:40]!r} is no disposition of this call; those are: {names}")


def _following(act: Act, call: CallLog, chosen: Disposition, command: Command) -> dispositions.Following:
    callback_at = moment(at := command.get("callback_at"))
    if at is not None and callback_at is None:
        raise Rejected("the appointment's time is no time")
    if chosen.is_callback and call.contact_id is None:
        raise Rejected("this call has no contact who could be called back")
    what = dispositions.following(
        rules.flags(chosen),
        now=act.now,
        attempts=call.contact.attempts if call.contact else 0,
        **rules.retries(call.campaign),
        callback_at=callback_at,
        personal=bool(command.get("callback_personal", True)),
        fallback=rules.callback_fallback(call.campaign),
    )
    if isinstance(what, dispositions.Refused):
        raise Rejected(what.reason)
    return what


def _check_time(act: Act, call: CallLog, what: dispositions.Following) -> None:
    """Raises Rejected for an appointment at a time at which the rules will allow no call."""
    if not isinstance(what, dispositions.Appointment) or call.contact is None or call.campaign is None:
        return
    possible = appointments.Times(call.contact, call.campaign, act.now).at(what.at)
    if possible.reason:
        raise Rejected(f"no call at that time: {possible.reason}")


def _take_back(before: DispositionChange | None, change: DispositionChange, chosen: Disposition) -> None:
    """Undo what the disposition before this one has made, and only that; an entry still wanted is carried over."""
    if before is None:
        return
    if before.callback is not None and before.callback.status == Callback.Status.OPEN:
        before.callback.status = Callback.Status.CANCELLED
        before.callback.save(update_fields=["status"])
    if before.do_not_call is not None:
        if chosen.is_do_not_call:
            change.do_not_call = before.do_not_call
        else:
            before.do_not_call.delete()


def _forbid(act: Act, call: CallLog) -> DoNotCall | None:
    """The entry this made; None when the number was listed already, which is then nobody's to take back."""
    note = f"call {call.call_id}, {act.by}"[:300]
    entry, made = DoNotCall.objects.get_or_create(
        number=call.to_number, campaign=None, defaults={"source": "disposition", "note": note, "created_at": act.now}
    )
    return entry if made else None


def _appoint(act: Act, call: CallLog, what: dispositions.Appointment, notes: str) -> Callback | None:
    if call.contact_id is None or call.campaign_id is None:
        return None
    # A contact has one open appointment: the customer's last word.
    Callback.objects.filter(contact=call.contact_id, status=Callback.Status.OPEN).update(
        status=Callback.Status.CANCELLED
    )
    whose = (call.agent or Agent.objects.filter(last_call=call).first()) if what.personal else None
    return Callback.objects.create(
        campaign_id=call.campaign_id,
        contact_id=call.contact_id,
        agent=whose,
        at=what.at,
        anyone_at=what.anyone_at if whose else None,
        note=notes[:300],
        created_by=act.by,
    )


def _move_contact(
    act: Act,
    call: CallLog,
    contact: Contact | None,
    what: dispositions.Following,
    earlier: DispositionChange | None,
) -> dict[str, Any]:
    """{before, after} of the contact, or why it was left. While the call lasts its end will do it."""
    if contact is None:
        return {}
    if call.ended_at is None:
        return {"contact": "moves when the call ends"}
    if CallLog.objects.filter(contact=contact, pk__gt=call.pk).exists():
        if isinstance(what, dispositions.Appointment):
            raise Rejected("this contact has been called again since; make the appointment on that call")
        return {"contact": "left: it has been called again since"}
    before = _told(contact)
    if earlier is None and isinstance(what, dispositions.Keep):
        return {"before": before, "after": before}  # the outcome has decided already
    offer = offers.of_contact(contact.pk)
    if offer is not None:
        why = "the contact's last call has been disposed of"
        contact = offers.give_back(act, offer, ContactReservation.State.WITHDRAWN, why)
    was = contact.status
    following.settle(call, contact, what, endings.of(call), call.ended_at)
    contact.save(update_fields=["status", "next_attempt_at", "blocked_by", "updated_at"])
    following.count(contact, was, call.campaign_id, act.now)
    return {"before": before, "after": _told(contact)}


def _told(contact: Contact) -> dict[str, str]:
    return {"status": contact.status, "next_attempt_at": contact.next_attempt_at.isoformat()}


def _end_wrap_ups(act: Act, call: CallLog) -> None:
    """Whoever wraps this call up is free: at once, or when the usual time is used up."""
    wrap_up = rules.wrap_up(call.campaign)
    for agent in Agent.objects.select_for_update().filter(last_call=call):
        began = agent.status_since or act.now
        if agents.state_of(agent).in_wrap_up:
            if wrap_up.ends_when_disposed(began, act.now):
                agents.apply(act, agent, machine.Disposed(), call=call, engagement=machine.Engagement.NONE)
            else:
                agent.wrap_up_until, agent.over_at = began + dt.timedelta(seconds=wrap_up.seconds), None
                agents.save(agent)
        announce.changed("agent", agent.pk)
