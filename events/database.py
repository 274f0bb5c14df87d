"""A PostgreSQL that is there and takes no writes is as one that is away: a stand-by, a full disk for which a provider
lets it be read only. So is one that has ended a transaction because its client slept. Django calls both an
InternalError, which else is a defect; whatever waits for the database to come back asks for OperationalError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db import InternalError, OperationalError
from django.db.backends.signals import connection_created

# read_only_sql_transaction, idle_in_transaction_session_timeout, transaction_timeout
_AWAY: Final = {"25006", "25P03", "25P04"}


def watch() -> None:
    """From now on, on every connection of this process."""
    connection_created.connect(_look_at, dispatch_uid="events.database")


def _look_at(connection: Any, **_: Any) -> None:
    if _as_away not in connection.execute_wrappers:
        connection.execute_wrappers.append(_as_away)


def _as_away(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    try:
        return execute(sql, params, many, context)
    except InternalError as error:
        if getattr(error.__cause__, "pgcode", None) in _AWAY:
            raise OperationalError(*error.args) from error
        raise
