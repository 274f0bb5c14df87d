"""What is known of one call, read for its page. A fixed number of queries, whatever has happened to the call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from console import cause_words, ladder, side_words
from dialer.models import Agent, AgentLeg, AgentState, AppliedCommand, CallLog, DispositionChange, Order, SideLeg
from events.models import CallStateEvent, FreeSwitchEvent

# Bounds of one page; a call that needs more is told of in the administration.
EVENTS, ORDERS, COMMANDS, ATTEMPTS, LEGS = 400, 200, 100, 50, 20
# An agent's leg lives on between calls: of its events only those about the time of this call.
_BEFORE, _AFTER = dt.timedelta(seconds=2), dt.timedelta(seconds=10)
_ORDER_WORDS = {
    "originate_customer": "Call the customer",
    "originate_agent": "Call the softphone",
    "eavesdrop": "Call a softphone to listen",
    "listen_mode": "Change the listening",
    "call_extension": "Call a softphone",
    "bridge": "Join customer and agent",
    "hold": "Hold",
    "mute": "Mute the agent",
    "park": "Park",
    "transfer": "Transfer",
    "hangup": "Hang up",
    "record": "Recording",
    "play_message": "Play the message and hang up",
    "detect_machine": "Listen for a machine",
    "probe": "Does the leg exist?",
}


@dataclass(frozen=True, slots=True)
class Timing:
    name: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Story:
    """commands: what was asked for, and the command. more: events that were left out. from_record: no event is kept any
    more, the rows are the record's own times. sides: who else was called for it, the first first."""

    lanes: Sequence[ladder.Lane]
    rows: Sequence[ladder.Row]
    more: bool
    from_record: bool
    timings: Sequence[Timing]
    ended_by: str
    commands: Sequence[tuple[str, AppliedCommand]]
    sides: Sequence[side_words.Side]


def find(call_id: UUID, within: Q) -> CallLog | None:
    related = ("agent__team", "campaign", "contact", "decision", "disposition", "agent_leg")
    calls = CallLog.objects.select_related(*related).defer("cdr_data", "decision__inputs", "contact__custom_fields")
    return calls.filter(within, call_id=call_id).first()


def tell(call: CallLog, now: dt.datetime) -> Story:
    until = call.ended_at or now
    orders = list(Order.objects.filter(call=call).select_related("agent").order_by("id")[:ORDERS])
    commands = list(AppliedCommand.objects.filter(target=str(call.call_id)).order_by("id")[:COMMANDS])
    sides = list(SideLeg.objects.filter(call=call).order_by("id")[:LEGS])
    legs = _legs(call, orders, sides)
    raw = _events(call, legs, until)
    told = ladder.told(raw[:EVENTS])
    agent_legs = {
        str(leg.leg_uuid): leg
        for leg in AgentLeg.objects.select_related("agent").filter(leg_uuid__in=_uuids([*legs, *told.legs]))
    }
    happenings = list(told.happenings) or _from_record(call, sides)
    happenings += [one for side in sides for one in _modes(side)]
    lanes = _lanes(call, happenings, agent_legs, sides)
    titles = {lane.leg: lane.title for lane in lanes}
    named = {command.command_id: command.actor for command in commands}
    happenings = [_named(one, titles) for one in happenings]
    happenings += [_ordered(order, named) for order in orders]
    happenings += [_refused(command) for command in commands if command.status != AppliedCommand.Status.APPLIED]
    if any(one.leg == ladder.OURS for one in happenings):
        lanes = [ladder.Lane(ladder.OURS, "Orchestrator", "ours"), *lanes]
    return Story(
        lanes=lanes,
        rows=ladder.rows(lanes, happenings),
        more=len(raw) > EVENTS or len(orders) == ORDERS,
        from_record=not told.happenings,
        timings=_timings(call, until),
        ended_by=_ended_by(call, told, orders, named, agent_legs, sides),
        commands=[(_asked(command), command) for command in commands],
        sides=[side_words.told(side, now) for side in sides],
    )


def _legs(call: CallLog, orders: Iterable[Order], sides: Iterable[SideLeg]) -> list[str]:
    """The legs that our records name: the customer's first."""
    found = [call.freeswitch_uuid, str(call.agent_leg.leg_uuid) if call.agent_leg else ""]
    found += [str(side.leg_uuid) for side in sides]
    transitions = CallStateEvent.objects.filter(call_log_id=call.call_id).order_by("channel_uuid")
    found += transitions.values_list("channel_uuid", flat=True).distinct()[:LEGS]
    for order in orders:
        found += [str(order.leg_uuid or ""), str(order.payload.get("peer", "")), str(order.payload.get("target", ""))]
    return list(dict.fromkeys(leg for leg in found if leg))[:LEGS]


def _events(call: CallLog, legs: Sequence[str], until: dt.datetime) -> list[dict[str, Any]]:
    """Whole events of these legs about the time of the call, and of the legs that they name beside them."""
    about = {"timestamp__gte": call.initiated_at - _BEFORE, "timestamp__lte": until + _AFTER}
    events = FreeSwitchEvent.objects.filter(event_type__in=ladder.EVENT_TYPES, **about).order_by("timestamp", "id")
    rows = list(events.filter(channel_uuid__in=legs).values_list("event_data", flat=True)[: EVENTS + 1])
    beside = {str(event.get("Other-Leg-Unique-ID") or "") for event in rows if isinstance(event, dict)}
    further = sorted(leg for leg in beside if leg and leg not in legs)[:LEGS]
    # Asked for in any case: the number of queries says nothing of the call.
    rows += events.filter(channel_uuid__in=further).values_list("event_data", flat=True)[: EVENTS + 1]
    return [event for event in rows if isinstance(event, dict)]


def _uuids(legs: Iterable[str]) -> list[UUID]:
    found = []
    for leg in legs:
        try:
            found.append(UUID(leg))
        except ValueError:
            continue
    return found


def _lanes(
    call: CallLog,
    happenings: Iterable[ladder.Happening],
    agent_legs: Mapping[str, AgentLeg],
    sides: Iterable[SideLeg],
) -> list[ladder.Lane]:
    """The customer, the agents, the supervisors who listened, and whoever else was there, as they appeared."""
    called = {str(side.leg_uuid): side for side in sides}
    own = str(call.agent_leg.leg_uuid) if call.agent_leg else ""
    seen = [call.freeswitch_uuid, own, *(leg for one in happenings for leg in (one.leg, one.peer)), *called]
    lanes = []
    for leg in dict.fromkeys(leg for leg in seen if leg):
        if leg == call.freeswitch_uuid:
            lanes.append(ladder.Lane(leg, "Customer", "customer"))
        elif leg in agent_legs:
            lanes.append(ladder.Lane(leg, _name(agent_legs[leg].agent), "agent"))
        elif leg in called:
            lanes.append(ladder.Lane(leg, *side_words.lane(called[leg])))
        else:
            lanes.append(ladder.Lane(leg, f"Other leg {leg[:8]}", "other"))
    return lanes


def _name(agent: Agent) -> str:
    return agent.name or agent.agent_id


def _named(one: ladder.Happening, titles: Mapping[str, str]) -> ladder.Happening:
    """A joining says with whom."""
    if not one.peer:
        return one
    joined = "with" if one.word == "Joined" else "from"
    detail = f"{joined} {titles.get(one.peer, 'another leg')}"
    return ladder.Happening(one.at, one.leg, one.word, one.icon, one.tone, detail, one.peer, one.states)


def _ordered(order: Order, named: Mapping[Any, str]) -> ladder.Happening:
    word = _ORDER_WORDS.get(order.kind, order.kind.replace("_", " ").capitalize())
    payload = order.payload if isinstance(order.payload, dict) else {}
    action = {"mask": "pause", "unmask": "resume"}.get(str(payload.get("action")), str(payload.get("action") or ""))
    if order.kind in ("hold", "mute"):
        action = "on" if payload.get("on", True) else "off"
    elif order.kind in ("eavesdrop", "listen_mode"):
        action = str(payload.get("mode") or "")
    who = named.get(order.command_id, "")
    bad = order.status in (Order.Status.FAILED, Order.Status.REFUSED, Order.Status.EXPIRED, Order.Status.IN_DOUBT)
    # A reply of the switch tells more than that it was obeyed only when it was not.
    said = (
        action,
        f"asked by {who}" if who else "",
        f"{order.get_status_display().lower()}: {order.reply}" if bad else "",
    )
    return ladder.Happening(
        order.created_at, ladder.OURS, word, "next", "trouble" if bad else "quiet", ", ".join(filter(None, said))
    )


def _refused(command: AppliedCommand) -> ladder.Happening:
    said = f"asked by {command.actor or 'nobody'}, {command.get_status_display().lower()}: {command.reason}"
    return ladder.Happening(command.applied_at, ladder.OURS, _asked(command), "alert", "trouble", said)


def _asked(command: AppliedCommand) -> str:
    """What a command asks for: its action, or the disposition's code."""
    payload = command.payload if isinstance(command.payload, dict) else {}
    said = str(payload.get("action") or command.kind)
    if command.kind == "dispose_call":
        said += f": {payload.get('code')}"
    return said[:60].replace("_", " ").capitalize()


def _modes(side: SideLeg) -> list[ladder.Happening]:
    """How a supervisor listened: of that the switch has no event, it answers our order."""
    leg = str(side.leg_uuid)
    return [ladder.Happening(at, leg, word, icon, "oncall") for at, word, icon in side_words.changes(side)]


def _from_record(call: CallLog, sides: Iterable[SideLeg]) -> list[ladder.Happening]:
    """What the records of the call and its side legs know, where the switch's events are no longer kept."""
    leg, agent = call.freeswitch_uuid, str(call.agent_leg.leg_uuid) if call.agent_leg else ""
    found = [ladder.Happening(call.initiated_at, leg, "Dialled", "dial", states={leg: "initiated"})]
    if call.answered_at:
        found.append(ladder.Happening(call.answered_at, leg, "Answered", "call", "available", states={leg: "answered"}))
    if call.bridged_at:
        states = {leg: "bridged", agent: "bridged"}
        found.append(ladder.Happening(call.bridged_at, leg, "Joined", "done", "oncall", "", agent, states))
    if call.ended_at:
        why = cause_words.cause(call.disconnect_reason)
        found.append(ladder.Happening(call.ended_at, leg, "Hangup", "hangup", "offline", why, states={leg: "ended"}))
    for side in sides:
        own = str(side.leg_uuid)
        found.append(ladder.Happening(side.requested_at, own, "Called", "dial"))
        if side.joined_at and not side.changes:
            found.append(ladder.Happening(side.joined_at, own, "Joined", "done", "oncall"))
        if side.ended_at:
            why = cause_words.cause(side.hangup_cause)
            found.append(ladder.Happening(side.ended_at, own, "Hangup", "hangup", "offline", why))
    return found


def _timings(call: CallLog, until: dt.datetime) -> list[Timing]:
    between = ladder.between
    ring = between(call.initiated_at, call.answered_at or until)
    wait = between(call.answered_at, call.bridged_at or until)
    talk = between(call.bridged_at, until)
    # As exports and figures have it: kept with the call, and what lasts.
    hold = call.hold_ms + (between(call.held_at, until) or 0) if call.bridged_at else None
    return [
        Timing("Ring", ladder.span(ring), "From placing the call to the answer, or to its end"),
        Timing("Wait", ladder.span(wait), "From the answer until an agent was joined, or to its end"),
        Timing("Talk", ladder.span(talk), "From the joining of agent and customer to the end, hold among it"),
        Timing("Hold", ladder.span(hold), "Of the talk, how long the customer was on hold"),
        Timing("Wrap-up", ladder.span(_wrap_up(call)), "The agent's work after the call"),
    ]


def _wrap_up(call: CallLog) -> int | None:
    """How long the agent wrapped this call up; None while they do, or where they did not."""
    start = AgentState.objects.filter(call=call, state="busy", reason="wrap_up").order_by("id").first()
    if start is None:
        return None
    later = AgentState.objects.filter(agent=start.agent_id, timestamp__gte=start.timestamp).exclude(pk=start.pk)
    after = later.order_by("timestamp", "id").values_list("timestamp", flat=True).first()
    return ladder.between(start.timestamp, after)


def _ended_by(
    call: CallLog,
    told: ladder.Told,
    orders: Iterable[Order],
    named: Mapping[Any, str],
    agent_legs: Mapping[str, AgentLeg],
    sides: Iterable[SideLeg],
) -> str:
    """Who hung up, as far as anybody knows."""
    if call.ended_at is None:
        return ""
    asked = next((order for order in orders if order.kind == "hangup"), None)
    customer = told.legs.get(call.freeswitch_uuid)
    far = cause_words.far_end(customer.disposition) if customer else None
    if far:
        return "the customer" if call.answered_at else "the customer's side"
    if asked is not None:
        who = named.get(asked.command_id, "")
        return f"{who}, by a command" if who else "the orchestrator"
    phones = {leg: _name(agent_leg.agent) for leg, agent_leg in agent_legs.items()}
    # One who only listened ends nothing but their listening.
    phones |= {str(side.leg_uuid): side_words.who(side) for side in sides if side.purpose != SideLeg.Purpose.LISTEN}
    for leg, name in phones.items():
        state = told.legs.get(leg)
        if state is not None and cause_words.far_end(state.disposition) and state.ended_at is not None:
            if abs(ladder.moment(state.ended_at * 1000) - call.ended_at) < _BEFORE:
                return f"{name}, at their softphone"
    return "the switch" if far is False else ""


def attempts(call: CallLog, within: Q) -> list[CallLog]:
    """The attempts at the call's contact (or number) that may be seen, the newest first, this one among them."""
    same = Q(contact=call.contact_id) if call.contact_id else Q(to_number=call.to_number)
    calls = CallLog.objects.select_related("agent__team", "campaign", "disposition").prefetch_related("side_legs")
    calls = calls.defer("cdr_data")
    return list(calls.filter(within).filter(same).order_by("-initiated_at", "-id")[:ATTEMPTS])


def dispositions(call: CallLog) -> list[DispositionChange]:
    changes = DispositionChange.objects.select_related("disposition", "callback", "do_not_call")
    return list(changes.filter(call=call).order_by("-id")[:COMMANDS])
