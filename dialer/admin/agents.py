"""Agents, their reasons, softphone legs and history of states."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from dialer import inbox
from dialer.admin.base import BesideTheWorker, changelist_link, page_link, send_commands
from dialer.admin.inlines import CallsInline
from dialer.models import (
    Agent,
    AgentDay,
    AgentLeg,
    AgentSkill,
    AgentState,
    AgentStatus,
    CallLog,
    ReasonCode,
    Skill,
    Team,
)
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin, day_filter, pretty


@admin.register(ReasonCode)
class ReasonCodeAdmin(admin.ModelAdmin):
    list_display = ("label", "code", "status", "is_productive", "limit_seconds", "over_action", "is_active", "position")
    list_filter = ("status", "is_active")
    search_fields = ("code", "label")
    list_editable = ("is_active", "position")


@admin.register(Skill)
class SkillAdmin(admin.ModelAdmin):
    list_display = ("label", "code")
    search_fields = ("code", "label")


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ("name", "code", "who_supervises")
    search_fields = ("name", "code")
    filter_horizontal = ("supervisors",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).prefetch_related("supervisors")

    @admin.display(description="supervisors")
    def who_supervises(self, obj: Team) -> str:
        return ", ".join(user.get_username() for user in obj.supervisors.all()) or "-"


class AgentSkillInline(admin.TabularInline):
    model = AgentSkill
    extra = 0


@admin.register(Agent)
class AgentAdmin(BesideTheWorker):
    kind = "agent"
    list_display = (
        "agent_id",
        "name",
        "extension",
        "status",
        "status_reason",
        "status_since",
        "pending_status",
        "softphone",
        "team",
        "is_active",
        "user",
        "day",
    )
    list_filter = ("status", "softphone", "registered", "is_active", "team", "campaigns")
    list_select_related = ("user", "team")
    search_fields = ("agent_id", "name", "extension", "user__username", "team__name")
    autocomplete_fields = ("user", "team")
    actions = ("set_break", "set_offline")
    inlines = (AgentSkillInline, CallsInline)
    readonly_fields = (
        "status",
        "status_reason",
        "status_since",
        "pending_status",
        "pending_reason",
        "idle_since",
        "wrap_up_until",
        "softphone",
        "softphone_failures",
        "softphone_retry_at",
        "registered",
        "registered_since",
        "over_at",
        "panel_since",
        "panel_lost_at",
        "version",
        "created_at",
        "updated_at",
        "history",
    )
    fieldsets = (
        (None, {"fields": ("agent_id", "name", "team", "user", "is_active")}),
        ("Telephone", {"fields": ("extension", "phone_number", "max_concurrent_calls")}),
        (
            "State, written by the dialer",
            {
                "fields": (
                    ("status", "status_reason", "status_since"),
                    ("pending_status", "pending_reason"),
                    ("idle_since", "wrap_up_until", "over_at"),
                    ("softphone", "softphone_failures", "softphone_retry_at"),
                    ("registered", "registered_since"),
                    ("panel_since", "panel_lost_at"),
                    "history",
                )
            },
        ),
        ("Record", {"fields": (("version", "created_at", "updated_at"),)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        # The id is in everybody's keys, messages and history: it never changes.
        return ("agent_id", *self.readonly_fields) if obj else self.readonly_fields

    @admin.display(description="day")
    def day(self, obj: Agent) -> SafeString | str:
        return page_link("agent_day", "today", obj.agent_id)

    @admin.display(description="history")
    def history(self, obj: Agent) -> SafeString | str:
        if obj.pk is None:
            return "-"
        pages = (("agentstate", "states"), ("calllog", "calls"))
        links = ((changelist_link(model, label, agent__id__exact=obj.pk),) for model, label in pages)
        own = (self.day(obj), page_link("calls", "look for calls", agent=obj.agent_id))
        return format_html_join(" · ", "{}", (*((link,) for link in own), *links))

    @admin.action(description="Set selected agents to break", permissions=["change"])
    def set_break(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._set_state(request, queryset, AgentStatus.BREAK)

    @admin.action(description="Set selected agents to offline", permissions=["change"])
    def set_offline(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._set_state(request, queryset, AgentStatus.OFFLINE)

    def _set_state(self, request: HttpRequest, queryset: QuerySet[Agent], state: AgentStatus) -> None:
        send_commands(
            request,
            self,
            inbox.AGENT_STATE,
            (
                (agent, {"agent_id": agent.agent_id, "state": str(state), "reason": "", "cancel_pending": False})
                for agent in queryset
            ),
        )


@admin.register(AgentLeg)
class AgentLegAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("leg_uuid", "agent", "requested_at", "opened_at", "ended_at", "hangup_cause")
    list_filter = ("agent",)
    list_select_related = ("agent",)
    indexed_filters = ("agent__id__exact",)
    exact_search = ("leg_uuid",)
    search_help_text = "Whole leg uuid."


@admin.register(AgentDay)
class AgentDayAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("day", "agent", "handled", "contacts", "talk", "hold", "wrap_up", "idle", "on_break", "page")
    list_filter = ("agent",)
    list_select_related = ("agent",)
    indexed_filters = ("agent__id__exact",)

    @admin.display(description="talk")
    def talk(self, obj: AgentDay) -> str:
        return _clock(obj.talk_ms)

    @admin.display(description="hold")
    def hold(self, obj: AgentDay) -> str:
        return _clock(obj.hold_ms)

    @admin.display(description="wrap-up")
    def wrap_up(self, obj: AgentDay) -> str:
        return _clock(obj.wrap_up_ms)

    @admin.display(description="idle")
    def idle(self, obj: AgentDay) -> str:
        return _clock(obj.idle_ms)

    @admin.display(description="break")
    def on_break(self, obj: AgentDay) -> str:
        return _clock(obj.break_ms)

    @admin.display(description="page")
    def page(self, obj: AgentDay) -> SafeString | str:
        return page_link("agent_day", "the day", obj.agent.agent_id, day=obj.day)


def _clock(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@admin.register(AgentState)
class AgentStateAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("timestamp", "agent", "state", "reason", "by", "call")
    list_filter = (day_filter("timestamp", "day"), "state", "agent")
    list_select_related = ("agent",)
    indexed_filters = ("agent__id__exact", "day")
    exclude = ("metadata",)
    readonly_fields = (pretty("metadata"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentState]:
        # No join with the calls: the planner might read all of them for it.
        return super().get_queryset(request).prefetch_related(Prefetch("call", CallLog.objects.defer("cdr_data")))

    @admin.display(description="by")
    def by(self, obj: AgentState) -> str:
        return str(obj.metadata.get("by") or "-") if isinstance(obj.metadata, dict) else "-"
