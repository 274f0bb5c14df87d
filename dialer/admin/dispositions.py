"""Dispositions, and the history of those that were given."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from dialer.models import Disposition, DispositionChange
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin, pretty


@admin.register(Disposition)
class DispositionAdmin(admin.ModelAdmin):
    list_display = (
        "label", "code", "campaign", "hot_key", "is_contact", "is_sale", "is_do_not_call", "is_callback", "is_retry",
        "is_complete", "is_active", "position",
    )  # fmt: skip
    list_filter = ("is_active", "campaign")
    list_select_related = ("campaign",)
    list_editable = ("is_active", "position")
    search_fields = ("code", "label")
    autocomplete_fields = ("campaign",)
    fieldsets = (
        (None, {"fields": ("label", "code", "campaign", ("hot_key", "position", "is_active"))}),
        ("What it means", {"fields": (("is_contact", "is_sale"),)}),
        (
            "What becomes of the contact",
            {
                "fields": (("is_complete", "is_retry", "is_callback", "is_do_not_call"), "retry_delay_minutes"),
                "description": "None of them: the contact goes on as the call's outcome says.",
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Disposition | None = None) -> tuple[str, ...]:
        # Calls keep pointing at it: what it is called may change, what it is does not.
        return ("code", "campaign") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Disposition | None = None) -> bool:
        # Calls hang on it: it is taken out of use instead.
        return False


@admin.register(DispositionChange)
class DispositionChangeAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("at", "call", "disposition", "by")
    list_select_related = ("call", "disposition")
    indexed_filters = ("call__id__exact",)
    exclude = ("effect",)
    readonly_fields = (pretty("effect"),)
