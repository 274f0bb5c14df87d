"""Writes docs/protocol.md and docs/asyncapi.json from the types."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import asyncapi
from console.protocol_docs import markdown


class Command(BaseCommand):
    help = "Writes docs/protocol.md and docs/asyncapi.json from console/protocol.py; with --check only compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="fail when one of them is stale")

    def handle(self, *args: Any, **options: Any) -> None:
        docs = Path(settings.BASE_DIR) / "docs"
        for page, text in ((docs / "protocol.md", markdown()), (docs / "asyncapi.json", asyncapi.text())):
            if options["check"]:
                if not page.exists() or page.read_text(encoding="utf-8") != text:
                    raise CommandError(f"docs/{page.name} is stale: run `manage.py write_protocol_docs`")
                continue
            page.write_text(text, encoding="utf-8")
            self.stdout.write(f"{page} written")
