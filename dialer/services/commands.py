"""What people ask for: agent states, campaigns, calls. A command id has one effect and one answer, however often it
comes."""

import datetime as dt
import logging
import uuid
from collections.abc import Callable
from typing import Any

import redis

from dialer import agent_states as machine
from dialer import announce, inbox
from dialer.compiled import compiled
from dialer.limits import COMMAND_SECONDS, OVERLOOKED_AFTER, OVERLOOKED_LIMIT
from dialer.models import (
    DIALS_AHEAD,
    Agent,
    AppliedCommand,
    CampaignStatus,
    DialerCampaign,
    DialingMode,
    QueuedCommand,
    ReasonCode,
)
from dialer.services import (
    agents,
    answering,
    call_control,
    calls,
    dialing,
    disposing,
    failing,
    freeing,
    limiting,
    manual,
    messages,
    offers,
    preview,
    wake,
)
from dialer.services.acting import Act, Rejected, acting, note, undone_if_rejected

log = logging.getLogger(__name__)
Command = dict[str, Any]
Result = dict[str, Any]


def set_agent_state(command: Command) -> Result:
    """{command_id, actor, agent_id, state, reason, requested_at, cancel_pending}; see docs/protocol.md."""
    return _once(command, "set_agent_state", str(command.get("agent_id", "")), _set_agent_state)


def control(command: Command) -> Result:
    """campaign_control {campaign_id, action, mode, max_lines, calls_per_second, power_ratio}, call_control {call_id,
    action, extension}, preview_control {agent_id, action, preview_id, at, personal, reason}, manual_dial {agent_id,
    campaign_id, number}, dispose_call {call_id, code, notes, callback_at, callback_personal}, send_message {agents,
    teams, campaigns, text} or read_message {agent_id, message_id}; see docs/protocol.md."""
    match command.get("kind"):
        case "campaign_control":
            return _once(command, "campaign_control", str(command.get("campaign_id", "")), _campaign_control)
        case "call_control":
            return _once(command, "call_control", str(command.get("call_id", "")), call_control.control)
        case "preview_control":
            return _once(command, "preview_control", str(command.get("agent_id", "")), _preview_control)
        case "manual_dial":
            return _once(command, "manual_dial", str(command.get("agent_id", "")), _manual_dial)
        case "dispose_call":
            return _once(command, "dispose_call", str(command.get("call_id", "")), disposing.dispose)
        case "send_message":
            return _once(command, "send_message", messages.addressees(command), messages.send)
        case "read_message":
            return _once(command, "read_message", str(command.get("agent_id", "")), messages.read)
        case kind:
            return _once(command, str(kind)[:40], "", _unknown)


def overlooked(now: dt.datetime) -> int:
    """Carry out accepted commands whose task has not come: the queue lost it. Oldest first; returns how many."""
    waiting = list(QueuedCommand.objects.filter(queued_at__lt=now - OVERLOOKED_AFTER)[:OVERLOOKED_LIMIT])
    for row in waiting:
        log.warning("command %s was accepted and its task has not come; carried out now", row.command_id)
        (set_agent_state if row.task == inbox.AGENT_STATE else control)(row.payload)
    return len(waiting)


_EARLIER = compiled(lambda command_id: AppliedCommand.objects.filter(command_id=command_id))


@failing.answered
def _once(command: Command, kind: str, target: str, do: Callable[[Act, Command], Result]) -> Result:
    """Run a command once; the row that says so is committed with its effect."""
    command_id, actor = _command_id(command), str(command.get("actor") or "")[:150]
    earlier = _EARLIER.first(command_id)
    if earlier is not None:
        QueuedCommand.objects.filter(command_id=command_id).delete()
        return answering.publish(earlier)
    status, reason, result = AppliedCommand.Status.APPLIED, "", {}
    confirmation = AppliedCommand.Confirmation.NONE
    with acting(actor or "unknown", command_id) as act:
        try:
            _fresh(command, act.now)
            with undone_if_rejected():
                result = do(act, command)
            if result.pop(call_control.AWAITS, False):
                confirmation = AppliedCommand.Confirmation.WAITING
        except Rejected as refusal:
            status, reason = AppliedCommand.Status.REJECTED, str(refusal)[:300]
        row = AppliedCommand.objects.create(
            command_id=command_id,
            kind=kind,
            actor=actor,
            target=target[:100],
            payload=command,
            status=status,
            reason=reason,
            result=result,
            applied_at=act.now,
            confirmation=confirmation,
        )
        QueuedCommand.objects.filter(command_id=command_id).delete()
        note(f"{kind} {status}{': ' * bool(reason)}{reason}")
    return answering.publish(row)


def _command_id(command: Command) -> str:
    """The command's own id; one of ours when the sender gave none or no uuid."""
    try:
        return str(uuid.UUID(str(command["command_id"])))
    except (KeyError, ValueError):
        return str(uuid.uuid4())


def _fresh(command: Command, now: dt.datetime) -> None:
    asked = command.get("requested_at")
    if isinstance(asked, int | float) and now.timestamp() - asked > COMMAND_SECONDS:
        raise Rejected(
            f"asked for {round(now.timestamp() - asked)} s ago; look again and repeat it if you still want it"
        )


def _unknown(act: Act, command: Command) -> Result:
    raise Rejected("this is no command")


# --- Agents -------------------------------------------------------------------------------------------------------


def _agent(command: Command) -> Agent:
    agent = agents.locked_by_name(str(command.get("agent_id", "")))
    if agent is None:
        raise Rejected(f"there is no agent {str(command.get('agent_id', ''))[:50]}")
    return agent


def _preview_control(act: Act, command: Command) -> Result:
    return preview.control(act, _agent(command), command)


def _manual_dial(act: Act, command: Command) -> Result:
    agent, campaign = _agent(command), _campaign(command.get("campaign_id"))
    call = manual.dial(act, agent, campaign, str(command.get("number") or ""))
    return {"agent_id": agent.agent_id, "call_id": str(call.call_id)}


def _set_agent_state(act: Act, command: Command) -> Result:
    agent = _agent(command)
    event: machine.Input
    if command.get("cancel_pending"):
        event = machine.CancelPending()
    else:
        wanted = str(command.get("state", ""))
        if wanted not in set(machine.Status):
            raise Rejected(f"{wanted[:30]!r} is not an agent state; the states are {', '.join(machine.Status)}")
        reason = _reason(machine.Status(wanted), str(command.get("reason") or ""))
        event = machine.SetState(machine.Status(wanted), reason)
        if event.status not in {machine.Status.AVAILABLE, machine.Status.ON_CALL}:
            _hand_over(act, agent)
    # Who owes a disposition is held to it; a supervisor may send them anywhere.
    own = agent.user is not None and agent.user.get_username() == act.by
    refused = agents.apply(act, agent, event, owes=own and agents.owes(agent))
    if refused is not None:
        raise Rejected(refused.reason)
    offers.withdraw_unfit(act)
    return {"agent_id": agent.agent_id, "status": agent.status, "pending": agent.pending_status}


def _reason(status: machine.Status, reason: str) -> str:
    """The reason, if it is one that people may give for this state; raises Rejected with those they may."""
    if not reason or status in {machine.Status.AVAILABLE, machine.Status.ON_CALL}:
        return ""
    if status is machine.Status.BUSY and reason == machine.WRAP_UP:
        return reason  # the machine says why not
    found = ReasonCode.objects.filter(status=status, is_active=True).exclude(code=machine.WRAP_UP)
    codes = list(found.values_list("code", flat=True))
    if reason in codes:
        return reason
    valid = f"valid are: {', '.join(codes)}" if codes else "none is set up for it, so leave the reason out"
    raise Rejected(f"{reason[:40]!r} is no reason for {status}; {valid}")


def _hand_over(act: Act, agent: Agent) -> None:
    """An agent who leaves while their call still rings gives it to the next idle one, so that leaving takes effect at
    once."""
    call = agents.open_call(agent)
    if call is not None and call.answered_at is None:
        calls.reassign(act, call, avoid=agent.pk)


# --- Campaigns ----------------------------------------------------------------------------------------------------

_FROM = {
    "start": {CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.PAUSED, CampaignStatus.COMPLETED},
    "pause": {CampaignStatus.ACTIVE, CampaignStatus.SCHEDULED},
    "stop": {CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED, CampaignStatus.SCHEDULED},
}
SET_MODE, SET_LIMITS = "set_mode", "set_limits"
_TO = {"start": CampaignStatus.ACTIVE, "pause": CampaignStatus.PAUSED, "stop": CampaignStatus.COMPLETED}


def _campaign_control(act: Act, command: Command) -> Result:
    action = str(command.get("action", ""))
    if action not in {*_TO, SET_MODE, SET_LIMITS}:
        raise Rejected(f"{action[:30]!r} is not one of {', '.join((*_TO, SET_MODE, SET_LIMITS))}")
    campaign = _campaign(command.get("campaign_id"))
    if action == SET_MODE:
        return _set_mode(act, campaign, str(command.get("mode") or ""))
    if action == SET_LIMITS:
        return limiting.set_limits(campaign, command)
    target = _TO[action]
    if campaign.status != target:
        if campaign.status not in _FROM[action]:
            raise Rejected(f"a {campaign.status} campaign cannot be {action}{'p' * (action == 'stop')}ed")
        if action == "start":
            target = _startable(act, campaign)
        try:
            dialing.set_status(campaign, target)
        except redis.RedisError:
            raise Rejected("Redis does not answer, so nothing stops the calls that are ordered; say it again") from None
        offers.withdraw_unfit(act)
        wake.dialer()
    return {"campaign_id": str(campaign.campaign_id), "status": campaign.status}


def _set_mode(act: Act, campaign: DialerCampaign, mode: str) -> Result:
    """From the next decision on. What rings, rings on; what is before an agent for preview is withdrawn."""
    if mode not in DialingMode.values:
        raise Rejected(f"{mode[:30]!r} is not one of {', '.join(DialingMode.values)}")
    if campaign.mode != mode:
        if campaign.mode in DIALS_AHEAD:
            # What waits for a call with an agent reserved can have it now.
            freeing.later([campaign.target_list_id])
        campaign.mode = mode
        campaign.version += 1
        campaign.save(update_fields=["mode", "version", "updated_at"])
        announce.changed("campaign", campaign.pk)
        offers.withdraw_unfit(act)
        wake.dialer()
    return {"campaign_id": str(campaign.campaign_id), "mode": campaign.mode}


def _startable(act: Act, campaign: DialerCampaign) -> CampaignStatus:
    if campaign.target_list_id is None:
        raise Rejected("the campaign has no contact list; give it one first")
    if campaign.scheduled_end is not None and campaign.scheduled_end <= act.now:
        raise Rejected("the campaign's scheduled end has passed; change it first")
    if campaign.scheduled_start is not None and campaign.scheduled_start > act.now:
        return CampaignStatus.SCHEDULED
    return CampaignStatus.ACTIVE


def _campaign(campaign_id: Any) -> DialerCampaign:
    try:
        key = uuid.UUID(str(campaign_id))
    except ValueError:
        raise Rejected("there is no such campaign") from None
    campaign = DialerCampaign.objects.select_for_update(of=("self",)).filter(campaign_id=key).first()
    if campaign is None:
        raise Rejected("there is no such campaign")
    return campaign
