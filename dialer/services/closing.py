"""What a transaction writes once, at its end: counts, however often something was added to them, and rows of histories.
On a busy floor they are half of all statements.

Outside of a transaction of the worker (services.acting) everything is written at once.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db import connection, models

# The columns that tell a row and their values; and what is to be added to which.
Key = tuple[tuple[str, Any], ...]
Wanted = Mapping[Key, Counter[str]]


class _Local(threading.local):
    counts: dict[type[models.Model], dict[Key, Counter[str]]] | None = None  # None: outside of a transaction
    rows: dict[type[models.Model], list[models.Model]] | None = None


_local = _Local()


def begin() -> None:
    _local.counts, _local.rows = defaultdict(lambda: defaultdict(Counter)), defaultdict(list)


def forget() -> None:
    """The transaction is over, or has come to nothing."""
    _local.counts = _local.rows = None


def add(model: type[models.Model], amounts: Mapping[str, int | Decimal], **key: Any) -> None:
    """Add to the columns of one row, which is made if there is none; no count falls below 0. amounts: by column, or by
    a place of an array's, `waits[3]`. key: the columns that tell the row, unique together."""
    place = tuple(key.items())
    if not amounts:
        return
    if _local.counts is None:
        _write({model: {place: Counter(amounts)}})
    else:
        # Not by `+`, which drops what is negative.
        _local.counts[model][place].update(amounts)


def create(row: models.Model) -> None:
    if _local.rows is None:
        row.save(force_insert=True)
    else:
        _local.rows[type(row)].append(row)


def write() -> None:
    """Whoever reads what may have been added to or created in this transaction asks for it first."""
    counts, rows = _local.counts, _local.rows
    if counts is None or rows is None:
        return
    begin()
    for model, created in rows.items():
        model._default_manager.bulk_create(created)
    _write({model: wanted for model, wanted in counts.items() if wanted})


def _write(counts: Mapping[type[models.Model], Wanted]) -> None:
    """All of them in one statement; what there was no row for is made, and added to, then."""
    if not counts:
        return
    added = _add(counts)
    for (model, wanted), count in zip(counts.items(), added, strict=True):
        if count < len(wanted):
            missing = _missing(model, wanted)
            for place in sorted(missing):
                model._default_manager.get_or_create(**dict(place))
            _add({model: {place: wanted[place] for place in missing}})


def _add(counts: Mapping[type[models.Model], Wanted]) -> tuple[int, ...]:
    """Returns how many rows each model had of those wanted."""
    parts = [f"part{n} AS ({_update(model, wanted)} RETURNING 1)" for n, (model, wanted) in enumerate(counts.items())]
    found = [f"(SELECT count(*) FROM part{n})" for n in range(len(counts))]  # noqa: S608 - of names of columns
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT {', '.join(found)}", [_told(one) for one in counts.values()])
        return tuple(cursor.fetchone())


def _update(model: type[models.Model], wanted: Wanted) -> str:
    quote = connection.ops.quote_name
    keys, names = _keys(wanted), _names(wanted)
    added = ", ".join(f"{name} = greatest(0, kept.{name} + told.{quote(name)})" for name in names)
    return (
        f"UPDATE {quote(model._meta.db_table)} AS kept SET {added} "  # noqa: S608 - as above
        f"FROM {_recordset(model, (*keys, *names))} WHERE {_same(keys)}"
    )


def _missing(model: type[models.Model], wanted: Wanted) -> set[Key]:
    keys, table = _keys(wanted), connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(f'kept.{key}' for key in keys)} "  # noqa: S608 - as above
            f"FROM {table} AS kept, {_recordset(model, keys)} WHERE {_same(keys)}",
            [_told(wanted)],
        )
        return set(wanted) - {tuple(zip(keys, row, strict=True)) for row in cursor.fetchall()}


def _keys(wanted: Wanted) -> list[str]:
    return [name for name, _ in next(iter(wanted))]


def _names(wanted: Wanted) -> list[str]:
    return list(dict.fromkeys(name for amounts in wanted.values() for name in amounts))


def _told(wanted: Wanted) -> str:
    names = _names(wanted)
    rows = [dict(place) | {name: amounts[name] for name in names} for place, amounts in wanted.items()]
    return json.dumps(rows, default=str)


def _same(keys: list[str]) -> str:
    return " AND ".join(f"kept.{key} = told.{key}" for key in keys)


def _recordset(model: type[models.Model], names: Iterable[str]) -> str:
    quote = connection.ops.quote_name
    return f"json_to_recordset(%s) AS told ({', '.join(f'{quote(name)} {_type(model, name)}' for name in names)})"


def _type(model: type[models.Model], name: str) -> str:
    column, _, place = name.partition("[")
    found = next(field for field in model._meta.concrete_fields if field.column == column)
    kind = str(found.db_type(connection))
    return kind.removesuffix("[]") if place else kind
