"""The action that sends the chosen rows of a change list as CSV; all that its filter finds when all are chosen."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from dialer import exports
from events.privacy import clean

# Of a filter's value that is written down.
_LONGEST_FILTER = 200


class ExportsCsv(admin.ModelAdmin):
    """For a LargeTableAdmin whose rows may be taken out."""

    # Of dialer.exports.KINDS.
    export = ""
    actions = ("export_csv",)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(exports.KINDS[self.export].permission)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # "All of them" means those far back, too: not only the newest that a page shows.
        if request.method == "POST" and request.POST.get("action") == "export_csv" and _all_chosen(request):
            request.whole_table = True  # type: ignore[attr-defined]
        return super().changelist_view(request, extra_context)

    @admin.action(description="Export as CSV", permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
        if not self.has_export_permission(request):
            raise PermissionDenied
        # A search may hold a whole number.
        filters: dict[str, Any] = {name[:100]: clean(value[:_LONGEST_FILTER]) for name, value in request.GET.items()}
        if not _all_chosen(request):
            filters["chosen"] = len(request.POST.getlist("_selected_action"))
        run = exports.begin(
            self.export,
            actor=request.user.get_username(),
            filters=filters,
            full_numbers=request.user.has_perm(exports.FULL_NUMBERS),
            user_id=request.user.pk,
        )
        response = StreamingHttpResponse(
            exports.sent(exports.pieces(run, queryset)), content_type="text/csv; charset=utf-8"
        )
        name = f"{self.export}-{timezone.now():%Y%m%d-%H%M}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


def _all_chosen(request: HttpRequest) -> bool:
    return request.POST.get("select_across") == "1"
