"""Querysets whose SQL is put into words once, and asked many times with other values.

On a busy floor the sequential worker asks the same two dozen questions hundreds of times a second, and Django's words
for each cost four times as much as PostgreSQL's answer. Rows, converters and related objects are Django's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connection
from django.db.models import BooleanField, F, Field, Func, Model, QuerySet, Value
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row")


class _Given:
    """Stands for a value that comes with each question. place: among them."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


class any_of(Func):  # noqa: N801 - said as a condition
    """`filter(any_of("pk", keys))`: the field is one of a list, which has any length, where `pk__in` would be another
    SQL for each."""

    arg_joiner, template = " = ANY(", "%(expressions)s)"
    output_field = BooleanField()

    def __init__(self, field: str, values: Value) -> None:
        super().__init__(F(field), values)


class compiled(Generic[Row]):  # noqa: N801 - said as what it makes of a queryset
    """`open_legs = compiled(lambda agent: Leg.objects.filter(agent=agent, ended_at=None))`, asked as
    `open_legs(agent.pk)`, answered with a list. make: the queryset for placeholders; what it says of anything else is
    said once and for all. Values are sent as the driver writes them: keys, not rows; uuids, not their text; a list to
    `any_of`; None finds nothing. `first` takes the first row of the answer, so `make` orders them and says `[:1]`.

    Raises ValueError for a queryset that cannot be asked so: one that makes nothing of a value, or prefetches.
    """

    def __init__(self, make: Callable[..., QuerySet[Any, Row]]) -> None:
        self._make = make
        self._made: _Made | None = None

    def __call__(self, *values: Any) -> list[Row]:
        made = self._made or self._compile(len(values))
        return list(made.rows(values))

    def first(self, *values: Any) -> Row | None:
        rows = self(*values)
        return rows[0] if rows else None

    def _compile(self, count: int) -> _Made:
        # Two threads may do it at once, to the same end.
        queryset = self._make(*(Value(_Given(place)) for place in range(count)))
        self._made = _Made(queryset, count)
        return self._made


class _Made:
    def __init__(self, queryset: QuerySet[Any, Any], count: int) -> None:
        self.iterable, self.db = queryset._iterable_class, queryset.db
        self.query, self.known = queryset.query, queryset._known_related_objects
        self.compiler = queryset.query.get_compiler(using=self.db)
        self.sql, self._params = self.compiler.as_sql()
        self.locks = queryset.query.select_for_update
        fields = [row[0] for row in self.compiler.select[: self.compiler.col_count]]
        self.converters = self.compiler.get_converters(fields)
        used = {one.place for one in self._params if isinstance(one, _Given)}
        if len(used) != count or queryset._prefetch_related_lookups:
            raise ValueError(f"cannot be asked with {count} values: {self.sql}")

    def rows(self, values: Sequence[Any]) -> Iterable[Any]:
        return self.iterable(_Asked(self, values))

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        return [values[one.place] if isinstance(one, _Given) else one for one in self._params]


class _Asked:
    """What Django makes rows of: queryset, query and compiler in one, whose SQL is known already."""

    __slots__ = ("_made", "_values")

    def __init__(self, made: _Made, values: Sequence[Any]) -> None:
        self._made, self._values = made, values

    def __getattr__(self, name: str) -> Any:
        # Of the query: the names of what is selected. Of the compiler: where of a row which model's columns are.
        return getattr(self._made.compiler if hasattr(self._made.compiler, name) else self._made.query, name)

    @property
    def db(self) -> str:
        return self._made.db

    @property
    def query(self) -> _Asked:
        return self

    @property
    def _known_related_objects(self) -> dict[Any, Any]:
        return self._made.known

    def get_compiler(self, using: str) -> _Asked:
        return self

    def execute_sql(self, **_: Any) -> list[list[tuple[Any, ...]]]:
        if self._made.locks and connection.get_autocommit():
            raise TransactionManagementError("rows can be locked within a transaction only")
        with connection.cursor() as cursor:
            cursor.execute(self._made.sql, self._made.with_values(self._values))
            return [cursor.fetchall()]

    def results_iter(
        self, results: Iterable[Iterable[Any]] | None = None, tuple_expected: bool = False, **_: Any
    ) -> Iterator[Any]:
        rows: Iterator[Any] = chain.from_iterable(self.execute_sql() if results is None else results)
        if self._made.converters:
            rows = self._made.compiler.apply_converters(rows, self._made.converters)
            if tuple_expected:
                rows = map(tuple, rows)
        return rows


def update_row(row: Model, fields: Sequence[str]) -> None:
    """As `row.save(update_fields=fields)`, for models whose saving nobody is told of. Raises DatabaseError when the row
    is gone."""
    sql, columns, key = _update(type(row), tuple(fields))
    values = [field.get_db_prep_save(field.pre_save(row, False), connection) for field in columns]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, getattr(row, key.attname)])
        if not cursor.rowcount:
            raise DatabaseError(f"{type(row).__name__} {row.pk} is gone: nothing was saved of it")


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> tuple[str, list[Field[Any, Any]], Field[Any, Any]]:
    quote, key = connection.ops.quote_name, model._meta.pk
    columns = [model._meta.get_field(name) for name in names]
    to = ", ".join(f"{quote(field.column)} = %s" for field in columns)
    sql = f"UPDATE {quote(model._meta.db_table)} SET {to} WHERE {quote(key.column)} = %s"  # noqa: S608 - of columns
    return sql, columns, key
