"""Admin pages of tables that grow without end: none of them reads a whole table to show a hundred rows.

Django's change list counts all rows twice, sorts by any column, searches inside texts and offers every distinct value
as a filter: each of them a scan. Here:

- a page shows rows newest first, by primary key, and looks back over the newest WINDOW rows only;
- a day (`day_filter`) is a stretch of the primary key, found by the index of times: as fast far back as today;
- a filter named in `indexed_filters`, and the search, which compares whole values of indexed columns, reach further;
- counting stops at COUNTED rows, and beside it stands the planner's estimate of the whole table;
- and should a filter still cost too much, the database gives up after STATEMENT_SECONDS, with a hint to the person.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import OperationalError, connection, transaction
from django.db.models import Field, ForeignKey, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

# A page of 100 that filters the newest 100,000 rows takes some milliseconds, and is what people look for nearly always.
WINDOW = 100_000
# Also bounds how far a person can page: OFFSET reads all the rows before it.
COUNTED = 10_000
STATEMENT_SECONDS = 5
# Of a search term: longer than any uuid or number.
_LONGEST_TERM = 100
_LONGEST_JSON = 50_000
# That a day's filter offers.
DAYS = 8
_OUT_OF_ORDER = 1_000


class CountedPaginator(Paginator):
    """Counts up to `limit` rows and no further."""

    limit = COUNTED

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[: self.limit].values("pk").count())  # type: ignore[union-attr]


class LargeChangeList(ChangeList):
    """Newest first, whatever the address asks for; within the window unless an index leads further."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        return ["-pk"]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found = super().get_queryset(request, exclude_parameters)
        used = set(self.get_filters_params())
        # `whole_table`: an export of all that is found, which reads it page by page.
        reaches_further = bool(self.query) or getattr(request, "whole_table", False)
        reaches_further = reaches_further or (bool(used) and used <= set(self.model_admin.indexed_filters))
        if reaches_further:
            return found
        newest = self.model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        window = self.model_admin.window
        return found.filter(pk__gt=newest - window) if newest and newest > window else found


def day_filter(field: str, label: str) -> type[admin.SimpleListFilter]:
    """Rows of one UTC day by a column of times that grows with the primary key and has an index: today, the days
    before, and by the address any day (`?day=2026-01-31`)."""

    class DayFilter(admin.SimpleListFilter):
        title = label
        parameter_name = "day"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            today = timezone.now().date()
            days = [today - dt.timedelta(days=n) for n in range(DAYS)]
            names = ["Today", "Yesterday", *(f"{day:%a %Y-%m-%d}" for day in days[2:])]
            return [(day.isoformat(), name) for day, name in zip(days, names, strict=True)]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            if not self.value():
                return queryset
            try:
                start = dt.datetime.combine(dt.date.fromisoformat(str(self.value())), dt.time(), dt.UTC)
                end = start + dt.timedelta(days=1)
            except (ValueError, OverflowError):
                return queryset.none()
            times = queryset.model._default_manager.filter(**{f"{field}__gte": start, f"{field}__lt": end}).order_by()
            first = times.order_by(field).values_list("pk", flat=True).first()
            last = times.order_by(f"-{field}").values_list("pk", flat=True).first()
            if first is None or last is None:
                return queryset.none()
            # Keys and times grow together but for the last few: a key a little out of its day is looked at as well.
            stretch = {"pk__gte": min(first, last) - _OUT_OF_ORDER, "pk__lte": max(first, last) + _OUT_OF_ORDER}
            return queryset.filter(**stretch, **{f"{field}__gte": start, f"{field}__lt": end})

    return DayFilter


class ReadOnlyAdmin(admin.ModelAdmin):
    """Seen, never written: what one process alone writes, or what has happened."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LargeTableAdmin(admin.ModelAdmin):
    """A change list that costs the same however long the table is; see the module."""

    # Query parameters of the address that an index answers by itself, e.g. `status__exact`.
    indexed_filters: Sequence[str] = ()
    # Indexed columns that the search compares with the whole term.
    exact_search: Sequence[str] = ()

    window = WINDOW
    counted = COUNTED
    statement_seconds: float = STATEMENT_SECONDS

    list_per_page = 100
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by: Sequence[str] = ()
    change_list_template = "admin/events/large_change_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LargeChangeList

    def get_paginator(
        self, request: HttpRequest, queryset: QuerySet[Any], per_page: int, *args: Any, **kwargs: Any
    ) -> Paginator[Any]:
        paginator = CountedPaginator(queryset, per_page, *args, **kwargs)
        paginator.limit = self.counted
        return paginator

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        return self.exact_search

    def search_term(self, field: Field[Any, Any], term: str) -> Any:
        """The value to compare `field` with, or None when the term cannot be one."""
        if isinstance(field, ForeignKey):
            return int(term) if term.isascii() and term.isdigit() and len(term) < 19 else None
        if field.get_internal_type() == "UUIDField":
            try:
                return uuid.UUID(term)
            except ValueError:
                return None
        return term

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\0", "").strip()[:_LONGEST_TERM]
        if not term:
            return queryset, False
        wanted = Q(pk__in=[])
        for name in self.exact_search:
            value = self.search_term(self.opts.get_field(name), term)  # type: ignore[arg-type]
            if value is not None:
                wanted |= Q(**{name: value})
        return queryset.filter(wanted), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {**(extra_context or {}), "scope_note": self._scope_note()}
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{self.statement_seconds}s"])
                response = super().changelist_view(request, context)
                # Rows are read while the page is rendered: that must happen within the time limit.
                return response.render() if hasattr(response, "render") else response
        except OperationalError as error:
            if "statement timeout" not in str(error) or not request.GET:
                raise
            self.message_user(request, "That would read too much of this table; narrow it down.", messages.WARNING)
            return HttpResponseRedirect(request.path)

    def _scope_note(self) -> str:
        """What this page looks at, for the person who looks at it."""
        rows = self._estimate()
        if rows is None:
            return "Newest first."
        further = " Search" if self.exact_search else ""
        for name in self.indexed_filters:
            further += f"{',' if further else ''} {name.partition('__')[0].replace('_', ' ')}"
        reach = f" Reaching further back:{further.lower()}." if further else ""
        return (
            f"About {rows:,} rows. Newest first, from the newest {self.window:,}; "
            f"counted, and paged through, up to {self.counted:,}.{reach}"
        )

    def _estimate(self) -> int | None:
        """How many rows the planner believes the table has; None while it is small, or nobody has looked yet."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [f'"{self.opts.db_table}"']
            )
            row = cursor.fetchone()
        return int(row[0]) if row and row[0] >= self.counted else None


def pretty(field: str, label: str | None = None) -> Callable[[Any], SafeString]:
    """A read-only JSON field as indented text, escaped, cut when it is very long."""

    @admin.display(description=label or field.replace("_", " "))
    def shown(obj: Any) -> SafeString:
        text = json.dumps(getattr(obj, field), indent=2, ensure_ascii=False, sort_keys=True)
        if len(text) > _LONGEST_JSON:
            text = f"{text[:_LONGEST_JSON]}\n… cut after {_LONGEST_JSON:,} characters"
        return format_html("<pre>{}</pre>", text)

    shown.__name__ = f"{field}_pretty"
    return shown
