"""`manage.py reprocess_events`: enrich stored events again, whatever their retries say."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from events import batches
from events.models import EventProcessingStatus


class Command(BaseCommand):
    help = "Processes stored events again, by the status they are in now (by default the failed ones)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", choices=EventProcessingStatus.Status.values, default="failed")
        parser.add_argument("--limit", type=int, default=10_000, help="at most this many events")

    def handle(self, *args: Any, **options: Any) -> None:
        # Each event once: what is tried leaves the selection by the time of its last attempt.
        chosen = EventProcessingStatus.objects.filter(status=options["status"])
        chosen = chosen.exclude(last_attempt_at__gte=timezone.now())
        done = 0
        while done < options["limit"]:
            tried = batches.reprocess(chosen, min(batches.RETRIES_AT_ONCE, options["limit"] - done))
            if not tried:
                break
            done += tried
        left = EventProcessingStatus.objects.filter(status=EventProcessingStatus.Status.FAILED).count()
        self.stdout.write(f"{done} events processed again, {left} are failed now")
