"""Thresholds and what they have raised."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from console.alert_figures import MEASURES
from console.alerting import limit_words
from console.models import Alert, AlertDelivery, AlertEvent, AlertThreshold, OccupancyMinute
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin, pretty


@admin.register(AlertThreshold)
class AlertThresholdAdmin(admin.ModelAdmin):
    list_display = (
        "name", "measure", "whom", "warning_words", "critical_words", "clear_words", "webhook", "is_active",
    )  # fmt: skip
    list_filter = ("is_active", "campaign", "team")
    list_select_related = ("campaign", "team")
    list_editable = ("is_active",)
    search_fields = ("name", "reason", "campaign__name", "team__name")
    autocomplete_fields = ("campaign", "team")
    save_as = True
    fieldsets = (
        (None, {"fields": (("name", "is_active"), "measure", "webhook")}),
        (
            "For whom",
            {
                "fields": (("state", "reason"), ("campaign", "team")),
                "description": "Empty means any. Where several thresholds of a measure fit, only the narrowest speaks: "
                "campaign before team, before reason, before state. One without levels is an exception.",
            },
        ),
        (
            "When",
            {
                "fields": (("warning", "critical"), "clear", ("hold_seconds", "clear_seconds"), "least"),
                "description": "Seconds, per cent or contacts, as the measure says. Acts within two seconds.",
            },
        ),
    )

    @admin.display(description="only for")
    def whom(self, threshold: AlertThreshold) -> str:
        parts = (threshold.get_state_display(), threshold.reason, threshold.campaign, threshold.team)
        return ", ".join(str(part) for part in parts if part) or "all"

    @admin.display(description="warning", ordering="warning")
    def warning_words(self, threshold: AlertThreshold) -> str:
        return _words(threshold, threshold.warning)

    @admin.display(description="critical", ordering="critical")
    def critical_words(self, threshold: AlertThreshold) -> str:
        return _words(threshold, threshold.critical)

    @admin.display(description="clear", ordering="clear")
    def clear_words(self, threshold: AlertThreshold) -> str:
        return _words(threshold, threshold.clear)


def _words(threshold: AlertThreshold, value: float | None) -> str:
    if value is None or threshold.measure not in MEASURES:
        return "–"
    return limit_words(threshold.measure, value)


class EventInline(admin.TabularInline):
    model = AlertEvent
    extra = 0
    can_delete = False
    fields = readonly_fields = ("at", "kind", "by", "note")

    def has_add_permission(self, request: HttpRequest, obj: Alert | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Alert | None = None) -> bool:
        return False


@admin.register(Alert)
class AlertAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("raised_at", "level", "text", "state", "owner", "resolved_at", "resolved_by")
    indexed_filters = ("threshold__id__exact",)
    exact_search = ("subject_id",)
    search_fields = ("subject_id",)
    search_help_text = "Whole id of an agent, a call or a campaign"
    inlines = (EventInline,)
    exclude = ("figure",)
    readonly_fields = (pretty("figure"),)


@admin.register(AlertEvent)
class AlertEventAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("at", "alert", "kind", "by", "note")
    list_select_related = ("alert",)
    indexed_filters = ("alert__id__exact",)


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("made_at", "alert", "tries", "due_at")
    list_select_related = ("alert",)


@admin.register(OccupancyMinute)
class OccupancyMinuteAdmin(ReadOnlyAdmin):
    list_display = ("minute", "campaign", "busy_seconds", "idle_seconds")
    date_hierarchy = "minute"
