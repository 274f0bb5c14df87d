"""An attempt from the switch's first word to its outcome. Each function is told of a fact once or many times, in any
order that the ingest's fold allows, and changes something only the first time."""

import datetime as dt
import logging
from collections.abc import Collection
from decimal import Decimal

from django.db.models import Q

from dialer import agent_states as machine
from dialer import announce, figures, hangup_causes, orders, outbox, retry, rules
from dialer.compiled import any_of, compiled, update_row
from dialer.limits import ANSWER_GRACE, BRIDGE_PATIENCE
from dialer.models import (
    Agent,
    CallLog,
    CallStatus,
    CampaignDay,
    MachineAction,
    Message,
    Order,
    Recording,
)
from dialer.services import (
    agents,
    ahead,
    answering,
    closing,
    drops,
    endings,
    following,
    live_legs,
    pacers,
    side_legs,
    wake,
)
from dialer.services.acting import Act, campaigns_of, note
from events import nodes

log = logging.getLogger(__name__)


def locked(leg_uuid: str) -> CallLog | None:
    """The call whose customer leg this is."""
    call = ahead.take("call", leg_uuid)
    if call is ahead.NOT_READ:
        return _locked([leg_uuid]).get(leg_uuid)
    return None if call is None else ahead.again(call, "campaign")


_LOCKED = compiled(
    lambda legs: CallLog.objects.select_for_update().filter(any_of("freeswitch_uuid", legs)).order_by("pk")
)
_IDLE = compiled(
    lambda campaign, but: agents.idle(campaign).exclude(any_of("pk", but)).select_for_update(of=("self",))[:1]
)


def _locked(legs: Collection[str]) -> dict[str, CallLog]:
    found = {call.freeswitch_uuid: call for call in _LOCKED(list(legs))}
    campaigns = campaigns_of(call.campaign_id for call in found.values() if call.campaign_id is not None)
    for call in found.values():
        if call.campaign_id is not None:
            call.campaign = campaigns[call.campaign_id]
    return found


def read_ahead(legs: Collection[str], ending: Collection[str], moving: Collection[str]) -> None:
    """All that the facts to come will ask for of the calls with these customers' legs. ending: of those, the legs that
    have ended; moving: those whose agents change with them."""
    found = _locked(legs)
    ahead.keep("call", legs, found)
    agents.read_ahead({call.agent_id for leg, call in found.items() if call.agent_id and leg in moving})
    over = [call for leg, call in found.items() if leg in ending and call.ended_at is None]
    if over:
        following.read_ahead({call.contact_id for call in over if call.contact_id is not None})
        endings.read_ahead(over)


def save(call: CallLog, *fields: str) -> None:
    call.version += 1
    update_row(call, (*fields, "version"))
    ahead.changed("call", call.freeswitch_uuid, call)
    announce.changed("call", call.pk)


def count(call: CallLog, act: Act, wait: dt.timedelta | None = None, **amounts: int | Decimal) -> None:
    """Add to the campaign's figures of the day on which the attempt was made, and of the minute of its answer. wait:
    of a customer who is joined to an agent now."""
    if call.campaign_id is None:
        return
    drops.count(call, amounts)
    if wait is not None:
        wait_ms = wait.total_seconds() * 1000
        # PostgreSQL counts places from 1.
        amounts |= {"wait_ms": round(wait_ms), f"waits[{figures.bucket_of(wait_ms) + 1}]": 1}
    closing.add(CampaignDay, amounts, campaign_id=call.campaign_id, day=call.initiated_at.date())
    announce.changed("campaign", call.campaign_id)


def answered(act: Act, call: CallLog, at: dt.datetime) -> None:
    """A customer answered: join them to the agent reserved for them, or to whoever is idle; else they wait, briefly."""
    if call.ended_at is not None or call.answered_at is not None:
        return
    call.status, call.answered_at, call.in_doubt_since = CallStatus.ANSWERED, max(at, call.initiated_at), None
    count(call, act, answered=1)
    note("customer answered", call_id=call.call_id)
    pacers.answered(call, act.now)
    if not connect(act, call, "status", "answered_at", "in_doubt_since", again=False):
        wake.no_later_than(call.answered_at + ANSWER_GRACE)
    if call.campaign is not None and call.campaign.machine_action != MachineAction.OFF:
        order = orders.DetectMachine(**outbox.header(), leg=call.freeswitch_uuid)
        outbox.add(order, token=act.token, call_id=call.pk)


def connect(act: Act, call: CallLog, *changed: str, again: bool = True) -> bool:
    """Order the bridge of an answered call to its agent's open leg; another idle agent takes over when that leg is
    gone. again: an earlier order may have been carried out after all; then the customer talks, and stays where they
    are. changed: fields of the call that are to be saved with what is found."""
    leg = agents.open_leg(call.agent) if call.agent is not None else None
    if leg is None or leg.opened_at is None:
        found = _reassigned(call)
        changed = (*changed, "agent") if found else changed
        leg = agents.open_leg(call.agent) if found and call.agent is not None else None
    if leg is not None:
        call.agent_leg, call.from_extension = leg, call.agent.extension if call.agent is not None else ""
        changed = (*changed, "agent_leg", "from_extension")
    if changed:
        save(call, *changed)
    if leg is None:
        return False
    outbox.add(
        orders.Bridge(**outbox.header(), leg=call.freeswitch_uuid, peer=str(leg.leg_uuid), unless_joined=again),
        token=act.token,
        call_id=call.pk,
        agent_id=leg.agent_id,
    )
    return True


def reassign(act: Act, call: CallLog, *, avoid: int | None = None) -> bool:
    """Give an open, not yet joined call to the longest idle agent of its campaign; False when there is none."""
    found = _reassigned(call, avoid)
    if found:
        save(call, "agent")
    return found


def _reassigned(call: CallLog, avoid: int | None = None) -> bool:
    """As `reassign`, which also saves it."""
    old = call.agent
    excluded = [key for key in (avoid, old.pk if old else None) if key is not None]
    if nodes.several():
        idle = agents.idle(call.campaign_id).exclude(pk__in=excluded).select_for_update(of=("self",))
        candidate = next((one for one in idle if _same_node(call, one)), None)
    else:
        candidate = _IDLE.first(call.campaign_id, excluded)
    if candidate is None:
        return False
    call.agent = candidate
    for agent in (old, candidate):
        if agent is not None:
            announce.changed("agent", agent.pk)
    return True


def _same_node(call: CallLog, agent: Agent) -> bool:
    """Legs of two switches cannot be joined."""
    return nodes.of_extension(call.from_extension) == nodes.of_extension(agent.extension)


def release(act: Act, call: CallLog, *, talked: bool) -> None:
    """The call no longer holds its agent: wrap-up after a conversation, else free (or as they asked) at once."""
    if call.agent_id is None:
        return
    agent = agents.locked(call.agent_id)
    after, disposed = rules.wrap_up(call.campaign), call.disposed_at is not None
    agents.apply(
        act,
        agent,
        machine.Released(talked=talked, wrap_up=after.length(disposed=disposed), owes=after.owes(disposed=disposed)),
        call=call,
        engagement=machine.Engagement.NONE,
    )
    if agent.registered_since is not None and agent.registered_since > call.initiated_at:
        agents.doubt_leg(act, agent)
    announce.changed("agent", agent.pk)
    wake.dialer()


def bridged(act: Act, call: CallLog, peer: str, at: dt.datetime) -> None:
    """The switch joined customer and agent: only now the agent is on a call."""
    if call.ended_at is not None or call.bridged_at is not None or call.agent_id is None:
        return
    agent = agents.locked(call.agent_id)
    leg = agents.open_leg(agent)
    if leg is None or str(leg.leg_uuid) != peer:
        return
    call.bridged_at = max(at, call.answered_at or call.initiated_at)
    call.status = CallStatus.ANSWERED
    if not call.abandoned and call.answered_at is not None and _waited_too_long(call, call.bridged_at):
        _abandon(act, call)
    save(call, "bridged_at", "status", "abandoned")
    note("customer and agent joined", call_id=call.call_id, agent_id=agent.agent_id)
    count(call, act, wait=call.bridged_at - (call.answered_at or call.bridged_at), connected=1)
    agents.apply(act, agent, machine.Connected(), call=call, engagement=machine.Engagement.TALKING)
    announce.changed("agent", agent.pk)
    if call.campaign is not None and call.campaign.record_calls:
        record(act, call, "start")


def hold_over(call: CallLog, at: dt.datetime) -> None:
    """Count (and not save) the hold that ends at this time, if the customer is on hold."""
    if call.held_at is not None:
        call.hold_ms += max(0, round((at - call.held_at).total_seconds() * 1000))
        call.held_at = None


def record(act: Act, call: CallLog, action: str, command_id: str | None = None) -> None:
    """The recording is named by our own uuid, never by what a lead or caller said."""
    order = orders.Record(
        **outbox.header(),
        leg=call.freeswitch_uuid,
        action=action,  # type: ignore[arg-type]  # the outbox validates it
        name=str(call.call_id),
    )
    outbox.add(order, token=act.token, call_id=call.pk, command_id=command_id)


def recording(act: Act, call: CallLog, path: str, *, stored: bool) -> None:
    """The switch began or finished writing the call's recording. path: where it says the file is."""
    answering.confirm(act, call, "record_stop" if stored else "record_start")
    if not stored and call.recording != Recording.OFF and call.recording_url == path[:500]:
        return  # told again; it may be paused by now
    call.recording_url, call.recording_stored = path[:500], stored
    call.recording = Recording.OFF if stored else Recording.ON
    save(call, "recording_url", "recording_stored", "recording")


def recording_masked(act: Act, call: CallLog, *, masked: bool) -> None:
    """The switch writes silence instead of the call (`masked`), or the call again. No event says so: it is the answer
    to our order."""
    now = Recording.PAUSED if masked else Recording.ON
    if call.recording not in (Recording.OFF, now):
        call.recording = now
        save(call, "recording")


def machine_heard(act: Act, call: CallLog) -> None:
    """The switch heard an answering machine's beep."""
    if call.ended_at is not None or call.machine:
        return
    call.machine = True
    save(call, "machine")
    action = call.campaign.machine_action if call.campaign else MachineAction.OFF
    if action != MachineAction.OFF:
        _play_or_hang_up(act, call, call.campaign.machine_message if action == MachineAction.LEAVE_MESSAGE else None)


def bridge_failed(act: Act, call: CallLog, *, in_doubt: bool = False) -> None:
    """The agent's leg could not be joined: ask the switch for it, and try the next idle agent. in_doubt: it may have
    been, so the same agent is tried again first."""
    if call.ended_at is not None or call.bridged_at is not None or call.abandoned:
        return
    if in_doubt:
        connect(act, call)
        return
    suspect = call.agent_leg
    if suspect is not None and suspect.ended_at is None:
        outbox.add(
            orders.Probe(**outbox.header(), leg=str(suspect.leg_uuid)), token=act.token, agent_id=suspect.agent_id
        )
    if reassign(act, call, avoid=suspect.agent_id if suspect else None):
        connect(act, call)


def overdue_answers(act: Act) -> None:
    """Answered customers without an agent: the longest waiting gets the next idle one; past the limit it is
    abandoned."""
    waiting = CallLog.objects.select_for_update(of=("self",)).select_related("campaign__message", "agent").filter(
        ended_at=None, answered_at__isnull=False, bridged_at=None, abandoned=False
    ).order_by("answered_at")  # fmt: skip
    for call in waiting:
        # Ordered once more, a bridge that has just been made would be torn and made again: +OK says nothing of when.
        # And one that is about to be made is better than a message: it counts as late when it comes.
        given_up = Q(status__in=Order.GIVEN_UP) & ~Q(reply=orders.JOINED)
        bridging = call.orders.filter(kind="bridge").exclude(given_up).order_by("-id").first()
        assert call.answered_at is not None
        if bridging is not None and act.now - bridging.created_at < BRIDGE_PATIENCE:
            continue
        if live_legs.is_joined(call.freeswitch_uuid):
            continue  # the fact is on its way to us
        if bridging is None and connect(act, call):
            continue
        if act.now - call.answered_at > ANSWER_GRACE:
            _abandon(act, call)
            save(call, "abandoned")
            # Whoever was to take the call need not wait until the message has been heard. But an ordered bridge may
            # have been made, and only its fact is late: then the switch refuses the message, and the agent talks.
            if bridging is None:
                transferred(act, call)
            _play_or_hang_up(act, call, call.campaign.message if call.campaign else None)


def _abandon(act: Act, call: CallLog) -> None:
    """Count (and not save) that nobody came in time."""
    call.abandoned = True
    count(call, act, abandoned=1)
    pacers.lost(call, act.now)


def not_let_go(act: Act, call: CallLog) -> None:
    """The message was not played, or may not have been, or the hangup came to nothing: nobody is kept in silence."""
    if call.ended_at is None:
        _play_or_hang_up(act, call, None)


def nobody_comes(act: Act, call: CallLog) -> None:
    """An abandoned customer is still there. The agent who was to take them need not wait for their end, if the switch
    has never been given the bridge; else the two may talk, and only the fact of it is late."""
    not_made = Q(status__in=Order.NOT_DONE) & ~Q(reply=orders.JOINED)
    if not call.orders.filter(kind="bridge").exclude(not_made).exists():
        transferred(act, call)


def _play_or_hang_up(act: Act, call: CallLog, message: Message | None) -> None:
    """The message, which ends with a hangup; without a recorded one, the hangup. Neither for a customer who turns out
    to be joined to an agent, unless that customer is a machine."""
    header, leg, unless = outbox.header(), call.freeswitch_uuid, not call.machine
    order: orders.AnyOrder = orders.Hangup(**header, leg=leg, unless_joined=unless)
    if message is not None and message.is_recorded:
        order = orders.PlayMessage(**header, leg=leg, name=str(message.message_id), unless_joined=unless)
    outbox.add(order, token=act.token, call_id=call.pk)


def ended(
    act: Act,
    call: CallLog,
    cause: str,
    at: dt.datetime,
    *,
    answered_at: dt.datetime | None = None,
    reached: bool | None = None,
    machine: bool = False,
) -> None:
    """Close the attempt, decide about the contact, free the agent. at, answered_at: the switch's own times.

    reached: whether the customer can have noticed; None: as the cause says. machine: the switch heard one answer.
    """
    if call.ended_at is not None:
        return
    if answered_at is not None and call.answered_at is None:
        # The answer's own event was lost, or overtaken by the end: the switch's record is believed.
        call.answered_at = max(answered_at, call.initiated_at)
        count(call, act, answered=1)
        pacers.answered(call, act.now)
    if call.answered_at is not None and call.bridged_at is None and not call.abandoned:
        if _waited_too_long(call, at):
            _abandon(act, call)
    call.machine = call.machine or machine
    was_talking = call.bridged_at is not None and call.agent_id is not None
    # The lock first: what is known then of its appointments stays true.
    contact = following.contact_of(call)
    unanswered, known = call.answered_at is None, endings.of(call)
    had_begun = call.status == CallStatus.DIALING
    by_us = unanswered and known.hung_up_by_us
    outcome = hangup_causes.outcome_of(cause, answered=not unanswered, cancelled_by_us=by_us)
    call.status = CallStatus(outcome.value)
    call.disconnect_reason = cause[:64]
    call.ended_at = max(at, call.bridged_at or call.answered_at or call.initiated_at)
    call.duration_seconds = round((call.ended_at - call.initiated_at).total_seconds())
    if call.bridged_at is not None:
        call.talk_time_seconds = round((call.ended_at - call.bridged_at).total_seconds())
    call.in_doubt_since = None
    hold_over(call, call.ended_at)
    if reached is None:
        reached = hangup_causes.reached_customer(cause) or had_begun
    call.outcome = retry.kind_of(
        outcome,
        cause,
        reached=reached,
        connected=call.bridged_at is not None,
        abandoned=call.abandoned,
        machine=call.machine,
    )
    if contact is not None:
        following.call_ended(act, call, contact, known)
    side_legs.call_ended(act, call, known)
    save(
        call,
        "status", "outcome", "disconnect_reason", "ended_at", "duration_seconds", "talk_time_seconds", "answered_at",
        "in_doubt_since", "abandoned", "retry_after", "machine", "operation", "operation_at", "hold_ms",
        *side_legs.FREED,
    )  # fmt: skip
    note(f"call ended: {call.outcome}, {cause[:40]}", call_id=call.call_id)
    amounts = {name: 1 for name in ("busy", "no_answer", "failed") if name == outcome.value}
    if call.outcome == retry.MACHINE:
        amounts |= drops.machine(call)
    amounts |= _first(call, known)
    count(call, act, talk_seconds=call.talk_time_seconds or 0, spent=_cost(call), **amounts)
    pacers.talked(call, act.now)
    release(act, call, talked=was_talking)


def _first(call: CallLog, known: endings.Known) -> dict[str, int]:
    """What the end of the call adds to the contacts tried and reached, each counted once."""
    if call.contact_id is None:
        return {}
    if call.outcome == retry.NOT_DIALLED:
        return {"tried": -1} if call.attempt_number == 1 else {}
    if call.bridged_at is None or call.machine:
        return {}
    return {} if known.talked_before else {"reached": 1}


def _waited_too_long(call: CallLog, at: dt.datetime) -> bool:
    return call.answered_at is not None and at - call.answered_at > ANSWER_GRACE


def _cost(call: CallLog) -> Decimal:
    """What the end of the call adds to the day's spending: its minutes; or takes back: an attempt nobody made."""
    if call.campaign is None or call.ended_at is None:
        return Decimal(0)
    refund = call.campaign.price_per_attempt if call.outcome == retry.NOT_DIALLED else Decimal(0)
    return rules.cost_of_talk(call.campaign, call.answered_at, call.ended_at) - refund


def transferred(act: Act, call: CallLog) -> None:
    """The customer was sent elsewhere: the agent is done with them, the call itself goes on."""
    if call.ended_at is not None or call.agent_id is None:
        return
    hold_over(call, act.now)
    release(act, call, talked=call.bridged_at is not None)
    side_legs.agent_leaves(act, call)
    old: Agent | None = call.agent
    call.agent, call.operation, call.operation_at = None, "", None
    save(call, "agent", "operation", "operation_at", "hold_ms", *side_legs.FREED)
    if old is not None:
        announce.changed("agent", old.pk)
