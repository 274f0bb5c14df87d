"""Messages of supervisors to agents: one row per agent addressed, shown on the panel until its agent has read it."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import F

from dialer import announce
from dialer.models import Agent, AgentMessage, DialerCampaign, Team
from dialer.models_messages import LONGEST_MESSAGE
from dialer.services.acting import Act, Rejected

# Of unknown names, so many are told.
NAMED = 5


def send(act: Act, command: dict[str, Any]) -> dict[str, Any]:
    """{agents, teams, campaigns, text}: to each active agent addressed, once. Raises Rejected, and sends nothing, when
    any name is unknown or nobody is addressed."""
    text = str(command.get("text") or "").strip()
    if not text:
        raise Rejected("the message is empty")
    if len(text) > LONGEST_MESSAGE:
        raise Rejected(f"the message is longer than {LONGEST_MESSAGE} characters")
    chosen = _addressed(command)
    if not chosen:
        raise Rejected("nobody is addressed: there is no active agent among them")
    rows = [
        AgentMessage(agent_id=pk, sender=act.by[:150], text=text, at=act.now, command_id=act.command_id)
        for pk in sorted(chosen)
    ]
    AgentMessage.objects.bulk_create(rows)
    _changed(chosen)
    return {"agents": len(rows)}


def addressees(command: dict[str, Any]) -> str:
    """For the record of the command: whom it names, in one line."""
    return ", ".join(name for kind in ("agents", "teams", "campaigns") for name in _names(command, kind))


def read(act: Act, command: dict[str, Any]) -> dict[str, Any]:
    """{agent_id, message_id}: the agent has read it; again is no mistake. Raises Rejected."""
    try:
        key = uuid.UUID(str(command.get("message_id")))
    except ValueError:
        raise Rejected("there is no such message") from None
    mine = AgentMessage.objects.filter(message_id=key, agent__agent_id=str(command.get("agent_id", "")))
    message = mine.first()
    if message is None:
        raise Rejected("there is no such message")
    if message.read_at is None:
        mine.update(read_at=act.now)
        _changed({message.agent_id})
    return {"message_id": str(key)}


def _changed(pks: Iterable[int]) -> None:
    keys = list(pks)
    Agent.objects.filter(pk__in=keys).update(version=F("version") + 1)
    for pk in keys:
        announce.changed("agent", pk)


def _addressed(command: dict[str, Any]) -> set[int]:
    """Keys of the active agents. Raises Rejected."""
    active = Agent.objects.filter(is_active=True)
    agents = _names(command, "agents")
    known = dict(active.filter(agent_id__in=agents).values_list("agent_id", "pk"))
    _all_known("agent", agents, known)
    teams = _names(command, "teams")
    _all_known("team", teams, Team.objects.filter(code__in=teams).values_list("code", flat=True))
    campaigns = _names(command, "campaigns")
    found = DialerCampaign.objects.filter(campaign_id__in=_uuids(campaigns)).values_list("campaign_id", flat=True)
    _all_known("campaign", campaigns, [str(key) for key in found], str.lower)
    chosen = set(known.values())
    chosen |= set(active.filter(team__code__in=teams).values_list("pk", flat=True))
    chosen |= set(active.filter(campaigns__campaign_id__in=_uuids(campaigns)).values_list("pk", flat=True))
    return chosen


def _names(command: dict[str, Any], kind: str) -> list[str]:
    return list(dict.fromkeys(str(name) for name in command.get(kind) or ()))


def _uuids(names: Iterable[str]) -> list[uuid.UUID]:
    found = []
    for name in names:
        try:
            found.append(uuid.UUID(name))
        except ValueError:
            continue
    return found


def _all_known(kind: str, names: list[str], known: Iterable[str], plain: Callable[[str], str] = str) -> None:
    """Raises Rejected with the names that are not known."""
    there = set(known)
    missing = [name for name in names if plain(name) not in there]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise Rejected(f"there is no {kind} {', '.join(name[:50] for name in missing[:NAMED])}{more}")
