"""The floor of one campaign at one moment, as pacing is told it: a fixed number of queries, whatever its size."""

import datetime as dt
import json
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import redis
from django.db.models import Count, OuterRef, Q, QuerySet, Value

from dialer import agent_states as machine
from dialer import eligibility, limits, rules, shares
from dialer.compiled import any_of, compiled
from dialer.models import DIALS_AHEAD, Assignment, CallLog, CampaignStatus, DialerCampaign
from dialer.pacing import Ceilings, Observation, Stratum
from dialer.pacing.observation import RING_LONGEST
from dialer.services import agents, hearing
from dialer.services.acting import Act
from events import nodes, streams

log = logging.getLogger(__name__)
# From this attempt on a contact answers like any other that has often been tried.
STRATA = 4
# Heartbeats come every 2 s; what is older than this beyond it counts as age.
_BEAT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Link:
    """What the heartbeats say. up: the bridge is connected to the switch. age: seconds that the facts lag behind. down:
    of several nodes, those without a link: agents there get no calls."""

    up: bool
    age: float = 0.0
    down: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Floor:
    """seen: for the pacing policy. able: idle agents (keys, longest idle first) below their hourly limit. gates: the
    closed ones of the campaign."""

    view: eligibility.CampaignView
    gates: tuple[eligibility.Gate, ...]
    able: list[int]
    seen: Observation


def stratum_of(attempt: int) -> Stratum:
    return min(attempt, STRATA)


def link() -> Link:
    """From the heartbeats of the bridge and the ingest, and the facts that wait."""
    try:
        now = time.time()
        said = streams.heartbeats(streams.shared(), ("bridge", "ingest"), now)
        waited = hearing.behind(streams.shared(), now)
    except redis.RedisError:
        return Link(False)
    beat, read = _beat(said["bridge"]), _beat(said["ingest"])
    down = frozenset(beat.get("down") or ())
    up = beat.get("link") == "up" or (bool(down) and len(down) < len(nodes.names()))
    up = up and now - float(beat.get("at", 0)) < limits.LINK_STALE_SECONDS
    silent = max(0.0, now - float(read["at"]) - _BEAT_SECONDS) if "at" in read else limits.LINK_STALE_SECONDS
    return Link(up, max(silent, waited + float(read.get("lag_ms") or 0) / 1000), down)


def has_compared(node: str) -> bool:
    """Whether the node's bridge is linked to the switch, and has told what it had missed of the legs before."""
    try:
        now = time.time()
        beat = _beat(streams.heartbeats(streams.shared(), ("bridge",), now)["bridge"])
    except redis.RedisError:
        return False
    down = beat.get("down") or ()
    linked = beat.get("link") == "up" or (bool(down) and node not in down)
    return linked and now - float(beat.get("at", 0)) < limits.LINK_STALE_SECONDS and bool(beat.get("compared", True))


def _beat(raw: Any) -> dict[str, Any]:
    try:
        value = json.loads(raw) if raw else {}
        float(value.get("at", 0))
    except (ValueError, TypeError, AttributeError):
        return {}
    return value  # type: ignore[no-any-return]


def dials_ahead(campaign: DialerCampaign) -> bool:
    """Whether the campaign may call before it knows for whom. With several nodes it may not: a call is placed where its
    agent's softphone is."""
    return campaign.mode in DIALS_AHEAD and not nodes.several()


_CALLS_OF = compiled(
    lambda candidates, since: (
        CallLog.objects.filter(any_of("agent", candidates), initiated_at__gt=since)
        .order_by()
        .values_list("agent")
        .annotate(n=Count("id"))
    )
)
_IDLE = compiled(lambda campaign: agents.idle(campaign).values_list("pk", "extension"))
_CREW = compiled(
    lambda campaign: (
        agents.skilled(campaign)
        .filter(campaigns=campaign, is_active=True)
        .exclude(status=machine.Status.OFFLINE)
        .order_by()
        .values("pk", "status", "status_reason", "status_since", "pending_status")
    )
)


def may_take(campaign: DialerCampaign, candidates: list[int], now: dt.datetime) -> list[int]:
    """Those of the candidates (agents' keys) that are below the campaign's hourly limit."""
    if not candidates:
        return []
    recent = dict(_CALLS_OF(candidates, now - limits.RATE_WINDOW))
    per_hour = campaign.calls_per_agent_per_hour
    return [agent for agent in candidates if limits.calls_left(recent.get(agent, 0), per_hour) > 0]


def look(act: Act, campaign: DialerCampaign, told: Link) -> Floor:
    """The floor now. The windows of abandoned calls and the hourly limit of a mode that dials ahead are the pacer's."""
    calls = _open_calls()
    lines = sum(call.campaign == campaign.pk for call in calls), len(calls)
    view = rules.campaign_view(campaign, act.now, lines)
    gates = eligibility.campaign_gates(view, act.now)
    seen = Observation(
        at=act.now.timestamp(),
        assigned=0,
        idle=0,
        age=told.age,
        link_ok=told.up,
        closed_gate=gates[0].name if gates else "",
        closed=gates[0].reason if gates else "",
    )
    if gates or not told.up:
        return Floor(view, gates, [], seen)
    crew = _crew(campaign)
    idle = [pk for pk, extension in _IDLE(campaign.pk) if nodes.of_extension(extension) not in told.down]
    # A mode that dials ahead is held to the hourly limit of all agents together, by its pacer.
    able = idle if dials_ahead(campaign) else may_take(campaign, idle, act.now)
    coming_for_us = _for_our_agents(campaign.pk, calls, _siblings(campaign, crew))
    ringing, waiting = _unassigned(coming_for_us, act.now)
    talking = _talking(calls, crew, act.now)
    coming = [row for row in crew.values() if not row["pending_status"]]
    return Floor(
        view,
        gates,
        able,
        replace(
            seen,
            assigned=len(crew),
            idle=len(idle),
            talking=[seconds for agent, seconds in talking if not crew[agent]["pending_status"]],
            wrapping=[
                max(0.0, (act.now - row["status_since"]).total_seconds())
                for row in coming
                if row["status"] == machine.Status.BUSY and row["status_reason"] == machine.WRAP_UP
            ],
            ringing=ringing,
            waiting=waiting,
            ceilings=_ceilings(view, len(able)),
            winding_down=_ends_soon(campaign, act.now),
        ),
    )


def _crew(campaign: DialerCampaign) -> dict[int, dict[str, Any]]:
    """The campaign's agents who are logged in and have the skills it requires, by key: no other can get its calls."""
    return {row["pk"]: row for row in _CREW(campaign.pk)}


class _Call(NamedTuple):
    campaign: int | None
    agent: int | None
    attempt_number: int
    initiated_at: dt.datetime
    answered_at: dt.datetime | None
    bridged_at: dt.datetime | None
    abandoned: bool


def _open_calls() -> list[_Call]:
    return [_Call(*row) for row in _OPEN_CALLS()]


_OPEN_CALLS = compiled(lambda: CallLog.objects.filter(ended_at=None).order_by("pk").values_list(*_Call._fields))


@compiled
def _siblings_of(campaign: Value, crew: Value) -> QuerySet[Any, Any]:
    places = Assignment.objects.filter(campaign__mode__in=DIALS_AHEAD, campaign__status=CampaignStatus.ACTIVE)
    able = places.filter(~agents.lacking(OuterRef("campaign"), agent="agent"))
    at_work = able.filter(agent__is_active=True).exclude(agent__status=machine.Status.OFFLINE)
    idle, ours = Q(agent__status=machine.Status.AVAILABLE), Q(any_of("agent", crew))
    counted = at_work.exclude(campaign=campaign).values_list("campaign").order_by()
    return counted.annotate(
        crew=Count("pk"), idle=Count("pk", filter=idle), shared=Count("pk", filter=ours),
        shared_idle=Count("pk", filter=idle & ours),
    ).filter(shared__gt=0)  # fmt: skip


def _unassigned(calls: Iterable[_Call], now: dt.datetime) -> tuple[dict[Stratum, list[int]], int]:
    """Of calls that no agent is reserved for, those that ring by stratum and whole seconds, and how many wait."""
    ringing: dict[Stratum, list[int]] = defaultdict(lambda: [0] * RING_LONGEST)
    waiting = 0
    for call in calls:
        if call.answered_at is not None:
            waiting += 1
        else:
            second = int(max(0.0, (now - call.initiated_at).total_seconds()))
            ringing[stratum_of(call.attempt_number)][min(second, RING_LONGEST - 1)] += 1
    return dict(ringing), waiting


def _talking(calls: Iterable[_Call], crew: Container[int], now: dt.datetime) -> list[tuple[int, float]]:
    """(agent, seconds) of the crew's conversations."""
    return [
        (call.agent, max(0.0, (now - call.bridged_at).total_seconds()))
        for call in calls
        if call.bridged_at is not None and call.agent is not None and call.agent in crew
    ]


def _siblings(campaign: DialerCampaign, crew: Collection[int]) -> dict[int, shares.Sibling]:
    """By campaign, the others that dial ahead and share agents with this one; of their agents those who may get their
    calls."""
    return {other: shares.Sibling(*counts) for other, *counts in _siblings_of(campaign.pk, list(crew))}


def _for_our_agents(ours: int, calls: Iterable[_Call], siblings: dict[int, shares.Sibling]) -> list[_Call]:
    """The calls in the air that no agent is reserved for and that will want one of this campaign's: all of its own, and
    some of its siblings'."""
    found: list[_Call] = []
    ringing: dict[int, list[_Call]] = defaultdict(list)
    waiting: dict[int, list[_Call]] = defaultdict(list)
    for call in calls:
        if call.bridged_at is not None or call.agent is not None or call.abandoned or call.campaign is None:
            continue
        if call.campaign == ours:
            found.append(call)
        elif call.campaign in siblings:
            (ringing if call.answered_at is None else waiting)[call.campaign].append(call)
    for other, sibling in siblings.items():
        found += sibling.waiting_for_ours(waiting[other])
        found += sibling.ringing_for_ours(ringing[other])
    return found


def _ceilings(view: eligibility.CampaignView, able: int) -> Ceilings:
    """The narrowest of the campaign's and the system's limits. per_hour: one call for each idle agent below theirs."""
    lines = [one.max_lines - one.lines for one in (view.own, view.system) if one.max_lines is not None]
    second = [one.per_second - one.in_last_second for one in (view.own, view.system) if one.per_second is not None]
    spend = [left for one in (view.own, view.system) if (left := eligibility.calls_paid_for(one)) is not None]
    return Ceilings(
        lines=min(lines, default=None), per_second=min(second, default=None), spend=min(spend, default=None),
        per_hour=able,
    )  # fmt: skip


def _ends_soon(campaign: DialerCampaign, now: dt.datetime) -> bool:
    """The campaign's time is over before a call dialled now could have been talked through."""
    ring = dt.timedelta(seconds=campaign.ring_timeout_seconds)
    return campaign.scheduled_end is not None and campaign.scheduled_end - now < ring
