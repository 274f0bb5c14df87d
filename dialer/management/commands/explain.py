"""`manage.py explain --campaign ID|NAME` and `--number N`: why it dials, why it does not. Changes nothing."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dialer import census, explain, numbers
from dialer.models import DialerCampaign


class Command(BaseCommand):
    help = "Why a campaign or a number is dialled, or is not: every gate, and when it opens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        asked = parser.add_mutually_exclusive_group(required=True)
        asked.add_argument("--campaign", metavar="ID|NAME", help="its id or its name")
        asked.add_argument("--number", metavar="N", help="in any way people write one")
        parser.add_argument("--fresh", action="store_true", help="count the contacts anew, whatever was counted before")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["number"]:
            try:
                e164 = numbers.normalise(options["number"], settings.DEFAULT_REGION)
            except numbers.NumberError as error:
                raise CommandError(str(error)) from None
            lines = explain.number_lines(e164, now)
        else:
            campaign = _campaign(options["campaign"])
            found = None if options["fresh"] else census.cached(campaign)
            if found is None or census.age(found, now) > census.FRESH_SECONDS:
                found = census.refresh(campaign)
            lines = explain.campaign_lines(campaign, found, now)
        for line in lines:
            self.stdout.write(line)


def _campaign(asked: str) -> DialerCampaign:
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
