"""What the switch said and what became of it, to look at. History is read-only; failed processing can be retried."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin, day_filter, pretty
from events.models import CallStateEvent, EventBatch, EventProcessingStatus, FreeSwitchEvent
from events.privacy import mask

# Offered as a filter: a list of all the values there are would have to be read from the table.
_EVENT_TYPES = (
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CHANNEL_PARK",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
    "BACKGROUND_JOB",
    "RECORD_START",
    "RECORD_STOP",
)


class EventTypeFilter(admin.SimpleListFilter):
    title = "event type"
    parameter_name = "event_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _EVENT_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event_type=self.value()) if self.value() else queryset


def _found_by(model: str, term: Any, label: str) -> str:
    """A link to the change list of a model of this room, searched for `term`."""
    address = reverse(f"admin:events_{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode({"q": str(term)}), label)


@admin.register(FreeSwitchEvent)
class FreeSwitchEventAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = (
        "timestamp",
        "event_type",
        "channel_uuid",
        "caller",
        "destination",
        "hangup_cause",
        "event_sequence",
    )
    list_display_links = ("timestamp", "event_type")
    list_filter = (day_filter("timestamp", "day"), EventTypeFilter)
    indexed_filters = ("event_type", "day")
    exact_search = ("channel_uuid", "destination_number")
    search_help_text = "Whole channel uuid or destination number."
    exclude = ("event_data",)
    readonly_fields = ("transitions_link", pretty("event_data", "the whole event"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[FreeSwitchEvent]:
        found = super().get_queryset(request)
        # The whole events are read for the page of one, not for a list of a hundred.
        is_list = request.resolver_match is not None and request.resolver_match.url_name.endswith("_changelist")
        return found.defer("event_data") if is_list else found

    @admin.display(description="caller")
    def caller(self, obj: FreeSwitchEvent) -> str:
        return mask(obj.caller_id_number) if obj.caller_id_number else "-"

    @admin.display(description="destination")
    def destination(self, obj: FreeSwitchEvent) -> str:
        # Extensions are short and nobody's secret; numbers are long.
        number = obj.destination_number
        return (mask(number) if len(number) > 6 else number) or "-"

    @admin.display(description="of this channel")
    def transitions_link(self, obj: FreeSwitchEvent) -> str:
        return _found_by("callstateevent", obj.channel_uuid, "state changes") if obj.channel_uuid else "-"


@admin.register(EventProcessingStatus)
class EventProcessingStatusAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("event", "status", "attempts", "last_attempt_at", "next_retry_at", "error", "call_log_id")
    list_filter = ("status",)
    # No join: the planner might read all events for it. A second query fetches the hundred that are shown.
    list_select_related = ()
    indexed_filters = ("status__exact",)
    exact_search = ("event",)
    search_help_text = "The event's number (its id)."
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EventProcessingStatus]:
        events = FreeSwitchEvent.objects.defer("event_data")
        return super().get_queryset(request).prefetch_related(Prefetch("event", events))

    @admin.display(description="last error")
    def error(self, obj: EventProcessingStatus) -> str:
        return obj.last_error[:120] or "-"

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_eventprocessingstatus")

    @admin.action(description="Retry selected events that failed", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[EventProcessingStatus]) -> None:
        """Make them due at once; the ingest's next sweep puts them on the queue."""
        failed = EventProcessingStatus.Status.FAILED
        # By primary key: the change list's own query is ordered and may be joined.
        chosen = EventProcessingStatus.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)), status=failed)
        count = chosen.update(next_retry_at=timezone.now())
        self.message_user(request, f"{count} failed events will be tried again.", messages.SUCCESS)


@admin.register(CallStateEvent)
class CallStateEventAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("timestamp", "channel_uuid", "previous_state", "current_state", "in_previous_state", "call_log_id")
    list_display_links = ("timestamp", "channel_uuid")
    list_filter = ("current_state",)
    exact_search = ("channel_uuid", "call_log_id")
    search_help_text = "Whole channel uuid or call id."
    exclude = ("metadata",)
    readonly_fields = (pretty("metadata"),)

    @admin.display(description="time in previous state")
    def in_previous_state(self, obj: CallStateEvent) -> str:
        return "-" if obj.state_duration_ms is None else f"{obj.state_duration_ms / 1000:,.1f} s"


@admin.register(EventBatch)
class EventBatchAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("batch_id", "status", "stored", "attempts", "created_at", "completed_at", "error")
    list_filter = ("status",)
    indexed_filters = ("status__exact",)
    exact_search = ("batch_id",)
    search_help_text = "Whole batch id."
    # A batch has hundreds of events: listed by their own page, not in this one.
    exclude = ("events", "transitions")

    @admin.display(description="stored")
    def stored(self, obj: EventBatch) -> str:
        return f"{obj.processed_count:,} of {obj.event_count:,}"

    @admin.display(description="error")
    def error(self, obj: EventBatch) -> str:
        return obj.error_message[:120] or "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[EventBatch]:
        # The folded transitions of a batch may be long, and no page shows them.
        return super().get_queryset(request).defer("transitions")
