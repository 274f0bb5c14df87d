"""`manage.py replay_events`: fold stored events again and tell the transitions, or put them back on the journal."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events import replay, streams
from events.facts import Malformed
from events.journal import Journal


def moment(text: str) -> datetime:
    """ISO 8601; without an offset it is UTC."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Folds stored switch events again, oldest first, and prints the transitions. With --append the events go back "
        "on the journal instead: the running ingest folds them, the unique key keeps them from being stored twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--channel", default="", help="only this leg's uuid")
        parser.add_argument("--since", type=moment, help="received from this time on, ISO 8601")
        parser.add_argument("--until", type=moment, help="received before this time, ISO 8601")
        parser.add_argument("--batch", default="", help="only this batch_id")
        parser.add_argument("--append", action="store_true", help="put them back on the journal")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {name: options[name] for name in ("channel", "since", "until", "batch")}
        if not any(wanted.values()):
            raise CommandError("say which events: --channel, --since, --until or --batch")
        events = replay.chosen(**wanted)
        if options["append"]:
            journal, count = Journal(streams.connect()), 0
            for part in replay.chunks(replay.payloads(events)):
                journal.append(part)
                count += len(part)
            self.stdout.write(f"{count} events put back on the journal")
            return
        told = 0
        for item in replay.transitions(replay.payloads(events)):
            if isinstance(item, Malformed):
                self.stderr.write(f"malformed: {item}")
                continue
            told += 1
            at = datetime.fromtimestamp(item.at / 1000, UTC).isoformat(timespec="milliseconds")
            after = "" if item.duration_ms is None else f" after {item.duration_ms / 1000:.3f} s"
            self.stdout.write(f"{at}  {item.leg}  {item.previous or '-'} -> {item.current}{after}")
        self.stdout.write(f"{told} transitions")
