"""How a call that somebody moves goes on with what the switch says of its legs: parked, answered, bridged, ended.
What became of our orders is in call_orders.py, what the switch does not say in call_silence.py. Every function may be
told the same thing again, and does something only the first time."""

from dialer import call_operations as ops
from dialer import orders, outbox
from dialer.models import CallLog, Order, SideLeg
from dialer.services import answering, call_control, calls, live_legs, side_legs
from dialer.services.acting import Act

RINGING = (ops.CONSULT, ops.TAKE_OVER)
_CONFIRMED_BY_RETURN = ("unpark", "consult_cancel")


# --- What the switch says of the customer's leg -----------------------------------------------------------------------


def customer_parked(act: Act, call: CallLog) -> None:
    """The customer waits by themselves, because we have asked for it."""
    if call.ended_at is not None or call.agent_id is None or call.parked_at is not None:
        return
    if call.operation not in (ops.PARK, ops.CONSULT, ops.RETURN):
        return
    calls.hold_over(call, act.now)
    call.parked_at = act.now
    calls.save(call, "parked_at", "held_at", "hold_ms")
    if call.agent_leg is None or call.agent_leg.ended_at is not None:
        _hang_up_customer(act, call)
    elif call.operation == ops.PARK:
        call_control.begin(act, call, "")
        answering.confirm(act, call, "park")
    else:
        step(act, call)


def agent_parked(act: Act, leg: str) -> None:
    """The agent's leg waits apart from the customer."""
    call = of_agent_leg(leg)
    if call is not None and not call.agent_waits and (call.operation or call.parked_at is not None):
        call.agent_waits = True
        calls.save(call, "agent_waits")
        step(act, call)


def customer_bridged(act: Act, call: CallLog, peer: str) -> None:
    """The customer of a call that was joined before is joined (again): to its agent, or to somebody called for it."""
    if call.ended_at is not None or call.bridged_at is None:
        return
    if call.agent_leg is not None and peer == str(call.agent_leg.leg_uuid):
        _back(act, call)
        return
    if call.agent_id is None:
        if call.operation == ops.TRANSFER:
            _transferred_on(act, call, peer)
        return
    side = side_legs.locked(peer)
    if side is None or side.call_id != call.pk:
        _with_a_stranger(act, call, peer)
        return
    side.joined_at = side.joined_at or act.now
    side_legs.save(side, "joined_at")
    taken_over = side.purpose == side_legs.TAKE_OVER
    if taken_over:
        call.taken_over_by = side.actor
        side.changes = [*side.changes, {"mode": "take_over", "at": act.now.isoformat(timespec="milliseconds")}]
        side_legs.save(side, "changes")
        calls.save(call, "taken_over_by")
    calls.transferred(act, call)
    answering.confirm(act, call, "take_over" if taken_over else "consult_complete")


def _with_a_stranger(act: Act, call: CallLog, peer: str) -> None:
    """By our transfer, or by none of our orders: the agent's softphone transfers by itself, somebody types at the
    switch. What else we have under way is waited for: it may bring the customer back."""
    if call.operation not in ("", ops.TRANSFER):
        return
    live = live_legs.one(call.freeswitch_uuid)
    if live is not None and live.peer != peer:
        return  # told again, or over already
    consulted = side_legs.open_one(call, side_legs.CONSULT)
    if consulted is not None:
        side_legs.hang_up(act, consulted)
    calls.transferred(act, call)
    answering.confirm(act, call, "transfer")


def _transferred_on(act: Act, call: CallLog, peer: str) -> None:
    """A call that was taken over is with somebody else: whoever took it over has nothing more to do with it."""
    if orders.is_uuid(peer) and call.side_legs.filter(leg_uuid=peer).exists():
        return
    call.taken_over_by = ""
    call_control.begin(act, call, "")
    answering.confirm(act, call, "transfer")


def customer_alone(act: Act, call: CallLog) -> None:
    """The customer was parted from the agent by none of our orders, and lives on with nobody: in a menu, a mailbox, or
    ringing somebody else. They would have been hung up with the agent's leg, had that only ended."""
    if call.ended_at is None and call.agent_id is not None and not call.operation and call.parked_at is None:
        calls.transferred(act, call)


def _back(act: Act, call: CallLog) -> None:
    """Customer and agent are together again."""
    if call.parked_at is None and call.operation not in (ops.UNPARK, ops.RETURN, ops.RETURN_JOIN):
        return
    call.parked_at, call.agent_waits, call.operation, call.operation_at = None, False, "", None
    calls.save(call, "parked_at", "agent_waits", "operation", "operation_at")
    answering.confirm(act, call, *_CONFIRMED_BY_RETURN)
    consulted = side_legs.open_one(call, side_legs.CONSULT)
    if consulted is not None:
        # Left alone, it is hung up by the switch; this makes sure, and nobody races for its leg any more.
        side_legs.hang_up(act, consulted)


def of_agent_leg(leg: str) -> CallLog | None:
    """The open, once joined call of the agent whose leg this is."""
    if not orders.is_uuid(leg):
        return None
    rows = CallLog.objects.filter(ended_at=None, agent_leg__leg_uuid=leg, agent__isnull=False, bridged_at__isnull=False)
    uuid = rows.values_list("freeswitch_uuid", flat=True).first()
    return calls.locked(uuid) if uuid else None


# --- What it says of the legs that were called for the call -----------------------------------------------------------


def with_side(leg: str) -> tuple[SideLeg, CallLog] | None:
    side = side_legs.locked(leg)
    call = calls.locked(side.call.freeswitch_uuid) if side is not None else None
    return (side, call) if side is not None and call is not None else None


def side_created(act: Act, leg: str) -> None:
    if (found := with_side(leg)) and found[0].known_at is None:
        found[0].known_at = act.now
        side_legs.save(found[0], "known_at")


def side_answered(act: Act, leg: str) -> None:
    if (found := with_side(leg)) is None or found[0].answered_at is not None:
        return
    side, call = found
    side.answered_at = act.now
    side_legs.save(side, "answered_at")
    if side.purpose == side_legs.LISTEN:
        # It listens when the order is reported as done; of one in doubt nothing more will be reported.
        order = call.orders.filter(kind="eavesdrop", leg_uuid=leg, status=Order.Status.IN_DOUBT).first()
        if order is not None:
            listens_in_doubt(act, side, call, order)
        return
    if call.ended_at is not None or call.operation not in RINGING:
        side_legs.hang_up(act, side)  # nobody waits for it any longer
    else:
        step(act, call)


def listens_in_doubt(act: Act, side: SideLeg, call: CallLog, order: Order) -> None:
    """The order that called it is in doubt, and it has answered: so it listens, as everybody begins. Another mode is
    set by call_silence.py."""
    if side.joined_at is not None:
        return
    side_legs.mode_confirmed(act, side, "listen")
    if call.ended_at is not None or call.agent_id is None:
        side_legs.hang_up(act, side)  # the agent's leg outlives the call that was to be heard
    elif side_legs.mode_asked_for(order) == "listen":
        answering.confirm(act, call, "listen", actor=side.actor)


def side_bridged(act: Act, leg: str, peer: str) -> None:
    """The consulted extension talks with the agent. (What it says of the customer comes by their own leg.)"""
    if (found := with_side(leg)) is None or found[0].joined_at is not None:
        return
    side, call = found
    if call.agent_leg is None or peer != str(call.agent_leg.leg_uuid) or side.purpose != side_legs.CONSULT:
        return
    side.joined_at = act.now
    side_legs.save(side, "joined_at")
    if call.ended_at is None and call.operation == ops.CONSULT_JOIN:
        call.operation, call.operation_at, call.agent_waits = "", None, False
        calls.save(call, "operation", "operation_at", "agent_waits")
        answering.confirm(act, call, "consult")


def side_ended(act: Act, leg: str, cause: str) -> None:
    if (found := with_side(leg)) is None:
        return
    side, call = found
    side.ended_at, side.hangup_cause = act.now, cause[:64]
    side_legs.save(side, "ended_at", "hangup_cause")
    if call.ended_at is not None:
        answering.confirm(act, call, "stop_listening", actor=side.actor)
        return
    if side.purpose == side_legs.LISTEN:
        answering.confirm(act, call, "stop_listening", actor=side.actor)
        answering.fail(act, call, _why(cause), *ops.MODES, actor=side.actor)
    elif side.purpose == side_legs.TAKE_OVER:
        if call.operation in (ops.TAKE_OVER, ops.TAKE_OVER_JOIN):
            call_control.begin(act, call, "")
        elif call.operation == ops.TRANSFER:
            # Because it was done, whatever we know of the order; else the switch hangs up the customer, too.
            call.taken_over_by = ""
            calls.save(call, "taken_over_by")
        elif call.taken_over_by and not call.operation:
            _hang_up_customer(act, call)  # as the switch does; nobody is left in silence should it not
        answering.fail(act, call, _why(cause), "take_over", actor=side.actor)
    elif call.agent_id is not None:
        answering.fail(act, call, _why(cause), "consult", "consult_complete")
        apart = call.parked_at is not None or call.operation in (ops.CONSULT, ops.RETURN)
        if apart and call.operation != ops.RETURN_JOIN:
            call_control.begin(act, call, ops.RETURN)
            step(act, call)


def agent_leg_ended(act: Act, leg: str) -> None:
    """The agent's softphone is gone. A customer they talked with is hung up by the switch; one who waits apart from
    them would wait for ever."""
    call = of_agent_leg(leg)
    if call is not None and (call.parked_at is not None or call.operation in (ops.CONSULT, ops.RETURN)):
        _hang_up_customer(act, call)


def _hang_up_customer(act: Act, call: CallLog) -> None:
    """And with them, at their end, whoever was called for the call."""
    ordered = call.orders.filter(kind="hangup", leg_uuid=call.freeswitch_uuid)
    if not ordered.exclude(status__in=Order.GIVEN_UP).exists():
        order = orders.Hangup(**outbox.header(), leg=call.freeswitch_uuid)
        outbox.add(order, token=act.token, call_id=call.pk, agent_id=call.agent_id)


def _why(cause: str) -> str:
    words = {
        "NO_ANSWER": "nobody answered", "USER_BUSY": "the extension is busy", "CALL_REJECTED": "the call was declined",
        "USER_NOT_REGISTERED": "the extension is not registered", "SUBSCRIBER_ABSENT": "there is no such extension",
        "ALLOTTED_TIMEOUT": "nobody answered", "ORIGINATOR_CANCEL": "it was hung up",
        "NORMAL_CLEARING": "it was hung up", "LOST": "the switch has lost the call to it",
    }  # fmt: skip
    return words.get(cause, f"the extension could not be reached ({cause[:40]})")


# --- The next step ----------------------------------------------------------------------------------------------------


def step(act: Act, call: CallLog, *, patient: bool = True) -> None:
    """Order the bridge that the call waits for, once all its legs are where a bridge can take them. patient: no leg is
    taken before the switch has said that it is parked; a bridge that comes before that is undone by the parking."""
    apart = call.parked_at is not None and (call.agent_waits or not patient)
    match call.operation:
        case ops.TAKE_OVER:
            side = side_legs.open_one(call, side_legs.TAKE_OVER)
            if side is not None and side.answered_at is not None:
                _bridge(act, call, ops.TAKE_OVER_JOIN, call.freeswitch_uuid, str(side.leg_uuid))
        case ops.CONSULT if apart and call.agent_leg is not None:
            side = side_legs.open_one(call, side_legs.CONSULT)
            if side is not None and side.answered_at is not None:
                _bridge(act, call, ops.CONSULT_JOIN, str(side.leg_uuid), str(call.agent_leg.leg_uuid))
        case ops.RETURN if apart and call.agent_leg is not None:
            leg, peer = call.freeswitch_uuid, str(call.agent_leg.leg_uuid)
            _bridge(act, call, ops.RETURN_JOIN, leg, peer)


def _bridge(act: Act, call: CallLog, operation: str, leg: str, peer: str) -> None:
    call_control.begin(act, call, operation)
    order = orders.Bridge(**outbox.header(), leg=leg, peer=peer)
    outbox.add(order, token=act.token, call_id=call.pk, agent_id=call.agent_id)
