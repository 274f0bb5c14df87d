"""Rows that a transaction of the worker reads and locks ahead, many in one statement, before it applies the facts that
ask for them one by one. Each is given out once: whoever asks again, perhaps after a change, reads it anew."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final


class _Local(threading.local):
    rows: dict[tuple[str, Any], Any] | None = None  # None: outside of a transaction


_local = _Local()
NOT_READ: Final = object()


def begin() -> None:
    _local.rows = {}


def forget() -> None:
    """The transaction is over, or has come to nothing."""
    _local.rows = None


def keep(kind: str, asked: Iterable[Any], found: Mapping[Any, Any]) -> None:
    """What was found of what was asked for; the rest is known to be missing, and given out as None."""
    if _local.rows is not None:
        _local.rows.update({(kind, key): found.get(key) for key in asked})


def take(kind: str, key: Any) -> Any:
    """The row, None when there is none, NOT_READ when it was not asked for ahead (or given out, or has changed)."""
    return NOT_READ if _local.rows is None else _local.rows.pop((kind, key), NOT_READ)


def changed(kind: str, key: Any) -> None:
    """What was read ahead of it is not true any more."""
    if _local.rows is not None:
        _local.rows.pop((kind, key), None)
