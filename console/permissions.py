"""Who may do what. Rights are read from the database for every command; the rule itself is a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.contrib.auth import get_user_model

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
from dialer.models import Agent

SUPERVISORS: Final = "supervisor"
AGENTS: Final = "agent"
GROUPS: Final = (SUPERVISORS, AGENTS)

# What an agent may do with their own call. Listening in is for supervisors.
NOT_OWN_CALL_ACTIONS: Final = frozenset({"listen", "whisper", "barge", "stop_listening", "take_over"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A user's rights at one moment. `agent_id`: the agent that this user is, or ''."""

    user_id: int
    username: str
    supervisor: bool = False
    agent_id: str = ""
    extension: str = ""

    @property
    def sees_floor(self) -> bool:
        return self.supervisor


def actors(user_ids: Iterable[int]) -> dict[int, Actor]:
    """Present rights of these users, in one query; users who are gone or inactive are missing."""
    own = ("agent__agent_id", "agent__is_active", "agent__extension")
    users = get_user_model().objects.filter(pk__in=list(user_ids), is_active=True)
    rows = users.values_list("pk", "username", "is_superuser", "groups__name", *own)
    found: dict[int, Actor] = {}
    for pk, username, superuser, group, agent_id, agent_active, extension in rows:
        before = found.get(pk)
        found[pk] = Actor(
            user_id=pk,
            username=username,
            supervisor=superuser or group == SUPERVISORS or (before is not None and before.supervisor),
            agent_id=(agent_id or "") if agent_active else "",
            extension=(extension or "") if agent_active else "",
        )
    return found


def actor(user_id: int) -> Actor | None:
    return actors([user_id]).get(user_id)


def talked_on(agent_id: str, call_id: str) -> bool:
    """Whether this is the call the agent talks or talked on last: also after they have transferred it away."""
    return Agent.objects.filter(agent_id=agent_id, last_call__freeswitch_uuid=call_id).exists()


def refusal(who: Actor, intent: Intent, call_agent_id: str | None = None) -> str:
    """Why `who` may not do this, or ''. `call_agent_id`: whose call the command is about."""
    match intent:
        case SetAgentState(agent_id=agent_id):
            if who.supervisor or (agent_id == who.agent_id and who.agent_id):
                return ""
            return "You may change only your own state."
        case CallControl(action=action):
            if who.supervisor:
                return ""
            if not who.agent_id or call_agent_id != who.agent_id:
                return "You may control only your own call."
            return "Only supervisors may do this." if action in NOT_OWN_CALL_ACTIONS else ""
        case PreviewControl(agent_id=agent_id) | ManualDial(agent_id=agent_id):
            if who.supervisor or (agent_id == who.agent_id and who.agent_id):
                return ""
            return "You may dial only for yourself."
        case DisposeCall():
            if who.supervisor or (who.agent_id and call_agent_id == who.agent_id):
                return ""
            return "You may dispose only of your own calls."
        case ReadMessage(agent_id=agent_id):
            return "" if who.agent_id and agent_id == who.agent_id else "You may read only your own messages."
        case CampaignControl() | SendMessage() | AlertControl():
            return "" if who.supervisor else "Only supervisors may do this."
