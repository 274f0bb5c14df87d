"""What became of the orders that belong to live calls: done, refused, expired, or in doubt."""

import logging
from typing import Any

from dialer import call_operations as ops
from dialer import orders, outbox
from dialer.limits import UNMUTE_TRIES
from dialer.models import CallLog, Order
from dialer.services import answering, call_control, call_moves, calls, side_legs
from dialer.services.acting import Act
from events import facts as f

log = logging.getLogger(__name__)
_MOVES_LEGS = ("park", "bridge", "transfer")


def order_reported(act: Act, order: Order, fact: f.OrderReported) -> None:
    """The outcome of an order that belongs to a live call; `sent` is none."""
    if order.call_id is None or fact.status == "sent":
        return
    done, leg = fact.status == "done", str(order.leg_uuid)
    payload: dict[str, Any] = order.payload if isinstance(order.payload, dict) else {}
    if not _asks_for_something(order.kind, payload, done=done):
        return
    if order.kind in {"eavesdrop", "call_extension"}:
        _call_reported(act, order, leg, payload, fact)
        return
    call = calls.locked(order.call.freeswitch_uuid) if order.call is not None else None
    if call is None:
        return
    if fact.status == "in_doubt" and order.kind in _MOVES_LEGS and call.operation:
        return  # it may have been done: the operation waits for the switch's word on the legs (call_silence.py)
    reason = "" if done else _refusal(fact)
    match order.kind:
        case "listen_mode":
            if done and (side := side_legs.locked(leg)) is not None:
                side_legs.mode_confirmed(act, side, str(payload.get("mode", "")))
            answering.settle_command(act, order.command_id, reason)
        case "mute":
            _mute_reported(act, call, order, fact, on=bool(payload.get("on", True)))
        case "transfer":
            answering.settle_command(act, order.command_id, reason)
            if call.operation == ops.TRANSFER:
                call.taken_over_by = "" if done else call.taken_over_by
                call_control.begin(act, call, "")
        case "record" | "hold":
            answering.settle_command(act, order.command_id, reason)
        case "hangup" if call.ended_at is None and leg == call.freeswitch_uuid:
            answering.settle_command(act, order.command_id, reason)
        case "park" | "bridge" if call.operation_at is not None:
            if order.created_at >= call.operation_at:  # else it was another operation's
                move_failed(act, call, reason)


def _asks_for_something(kind: str, payload: dict[str, Any], *, done: bool) -> bool:
    """The most frequent outcomes, of calls placed and joined, ask for nothing here: their events say it."""
    match kind:
        case "eavesdrop" | "call_extension" | "listen_mode" | "mute" | "transfer":
            return True
        case "record":
            return payload.get("action") in {"mask", "unmask"} or not done
        case "hold" | "hangup" | "park" | "bridge":
            return not done
        case _:
            return False


def _mute_reported(act: Act, call: CallLog, order: Order, fact: f.OrderReported, *, on: bool) -> None:
    done = fact.status == "done"
    # On the switch a mute outlives the call. One in doubt counts as done, so that it is taken back.
    may_be_muted = done or fact.status == "in_doubt" if on else not done
    if call.ended_at is None and call.agent_id is not None:
        if (done or may_be_muted) and call.muted != may_be_muted:
            call.muted = may_be_muted
            calls.save(call, "muted")
    elif may_be_muted and (on or fact.status != "failed"):  # the switch's own refusal: not muted, or no leg
        _unmute_again(act, call)
    answering.settle_command(act, order.command_id, "" if done else _refusal(fact))


def _unmute_again(act: Act, call: CallLog) -> None:
    """Unless the agent is muted by now on their next call, at whose end it is taken back."""
    if CallLog.objects.filter(agent_leg=call.agent_leg_id, ended_at=None, agent__isnull=False, muted=True).exists():
        return
    if call.orders.filter(kind="mute", payload__on=False).count() < UNMUTE_TRIES:
        side_legs.unmute(act, call)
    else:
        log.error("call %s: its agent was muted, and taking it back has failed too often", call.call_id)


def _call_reported(act: Act, order: Order, leg: str, payload: dict[str, Any], fact: f.OrderReported) -> None:
    """The call to a supervisor's softphone or to a consulted extension was answered, or came to nothing."""
    found = call_moves.with_side(leg)
    if found is None:
        return
    side, call = found
    if fact.status == "done":
        if side.purpose == side_legs.LISTEN and side.joined_at is None:
            mode = str(payload.get("mode", "listen"))
            side_legs.mode_confirmed(act, side, mode)
            answering.confirm(act, call, mode, actor=side.actor)
            if call.ended_at is not None or call.agent_id is None:
                side_legs.hang_up(act, side)  # the agent's leg outlives the call that was to be heard
        elif side.answered_at is None:
            call_moves.side_answered(act, leg)
    elif fact.status == "in_doubt" and side.purpose == side_legs.LISTEN and (side.answered_at or fact.leg_exists):
        call_moves.listens_in_doubt(act, side, call, order)
    elif fact.leg_exists and side.purpose == side_legs.LISTEN:
        side_legs.mode_confirmed(act, side, "listen")  # answered, and only the change of its mode has failed
        answering.fail(act, call, _refusal(fact), *ops.MODES, actor=side.actor)
    elif fact.status in {"refused", "expired"} or (fact.status == "failed" and fact.leg_exists is False):
        call_moves.side_ended(act, leg, _cause(fact))
    else:
        outbox.add(orders.Probe(**outbox.header(), leg=leg), token=act.token, call_id=call.pk)


def _cause(fact: f.OrderReported) -> str:
    return fact.reply.removeprefix("-ERR").strip()[:64] or fact.status.upper()


def _refusal(fact: f.OrderReported) -> str:
    words = {
        "expired": "it was not sent to the switch in time",
        "in_doubt": "the link to the switch was lost; whether it was done is not known",
        "refused": f"not sent: {fact.reply}",
    }
    return words.get(fact.status, f"the switch refused: {fact.reply.strip() or 'without a reason'}")


def move_failed(act: Act, call: CallLog, reason: str) -> None:
    """What moved the legs was refused: they are where they were."""
    if call.ended_at is not None or not call.operation:
        return
    operation = call.operation
    answering.fail(act, call, reason, *ops.MOVES)
    call_control.begin(act, call, "")
    if operation in (ops.TAKE_OVER, ops.TAKE_OVER_JOIN):
        if (side := side_legs.open_one(call, side_legs.TAKE_OVER)) is not None:
            # A bridge whose outcome nobody has told may have joined them: then the customer would be cut off with it.
            side_legs.hang_up(act, side, unless_joined=operation == ops.TAKE_OVER_JOIN)
    elif operation in (ops.CONSULT, ops.CONSULT_JOIN):
        if (side := side_legs.open_one(call, side_legs.CONSULT)) is not None:
            call_control.cancel_consult(act, call, side)
