"""What was brought into the contact lists, and what was taken out: who, when, which file, how many.

A run's row and its contacts are committed together; progress on the way there is told in the cache
(dialer/target_import/runs.py). Part of dialer.models, which re-exports all of it.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Duplicates(models.TextChoices):
    """Where a number may stand already, so that a row with it is left out."""

    LIST = "list", "in this list"
    CAMPAIGN = "campaign", "in this list, or called by a campaign that dials it"
    EVERYWHERE = "everywhere", "in any list"


class ImportRun(models.Model):
    """One CSV file on its way into one list. Never deleted: contacts name the run they came with."""

    class State(models.TextChoices):
        UPLOADED = "uploaded", "waiting to be started"
        QUEUED = "queued"
        RUNNING = "running"
        CHECKED = "checked", "only checked"
        DONE = "done", "imported"
        FAILED = "failed", "refused"
        INTERRUPTED = "interrupted"
        UNDOING = "undoing", "being undone"
        UNDONE = "undone"

    run_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    target_list = models.ForeignKey(
        "dialer.DialerTargetList", on_delete=models.SET_NULL, null=True, blank=True, related_name="imports"
    )
    list_name = models.CharField(max_length=200, help_text="Made by the import when there is none of that name")
    file_name = models.CharField(max_length=255)
    file_size = models.BigIntegerField(default=0, help_text="Bytes")
    file_sha256 = models.CharField(max_length=64, blank=True, default="")
    region = models.CharField(max_length=2, blank=True, default="")
    encoding = models.CharField(max_length=40, blank=True, default="", help_text="Empty: found out from the file")
    mapping = models.JSONField(default=list, blank=True, help_text="role=column, for columns not found by themselves")
    duplicates_in = models.CharField(max_length=12, choices=Duplicates, default=Duplicates.LIST)
    dry_run = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=State, default=State.UPLOADED)
    error = models.CharField(max_length=500, blank=True, default="")
    read = models.PositiveBigIntegerField(default=0)
    imported = models.PositiveBigIntegerField(default=0)
    duplicates = models.PositiveBigIntegerField(default=0)
    refused = models.PositiveBigIntegerField(default=0)
    not_allowed = models.PositiveBigIntegerField(default=0, help_text="Outside the allowed prefixes: never called")
    report = models.JSONField(default=dict, blank=True, help_text="Encoding, columns, reasons, seconds")
    # Contacts of this run lie between these keys, among those of others: the primary key finds them, no other index.
    first_contact = models.BigIntegerField(null=True, blank=True)
    last_contact = models.BigIntegerField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    actor = models.CharField(max_length=150, blank=True, default="", help_text="Who, by name")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.CharField(max_length=150, blank=True, default="")
    undone_at = models.DateTimeField(null=True, blank=True)
    removed = models.PositiveBigIntegerField(default=0, help_text="Contacts that the undo has removed")
    kept = models.JSONField(default=dict, blank=True, help_text="Contacts that the undo has left, by reason")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(duplicates_in__in=Duplicates.values), name="import_run_duplicates_known"
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.pk}: {self.file_name}"

    @property
    def undoable(self) -> bool:
        return self.state in (self.State.DONE, self.State.UNDOING) and self.imported > 0


class ExportRun(models.Model):
    """One file (CSV or JSON) that was taken out. Written before its first row leaves."""

    class What(models.TextChoices):
        CONTACTS = "contacts"
        CALLS = "calls"
        AGENTS = "agents", "agents' day"
        CAMPAIGNS = "campaigns", "campaigns' day"

    what = models.CharField(max_length=10, choices=What)
    filters = models.JSONField(default=dict, blank=True)
    full_numbers = models.BooleanField(default=False)
    actor = models.CharField(max_length=150)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Empty: broken off, or still running")
    rows = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("export_contacts", "Can export contacts"),
            ("export_calls", "Can export calls"),
            ("export_full_numbers", "Can export full phone numbers"),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}: {self.what}"
