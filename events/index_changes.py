"""Indexes that migrations make and remove beside everybody's work, however long it takes, and again after it was
interrupted.

`CREATE INDEX CONCURRENTLY` takes minutes on a large table and waits for every transaction that is older than it, a
backup's too; our connections end a statement or a wait long before. What is ended leaves an index that is INVALID: it
costs each write, serves no query, and has the name that the next attempt needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations
from django.db.migrations.operations import RunSQL

_LIMITS = ("statement_timeout", "lock_timeout")


class AddIndexConcurrently(operations.AddIndexConcurrently):
    """Leaves alone what is there and whole."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        if not _whole(schema_editor, self.index.name):
            with _however_long(schema_editor):
                super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _however_long(schema_editor):
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(operations.RemoveIndexConcurrently):
    """Repeated, it removes what an interrupted removal has left."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _however_long(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        if not _whole(schema_editor, self.name):
            with _however_long(schema_editor):
                super().database_backwards(app_label, schema_editor, from_state, to_state)


class IndexSQL(RunSQL):
    """Statements about indexes that no model names; each of them must bear to be repeated."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _however_long(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with _however_long(schema_editor):
            super().database_backwards(app_label, schema_editor, from_state, to_state)


@contextmanager
def _however_long(schema_editor: Any) -> Iterator[None]:
    """Without limits, which are as before afterwards. Nobody's rows wait for a statement that is CONCURRENTLY."""
    if schema_editor.collect_sql:
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"current_setting('{limit}')" for limit in _LIMITS))
        before = cursor.fetchone()
        _set(cursor, ("0",) * len(_LIMITS))
        try:
            yield
        finally:
            _set(cursor, before)


def _set(cursor: Any, values: tuple[str, ...]) -> None:
    for limit, value in zip(_LIMITS, values, strict=True):
        cursor.execute("SELECT set_config(%s, %s, false)", [limit, value])


def _whole(schema_editor: Any, name: str) -> bool:
    """Whether there is a valid index of that name. One that is not is removed."""
    if schema_editor.collect_sql:
        return False
    quoted = schema_editor.quote_name(name)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [quoted])
        row = cursor.fetchone()
    if row is None or row[0]:
        return row is not None
    with _however_long(schema_editor):
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")
    return False
