"""Runs the floor publisher until SIGTERM or SIGINT."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from console.floor import Publisher
from events import collector


class Command(BaseCommand):
    help = "Publishes the live floor as numbered frames; a second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        collector.settle()
        Publisher(stop).run()
