"""From a client's intent to a task on the sequential queue: rights, existence, words, enqueueing."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

import msgspec
import redis
from channels.db import database_sync_to_async
from django.db import DatabaseError, close_old_connections
from kombu.exceptions import KombuError

from console import alert_control, auth, codes, permissions, protocol, targets
from console.auth import Identity
from console.permissions import Actor
from console.protocol import (
    AlertControl,
    CallControl,
    CampaignControl,
    DisposeCall,
    Intent,
    ManualDial,
    PreviewControl,
    ReadMessage,
    SendMessage,
    SetAgentState,
)
from dialer import inbox
from dialer.models import Agent, CallLog, DialerCampaign
from dialer.services.audit import Source
from events import streams, trail

log = logging.getLogger(__name__)

NAMESPACE: Final = uuid.UUID("6f1de5a5-6d2f-5c0e-9d3a-5b7c0f0e8a11")
# Publishing is one Redis command; longer than this and the broker is not there.
ENQUEUE_SECONDS: Final = 5.0
# Reading rights and publishing are synchronous; people are slow, so a few threads serve many sockets, a dead broker
# blocks no others, and no command waits behind a storm of handshakes.
_publishers = ThreadPoolExecutor(4, "enqueue")

STATE_WORDS: Final = {"available": "available", "busy": "busy", "break": "break", "offline": "offline"}
ACTION_WORDS: Final = {
    "hangup": "hang up",
    "hold": "hold",
    "unhold": "take off hold",
    "mute": "mute",
    "unmute": "unmute",
    "park": "park",
    "unpark": "take out of the park",
    "transfer": "transfer",
    "consult": "consult",
    "consult_complete": "join with the consulted",
    "consult_cancel": "back to the customer",
    "record_start": "start recording",
    "record_stop": "stop recording",
    "record_pause": "pause the recording",
    "record_resume": "resume the recording",
    "listen": "listen in",
    "whisper": "whisper",
    "barge": "barge in",
    "stop_listening": "stop listening",
    "take_over": "take over",
}


CALLS_OWN_SOFTPHONE: Final = frozenset({"listen", "whisper", "barge", "take_over"})


class Refused(Exception):
    """Not enqueued. `code`: an error code of the protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def command_id(user_id: int, client_id: str) -> str:
    """The same user saying the same client id means the same command, whatever the socket or process."""
    return str(uuid.uuid5(NAMESPACE, f"{user_id}:{client_id}"))


def check_fresh(intent: Intent, now_ms: int) -> None:
    """Raises Refused for a command that waited in an offline page."""
    if intent.sent_at is not None and now_ms - intent.sent_at > protocol.STALE_COMMAND_MS:
        seconds = (now_ms - intent.sent_at) / 1000
        raise Refused(codes.STALE_COMMAND, f"Asked for {seconds:.0f} s ago; not done. Please ask again.")


async def authorise(identity: Identity, intent: Intent) -> tuple[Actor, str]:
    """The actor with present rights, and the command in words. Raises Refused."""
    return await database_sync_to_async(_authorise, thread_sensitive=False, executor=_publishers)(identity, intent)


def _authorise(identity: Identity, intent: Intent) -> tuple[Actor, str]:
    who = permissions.actor(identity.actor.user_id)
    # The look at open sockets comes twice a second only; a command may be quicker.
    if who is None or not auth.still_valid([identity])[0]:
        raise Refused(codes.FORBIDDEN, "You are signed out.")
    # Whether something exists is told only to those who may act on it.
    if reason := permissions.refusal(who, intent, *targets.of(who, intent)):
        raise Refused(codes.FORBIDDEN, reason)
    return who, _about(intent)


def _about(intent: Intent) -> str:
    """Raises Refused for what does not exist or lacks a part."""
    match intent:
        case CallControl():
            return f"{_call(intent.call_id)}: {ACTION_WORDS[intent.action]}"
        case DisposeCall():
            return f"{_call(intent.call_id)}: {intent.code.replace('_', ' ')}"
        case SetAgentState():
            if not intent.state and not intent.cancel_pending:
                raise Refused(codes.INVALID_MESSAGE, "A state is needed.")
            name = _agent(intent.agent_id)
            if intent.cancel_pending:
                return f"{name}: cancel the next state"
            why = f" ({intent.reason.replace('_', ' ')})" if intent.reason else ""
            return f"{name}: {STATE_WORDS[intent.state]}{why}"
        case CampaignControl():
            name = _campaign(intent.campaign_id)
            if intent.action == "set_mode":
                if intent.mode is None:
                    raise Refused(codes.INVALID_MESSAGE, "A mode is needed.")
                return f"{name}: dial in mode {intent.mode}"
            if intent.action == "set_limits" and not _limits(intent):
                raise Refused(codes.INVALID_MESSAGE, "Which limit? Give max_lines, calls_per_second or power_ratio.")
            return f"{name}: {intent.action.replace('_', ' ')}"
        case PreviewControl():
            return f"{_agent(intent.agent_id)}: {intent.action} the contact"
        case ManualDial():
            return f"{_agent(intent.agent_id)}: dial by hand in {_campaign(intent.campaign_id)}"
        case SendMessage():
            if not (intent.agents or intent.teams or intent.campaigns):
                raise Refused(codes.INVALID_MESSAGE, "To whom? Name agents, teams or campaigns.")
            return "message to agents"
        case ReadMessage():
            return "message read"
        case AlertControl():
            return f"{_alert(intent.alert_id)}: {intent.action}"


def _limits(intent: CampaignControl) -> bool:
    """Whether it names a limit to set."""
    return any(limit is not None for limit in (intent.max_lines, intent.calls_per_second, intent.power_ratio))


def _agent(agent_id: str) -> str:
    """The name of an active agent. Raises Refused."""
    agent = Agent.objects.filter(agent_id=agent_id, is_active=True).only("agent_id", "name").first()
    if agent is None:
        raise Refused(codes.NOT_FOUND, "No such agent.")
    return agent.name or agent.agent_id


def _campaign(campaign_id: str) -> str:
    """The campaign's name. Raises Refused."""
    name = (
        DialerCampaign.objects.filter(campaign_id=targets.uuid_of(campaign_id)).values_list("name", flat=True).first()
    )
    if name is None:
        raise Refused(codes.NOT_FOUND, "No such campaign.")
    return name


def _alert(alert_id: str) -> str:
    """What the alert says. Raises Refused."""
    found = targets.alert_of(alert_id)
    if found is None:
        raise Refused(codes.NOT_FOUND, "No such alert.")
    return found.text


def _call(call_id: str) -> str:
    """Who is called. Raises Refused."""
    row = CallLog.objects.filter(call_id=targets.uuid_of(call_id)).values_list("contact__name").first()
    if row is None:
        raise Refused(codes.NOT_FOUND, "No such call.")
    return row[0] or "Call"


def task_of(
    intent: Intent, command_id_: str, actor: str, requested_at: float, source: Source
) -> tuple[str, dict[str, Any]]:
    """Task name and its `command` argument, as the dialer's contract has them."""
    command = msgspec.structs.asdict(intent)
    # Between this client and the socket; the command has an id of its own.
    del command["id"], command["sent_at"]
    command |= {"command_id": command_id_, "actor": actor, "requested_at": requested_at, "source": source.as_dict()}
    if isinstance(intent, SetAgentState):
        return inbox.AGENT_STATE, command
    return inbox.CONTROL, {"kind": kind(intent), **command}


def kind(intent: Intent) -> str:
    """What the protocol calls it."""
    return str(intent.__struct_config__.tag)


def ids(intent: Intent) -> dict[str, str]:
    """What it is about, for the log."""
    return {name: value for name in trail.FIELDS if isinstance(value := getattr(intent, name, None), str)}


def publish(name: str, command: dict[str, Any]) -> int:
    """Put the task on the sequential queue and return how many wait there. Raises Refused when the broker is away."""
    try:
        # This thread is no request's: nothing else closes a connection that PostgreSQL has dropped.
        close_old_connections()
        inbox.submit(name, command)
    except DatabaseError as error:
        log.warning("a command could not be written down: %s", type(error).__name__)
        raise Refused(codes.TRY_AGAIN, "The database does not answer; nothing was done.") from None
    except (KombuError, redis.RedisError, OSError) as error:
        log.warning("a command could not be enqueued: %s", type(error).__name__)
        raise Refused(codes.QUEUE_UNAVAILABLE, "The queue does not answer; nothing was done.") from None
    try:
        return int(streams.shared().llen(inbox.QUEUE))
    except redis.RedisError:
        return 0


def carry_out(intent: AlertControl, command_id_: str, actor: str, source: Source) -> int:
    """Do it at once: nothing waits in the queue for it. Raises Refused when the database is away."""
    try:
        alert_control.carry_out(intent, command_id_, actor, source.as_dict())
    except DatabaseError as error:
        log.warning("an alert could not be changed: %s", type(error).__name__)
        raise Refused(codes.TRY_AGAIN, "The database does not answer; nothing was done.") from None
    return 0


async def enqueue(who: Actor, intent: Intent, command_id_: str, source: Source) -> int:
    """The queue's length after the command joined it. `source`: for the audit log. Raises Refused; TimeoutError when it
    may or may not have joined."""
    if isinstance(intent, CallControl) and intent.action in CALLS_OWN_SOFTPHONE and not intent.extension:
        if not who.extension:
            raise Refused(codes.INVALID_MESSAGE, "Which softphone shall be called? Give an extension.")
        intent = msgspec.structs.replace(intent, extension=who.extension)
    loop = asyncio.get_running_loop()
    if isinstance(intent, AlertControl):
        done = loop.run_in_executor(_publishers, carry_out, intent, command_id_, who.username, source)
        return await asyncio.wait_for(done, ENQUEUE_SECONDS)
    name, command = task_of(intent, command_id_, who.username, time.time(), source)
    # The thread logs about the same command.
    done = loop.run_in_executor(_publishers, copy_context().run, publish, name, command)
    return await asyncio.wait_for(done, ENQUEUE_SECONDS)
