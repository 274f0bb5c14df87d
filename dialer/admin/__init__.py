"""The dialer in the admin. What the sequential worker writes is read-only here; actions on it are commands to it."""

from django.contrib import admin

from dialer.admin import agents, calls, campaigns, contacts, dispositions, importing, messages, previews, rules

__all__ = ["agents", "calls", "campaigns", "contacts", "dispositions", "importing", "messages", "previews", "rules"]

admin.site.site_header = admin.site.site_title = "Voice Orchestrator"
admin.site.index_title = "Administration"
