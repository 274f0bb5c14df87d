"""The one place that is asked what of the floor, of customers and of conversations a person may be shown on pages.

It only names the right that each thing needs; who has it, and how far it reaches, is the table's business (roles.py).
The conditions (Q) are for the model they are named after.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from console import permissions
from console.permissions import Actor, Permission, Reach, Target
from dialer import exports
from dialer.models import Agent, CallLog, DialerCampaign
from dialer.services import audit
from events.privacy import mask


def sees_pages(actor: Actor) -> bool:
    """Whether the pages of other people's calls are open to them; their own day is to every agent."""
    return actor.reach(Permission.SEE_PAGES) >= Reach.PART


def sees_own_day(actor: Actor) -> bool:
    return sees_pages(actor) or bool(actor.agent_id)


def calls(actor: Actor) -> Q:
    return permissions.calls_within(actor, Permission.SEE_PAGES)


def agents(actor: Actor) -> Q:
    """Whose days they may see: those within reach, and their own."""
    within = permissions.agents_within(actor, Permission.SEE_PAGES)
    # An empty condition is everybody; OR-ed with another, Django would drop it.
    return within | Q(agent_id=actor.agent_id) if within and actor.agent_id else within


def campaigns(actor: Actor) -> Q:
    return permissions.campaigns_within(actor, Permission.SEE_PAGES)


def contacts(actor: Actor) -> Q:
    return permissions.contacts_within(actor, Permission.SEE_PAGES)


def opens(actor: Actor, thing: Agent | CallLog | DialerCampaign) -> bool:
    """Whether the page of this is open to them: what would be refused is not offered as a link. Of a call, its agent's
    team and its campaign are best read with it."""
    if actor.sees_every_page:
        return True
    match thing:
        case Agent():
            target = Target(agent_id=thing.agent_id, team=_team(thing))
        case DialerCampaign():
            target = Target(campaign_id=str(thing.campaign_id))
        case CallLog():
            campaign = str(thing.campaign.campaign_id) if thing.campaign else ""
            agent = thing.agent
            target = Target(agent.agent_id, _team(agent), campaign) if agent else Target(campaign_id=campaign)
    return actor.reaches(Permission.SEE_PAGES, target)


def _team(agent: Agent) -> str:
    return agent.team.code if agent.team else ""


def sees_numbers(actor: Actor) -> bool:
    """Whether they may read the numbers of everything that they may see in full."""
    return actor.reach(Permission.FULL_NUMBERS) >= max(actor.reach(Permission.SEE_PAGES), Reach.OWN)


def number(actor: Actor, e164: str, *, own: bool = False) -> str:
    """The number as this person may read it. Whole numbers on a page are a line in the audit log. `own`: of the
    customer on the agent's own line or before them, however much more of the floor this person sees."""
    if not (actor.may(Permission.FULL_NUMBERS) if own else sees_numbers(actor)):
        return mask(e164)
    audit.full_numbers_shown()
    return e164


def hears_recordings(actor: Actor) -> bool:
    """Of some calls at least; of which, `recorded` says."""
    return actor.may(Permission.PLAY_RECORDINGS)


def recorded(actor: Actor) -> Q:
    """Calls whose recordings they may hear."""
    return permissions.calls_within(actor, Permission.PLAY_RECORDINGS)


def takes_out(actor: Actor) -> bool:
    return actor.may(Permission.EXPORT)


def calls_taken_out(actor: Actor) -> Q:
    return permissions.calls_within(actor, Permission.EXPORT)


def agents_taken_out(actor: Actor) -> Q:
    return permissions.agents_within(actor, Permission.EXPORT)


def campaigns_taken_out(actor: Actor) -> Q:
    return permissions.campaigns_within(actor, Permission.EXPORT)


def takes_numbers_out(user: Any, actor: Actor) -> bool:
    """Whether numbers are full in what the user takes out: beside reading them, a permission as in the admin."""
    return sees_numbers(actor) and bool(user.has_perm(exports.FULL_NUMBERS))
