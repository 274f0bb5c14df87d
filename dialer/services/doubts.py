"""What nobody has said anything about is asked for: time alone never ends a call and never frees an agent.

An attempt whose order can no longer be executed and which the switch has not mentioned is settled by `uuid_exists`;
the same for calls and softphone legs that are missing from the live state.
"""

import datetime as dt

from django.db.models import Q

from dialer import orders, outbox
from dialer.limits import IN_DOUBT_AFTER, MISSING_AFTER, PROBE_EVERY
from dialer.models import AgentLeg, CallLog, CallStatus, Order, SideLeg
from dialer.services import agents, call_moves, calls, live_legs, side_legs
from dialer.services.acting import Act

_CALLS = ("originate_agent", "call_extension", "eavesdrop")


def doubt(act: Act, call: CallLog) -> None:
    """The switch may or may not have this attempt: mark it and ask, as soon as its order can no longer be executed."""
    if call.ended_at is None and call.in_doubt_since is None:
        call.in_doubt_since = act.now
        calls.save(call, "in_doubt_since")


def probe(act: Act, leg: str, *, call_id: int | None = None, agent_id: int | None = None) -> None:
    """Ask for a leg, unless that was done a moment ago."""
    recent = Order.objects.filter(leg_uuid=leg, kind="probe", created_at__gt=act.now - PROBE_EVERY)
    if not recent.exists():
        outbox.add(orders.Probe(**outbox.header(), leg=leg), token=act.token, call_id=call_id, agent_id=agent_id)


def settle(act: Act) -> int:
    """Ask for everything that is in doubt now; returns how many."""
    silent = CallLog.objects.select_for_update(of=("self",)).filter(
        Q(status=CallStatus.INITIATED) | Q(in_doubt_since__isnull=False),
        ended_at=None,
        initiated_at__lt=act.now - IN_DOUBT_AFTER,
    )
    asked = 0
    for call in silent:
        doubt(act, call)
        probe(act, call.freeswitch_uuid, call_id=call.pk)
        asked += 1
    live = live_legs.every()
    if live is None:
        return asked
    before, never_came = act.now - MISSING_AFTER, act.now - IN_DOUBT_AFTER
    for pk, leg in CallLog.objects.filter(
        ended_at=None, initiated_at__lt=before, status__in=[CallStatus.DIALING, CallStatus.ANSWERED]
    ).values_list("pk", "freeswitch_uuid"):
        if leg not in live:
            probe(act, leg, call_id=pk)
            asked += 1
    softphones = AgentLeg.objects.filter(ended_at=None, requested_at__lt=before).exclude(
        opened_at=None, requested_at__gte=never_came
    )
    for leg_uuid, agent_pk in softphones.values_list("leg_uuid", "agent_id"):
        if str(leg_uuid) not in live:
            probe(act, str(leg_uuid), agent_id=agent_pk)
            asked += 1
    sides = SideLeg.objects.filter(ended_at=None, requested_at__lt=before).exclude(
        known_at=None, answered_at=None, requested_at__gte=never_came
    )
    for side_uuid, call_pk in sides.values_list("leg_uuid", "call_id"):
        if str(side_uuid) not in live:
            probe(act, str(side_uuid), call_id=call_pk)
            asked += 1
    return asked


def probed(act: Act, leg: str, *, exists: bool) -> None:
    """The switch's answer about one leg. `exists` settles nothing by itself: its events, or a comparison, will
    follow."""
    call = calls.locked(leg)
    if call is not None and call.ended_at is None:
        if exists:
            new = call.status == CallStatus.INITIATED
            if new or call.in_doubt_since is not None:
                call.in_doubt_since = None
                if new:
                    call.status = CallStatus.DIALING
                calls.save(call, "status", "in_doubt_since")
            return
        # A leg that the switch has told of had come before it was asked for; another may only be on its way.
        never_seen = call.status == CallStatus.INITIATED
        if not never_seen or act.now - call.initiated_at > IN_DOUBT_AFTER:
            calls.ended(act, call, "NEVER_SENT" if never_seen else "LOST", act.now, reached=not never_seen)
        return
    softphone = AgentLeg.objects.select_for_update(of=("self",)).filter(leg_uuid=leg, ended_at=None).first()
    if softphone is None:
        _side_probed(act, leg, exists=exists)
        return
    if exists and softphone.opened_at is None and _is_live_and_answered(leg):
        agents.leg_opened(act, softphone)
    elif not exists and not _may_still_come(act, leg, softphone.requested_at, softphone.opened_at):
        agents.leg_ended(act, softphone, "LOST")
        call_moves.agent_leg_ended(act, leg)


def _side_probed(act: Act, leg: str, *, exists: bool) -> None:
    if exists:
        if _is_live_and_answered(leg):
            call_moves.side_answered(act, leg)
        return
    side = side_legs.locked(leg)
    if side is not None and not _may_still_come(act, leg, side.requested_at, side.known_at or side.answered_at):
        call_moves.side_ended(act, leg, "LOST")


def _may_still_come(act: Act, leg: str, requested_at: dt.datetime, came_at: dt.datetime | None) -> bool:
    """Whether a leg that the switch does not have may only be on its way there: after a restart its order and the
    question leave together, and the question is answered first."""
    if came_at is not None or act.now - requested_at > IN_DOUBT_AFTER:
        return False
    settled = (Order.Status.DONE, *Order.NOT_DONE)
    return Order.objects.filter(leg_uuid=leg, kind__in=_CALLS).exclude(status__in=settled).exists()


def _is_live_and_answered(leg: str) -> bool:
    state = live_legs.one(leg)
    return state is not None and state.state in {"answered", "bridged", "held"}
