"""Runs of the pacing simulation for the console, on the queue `default`: their results in the cache, by parameters."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.core.cache import cache

log = logging.getLogger(__name__)

# The largest that the page lets through takes a third of it.
MOST_SECONDS = 180
# A failure is told, and soon forgotten: the next try may go well.
FAILED_SECONDS = 30


def run(parameters: dict[str, Any], busy_key: str, keep_seconds: int) -> None:
    """Simulate, keep the report under whatif:{key} for so long, and free `busy_key` for the next run. A result that
    another run has left is not computed again."""
    # It brings numpy, which every Celery process would load.
    from dialer import whatif

    asked = whatif.Parameters.of(parameters)
    key, started = f"whatif:{asked.key}", time.monotonic()
    try:
        if cache.get(key) is None:
            cache.set(key, whatif.report(asked, whatif.run(asked)), keep_seconds)
            log.info("simulated %s agents for %s h in %.1f s", asked.agents, asked.hours, time.monotonic() - started)
    except SoftTimeLimitExceeded:
        cache.set(
            key, {"failed": f"It took longer than {MOST_SECONDS} s: ask for fewer agents or hours."}, FAILED_SECONDS
        )
    finally:
        if (cache.get(busy_key) or {}).get("key") == asked.key:
            cache.delete(busy_key)
