"""`manage.py run_esl_bridge`: the only process that talks to FreeSWITCH."""

from __future__ import annotations

import gc
import signal
from typing import Any

import gevent
from django.conf import settings
from django.core.management.base import BaseCommand

from esl_bridge.bridge import Bridge, Config
from esl_bridge.link import Switch
from esl_bridge.render import DialPlan
from events import streams


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
            ),
        )
        # What is loaded by now stays; the collector need not look through it again while events stream past.
        gc.collect()
        gc.freeze()
        bridge = Bridge(config, streams.connect(), streams.connect(blocking=True))
        for name in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(name, bridge.stop)
        bridge.run()
