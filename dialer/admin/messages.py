"""What supervisors have written to agents, and when it was read."""

from __future__ import annotations

from django.contrib import admin

from dialer.models import AgentMessage
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin


@admin.register(AgentMessage)
class AgentMessageAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("at", "sender", "agent", "text", "read_at")
    list_filter = ("agent",)
    list_select_related = ("agent",)
    indexed_filters = ("agent__id__exact",)
