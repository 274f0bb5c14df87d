"""`manage.py simulate_pacing`: what each mode would do with such a team and list, before anyone is called."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dialer.pacing import Policy, Power, Progressive, standard
from dialer.pacing.predictive import Predictive
from dialer.pacing_simulation import Result, Scenario, simulate

MODES = ("progressive", "power", "predictive")
# Bounds of one run: minutes of computing, not hours.
MOST_AGENTS, MOST_HOURS = 2_000, 24.0


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


class Command(BaseCommand):
    help = (
        "Simulate a campaign's pacing by mode: utilisation, abandoned calls and waits. Deterministic by seed; "
        "nothing is dialled, no database is needed."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--agents", type=int, default=30)
        parser.add_argument("--answer-rate", type=float, default=0.25, help="share of dials that a person answers")
        parser.add_argument("--answer-rate-later", type=float, help="the rate after half of the time")
        parser.add_argument("--talk", type=float, default=120.0, help="mean seconds of a conversation")
        parser.add_argument("--wrap-up", type=float, default=15.0, help="mean seconds of wrap-up")
        parser.add_argument("--ring", type=float, default=8.0, help="mean seconds until a person answers")
        parser.add_argument("--ring-timeout", type=float, default=25.0)
        parser.add_argument("--hours", type=float, default=4.0)
        parser.add_argument("--patience", type=float, default=2.0, help="seconds until an answered call is abandoned")
        parser.add_argument("--cap", type=float, default=0.03, help="share of answered calls that may be abandoned")
        parser.add_argument("--strict", action="store_true", help="progressive while over the cap")
        parser.add_argument("--ratio", type=float, default=3.0, help="calls per idle agent of the power mode")
        parser.add_argument("--mode", action="append", choices=MODES, help="one or more; all by default")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            scenario = self._scenario(options)
            modes = tuple(dict.fromkeys(options["mode"] or MODES))
            profile = standard(options["cap"], strict=options["strict"])
            policies: dict[str, Callable[[], Policy]] = {
                "progressive": Progressive,
                "power": lambda: Power(options["ratio"], profile),
                "predictive": lambda: Predictive(profile, ring_timeout=scenario.ring_timeout),
            }
            results = {mode: simulate(policies[mode](), scenario, options["seed"], profile) for mode in modes}
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            document = {"seed": options["seed"], "modes": {mode: found.as_dict() for mode, found in results.items()}}
            self.stdout.write(json.dumps(document, indent=2))
            return
        self.stdout.write(self._table(results, options))

    def _scenario(self, options: dict[str, Any]) -> Scenario:
        if options["agents"] > MOST_AGENTS or options["hours"] > MOST_HOURS:
            raise ValueError(f"at most {MOST_AGENTS} agents and {MOST_HOURS:g} hours")
        if not 0 < options["cap"] < 1:
            raise ValueError("a cap is a share between 0 and 1")
        rates = [(0.0, options["answer_rate"])]
        if options["answer_rate_later"] is not None:
            rates.append((options["hours"] * 1800, options["answer_rate_later"]))
        return Scenario(
            options["agents"],
            tuple(rates),
            talk=options["talk"],
            wrap=options["wrap_up"],
            ring=options["ring"],
            ring_timeout=options["ring_timeout"],
            hours=options["hours"],
            patience=options["patience"],
        )

    def _table(self, results: dict[str, Result], options: dict[str, Any]) -> str:
        row = "{:<12} {:>11} {:>24} {:>13} {:>9} {:>9} {:>8}"
        lines = [
            f"{options['agents']} agents, {options['hours']:g} h, seed {options['seed']}",
            row.format("mode", "utilisation", "abandoned", "worst 30 min", "mean wait", "95 % wait", "dialled"),
        ]
        for mode, found in results.items():
            lost = f"{percent(found.abandon_rate)} ({found.abandoned} of {found.answered})"
            mean = sum(found.waits) / len(found.waits) if found.waits else None
            lines.append(
                row.format(
                    mode,
                    percent(found.utilisation),
                    lost,
                    percent(found.worst_half_hour),
                    seconds(mean),
                    seconds(found.wait(0.95)),
                    found.dialled,
                )
            )
        return "\n".join(lines)
