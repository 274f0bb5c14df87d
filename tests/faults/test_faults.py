"""A small floor through faults; the full suite is `make faults`."""

import os
import time

import psycopg2
import pytest

from events import streams
from orchestrator.stack import redis_server
from tests.fakes.processes import free_port
from tests.faults import checker, report
from tests.faults.floor import Size
from tests.faults.nemesis import Broken
from tests.faults.run import Place, run
from tests.faults.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.slow]

SMALL = Size(agents=8, campaigns=2, boards=2, panels=1, calls_per_second=3, minutes=0.2, commands_per_second=2)
# What takes how long is measured by `make faults`, on a machine of its own.
SLACK = 4.0
# How often each.
COUNTS = {"worker": 1, "bridge": 1, "ingest": 1, "redis": 1, "postgres": 1}


@pytest.fixture
def own_redis(tmp_path, settings):
    keeper = redis_server.Redis(tmp_path / "redis", redis_server.program(), free_port(), "faults-only")
    server = Server(keeper, keeper.create, tmp_path / "redis.log")
    server.start()
    for name, value in keeper.environment().items():
        setattr(settings, name, value)
    streams.shared.cache_clear()
    yield server, keeper.environment()
    streams.shared.cache_clear()
    server.kill()


def cut_off(environment):
    """All connections of the product to PostgreSQL end at once: the server itself is other tests', too."""

    def do(seconds: float) -> None:
        with psycopg2.connect(
            host=environment["DB_HOST"], port=environment["DB_PORT"], user=environment["DB_USER"],
            password=environment["DB_PASSWORD"], dbname=environment["DB_NAME"],
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND (application_name = 'crew' OR application_name LIKE 'dialer-%')"
            )
        connection.close()
        time.sleep(seconds)

    return do


@pytest.mark.timeout(300)
def test_a_small_floor_loses_nothing_dials_nobody_twice_and_stops_when_told(tmp_path, own_redis, settings):
    server, urls = own_redis
    name = str(settings.DATABASES["default"]["NAME"])
    database = {key: os.environ[key] for key in ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD")} | {"DB_NAME": name}
    environment = {**database, **urls, "PGAPPNAME": "crew"}
    place = Place(tmp_path, environment, Broken(server.break_for, cut_off(environment)))
    seeds = [1]
    history, evidence = run(place, SMALL, seeds, COUNTS)
    history.slack = SLACK
    found = checker.check(history, evidence)
    assert report.say(history, evidence, found, SMALL, seeds), [one for one in found if one.troubles]
