"""What tests share: of the console one daphne for a module, and who knocks at it; of the bridge a switch, and what it
wrote to Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.fakes.bridge import Redis
from tests.fakes.console import make_user
from tests.fakes.console_web import Door, web_process
from tests.fakes.esl import FakeSwitch
from tests.fakes.processes import Processes


@pytest.fixture(scope="module")
def web(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator[Processes]:
    with web_process(tmp_path_factory.mktemp("web"), django_db_blocker) as run:
        yield run


@pytest.fixture
def worker(web: Processes) -> Iterator[None]:
    """The sequential worker, started for the test that needs one: a Redis emptied between tests loses its lease."""
    web.worker("dialer_queue")
    yield
    web.kill("dialer_queue")  # An orderly end takes two seconds, and what it would leave in order is emptied.


@pytest.fixture
def door(web: Processes) -> Door:
    return Door(web)


@pytest.fixture
def supervisor() -> Any:
    return make_user("sup", supervisor=True)


@pytest.fixture
def browser(supervisor: Any) -> Client:
    """In which the supervisor is signed in."""
    client = Client()
    client.force_login(supervisor)
    return client


@pytest.fixture
def switch() -> Iterator[FakeSwitch]:
    with FakeSwitch() as fake:
        yield fake


@pytest.fixture
def floor(redis_empty: Any) -> Redis:
    return Redis(redis_empty)
