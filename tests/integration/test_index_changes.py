"""A migration that makes an index on a living installation takes as long as it takes, and can be repeated."""

import threading

import pytest
from django.contrib.postgres import operations as django_operations
from django.db import OperationalError, connection, connections, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from events import index_changes
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
TABLE, NAME = "index_probe", "index_probe_at"
LIMITS = ("statement_timeout", "lock_timeout")


@pytest.fixture(autouse=True)
def probe():
    """A table of its own, and what a migration knows of it."""
    execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, at int)")
    yield
    for limit in LIMITS:
        execute(f"RESET {limit}")
    execute(f"DROP TABLE {TABLE}")


@pytest.fixture
def backup():
    """A transaction that has seen the table and goes on, as that of a backup does."""
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {TABLE}")
    yield other
    other.close()


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def shown(limit):
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {limit}")
        return cursor.fetchone()[0]


def valid() -> bool | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [NAME])
        row = cursor.fetchone()
    return row[0] if row else None


def applied(operation, *, backwards=False):
    with_index = models.Index(fields=["at"], name=NAME)
    fields = [("id", models.IntegerField(primary_key=True)), ("at", models.IntegerField())]
    state = ProjectState()
    state.add_model(ModelState("events", "Probe", fields, {"db_table": TABLE, "indexes": [with_index]}))
    with connection.schema_editor(atomic=False) as editor:
        run = operation.database_backwards if backwards else operation.database_forwards
        run("events", editor, state, state)


def add(module=index_changes):
    return module.AddIndexConcurrently("probe", models.Index(fields=["at"], name=NAME))


def waits_longer_than(seconds) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            f" AND query LIKE '%%INDEX CONCURRENTLY%%{NAME}%%' AND now() - query_start > make_interval(secs => %s)",
            [seconds],
        )
        return cursor.fetchone() is not None


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("interrupted", [False, True])
def test_an_index_is_made_however_long_it_takes_also_after_an_attempt_that_was_ended(interrupted, limit, backup):
    if interrupted:
        execute(f"SET {limit} = '1s'")
        with pytest.raises(OperationalError):
            applied(add(django_operations))
        assert valid() is False, "what is left of it"
    failed, after = [], []

    def again():
        try:
            execute(f"SET {limit} = '1s'")
            applied(add())
            after.append(shown(limit))
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=again)
    thread.start()
    wait_until(lambda: failed or waits_longer_than(1.5), "longer than the limit")
    backup.rollback()
    thread.join(30)
    assert (failed, valid()) == ([], True)
    assert after == ["1s"], "and what comes after it is limited again"
    before = oid()
    applied(add())
    assert oid() == before, "repeated, it is left alone"


def oid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)::oid", [NAME])
        return int(cursor.fetchone()[0])


def test_a_removal_and_its_way_back_can_be_repeated():
    remove = index_changes.RemoveIndexConcurrently("probe", NAME)
    applied(add())
    for _ in range(2):
        applied(remove)
        assert valid() is None
    for _ in range(2):
        applied(remove, backwards=True)
        assert valid() is True
    applied(add(), backwards=True)
    assert valid() is None


def test_the_migrations_make_every_such_index_so():
    ours = (index_changes.AddIndexConcurrently, index_changes.RemoveIndexConcurrently)
    theirs = (django_operations.AddIndexConcurrently, django_operations.RemoveIndexConcurrently)
    found = [
        operation
        for migration in MigrationLoader(connection).disk_migrations.values()
        for operation in migration.operations
        if isinstance(operation, theirs)
    ]
    assert len(found) >= 8
    assert all(isinstance(operation, ours) for operation in found)
