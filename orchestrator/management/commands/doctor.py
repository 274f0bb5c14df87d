"""manage.py doctor: look at a deployment and say what to mend. Exit code 1 when something is at fault."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrator import doctor

SIGNS = {"ok": "ok     ", "warning": "WARNING", "fault": "FAULT  "}


class Command(BaseCommand):
    help = "Look at settings, servers, processes, switch and floor; say what to mend. Changes nothing."
    # It must be able to say what is wrong with the settings and the database.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
        parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")

    def handle(self, *args: Any, **options: Any) -> None:
        bad = {"fault", "warning"} if options["strict"] else {"fault"}
        failed = 0
        for finding in doctor.examine():
            failed += finding.level in bad
            if options["json"]:
                fields = ("subject", "level", "detail", "mend")
                self.stdout.write(json.dumps({name: getattr(finding, name) for name in fields}))
                continue
            self.stdout.write(f"{SIGNS[finding.level]} {finding.subject}: {finding.detail}")
            if finding.mend:
                self.stdout.write(f"          {finding.mend}")
        if not options["json"]:
            self.stdout.write(f"{failed} to mend." if failed else "Nothing to mend.")
        if failed:
            sys.exit(1)
