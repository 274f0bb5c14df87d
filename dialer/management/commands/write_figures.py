"""Write docs/figures.md from the definitions: `manage.py write_figures`."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dialer.figures import DEFINITIONS

_HEAD = """# Figures

One definition each, in `dialer/figures`: the same number on boards, pages, in exports and webhooks. Every figure
carries its numerator, denominator and window; with a zero denominator it is a dash (`null` in the protocol), never 0 %
or 100 %. A day is a UTC day. An agent's time counts up to the beginning of their present state.

This page is written by `manage.py write_figures`.

| key | figure | how it is computed | unit | source |
|---|---|---|---|---|
"""
_TAIL = """
Machines are answered calls, and neither contacts nor abandoned, but for the UK rate, whose formula takes them out. A
call that waited longer than 2 s counts as abandoned, also when an agent came in the end. Waits are counted in steps
(50, 100, 150, 200, 300, 400, 500, 750 ms, 1, 1.5, 2, 3, 5, 10, 30 s), so that those of several campaigns add up; a
percentile is the upper end of its step.

Worked example of the UK rate, from its own document: d 29, H 9, AM 7. d' = 29 (1 - 7/16) = 16.3125, and
16.3125 / (9 + 16.3125) = 64.44 %.
"""


def text() -> str:
    rows = (f"| `{key}` | {d.name} | {d.formula} | {d.unit} | {d.source} |\n" for key, d in DEFINITIONS.items())
    return _HEAD + "".join(rows) + _TAIL


class Command(BaseCommand):
    help = "Write docs/figures.md from the definitions of the figures."

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "figures.md"
        path.write_text(text())
        self.stdout.write(f"{path} written")
