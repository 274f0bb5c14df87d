"""`manage.py simulate_pacing`: what each mode would do with such a team and list, before anyone is called."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dialer.figures import percent
from dialer.pacing_simulation import Result
from dialer.whatif import MODES, Parameters, run, seconds

# Bounds of one run: minutes of computing, not hours.
MOST_AGENTS, MOST_HOURS = 2_000, 24.0


class Command(BaseCommand):
    help = (
        "Simulate a campaign's pacing by mode: utilisation, abandoned calls and waits. Deterministic by seed; "
        "nothing is dialled. A database is needed only with --from-campaign."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        # No defaults here: what is not given is measured, or as in whatif.Parameters.
        parser.add_argument("--from-campaign", metavar="ID|NAME", help="measure its last days; options given here win")
        parser.add_argument("--days", type=int, default=7, help="so many days of --from-campaign (7)")
        parser.add_argument("--agents", type=int, help="30")
        parser.add_argument("--answer-rate", type=float, help="share of dials that a person answers (0.25)")
        parser.add_argument("--answer-rate-later", dest="later", type=float, help="the rate after half of the time")
        parser.add_argument("--talk", type=float, help="mean seconds of a conversation (120)")
        parser.add_argument("--wrap-up", type=float, help="mean seconds of wrap-up (15)")
        parser.add_argument("--ring", type=float, help="mean seconds until a person answers (8)")
        parser.add_argument("--ring-timeout", type=float, help="25")
        parser.add_argument("--hours", type=float, help="4")
        parser.add_argument("--patience", type=float, help="seconds until an answered call is abandoned (2)")
        parser.add_argument("--cap", type=float, help="share of answered calls that may be abandoned (0.03)")
        parser.add_argument("--strict", action="store_true", help="progressive while over the cap")
        parser.add_argument("--ratio", type=float, help="calls per idle agent of the power mode (3)")
        parser.add_argument("--mode", action="append", choices=MODES, help="one or more; all by default")
        parser.add_argument("--seed", type=int, help="1")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        measured, heading = self._measured(options) if options["from_campaign"] else ({}, "")
        given = {key: value for key, value in options.items() if value is not None}
        given["modes"] = tuple(dict.fromkeys(options["mode"] or MODES))
        try:
            asked = Parameters.of(measured | given).within(MOST_AGENTS, MOST_HOURS)
            results = run(asked)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            modes = {mode: found.as_dict() for mode, found in results.items()}
            document = {"seed": asked.seed, "parameters": asked.as_dict(), "modes": modes}
            self.stdout.write(json.dumps(document, indent=2))
            return
        self.stdout.write(f"{heading}{self._table(results, asked)}")

    def _measured(self, options: dict[str, Any]) -> tuple[dict[str, Any], str]:
        # Without --from-campaign the command needs neither models nor their database.
        from dialer import measured
        from dialer.asked import campaign_named

        if not 1 <= options["days"] <= 366:
            raise CommandError("Between 1 and 366 days can be measured.")
        found = measured.measure(campaign_named(options["from_campaign"]), options["days"], timezone.now())
        if not found.attempts:
            raise CommandError(f"The campaign placed no call in the last {options['days']} days.")
        parameters = found.parameters()
        text = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in parameters.items())
        return parameters, f"measured over {found.attempts} attempts, {found.answered} answered by a person: {text}\n"

    def _table(self, results: dict[str, Result], asked: Parameters) -> str:
        row = "{:<12} {:>11} {:>24} {:>13} {:>9} {:>9} {:>8}"
        lines = [
            f"{asked.agents} agents, {asked.hours:g} h, seed {asked.seed}",
            row.format("mode", "utilisation", "abandoned", "worst 30 min", "mean wait", "95 % wait", "dialled"),
        ]
        for mode, found in results.items():
            lost = f"{percent(found.abandon_rate, 2)} ({found.abandoned} of {found.answered})"
            mean = sum(found.waits) / len(found.waits) if found.waits else None
            lines.append(
                row.format(
                    mode,
                    percent(found.utilisation, 2),
                    lost,
                    percent(found.worst_half_hour, 2),
                    seconds(mean),
                    seconds(found.wait(0.95)),
                    found.dialled,
                )
            )
        return "\n".join(lines)
