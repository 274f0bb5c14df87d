"""Rows that a transaction of the worker reads and locks ahead, many in one statement, before it applies the facts that
ask for them one by one. Each is given out once, and again when whoever has it has saved it: whoever else asks reads it
anew, perhaps after a change."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db.models import Model


class _Local(threading.local):
    rows: dict[tuple[str, Any], Any] | None = None  # None: outside of a transaction
    given: dict[tuple[str, Any], Any] = {}


_local = _Local()
NOT_READ: Final = object()


def begin() -> None:
    _local.rows, _local.given = {}, {}


def forget() -> None:
    """The transaction is over, or has come to nothing."""
    _local.rows = None


def keep(kind: str, asked: Iterable[Any], found: Mapping[Any, Any]) -> None:
    """What was found of what was asked for; the rest is known to be missing, and given out as None."""
    if _local.rows is not None:
        _local.rows.update({(kind, key): found.get(key) for key in asked})


def take(kind: str, key: Any) -> Any:
    """The row, None when there is none, NOT_READ when it was not asked for ahead (or given out, or has changed)."""
    if _local.rows is None:
        return NOT_READ
    row = _local.rows.pop((kind, key), NOT_READ)
    _local.given[kind, key] = row
    return row


def changed(kind: str, key: Any, saved: Any = None) -> None:
    """What was read ahead of it is not true any more; but for the row that was given out, if it is this one that was
    saved."""
    if _local.rows is None:
        return
    if saved is not None and _local.given.get((kind, key)) is saved:
        _local.rows[kind, key] = saved
    else:
        _local.rows.pop((kind, key), None)


def again(row: Model, *but: str) -> Model:
    """A row that may have been given out before, without the rows it has led to since: they may have changed. but: the
    names of those that stay."""
    kept = row._state.fields_cache
    for name in kept.keys() - set(but):
        del kept[name]
    return row
