"""What a person named in a command."""

import uuid

from django.core.management.base import CommandError

from dialer.models import DialerCampaign


def campaign_named(asked: str) -> DialerCampaign:
    """The campaign with this id or name. Raises CommandError that says which there are."""
    campaigns = DialerCampaign.objects.select_related("profile", "target_list")
    try:
        found = list(campaigns.filter(campaign_id=uuid.UUID(asked)))
    except ValueError:
        found = list(campaigns.filter(name__iexact=asked.strip()))
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(campaign.campaign_id) for campaign in found)
        raise CommandError(f"Several campaigns have that name; ask by id: {ids}")
    names = ", ".join(campaigns.order_by("name").values_list("name", flat=True)[:20]) or "none"
    raise CommandError(f"There is no such campaign. There are: {names}")
