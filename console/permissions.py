"""Rights as the database has them now; what they allow is the table's business (roles.py).

Read again for every command and, for open sockets, every second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q

from console.models import Right
from console.roles import Actor, Permission, Reach, Role, Target, refusal
from dialer.models import Agent, Assignment, CallLog, DialerCampaign, Team

__all__ = [
    "GROUPS",
    "SUPERVISORS",
    "Actor",
    "Permission",
    "Reach",
    "Role",
    "Target",
    "actor",
    "actors",
    "agents_within",
    "calls_within",
    "campaigns_within",
    "contacts_within",
    "refusal",
    "talked_on",
]

# A group of this name gives the role. An agent is whom an active agent is linked with; a team supervisor is who is
# named at a team or a campaign.
_BY_GROUP: Final = {str(role): role for role in (Role.VIEWER, Role.FLOOR_SUPERVISOR, Role.ADMINISTRATOR)}
SUPERVISORS: Final = str(Role.FLOOR_SUPERVISOR)
GROUPS: Final = (*_BY_GROUP, "agent")
_WHOLE: Final = frozenset({Role.FLOOR_SUPERVISOR, Role.ADMINISTRATOR})


def actors(user_ids: Iterable[int]) -> dict[int, Actor]:
    """Present rights of these users, in five queries at most; users who are gone or inactive are missing."""
    users = get_user_model().objects.filter(pk__in=list(user_ids), is_active=True)
    own = ("agent__agent_id", "agent__is_active", "agent__extension")
    people: dict[int, tuple[str, str, str]] = {}
    roles: dict[int, set[Role]] = defaultdict(set)
    groups: dict[int, set[int]] = defaultdict(set)
    rows = users.values_list("pk", "username", "is_superuser", "groups__pk", "groups__name", *own)
    for pk, username, superuser, group, group_name, agent_id, agent_active, extension in rows:
        people[pk] = (username, agent_id or "", extension or "") if agent_active else (username, "", "")
        if superuser:
            roles[pk].add(Role.ADMINISTRATOR)
        if agent_active:
            roles[pk].add(Role.AGENT)
        if group is not None:
            groups[pk].add(group)
            if group_name in _BY_GROUP:
                roles[pk].add(_BY_GROUP[group_name])
    if not people:
        return {}
    teams, campaigns = _parts([pk for pk in people if not roles[pk] & _WHOLE])
    given, taken = _changed(people, groups)
    found: dict[int, Actor] = {}
    for pk, (username, agent_id, extension) in people.items():
        if teams[pk] or campaigns[pk]:
            roles[pk].add(Role.TEAM_SUPERVISOR)
        found[pk] = Actor(
            user_id=pk,
            username=username,
            roles=frozenset(roles[pk]),
            agent_id=agent_id,
            extension=extension,
            teams=frozenset(teams[pk]),
            campaigns=frozenset(campaigns[pk]),
            given=frozenset(given[pk]),
            taken=frozenset(taken[pk]),
        )
    return found


def actor(user_id: int) -> Actor | None:
    return actors([user_id]).get(user_id)


def _parts(user_ids: list[int]) -> tuple[dict[int, set[str]], dict[int, set[str]]]:
    """Codes of the teams and ids of the campaigns that each of these users supervises: those that name them, and
    campaigns for which only agents of their teams work."""
    teams: dict[int, set[str]] = defaultdict(set)
    campaigns: dict[int, set[str]] = defaultdict(set)
    if not user_ids:
        return teams, campaigns
    for user, code in Team.objects.filter(supervisors__in=user_ids).values_list("supervisors", "code"):
        teams[user].add(code)
    named = DialerCampaign.objects.filter(supervisors__in=user_ids).values_list("supervisors", "campaign_id")
    for user, campaign_id in named:
        campaigns[user].add(str(campaign_id))
    if teams:
        codes = set().union(*teams.values())
        at_all = Assignment.objects.filter(campaign=OuterRef("pk"), agent__team__code__in=codes)
        workers: dict[str, set[str]] = defaultdict(set)
        pairs = DialerCampaign.objects.filter(Exists(at_all)).values_list("campaign_id", "assigned_agents__team__code")
        for campaign_id, code in pairs.distinct():
            workers[str(campaign_id)].add(code or "")
        for user, theirs in teams.items():
            campaigns[user].update(key for key, of in workers.items() if of <= theirs)
    return teams, campaigns


def _changed(
    people: Iterable[int], groups: dict[int, set[int]]
) -> tuple[dict[int, set[Permission]], dict[int, set[Permission]]]:
    """What has been given to and taken from each user, a user's own row before those of groups."""
    people = list(people)
    rows = Right.objects.filter(Q(user__in=people) | Q(group__user__in=people)).distinct()
    rows = rows.values_list("user", "group", "permission", "given")
    by_user: dict[int, dict[str, bool]] = defaultdict(dict)
    by_group: dict[int, dict[str, bool]] = defaultdict(dict)
    for user, group, permission, is_given in rows:
        (by_user[user] if user is not None else by_group[group])[permission] = is_given
    given: dict[int, set[Permission]] = defaultdict(set)
    taken: dict[int, set[Permission]] = defaultdict(set)
    known = {str(permission): permission for permission in Permission}
    for pk in people:
        changed: dict[str, bool] = {}
        for group in groups[pk]:
            for permission, is_given in by_group[group].items():
                changed[permission] = changed.get(permission, True) and is_given
        for name, is_given in (changed | by_user[pk]).items():
            if name in known:
                (given if is_given else taken)[pk].add(known[name])
    return given, taken


def talked_on(agent_id: str, call_id: str) -> bool:
    """Whether this is the call the agent talks or talked on last: also after they have transferred it away."""
    return Agent.objects.filter(agent_id=agent_id, last_call__freeswitch_uuid=call_id).exists()


def _within(who: Actor, permission: Permission, *, own: Q | None = None, part: Q) -> Q:
    """own: what belongs to the user's own agent, if anything does. part: a team supervisor's part."""
    reach = who.reach(permission)
    if reach is Reach.ALL:
        return Q()
    found = Q(pk__in=[])
    if own is not None and reach >= Reach.OWN and who.agent_id:
        found |= own
    return found | part if reach >= Reach.PART else found


def calls_within(who: Actor, permission: Permission) -> Q:
    """Call records that the permission reaches."""
    part = Q(agent__team__code__in=who.teams) | Q(campaign__campaign_id__in=who.campaigns)
    return _within(who, permission, own=Q(agent__agent_id=who.agent_id), part=part)


def agents_within(who: Actor, permission: Permission) -> Q:
    """Agents that the permission reaches."""
    return _within(who, permission, own=Q(agent_id=who.agent_id), part=Q(team__code__in=who.teams))


def campaigns_within(who: Actor, permission: Permission) -> Q:
    """Campaigns that the permission reaches."""
    return _within(who, permission, part=Q(campaign_id__in=who.campaigns))


def contacts_within(who: Actor, permission: Permission) -> Q:
    """Contacts that the permission reaches: of lists that campaigns within reach call, and of calls within reach."""
    reach = who.reach(permission)
    if reach is Reach.ALL:
        return Q()
    calls = CallLog.objects.filter(calls_within(who, permission), contact=OuterRef("pk"))
    lists = DialerCampaign.objects.filter(campaigns_within(who, permission), target_list=OuterRef("target_list"))
    return Q(Exists(calls)) | Q(Exists(lists))
