"""`manage.py explain --campaign ID|NAME` and `--number N`: why it dials, why it does not. Changes nothing."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dialer import census, explain, explain_text, numbers
from dialer.asked import campaign_named


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
            lines = explain_text.number_lines(explain.number(e164, now))
        else:
            campaign = campaign_named(options["campaign"])
            found = None if options["fresh"] else census.cached(campaign)
            if found is None or census.age(found, now) > census.FRESH_SECONDS:
                found = census.refresh(campaign)
            lines = explain_text.campaign_lines(explain.campaign(campaign, found, now))
        for line in lines:
            self.stdout.write(line)
