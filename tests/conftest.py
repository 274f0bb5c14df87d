"""Shared by all tests: real PostgreSQL and Redis (started by `make test`), emptied where a test asks for it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache

# Longest a test waits for a condition: generous, since the machines are shared; a passing test never waits that long.
PATIENCE = 20.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE, every: float = 0.02) -> Any:
    """The condition's first true value; fails with `what` when it does not come true in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(every)


@pytest.fixture
def redis_empty() -> Iterator[Any]:
    """The streams' Redis database and the cache, empty before and after."""
    from events import streams

    client = streams.connect()
    client.flushdb()
    cache.clear()
    yield client
    client.flushdb()
    cache.clear()
    client.close()


@pytest.fixture(scope="session", autouse=True)
def _own_servers() -> None:
    """Tests empty Redis databases: never those of a running stack."""
    from orchestrator import servers

    running = servers.environment()
    import os

    if "CELERY_BROKER_URL" not in os.environ:
        pytest.exit("start the tests with `make test`: they need a PostgreSQL and a Redis of their own", returncode=3)
    assert running["CELERY_BROKER_URL"] == settings.CELERY_BROKER_URL
