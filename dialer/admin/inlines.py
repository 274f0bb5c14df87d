"""Rows of the large tables beside what they belong to: the newest few, read-only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dialer.admin.base import NewestInline, page_link
from dialer.models import CallLog, Contact, DispositionChange
from events.privacy import mask


class CallsInline(NewestInline):
    model = CallLog
    fk_name: str | None = None
    verbose_name_plural = "newest calls"
    fields = ("placed", "number", "status", "outcome", "agent", "campaign", "talk_time_seconds", "disposition")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CallLog]:
        return super().get_queryset(request).defer("cdr_data").select_related("agent", "campaign", "disposition")

    @admin.display(description="placed (UTC)")
    def placed(self, obj: CallLog) -> SafeString | str:
        return page_link("call", f"{obj.initiated_at:%Y-%m-%d %H:%M:%S}", obj.call_id)

    @admin.display(description="number")
    def number(self, obj: CallLog) -> str:
        return mask(obj.to_number)


class ContactsInline(NewestInline):
    model = Contact
    newest = 20
    verbose_name_plural = "newest contacts"
    fields = ("contact", "number_shown", "status", "attempts", "last_outcome", "next_attempt_at")

    @admin.display(description="contact")
    def contact(self, obj: Contact) -> SafeString | str:
        return page_link("contact", obj.name or "(no name)", obj.pk)

    @admin.display(description="number")
    def number_shown(self, obj: Contact) -> str:
        return mask(obj.number)


class DispositionsInline(NewestInline):
    model = DispositionChange
    verbose_name_plural = "dispositions given"
    fields = ("at", "disposition", "notes", "by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DispositionChange]:
        return super().get_queryset(request).select_related("disposition")
