"""What the administration's first page says of the floor: read by indexes, a handful of queries, never a count of
calls."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Count

from console import permissions, words
from console.models import Alert
from dialer.models import Agent, CampaignDay, CampaignStatus, DialerCampaign, ImportRun
from dialer.selectors import today

register = template.Library()
CAMPAIGNS, ALERTS, IMPORTS = 12, 8, 5


@register.inclusion_tag("admin/floor_summary.html", takes_context=True)
def floor_summary(context: template.Context) -> dict[str, Any]:
    """Each part only for those who may read it in the administration."""
    user = context["request"].user
    actor = permissions.actor(user.pk)
    found: dict[str, Any] = {"user": user, "sees_floor": actor is not None and actor.sees_floor}
    if user.has_perm("dialer.view_dialercampaign"):
        found["campaigns"] = _campaigns()
    if user.has_perm("dialer.view_agent"):
        found["agents"] = _agents()
    if user.has_perm("console.view_alert"):
        found["alerts"] = list(Alert.objects.filter(resolved_at=None).order_by("-id")[: ALERTS + 1])
    if user.has_perm("dialer.view_importrun"):
        found["imports"] = list(ImportRun.objects.order_by("-id")[:IMPORTS])
    return found


def _campaigns() -> list[tuple[DialerCampaign, CampaignDay]]:
    shown = (CampaignStatus.ACTIVE, CampaignStatus.PAUSED)
    campaigns = list(DialerCampaign.objects.filter(status__in=shown).order_by("status", "name")[:CAMPAIGNS])
    days = {day.campaign_id: day for day in CampaignDay.objects.filter(campaign__in=campaigns, day=today())}
    return [(campaign, days.get(campaign.pk) or CampaignDay()) for campaign in campaigns]


def _agents() -> list[dict[str, Any]]:
    """By state as people call it: wrap-up apart from busy."""
    states = (
        Agent.objects.filter(is_active=True).order_by().values_list("status", "status_reason").annotate(Count("pk"))
    )
    counts: dict[str, int] = dict.fromkeys(words.AGENT_STATES, 0)
    for status, reason, count in states:
        kind = "wrap_up" if (status, reason) == ("busy", "wrap_up") else status
        counts[kind] = counts.get(kind, 0) + count
    return [{"word": words.AGENT_STATES[kind][0], "status": kind, "count": counts[kind]} for kind in words.AGENT_STATES]
