"""The order in which active campaigns decide, so that agents of several are shared out by weight (dialer/shares.py)."""

import time
import uuid

from django.db.models import Count
from django.utils import timezone

from dialer import limits, shares
from dialer.models import Assignment, CallLog, CampaignStatus, DialerCampaign

_known: tuple[float, tuple[int, ...], list[int]] = (-100.0, (), [])


def in_order() -> list[uuid.UUID]:
    """campaign_ids of the active campaigns, the one furthest below its share first."""
    global _known
    active = DialerCampaign.objects.filter(status=CampaignStatus.ACTIVE).order_by("pk")
    ids = dict(active.values_list("pk", "campaign_id"))
    keys, now = tuple(ids), time.monotonic()
    # A tick may come many times a second; a share of an hour does not change that fast.
    if keys != _known[1] or now - _known[0] >= limits.SHARES_EVERY_SECONDS:
        _known = (now, keys, _order(keys))
    return [ids[pk] for pk in _known[2]]


def _order(keys: tuple[int, ...]) -> list[int]:
    places = Assignment.objects.filter(campaign__in=keys, agent__is_active=True)
    assigned = [shares.Assigned(*row) for row in places.values_list("campaign", "agent", "weight")]
    seen: set[int] = set()
    shared: set[int] = set()
    for place in assigned:
        (shared if place.agent in seen else seen).add(place.agent)
    if not shared:
        return list(keys)
    window = timezone.now() - limits.RATE_WINDOW
    recent = CallLog.objects.filter(agent__in=shared, campaign__in=keys, initiated_at__gt=window)
    calls = {
        (campaign, agent): n for campaign, agent, n in recent.values_list("campaign", "agent").annotate(n=Count("id"))
    }
    return shares.order(keys, assigned, calls)
