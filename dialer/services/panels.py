"""Agents' panels, seen from the sequential worker: who has one open, and what follows when it stays away."""

import datetime as dt
import logging
import time

import redis
from django.conf import settings
from django.db.models import Q

from dialer import agent_states as machine
from dialer import presence
from dialer.models import Agent
from dialer.services import agents
from dialer.services.acting import Act
from events import streams

log = logging.getLogger(__name__)
_AT_WORK = (machine.Status.AVAILABLE, machine.Status.ON_CALL, machine.Status.BUSY)


def present() -> set[str] | None:
    """agent_ids with an open panel in any web process; None when Redis does not say."""
    now = time.time()
    try:
        client = streams.shared()
        members = client.zrangebyscore(streams.PANELS, now, "+inf")
        client.zremrangebyscore(streams.PANELS, "-inf", f"({now - presence.EXPIRY_SECONDS}")
    except redis.RedisError:
        return None
    return {value.decode().partition(" ")[0] for value in members}


def sweep(act: Act) -> int:
    """Note whose panel has come or gone, and put on a break whose panel is lost for good; returns how many of those."""
    grace = dt.timedelta(seconds=settings.PANEL_GRACE_SECONDS)
    there = present() if grace else None
    if there is None:
        return 0
    news = Q(agent_id__in=there) & (Q(panel_since=None) | Q(panel_lost_at__isnull=False))
    missing = Q(panel_since__isnull=False) & ~Q(agent_id__in=there)
    lost = 0
    for agent in Agent.objects.select_for_update().filter(news | missing, status__in=_AT_WORK):
        before = presence.Panel(agent.panel_since, agent.panel_lost_at)
        after = presence.step(before, present=agent.agent_id in there, now=act.now)
        if after != before:
            agent.panel_since, agent.panel_lost_at = after.since, after.lost_at
            agents.save(agent)
            if before.lost_at is not None and agent.pending_reason == machine.PANEL_LOST:
                agents.apply(act, agent, machine.CancelPending())
        if presence.is_lost(after, now=act.now, grace=grace) and agent.status == machine.Status.AVAILABLE:
            lost += 1
            log.info("%s: no panel for %d s; set to break", agent.agent_id, grace.total_seconds())
            agents.apply(act, agent, machine.PanelLost())
    return lost
