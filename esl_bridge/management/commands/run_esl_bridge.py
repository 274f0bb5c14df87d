"""`manage.py run_esl_bridge`: the only process that talks to FreeSWITCH."""

from __future__ import annotations

import logging
import signal
from types import TracebackType
from typing import Any

import gevent
from django.conf import settings
from django.core.management.base import BaseCommand

from esl_bridge.bridge import Bridge, Config
from esl_bridge.link import Switch
from esl_bridge.render import DialPlan
from events import collector, streams, trail

log = logging.getLogger(__name__)


def crashed(context: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """gevent would print it as it is, and what a switch or a caller said may be in it."""
    log.error("a greenlet ended with this", exc_info=(kind, error, trace))


class Command(BaseCommand):
    help = "Journals the switch's events and carries out orders. One is active per node; a second one stands by."

    def handle(self, *args: Any, **options: Any) -> None:
        config = Config(
            switch=Switch(settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT, settings.FREESWITCH_ESL_PASSWORD),
            node=settings.FREESWITCH_NODE,
            channel=settings.FREESWITCH_EVENT_CHANNEL,
            plan=DialPlan(
                customer=settings.ORIGINATE_CUSTOMER,
                agent=settings.ORIGINATE_AGENT,
                allowed_prefixes=settings.DIAL_ALLOWED_PREFIXES,
                recordings_dir=settings.RECORDINGS_DIR,
                messages_dir=settings.MESSAGES_DIR,
                hold_music=settings.HOLD_MUSIC,
            ),
        )
        trail.of_process(node=config.node)
        gevent.get_hub().print_exception = crashed
        collector.settle()
        bridge = Bridge(config, streams.connect(), streams.connect(blocking=True))
        for name in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(name, bridge.stop)
        bridge.run()
