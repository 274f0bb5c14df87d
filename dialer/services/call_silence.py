"""Moves of calls that the switch neither confirms nor refuses, and those that nobody has asked it for."""

import datetime as dt
import logging

from django.db.models import Q

from dialer import call_operations as ops
from dialer import orders, outbox
from dialer.limits import LISTEN_SETTLES, OPERATION_PATIENCE, PARK_PATIENCE, PARTED_PATIENCE, SIDE_RING_SECONDS
from dialer.models import CallLog, Order, SideLeg
from dialer.services import answering, call_moves, call_orders, calls, live_legs, observing, side_legs
from dialer.services.acting import Act
from events import nodes

log = logging.getLogger(__name__)

RING = dt.timedelta(seconds=SIDE_RING_SECONDS)


def overdue(act: Act) -> None:
    """Operations that the switch neither confirms nor refuses. Time frees no agent and ends no call: it only lets
    people try again, after what Redis knows of the legs has been believed."""
    moving = (
        CallLog.objects.filter(ended_at=None).exclude(operation="").filter(operation_at__lt=act.now - PARK_PATIENCE)
    )
    for uuid in list(moving.values_list("freeswitch_uuid", flat=True)):
        if (call := calls.locked(uuid)) is None or not call.operation or call.operation_at is None:
            continue
        _believe_live_legs(act, call)
        if not call.operation or call.operation_at is None:
            continue
        call_moves.step(act, call, patient=False)
        patience = OPERATION_PATIENCE + (RING if call.operation in call_moves.RINGING else dt.timedelta())
        if act.now - call.operation_at > patience and not _may_yet_be_told(call):
            log.warning("call %s: %s was not confirmed by the switch", call.call_id, call.operation)
            call_orders.move_failed(act, call, answering.UNCONFIRMED)
    _unasked(act)
    _modes_in_doubt(act)


def _may_yet_be_told(call: CallLog) -> bool:
    """Its order is in doubt, and the bridge has not yet compared what it missed: a switch that was frozen carries out
    what it has taken when it goes on, perhaps minutes later."""
    doubtful = call.orders.filter(status=Order.Status.IN_DOUBT, created_at__gte=call.operation_at)
    return doubtful.exists() and not observing.has_compared(nodes.of_extension(call.from_extension))


def _modes_in_doubt(act: Act) -> None:
    """Supervisors whose calling is in doubt listen (call_moves.listens_in_doubt); who asked to be heard has yet to
    be. Each is tried once."""
    listening = SideLeg.objects.filter(
        ended_at=None, purpose=side_legs.LISTEN, mode="listen", answered_at__lt=act.now - LISTEN_SETTLES
    )
    doubtful = Order.objects.filter(kind="eavesdrop", status=Order.Status.IN_DOUBT, call__ended_at=None)
    for order in doubtful.filter(leg_uuid__in=listening.values("leg_uuid")).exclude(payload__mode="listen"):
        if not Order.objects.filter(kind="listen_mode", leg_uuid=order.leg_uuid).exists():
            mode = orders.ListenMode(
                **outbox.header(),
                leg=str(order.leg_uuid),
                mode=side_legs.mode_asked_for(order),  # type: ignore[arg-type]  # the outbox validates it
            )
            outbox.add(mode, token=act.token, call_id=order.call_id, agent_id=order.agent_id,
                       command_id=order.command_id)  # fmt: skip


def _unasked(act: Act) -> None:
    """Customers who by the switch's word are joined to a stranger, or have been to nobody for a while, although no
    order of ours moves them. Of whom Redis does not know that they were ever joined, it has lost what came after."""
    joined = CallLog.objects.filter(ended_at=None, operation="", agent__isnull=False, bridged_at__isnull=False)
    rows = list(joined.values_list("freeswitch_uuid", "agent_leg__leg_uuid", "parked_at"))
    parted_before = (act.now - PARTED_PATIENCE).timestamp() * 1000
    for (uuid, agent_leg, parked), leg in zip(rows, live_legs.several([row[0] for row in rows]), strict=True):
        if leg is None or leg.bridged_at is None or leg.peer == str(agent_leg):
            continue
        if not leg.peer and (parked or leg.since > parted_before):
            continue
        if (call := calls.locked(uuid)) is None:
            continue
        if leg.peer:
            call_moves.customer_bridged(act, call, leg.peer)
        else:
            call_moves.customer_alone(act, call)


def _believe_live_legs(act: Act, call: CallLog) -> None:
    """A fact may have been lost with its task; the ingest's state of the leg has it."""
    leg = live_legs.one(call.freeswitch_uuid)
    if leg is None:
        return
    if leg.peer:
        call_moves.customer_bridged(act, call, leg.peer)
    elif call.operation in (ops.PARK, ops.CONSULT, ops.RETURN) and leg.state == "answered":
        call_moves.customer_parked(act, call)
    for side in SideLeg.objects.filter(call=call, ended_at=None).filter(Q(answered_at=None) | Q(joined_at=None)):
        known = live_legs.one(str(side.leg_uuid))
        if known is not None and known.answered_at:
            call_moves.side_answered(act, str(side.leg_uuid))
            if known.peer:
                call_moves.side_bridged(act, str(side.leg_uuid), known.peer)
    call.refresh_from_db()
