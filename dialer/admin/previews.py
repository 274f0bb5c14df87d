"""Contacts that were before agents, and what the agents did with them."""

from __future__ import annotations

from django.contrib import admin

from dialer.models import ContactReservation
from events.admin.large_tables import LargeTableAdmin, ReadOnlyAdmin


@admin.register(ContactReservation)
class ContactReservationAdmin(LargeTableAdmin, ReadOnlyAdmin):
    list_display = ("offered_at", "campaign", "agent", "contact", "state", "reason", "expires_at", "ended_at")
    list_display_links = ("offered_at", "contact")
    list_filter = ("campaign", "agent", "state")
    list_select_related = ("campaign", "agent", "contact")
    indexed_filters = ("campaign__id__exact", "agent__id__exact", "contact__id__exact")
