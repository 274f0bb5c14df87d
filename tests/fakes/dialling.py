"""What tests of the dialer do by hand: a link that is up, ticks, agents at work, calls, offers and commands."""

import json
import time
import uuid

from dialer import inbox, tasks
from dialer.models import Agent, CallLog, ContactReservation, DialerCampaign
from events import streams
from tests.fakes.floor import Switch, make_agents, make_campaign, place, reason_code, set_state


def link(up: bool = True) -> None:
    """The heartbeats of a bridge and an ingest that are well, once."""
    for part, more in (("bridge", {"link": "up" if up else "down"}), ("ingest", {"lag_ms": 20})):
        streams.shared().set(f"{streams.HEARTBEAT_PREFIX}{part}", json.dumps({"at": time.time(), **more}))


def tick() -> int:
    """A tick late enough for all that waits for time to pass, and what it puts on the queue. Returns calls placed."""
    tasks._last_doubts = tasks._last_upkeep = -100.0
    tasks.process_dialer_logic()
    active = DialerCampaign.objects.filter(status="active").order_by("pk").values_list("campaign_id", flat=True)
    return sum(len(tasks.execute_dial(str(campaign_id))) for campaign_id in active)


def dial(campaign) -> CallLog | None:
    """One call of this campaign, if it may have one now."""
    placed = place(campaign)
    return placed[0] if placed else None


def ready_agents(switch: Switch, count: int = 1, first: int = 101) -> list[Agent]:
    """Available, each with an open softphone."""
    agents = make_agents(count, first)
    for agent in agents:
        set_state(agent, "available")
    switch.open_softphones()
    for agent in agents:
        agent.refresh_from_db()
    return agents


def previewing(switch: Switch, agents: int = 1, contacts: int = 5, **fields) -> DialerCampaign:
    """A preview campaign whose agents have a contact before them."""
    campaign = make_campaign(ready_agents(switch, agents), contacts=contacts, mode="preview", **fields)
    tick()
    return campaign


def say(kind: str, **fields) -> dict:
    """Carry a command of Ann's out, as the worker does."""
    return tasks.handle_command({"command_id": str(uuid.uuid4()), "actor": "ann", "kind": kind, **fields})


def offer() -> ContactReservation:
    """The newest."""
    return ContactReservation.objects.select_related("contact").latest("id")


def ask(agent: Agent, state: str, reason: str = "") -> str:
    """Put a command on the queue, as the console does."""
    command_id = str(uuid.uuid4())
    command = {
        "command_id": command_id,
        "actor": "supervisor",
        "agent_id": agent.agent_id,
        "state": state,
        "reason": reason,
    }
    if reason:
        reason_code(state, reason)
    inbox.submit(inbox.AGENT_STATE, command)
    return command_id
