"""From a client's intent to a task on the sequential queue: rights, existence, words, enqueueing."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import redis
from channels.db import database_sync_to_async
from django.db import DatabaseError, close_old_connections
from kombu.exceptions import KombuError

from console import codes, permissions, protocol
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
from events import streams

log = logging.getLogger(__name__)

NAMESPACE: Final = uuid.UUID("6f1de5a5-6d2f-5c0e-9d3a-5b7c0f0e8a11")
# Publishing is one Redis command; longer than this and the broker is not there.
ENQUEUE_SECONDS: Final = 5.0
# Publishing is synchronous; people are slow, so a few threads serve many sockets, and a dead broker blocks no others.
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


@database_sync_to_async
def authorise(user_id: int, intent: Intent) -> tuple[Actor, str]:
    """The actor with present rights, and the command in words. Raises Refused."""
    who = permissions.actor(user_id)
    if who is None:
        raise Refused(codes.FORBIDDEN, "You are signed out.")
    if isinstance(intent, CallControl | DisposeCall):
        return who, _about_call(who, intent)
    if reason := permissions.refusal(who, intent):
        raise Refused(codes.FORBIDDEN, reason)
    return who, _about(intent)


def _about_call(who: Actor, intent: CallControl | DisposeCall) -> str:
    """Raises Refused. Whether a call exists is told only to those who may act on it."""
    call = _call(intent.call_id)
    owner = call[1] if call else None
    if (
        isinstance(intent, DisposeCall)
        and call
        and who.agent_id
        and permissions.talked_on(who.agent_id, intent.call_id)
    ):
        owner = who.agent_id
    if reason := permissions.refusal(who, intent, owner):
        raise Refused(codes.FORBIDDEN, reason)
    if call is None:
        raise Refused(codes.NOT_FOUND, "No such call.")
    what = intent.code.replace("_", " ") if isinstance(intent, DisposeCall) else ACTION_WORDS[intent.action]
    return f"{call[0]}: {what}"


def _about(intent: Intent) -> str:
    """Raises Refused for what does not exist or lacks a part."""
    match intent:
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
            return f"alert: {intent.action}"
        case CallControl() | DisposeCall():
            raise AssertionError("see _about_call")


def _agent(agent_id: str) -> str:
    """The name of an active agent. Raises Refused."""
    agent = Agent.objects.filter(agent_id=agent_id, is_active=True).only("agent_id", "name").first()
    if agent is None:
        raise Refused(codes.NOT_FOUND, "No such agent.")
    return agent.name or agent.agent_id


def _campaign(campaign_id: str) -> str:
    """The campaign's name. Raises Refused."""
    name = DialerCampaign.objects.filter(campaign_id=_uuid(campaign_id)).values_list("name", flat=True).first()
    if name is None:
        raise Refused(codes.NOT_FOUND, "No such campaign.")
    return name


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _call(call_id: str) -> tuple[str, str | None] | None:
    """Who is called, and whose call it is."""
    row = CallLog.objects.filter(call_id=_uuid(call_id)).values_list("contact__name", "agent__agent_id").first()
    return None if row is None else (row[0] or "Call", row[1])


def task_of(intent: Intent, command_id_: str, actor: str, requested_at: float) -> tuple[str, dict[str, Any]]:
    """Task name and its `command` argument, as the dialer's contract has them."""
    command = msgspec.structs.asdict(intent)
    # Between this client and the socket; the command has an id of its own.
    del command["id"], command["sent_at"]
    command |= {"command_id": command_id_, "actor": actor, "requested_at": requested_at}
    if isinstance(intent, SetAgentState):
        return inbox.AGENT_STATE, command
    return inbox.CONTROL, {"kind": intent.__struct_config__.tag, **command}


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


async def enqueue(who: Actor, intent: Intent, command_id_: str) -> int:
    """The queue's length after the command joined it. Raises Refused; TimeoutError when it may or may not have
    joined."""
    if isinstance(intent, CallControl) and intent.action in CALLS_OWN_SOFTPHONE and not intent.extension:
        if not who.extension:
            raise Refused(codes.INVALID_MESSAGE, "Which softphone shall be called? Give an extension.")
        intent = msgspec.structs.replace(intent, extension=who.extension)
    name, command = task_of(intent, command_id_, who.username, time.time())
    loop = asyncio.get_running_loop()
    return await asyncio.wait_for(loop.run_in_executor(_publishers, publish, name, command), ENQUEUE_SECONDS)
