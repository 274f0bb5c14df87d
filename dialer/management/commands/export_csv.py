"""`manage.py export_csv contacts|calls FILE.csv`: rows as CSV, `-` for the standard output."""

import contextlib
import datetime as dt
import getpass
import os
import sys
from argparse import ArgumentParser
from typing import IO, Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from dialer import exports
from dialer.models import DialerCampaign, DialerTargetList, ExportRun


class Command(BaseCommand):
    help = "Contacts or calls as a CSV file that no spreadsheet takes for formulas. Every export is written down."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=ExportRun.What.values)
        parser.add_argument("file", metavar="FILE.csv", help="- for the standard output")
        parser.add_argument("--list", default="", metavar="NAME", help="contacts of this list")
        parser.add_argument("--campaign", default="", metavar="NAME", help="calls of the campaigns of this name")
        parser.add_argument("--status", default="", help="only these")
        parser.add_argument("--since", default="", metavar="YYYY-MM-DD", help="calls begun on this UTC day or later")
        parser.add_argument(
            "--user", default="", metavar="LOGIN", help="in whose name, with their permissions; default: the operator"
        )
        parser.add_argument("--full-numbers", action="store_true", help="numbers in full, not masked")

    def handle(self, *args: Any, **options: Any) -> None:
        what = options["what"]
        rows = _rows(what, options)
        actor, user_id = f"{getpass.getuser()} (export_csv)", None
        if options["user"]:
            user = get_user_model().objects.filter(username=options["user"], is_active=True).first()
            if user is None or not user.has_perm(exports.KINDS[what].permission):
                raise CommandError(f"{options['user']} may not export {what}.")
            if options["full_numbers"] and not user.has_perm(exports.FULL_NUMBERS):
                raise CommandError(f"{options['user']} may not export full numbers.")
            actor, user_id = user.get_username(), user.pk
        filters = {name: options[name] for name in ("list", "campaign", "status", "since") if options[name]}
        try:
            with _opened(options["file"]) as file:
                run = exports.begin(
                    what, actor=actor, filters=filters, full_numbers=options["full_numbers"], user_id=user_id
                )
                for piece in exports.pieces(run, rows):
                    file.write(piece)
        except OSError as error:
            raise CommandError(f"{error.filename or options['file']}: {error.strerror or error}") from error
        self.stderr.write(f"{ExportRun.objects.get(pk=run).rows:,} {what} written.")


def _rows(what: str, options: dict[str, Any]) -> QuerySet[Any]:
    rows: QuerySet[Any] = exports.KINDS[what].model._default_manager.all()
    calls = what == ExportRun.What.CALLS
    for name, for_calls in (("list", False), ("campaign", True), ("since", True)):
        if options[name] and calls != for_calls:
            raise CommandError(f"--{name} is not for {what}.")
    if options["list"]:
        target_list = DialerTargetList.objects.filter(name=options["list"]).first()
        if target_list is None:
            raise CommandError(f"There is no list {options['list']!r}.")
        rows = rows.filter(target_list=target_list)
    if options["campaign"]:
        campaigns = list(DialerCampaign.objects.filter(name=options["campaign"]).values_list("pk", flat=True))
        if not campaigns:
            raise CommandError(f"There is no campaign {options['campaign']!r}.")
        rows = rows.filter(campaign__in=campaigns)
    if options["status"]:
        known = [value for value, _ in exports.KINDS[what].model._meta.get_field("status").choices or []]
        if options["status"] not in known:
            raise CommandError(f"There is no status {options['status']!r}; there are: {', '.join(known)}.")
        rows = rows.filter(status=options["status"])
    if options["since"]:
        try:
            day = parse_date(options["since"])
        except ValueError:
            day = None
        if day is None:
            raise CommandError("--since is a day, written like 2026-01-31.")
        rows = rows.filter(initiated_at__gte=timezone.make_aware(dt.datetime.combine(day, dt.time()), dt.UTC))
    return rows


def _opened(name: str) -> contextlib.AbstractContextManager[IO[str]]:
    if name == "-":
        return contextlib.nullcontext(sys.stdout)
    # For its owner alone: it holds people's numbers.
    return os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="")
