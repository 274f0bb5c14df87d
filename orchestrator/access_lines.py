"""Daphne's line for each request and socket. It goes past the log, and so past what masks there: its address is shown
as events.privacy has it."""

from __future__ import annotations

from typing import Any

import daphne.cli
from daphne.access import AccessLogGenerator

from events.privacy import address, clean


class AccessLines(AccessLogGenerator):  # type: ignore[misc]  # of an untyped package
    def write_entry(self, host: str, date: Any, request: str, **more: Any) -> None:
        # The method, or what happened to a socket, and where.
        verb, _, asked = request.partition(" ")
        super().write_entry(host, date, f"{clean(verb)} {address(asked)}", **more)


def guard() -> None:
    """From now on a daphne of this process writes its lines so. Called before its server is made."""
    daphne.cli.AccessLogGenerator = AccessLines
