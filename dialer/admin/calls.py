"""Calls, orders to the switch, commands of people, decisions and the worker's lease: what happened, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from dialer.admin.base import changelist_link, page_link
from dialer.admin.exporting import ExportsCsv
from dialer.admin.inlines import DispositionsInline
from dialer.models import (
    AppliedCommand,
    AuditEntry,
    CallLog,
    CampaignDay,
    CampaignMinute,
    ExportRun,
    Order,
    PacingDecision,
    QueuedCommand,
    SideLeg,
    WorkerLease,
)
from dialer.retry import OUTCOMES
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin, day_filter, pretty
from events.privacy import mask


class OutcomeFilter(admin.SimpleListFilter):
    """By name, without reading the table for the values there are."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in OUTCOMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(outcome=self.value()) if self.value() else queryset


@admin.register(CallLog)
class CallLogAdmin(ExportsCsv, LargeTableAdmin, ReadOnlyAdmin):
    export = ExportRun.What.CALLS
    list_display = (
        "initiated_at",
        "number",
        "status",
        "campaign",
        "agent",
        "attempt_number",
        "talk",
        "disposition",
        "disconnect_reason",
        "abandoned",
        "ended_at",
        "page",
    )
    list_display_links = ("initiated_at", "number")
    list_filter = (day_filter("initiated_at", "placed on"), "status", OutcomeFilter, "campaign", "agent", "abandoned")
    list_select_related = ("campaign", "agent", "disposition")
    indexed_filters = (
        "status__exact", "agent__id__exact", "campaign__id__exact", "contact__id__exact", "outcome", "day",
    )  # fmt: skip
    exact_search = ("to_number", "freeswitch_uuid", "call_id")
    search_help_text = "Whole number (+12125550100), call id or leg uuid."
    inlines = (DispositionsInline,)
    exclude = ("cdr_data",)
    readonly_fields = ("page", "trail", pretty("cdr_data", "the switch's own record"))

    @admin.display(description="number")
    def number(self, obj: CallLog) -> str:
        return mask(obj.to_number)

    @admin.display(description="page")
    def page(self, obj: CallLog) -> SafeString | str:
        return page_link("call", "ladder", obj.call_id)

    @admin.display(description="talk time")
    def talk(self, obj: CallLog) -> str:
        return (
            "-" if obj.talk_time_seconds is None else f"{obj.talk_time_seconds // 60}:{obj.talk_time_seconds % 60:02}"
        )

    @admin.display(description="what is known of it")
    def trail(self, obj: CallLog) -> SafeString:
        events = [
            format_html(
                '<a href="{}?{}">{}</a>', reverse(f"admin:events_{model}_changelist"), urlencode({"q": q}), label
            )
            for model, q, label in (
                ("callstateevent", str(obj.call_id), "state changes"),
                ("freeswitchevent", obj.freeswitch_uuid, "events"),
            )
        ]
        orders = changelist_link("order", "orders", call__id__exact=obj.pk)
        changes = changelist_link("dispositionchange", "dispositions", call__id__exact=obj.pk)
        return format_html("{} · {} · {} · {}", *events, orders, changes)


@admin.register(SideLeg)
class SideLegAdmin(LargeTableAdmin, ReadOnlyAdmin):
    """Who listened to whom, took over or was consulted: the audit of monitoring."""

    list_display = ("requested_at", "actor", "purpose", "mode", "agent", "call", "joined_at", "ended_at", "extension")
    list_filter = ("purpose",)
    list_select_related = ("agent", "call")
    exact_search = ("actor", "leg_uuid")
    search_help_text = "Whole user name, or leg uuid."


@admin.register(Order)
class OrderAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("created_at", "kind", "status", "agent", "leg_uuid", "sent_at", "settled_at", "short_reply")
    list_display_links = ("created_at", "kind")
    list_filter = ("status",)
    list_select_related = ("agent",)
    indexed_filters = ("status__exact", "call__id__exact")
    exact_search = ("order_id", "leg_uuid")
    search_help_text = "Whole order id or leg uuid."
    exclude = ("payload",)
    readonly_fields = (pretty("payload"),)

    @admin.display(description="reply")
    def short_reply(self, obj: Order) -> str:
        return obj.reply[:80] or "-"


@admin.register(QueuedCommand)
class QueuedCommandAdmin(ReadOnlyAdmin):
    list_display = ("queued_at", "task", "command_id")


@admin.register(AppliedCommand)
class AppliedCommandAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("applied_at", "kind", "target", "actor", "status", "reason")
    list_display_links = ("applied_at", "kind")
    list_filter = (day_filter("applied_at", "day"), "status")
    indexed_filters = ("day",)
    exact_search = ("command_id", "target")
    search_help_text = "Whole command id, or what it was about: a call's id, an agent's, a campaign's."
    exclude = ("payload", "result")
    readonly_fields = (pretty("payload"), pretty("result"))


@admin.register(AuditEntry)
class AuditEntryAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "target_kind", "target", "result", "reason", "address", "via")
    list_display_links = ("at", "action")
    list_filter = ("result",)
    exact_search = ("actor", "action", "target", "command_id")
    search_help_text = "Whole user name, action, target or command id. The console's audit page finds more."
    exclude = ("details",)
    readonly_fields = (pretty("details"),)


@admin.register(PacingDecision)
class PacingDecisionAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("decided_at", "campaign", "placed", "binding_reason", "summary", "repeats", "last_at")
    list_display_links = ("decided_at", "summary")
    list_filter = (day_filter("decided_at", "day"), "campaign")
    list_select_related = ("campaign",)
    indexed_filters = ("campaign__id__exact", "day")
    exclude = ("inputs",)
    readonly_fields = (pretty("inputs"),)


@admin.register(ExportRun)
class ExportRunAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "what", "actor", "rows", "full_numbers", "ended_at")
    list_filter = ("what",)


@admin.register(CampaignDay)
class CampaignDayAdmin(ReadOnlyAdmin):
    list_display = (
        "day",
        "campaign",
        "attempts",
        "answered",
        "connected",
        "abandoned",
        "busy",
        "no_answer",
        "failed",
        "talk_seconds",
    )
    list_filter = ("campaign",)
    list_select_related = ("campaign",)


@admin.register(CampaignMinute)
class CampaignMinuteAdmin(ReadOnlyAdmin):
    list_display = ("minute", "campaign", "answered", "connected", "abandoned", "machines")
    list_filter = ("campaign",)
    list_select_related = ("campaign",)


@admin.register(WorkerLease)
class WorkerLeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "token", "expires_at")
