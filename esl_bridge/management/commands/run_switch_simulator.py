"""`manage.py run_switch_simulator`: a simulated FreeSWITCH to develop against."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from esl_bridge.simulator.cli import add_arguments, config_from, serve
from esl_bridge.simulator.config import Config


class Command(BaseCommand):
    """Runs the simulator where the bridge expects a FreeSWITCH."""

    help = "Run a simulated FreeSWITCH: event socket, calls, and a log of every leg."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        defaults = replace(
            Config(),
            port=int(getattr(settings, "FREESWITCH_ESL_PORT", Config.port)),
            password=str(getattr(settings, "FREESWITCH_ESL_PASSWORD", Config.password)),
        )
        # The host is not taken from the settings: there it is where to connect, here to listen.
        add_arguments(parser, defaults)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            config = config_from(argparse.Namespace(**options))
        except ValueError as error:
            raise CommandError(str(error)) from error
        serve(config)
