"""Campaigns: set up here, started and paused through the sequential worker."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from dialer import inbox
from dialer.admin.base import BesideTheWorker, announce_on_commit, changelist_link, page_link, send_commands
from dialer.admin.inlines import CallsInline
from dialer.models import Assignment, DialerCampaign, RequiredSkill
from dialer.services import freeing

# What decides who may be called: a change sets free whom the old rules had set aside.
RULES = {"profile", "target_list", "max_retry_attempts", "retry_delay_minutes"}


class AssignmentInline(admin.TabularInline):
    model = Assignment
    extra = 0
    autocomplete_fields = ("agent",)
    verbose_name = "agent"
    verbose_name_plural = "agents: with several campaigns the weights share out their calls"


class RequiredSkillInline(admin.TabularInline):
    model = RequiredSkill
    extra = 0
    verbose_name_plural = "required skills: agents must have all of them"


@admin.register(DialerCampaign)
class DialerCampaignAdmin(BesideTheWorker):
    kind = "campaign"
    list_display = (
        "name",
        "status",
        "mode",
        "target_list",
        "agents",
        "calls_per_agent_per_hour",
        "max_lines",
        "scheduled_start",
        "scheduled_end",
        "why",
    )
    list_filter = ("status", "mode", "profile", "target_list")
    list_select_related = ("target_list",)
    search_fields = ("name", "description")
    date_hierarchy = "created_at"
    inlines = (AssignmentInline, RequiredSkillInline, CallsInline)
    autocomplete_fields = ("target_list", "profile", "message", "machine_message", "supervisors")
    actions = ("activate", "pause")
    # The status belongs to the sequential worker.
    readonly_fields = ("campaign_id", "status", "version", "created_by", "created_at", "updated_at", "what_it_did")
    fieldsets = (
        (None, {"fields": ("name", "description", "status", "what_it_did", "supervisors")}),
        ("Who is called", {"fields": ("target_list", "script")}),
        (
            "Calls that agents place",
            {
                "fields": (
                    ("preview_seconds", "preview_at_end"),
                    ("preview_skip_minutes", "preview_max_skips"),
                    "allow_manual_dial",
                )
            },
        ),
        ("Time", {"fields": (("scheduled_start", "scheduled_end"),)}),
        (
            "Pace",
            {
                "fields": (
                    ("mode", "power_ratio"),
                    "message",
                    ("calls_per_agent_per_hour", "max_lines"),
                    ("max_retry_attempts", "retry_delay_minutes"),
                    ("ring_timeout_seconds", "wrap_up_seconds"),
                )
            },
        ),
        (
            "Rules and limits",
            {
                "fields": (
                    "profile",
                    "max_calls_per_second",
                    ("price_per_attempt", "price_per_minute", "daily_spend_cap"),
                )
            },
        ),
        (
            "After the call",
            {
                "fields": (
                    ("disposition_required", "disposition_ends_wrap_up"),
                    ("max_wrap_up_seconds", "max_wrap_up_action", "max_wrap_up_reason"),
                    "callback_fallback_minutes",
                )
            },
        ),
        (
            "What the customer sees",
            {"fields": (("caller_id_number", "caller_id_name"), "record_calls", ("machine_action", "machine_message"))},
        ),
        ("Record", {"fields": ("campaign_id", ("version", "created_by", "created_at", "updated_at"))}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[DialerCampaign]:
        return super().get_queryset(request).annotate(agent_count=Count("assigned_agents"))

    @admin.display(description="agents", ordering="agent_count")
    def agents(self, obj: Any) -> int:
        return int(obj.agent_count)

    @admin.display(description="why")
    def why(self, obj: DialerCampaign) -> SafeString | str:
        return page_link("decisions", "why it dials", campaign=obj.campaign_id)

    @admin.display(description="what it did")
    def what_it_did(self, obj: DialerCampaign) -> SafeString | str:
        if obj.pk is None:
            return "-"
        pages = (("calllog", "calls"), ("pacingdecision", "decisions"), ("campaignday", "days"))
        links = ((changelist_link(model, label, campaign__id__exact=obj.pk),) for model, label in pages)
        asked = {"campaign": obj.campaign_id}
        live = ((page_link("decisions", "why it dials", **asked),), (page_link("calls", "look for calls", **asked),))
        return format_html_join(" · ", "{}", (*live, *links))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if not change:
            obj.created_by = request.user
        if change and "mode" in form.changed_data:
            # It takes effect where the decisions are made, and takes back what is before agents.
            form.changed_data.remove("mode")
            command = {"kind": "campaign_control", "campaign_id": str(obj.campaign_id), "action": "set_mode"}
            send_commands(request, self, inbox.CONTROL, [(obj, {**command, "mode": obj.mode})])
        super().save_model(request, obj, form, change)
        if change and RULES & set(form.changed_data):
            freeing.later([obj.target_list_id])

    def save_related(self, request: HttpRequest, form: ModelForm[Any], formsets: Any, change: bool) -> None:
        before = set(form.instance.assigned_agents.values_list("pk", flat=True))
        super().save_related(request, form, formsets, change)
        after = set(form.instance.assigned_agents.values_list("pk", flat=True))
        # An agent's row on the board names their campaigns.
        for pk in before ^ after:
            announce_on_commit("agent", pk)

    @admin.action(description="Activate selected campaigns", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[DialerCampaign]) -> None:
        self._control(request, queryset, "start")

    @admin.action(description="Pause selected campaigns", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[DialerCampaign]) -> None:
        self._control(request, queryset, "pause")

    def _control(self, request: HttpRequest, queryset: QuerySet[DialerCampaign], action: str) -> None:
        send_commands(
            request,
            self,
            inbox.CONTROL,
            ((c, {"kind": "campaign_control", "campaign_id": str(c.campaign_id), "action": action}) for c in queryset),
        )
