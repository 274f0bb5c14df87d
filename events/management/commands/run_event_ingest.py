"""`manage.py run_event_ingest`: fold switch events into live call state, in order. Start several; one works."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from events import collector
from events.ingest import Ingest


class Command(BaseCommand):
    help = "Folds switch events into live call state, in order. A second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        collector.settle()
        Ingest(stop=stop).run()
