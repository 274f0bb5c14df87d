"""Makes an API token and prints it once."""

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from console.models import ApiToken


class Command(BaseCommand):
    help = "Creates a token for `Authorization: Bearer` with the rights of USER. It is shown once; its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="User name")
        parser.add_argument("--name", default="", help="What it is for")
        parser.add_argument("--days", type=int, default=None, help="Valid for so many days (default: until revoked)")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        try:
            user = users.objects.get_by_natural_key(options["user"])
        except users.DoesNotExist:
            raise CommandError(f"There is no user {options['user']!r}.") from None
        days = options["days"]
        if days is not None and days < 1:
            raise CommandError("--days must be 1 or more.")
        expires_at = timezone.now() + dt.timedelta(days=days) if days else None
        _, secret = ApiToken.issue(user, options["name"], expires_at)
        self.stdout.write(secret)
