"""Writes docs/protocol.md from the types."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.protocol_docs import markdown


class Command(BaseCommand):
    help = "Writes docs/protocol.md from console/protocol.py; with --check only compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail when the page is stale")

    def handle(self, *args: Any, **options: Any) -> None:
        page = Path(settings.BASE_DIR) / "docs" / "protocol.md"
        text = markdown()
        if options["check"]:
            if not page.exists() or page.read_text(encoding="utf-8") != text:
                raise CommandError("docs/protocol.md is stale: run `manage.py write_protocol_docs`")
            return
        page.write_text(text, encoding="utf-8")
        self.stdout.write(f"{page} written")
