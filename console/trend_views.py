"""The board's trends as JSON."""

from __future__ import annotations

from django.http import Http404, HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from console import permissions, targets, trends
from console.permissions import Actor, Permission, Reach
from console.views import with_permission
from dialer.models import DialerCampaign


@require_GET
@with_permission(Permission.SEE_FLOOR)
def trends_json(request: HttpRequest, actor: Actor) -> JsonResponse:
    """`?campaign=ID`: of one campaign that the user may see; without: of all that they may see."""
    seen = DialerCampaign.objects.filter(permissions.campaigns_within(actor, Permission.SEE_FLOOR))
    campaigns = None
    if asked := request.GET.get("campaign", ""):
        campaigns = list(seen.filter(campaign_id=targets.uuid_of(asked)).values_list("campaign_id", flat=True))
        if not campaigns:
            raise Http404
    elif actor.reach(Permission.SEE_FLOOR) is not Reach.ALL:
        campaigns = list(seen.values_list("campaign_id", flat=True))
    return JsonResponse(trends.cached(campaigns, timezone.now()))
