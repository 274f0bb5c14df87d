"""Shared by all tests: real PostgreSQL and Redis (started by `make test`), emptied where a test asks for it."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# Time is no property of what is generated: on a busy machine it would fail in its place.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")

# Longest a test waits for a condition: generous, since the machines are shared; a passing test never waits that long.
PATIENCE = 45.0


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


def pytest_configure(config: pytest.Config) -> None:
    # In the process that hands out the tests; `-p no:xdist` and `-n 0` do without.
    if config.pluginmanager.hasplugin("xdist") and not hasattr(config, "workerinput"):
        from tests.parallel import HandingOut

        config.pluginmanager.register(HandingOut())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for processes first: side by side with it the others get done. Otherwise in whatever order."""
    items.sort(key=lambda item: 0 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("stack") else 2)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    from tests import emptying

    with django_db_blocker.unblock():
        emptying.remember()
    emptying.install()


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


def need_own_servers() -> None:
    """Tests empty Redis databases: never those of a running stack."""
    if "CELERY_BROKER_URL" not in os.environ:
        pytest.exit("start the tests with `make test`: they need a PostgreSQL and a Redis of their own", returncode=3)


@pytest.fixture(scope="session", autouse=True)
def _own_servers() -> None:
    from orchestrator import servers

    need_own_servers()
    assert servers.environment()["CELERY_BROKER_URL"] == settings.CELERY_BROKER_URL
