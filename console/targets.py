"""What a command is about, as the rights' table asks for it: whose agent, call or campaign, of which team."""

from __future__ import annotations

import uuid

from console import permissions
from console.models import Alert
from console.permissions import Actor, Target
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
from dialer.models import Agent, CallLog


def of(who: Actor, intent: Intent) -> list[Target | None]:
    """Everything that the command is about; None for what does not exist."""
    match intent:
        case SetAgentState() | PreviewControl() | ManualDial() | ReadMessage():
            return [agent(intent.agent_id)]
        case CallControl():
            return [call(intent.call_id)]
        case DisposeCall():
            return [call_talked_on(who, intent.call_id)]
        case CampaignControl():
            return [campaign(intent.campaign_id)]
        case SendMessage():
            named = agents(intent.agents)
            return [
                *(named.get(agent_id) for agent_id in intent.agents),
                *(Target(team=code) for code in intent.teams),
                *map(campaign, intent.campaigns),
            ]
        case AlertControl():
            return [alert(intent.alert_id)]


def agent(agent_id: str) -> Target | None:
    return agents([agent_id]).get(agent_id)


def agents(agent_ids: tuple[str, ...] | list[str]) -> dict[str, Target]:
    rows = Agent.objects.filter(agent_id__in=agent_ids).values_list("agent_id", "team__code")
    return {agent_id: Target(agent_id=agent_id, team=team or "") for agent_id, team in rows}


def campaign(campaign_id: str) -> Target:
    return Target(campaign_id=str(uuid_of(campaign_id) or ""))


def call(call_id: str) -> Target | None:
    found = CallLog.objects.filter(call_id=uuid_of(call_id))
    row = found.values_list("agent__agent_id", "agent__team__code", "campaign__campaign_id").first()
    return row and Target(row[0] or "", row[1] or "", str(row[2] or ""))


def call_talked_on(who: Actor, call_id: str) -> Target | None:
    """The call, as `who`'s own also when they have talked on it and transferred it away."""
    found = call(call_id)
    if found is not None and who.agent_id and permissions.talked_on(who.agent_id, call_id):
        return Target(who.agent_id, found.team, found.campaign_id)
    return found


def alert(alert_id: str) -> Target | None:
    """The subject's team and campaign; an alert of the floor itself has neither: only the whole floor's may act."""
    found = alert_of(alert_id)
    return found and Target(team=found.team, campaign_id=found.campaign)


def alert_of(alert_id: str) -> Alert | None:
    return Alert.objects.filter(pk=int(alert_id)).first() if alert_id.isdecimal() and len(alert_id) < 19 else None


def uuid_of(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
