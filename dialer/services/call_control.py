"""What people ask of a live call. A command is checked against the call's situation, written down with its orders, and
confirmed when the switch says that it was done (call_moves.py, answering.py)."""

from typing import Any

from dialer import announce, call_operations, orders, outbox
from dialer.call_operations import Situation
from dialer.limits import SIDE_RING_SECONDS
from dialer.models import CallLog, SideLeg
from dialer.services import calls, side_legs
from dialer.services.acting import Act, Rejected

Command = dict[str, Any]
Result = dict[str, Any]
# In a command's result: the switch is asked for something, and its answer follows.
AWAITS = "awaits_switch"


def control(act: Act, command: Command) -> Result:
    """{call_id, action, extension}; raises Rejected with the reason."""
    call = calls.locked(str(command.get("call_id", "")))
    if call is None:
        raise Rejected("there is no such call")
    if call.ended_at is not None:
        raise Rejected("this call has ended")
    action = str(command.get("action", ""))
    if reason := call_operations.refusal(action, situation(call)):
        raise Rejected(reason)
    _do(act, call, action, command)
    announce.changed("call", call.pk)
    return {"call_id": str(call.call_id), "action": action, AWAITS: True}


def situation(call: CallLog) -> Situation:
    consulted = side_legs.open_one(call, side_legs.CONSULT)
    return Situation(
        answered=call.answered_at is not None,
        talked=call.bridged_at is not None,
        agent=call.agent_id is not None and call.agent_leg is not None,
        taken_over=bool(call.taken_over_by),
        parked=call.parked_at is not None,
        held=call.held_at is not None,
        muted=call.muted,
        consult="" if consulted is None else "talking" if consulted.joined_at else "ringing",
        recording=call.recording,  # type: ignore[arg-type]  # its choices
        operation=call.operation,
    )


def near_leg(call: CallLog) -> str | None:
    """The leg that talks with the customer on our side: the agent's, or that of the supervisor who has taken over."""
    if call.taken_over_by:
        side = side_legs.open_one(call, side_legs.TAKE_OVER)
        return str(side.leg_uuid) if side is not None else None
    return str(call.agent_leg.leg_uuid) if call.agent_leg is not None else None


def _do(act: Act, call: CallLog, action: str, command: Command) -> None:
    header, customer = outbox.header(), call.freeswitch_uuid
    match action:
        case "hangup":
            _order(act, call, orders.Hangup(**header, leg=customer))
        case "hold" | "unhold":
            # The one who holds is the agent: whoever they are bridged to hears the music.
            _order(act, call, orders.Hold(**header, leg=_near(call), on=action == "hold"))
        case "mute" | "unmute":
            _order(act, call, orders.Mute(**header, leg=_near(call), on=action == "mute"))
        case "record_start" | "record_stop":
            calls.record(act, call, action.removeprefix("record_"), act.command_id)
        case "record_pause" | "record_resume":
            calls.record(act, call, "mask" if action == "record_pause" else "unmask", act.command_id)
        case "listen" | "whisper" | "barge":
            _listen(act, call, action, command)
        case "stop_listening":
            side = side_legs.open_one(call, side_legs.LISTEN, act.by)
            if side is None:
                raise Rejected("you do not listen to this call")
            side_legs.hang_up(act, side, act.command_id)
        case "park":
            begin(act, call, call_operations.PARK)
            _order(act, call, orders.Park(**header, leg=customer))
        case "unpark":
            begin(act, call, call_operations.UNPARK)
            _order(act, call, orders.Bridge(**header, leg=customer, peer=_near(call)))
        case "transfer":
            extension = _extension(command)
            begin(act, call, call_operations.TRANSFER)
            _order(act, call, orders.Transfer(**header, leg=customer, extension=extension))
        case "consult":
            _consult(act, call, _extension(command))
        case "consult_complete":
            side = _consulted(call)
            begin(act, call, call_operations.CONSULT_COMPLETE)
            _order(act, call, orders.Bridge(**header, leg=customer, peer=str(side.leg_uuid)))
        case "consult_cancel":
            cancel_consult(act, call, _consulted(call), act.command_id)
        case "take_over":
            _take_over(act, call, command)


def begin(act: Act, call: CallLog, operation: str) -> None:
    """From now on the call waits for the switch to do this; '' when it has."""
    call.operation, call.operation_at = operation, act.now if operation else None
    calls.save(call, "operation", "operation_at", "taken_over_by")


def cancel_consult(act: Act, call: CallLog, side: SideLeg, command_id: str | None = None) -> None:
    """Back to the customer. One who talks with the agent is left by the bridge itself, and hung up by the switch: a
    hangup beside it would race with it for the agent's leg."""
    if side.joined_at is not None and call.agent_leg is not None:
        begin(act, call, call_operations.RETURN_JOIN)
        order = orders.Bridge(**outbox.header(), leg=call.freeswitch_uuid, peer=str(call.agent_leg.leg_uuid))
        outbox.add(order, token=act.token, call_id=call.pk, agent_id=call.agent_id, command_id=command_id)
        return
    begin(act, call, call_operations.RETURN)
    side_legs.hang_up(act, side, command_id)


def _order(act: Act, call: CallLog, order: orders.AnyOrder) -> None:
    outbox.add(order, token=act.token, call_id=call.pk, agent_id=call.agent_id, command_id=act.command_id)


def _near(call: CallLog) -> str:
    leg = near_leg(call)
    if leg is None:
        raise Rejected("nobody is talking on this call")
    return leg


def _consulted(call: CallLog) -> SideLeg:
    side = side_legs.open_one(call, side_legs.CONSULT)
    if side is None:
        raise Rejected("nobody is being consulted")
    return side


def _extension(command: Command) -> str:
    extension = str(command.get("extension") or "")
    if not (extension.isascii() and extension.isdigit() and 2 <= len(extension) <= 12):
        raise Rejected("an extension is 2 to 12 digits")
    return extension


def _softphone(call: CallLog, command: Command) -> str:
    """The supervisor's own; raises Rejected."""
    extension = _extension(command)
    if call.agent is not None and call.agent.extension == extension:
        raise Rejected("that is the agent's own softphone")
    return extension


def _who(act: Act) -> str:
    """The actor as the switch may be told; a name with other characters is not."""
    return act.by[:64] if act.by.isascii() and act.by.replace("_", "").isalnum() else ""


def _listen(act: Act, call: CallLog, mode: str, command: Command) -> None:
    side = side_legs.open_one(call, side_legs.LISTEN, act.by)
    if side is not None:
        if side.joined_at is None:
            raise Rejected("your softphone is being called already")
        if side.mode == mode:
            raise Rejected(f"that is how you listen already ({mode})")
        _order(act, call, orders.ListenMode(**outbox.header(), leg=str(side.leg_uuid), mode=mode))  # type: ignore[arg-type]
        return
    extension = _softphone(call, command)
    assert call.agent_leg is not None
    side = side_legs.create(act, call, side_legs.LISTEN, extension)
    order = orders.Eavesdrop(
        **outbox.header(),
        leg=str(side.leg_uuid),
        extension=extension,
        target=str(call.agent_leg.leg_uuid),
        supervisor=_who(act),
        mode=mode,  # type: ignore[arg-type]  # the outbox validates it
        timeout=SIDE_RING_SECONDS,
    )
    _order(act, call, order)


def _take_over(act: Act, call: CallLog, command: Command) -> None:
    if side_legs.open_one(call, side_legs.TAKE_OVER) is not None:
        # Of an attempt that has failed: its hang-up is on its way.
        raise Rejected("the softphone that was called before is still being hung up; try again in a moment")
    listening = side_legs.open_one(call, side_legs.LISTEN, act.by)
    if listening is not None and listening.joined_at is not None:
        # Their softphone is on the call already: it leaves its listening for the customer.
        listening.purpose, listening.mode = side_legs.TAKE_OVER, ""
        side_legs.save(listening, "purpose", "mode")
        begin(act, call, call_operations.TAKE_OVER_JOIN)
        _order(act, call, orders.Bridge(**outbox.header(), leg=call.freeswitch_uuid, peer=str(listening.leg_uuid)))
        return
    extension = _softphone(call, command)
    begin(act, call, call_operations.TAKE_OVER)
    _call_extension(act, call, side_legs.create(act, call, side_legs.TAKE_OVER, extension), "supervisor")


def _consult(act: Act, call: CallLog, extension: str) -> None:
    if call.agent is not None and call.agent.extension == extension:
        raise Rejected("that is the agent's own softphone")
    begin(act, call, call_operations.CONSULT)
    if call.parked_at is None:
        _order(act, call, orders.Park(**outbox.header(), leg=call.freeswitch_uuid))
    _call_extension(act, call, side_legs.create(act, call, side_legs.CONSULT, extension), "consulted")


def _call_extension(act: Act, call: CallLog, side: SideLeg, role: str) -> None:
    order = orders.CallExtension(
        **outbox.header(),
        leg=str(side.leg_uuid),
        extension=side.extension,
        role=role,  # type: ignore[arg-type]  # the outbox validates it
        who=_who(act) if side.purpose == side_legs.TAKE_OVER else "",
        caller_id_name=orders.caller_name(call.agent.name if call.agent else ""),
        timeout=SIDE_RING_SECONDS,
    )
    _order(act, call, order)
