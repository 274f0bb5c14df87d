"""Legs called for a call besides the customer's and the agent's: supervisors who listen or take over, colleagues who
are consulted. Each is written down before its order leaves, and is over when the switch says so."""

import uuid
from collections.abc import Iterable

from dialer import announce, orders, outbox
from dialer.models import CallLog, Order, SideLeg
from dialer.services import ahead, answering, endings
from dialer.services.acting import Act

LISTEN, TAKE_OVER, CONSULT = SideLeg.Purpose.LISTEN, SideLeg.Purpose.TAKE_OVER, SideLeg.Purpose.CONSULT


def locked(leg_uuid: str) -> SideLeg | None:
    """The open side leg with this uuid."""
    rows = SideLeg.objects.select_for_update(of=("self",)).filter(ended_at=None)
    return rows.filter(leg_uuid=leg_uuid).first() if orders.is_uuid(leg_uuid) else None


def of_the_past(leg_uuid: str) -> SideLeg | None:
    """The side leg with this uuid, if it is over."""
    rows = SideLeg.objects.filter(ended_at__isnull=False)
    return rows.filter(leg_uuid=leg_uuid).first() if orders.is_uuid(leg_uuid) else None


def open_one(call: CallLog, purpose: str, actor: str | None = None) -> SideLeg | None:
    rows = SideLeg.objects.select_for_update(of=("self",)).filter(call=call, ended_at=None, purpose=purpose)
    return (rows if actor is None else rows.filter(actor=actor)).first()


def create(act: Act, call: CallLog, purpose: str, extension: str) -> SideLeg:
    ahead.changed("ending", call.pk)
    return SideLeg.objects.create(
        leg_uuid=uuid.uuid4(), call=call, agent=call.agent, purpose=purpose, actor=act.by[:150], extension=extension,
        requested_at=act.now,
    )  # fmt: skip


def save(side: SideLeg, *fields: str) -> None:
    side.save(update_fields=list(fields))
    announce.changed("call", side.call_id)
    if side.agent_id is not None:
        announce.changed("agent", side.agent_id)


def mode_asked_for(order: Order) -> str:
    """How whoever is called by an eavesdrop order wants to listen."""
    return str(order.payload.get("mode", "listen")) if isinstance(order.payload, dict) else "listen"


def mode_confirmed(act: Act, side: SideLeg, mode: str) -> None:
    """The switch lets it listen in this mode from now on."""
    side.mode = mode
    side.joined_at = side.joined_at or act.now
    side.answered_at = side.answered_at or act.now
    side.changes = [*side.changes, {"mode": mode, "at": act.now.isoformat(timespec="milliseconds")}]
    save(side, "mode", "joined_at", "answered_at", "changes")


def hang_up(act: Act, side: SideLeg, command_id: str | None = None, *, unless_joined: bool = False) -> None:
    order = orders.Hangup(**outbox.header(), leg=str(side.leg_uuid), unless_joined=unless_joined)
    outbox.add(order, token=act.token, call_id=side.call_id, agent_id=side.agent_id, command_id=command_id)


def agent_leaves(act: Act, call: CallLog) -> None:
    """The agent is done with the call: nobody listens to them for it any longer, and the next customer hears them. Sets
    (and does not save) FREED on the call."""
    _agent_leaves(act, call, SideLeg.objects.select_for_update().filter(call=call, ended_at=None, purpose=LISTEN))


def _agent_leaves(act: Act, call: CallLog, listeners: Iterable[SideLeg]) -> None:
    for side in listeners:
        hang_up(act, side)
    if call.muted:
        unmute(act, call)
    call.muted, call.held_at, call.parked_at, call.agent_waits = False, None, None, False


def unmute(act: Act, call: CallLog) -> None:
    """The agent was done with the call: the next customer must hear them."""
    leg = call.agent_leg
    if leg is not None and leg.ended_at is None:
        order = orders.Mute(**outbox.header(), leg=str(leg.leg_uuid), on=False)
        outbox.add(order, token=act.token, call_id=call.pk, agent_id=leg.agent_id)


FREED = ("muted", "held_at", "parked_at", "agent_waits")


def call_ended(act: Act, call: CallLog, known: endings.Known) -> None:
    """The customer has left: so does everybody who was called for it, and what was under way has come to nothing. Sets
    (and does not save) FREED, operation and operation_at on the call."""
    if known.waiting:
        answering.call_ended(act, call)
    if call.bridged_at is None:
        return  # nobody talked, so nobody was called for it
    sides = list(SideLeg.objects.select_for_update().filter(call=call, ended_at=None)) if known.sides else []
    _agent_leaves(act, call, [side for side in sides if side.purpose == LISTEN])
    for side in sides:
        if side.purpose != LISTEN:
            # One that was bridged to the customer has been hung up by the switch; a second word does no harm.
            hang_up(act, side)
    call.operation, call.operation_at = "", None
