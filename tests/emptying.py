"""The database after a test that commits, made again what the migrations had left.

Django's own way truncates every table and makes all content types and permissions anew, 50 ms after each of hundreds
of tests, and what the migrations had stored (the groups) is gone after the first of them. Here a table that nobody
wrote to costs one look: 10 ms, and every test finds the same, in whatever order.
"""

import contextlib
from collections.abc import Iterator

from django.db import connection
from django.test import TransactionTestCase

# A copy of each table that the migrations have written to.
_KEPT = "as_migrated"
# Above so many bytes, of rows or of what deleted ones have left, all are truncated: that is then cheaper, and the next
# test's plans and estimates start from nothing.
_TRUNCATED = 256 * 1024
_shared = False


def remember() -> None:
    """Call it once, with the database just migrated: what is there now is what `restore` brings back."""
    with connection.cursor() as cursor:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        kept = []
        cursor.execute(f"DROP SCHEMA IF EXISTS {_KEPT} CASCADE")
        cursor.execute(f"CREATE SCHEMA {_KEPT}")
        for table in tables:
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}")')
            if cursor.fetchone()[0]:
                cursor.execute(f'CREATE TABLE {_KEPT}."{table}" AS TABLE "{table}"')
                kept.append(table)
        cursor.execute(_function(sorted(set(tables) - set(kept)), kept))


def restore() -> None:
    """Waits for transactions that are writing, as a truncation would; readers are in nobody's way."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_KEPT}.restore()")


def install() -> None:
    """Instead of a flush, from now on."""
    TransactionTestCase._fixture_teardown = lambda self: None if _shared else restore()  # type: ignore[method-assign]


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """For tests that share one floor: what a test leaves is there for the next; emptied when the last has ended."""
    global _shared
    _shared = True
    try:
        yield
    finally:
        _shared = False
        restore()


def _function(empty: list[str], kept: list[str]) -> str:
    every = ", ".join(f'"{table}"' for table in [*empty, *kept])
    deletions = "\n".join(f'IF EXISTS (SELECT FROM "{table}") THEN DELETE FROM "{table}"; END IF;' for table in empty)
    returns = "\n".join(
        f"""
        IF EXISTS (TABLE "{table}" EXCEPT TABLE {_KEPT}."{table}")
            OR EXISTS (TABLE {_KEPT}."{table}" EXCEPT TABLE "{table}")
        THEN
            DELETE FROM "{table}";
            INSERT INTO "{table}" TABLE {_KEPT}."{table}";
        END IF;
        """
        for table in kept
    )
    sizes = ", ".join(f"pg_table_size('\"{table}\"')" for table in empty)
    return f"""
        CREATE FUNCTION {_KEPT}.restore() RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            -- The audit log lets nothing be removed otherwise.
            PERFORM set_config('orchestrator.audit_trim', 'on', true);
            LOCK TABLE {every} IN SHARE ROW EXCLUSIVE MODE;
            IF greatest({sizes}) > {_TRUNCATED} THEN
                -- A kept table that refers to one of these goes with it, and comes back below.
                TRUNCATE {", ".join(f'"{table}"' for table in empty)} CASCADE;
            ELSE
                {deletions}
            END IF;
            {returns}
        END $$
    """
