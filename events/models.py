"""What the switch said, as it said it, and how far we have got with it. Fields follow docs/architecture.md.

History is immutable: rows of FreeSwitchEvent and CallStateEvent are inserted once, by events/store.py, and never
changed.
"""

import uuid

from django.db import models
from django.db.models import Q


class FreeSwitchEvent(models.Model):
    """One raw event. (core_uuid, event_sequence) is the switch's own identity of it: a second delivery is not a
    second row."""

    event_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    event_type = models.CharField(max_length=100, help_text="Event-Name, or 'CUSTOM subclass'")
    channel_uuid = models.CharField(max_length=100, blank=True, default="")
    channel_name = models.CharField(max_length=255, blank=True, default="")
    caller_id_number = models.CharField(max_length=64, blank=True, default="")
    caller_id_name = models.CharField(max_length=255, blank=True, default="")
    destination_number = models.CharField(max_length=64, blank=True, default="")
    timestamp = models.DateTimeField(help_text="When we received it")
    freeswitch_timestamp = models.DateTimeField(null=True, blank=True, help_text="When the switch says it happened")
    event_data = models.JSONField(help_text="The whole event: header name to value")
    hangup_cause = models.CharField(max_length=64, blank=True, default="")
    call_duration_ms = models.BigIntegerField(null=True, blank=True)
    answer_epoch = models.BigIntegerField(null=True, blank=True, help_text="Seconds since 1970, from the switch")
    hangup_epoch = models.BigIntegerField(null=True, blank=True, help_text="Seconds since 1970, from the switch")
    core_uuid = models.CharField(max_length=64, help_text="Which run of which switch")
    event_sequence = models.BigIntegerField(help_text="The switch's number for this event within that run")
    journal_id = models.CharField(max_length=40, blank=True, default="", help_text="Its entry in the Redis journal")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["core_uuid", "event_sequence"], name="event_once_per_switch_run"),
        ]
        indexes = [
            models.Index(fields=["event_type", "timestamp"], name="event_type_time"),
            # An agent's leg lives all day, and a call's page asks for the events of a minute of it.
            models.Index(fields=["channel_uuid", "timestamp"], name="event_channel_time"),
            models.Index(fields=["destination_number", "timestamp"], name="event_destination_time"),
            models.Index(fields=["timestamp"], name="event_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.channel_uuid}"


class EventProcessingStatus(models.Model):
    """How far the enrichment of one event has come: retried with backoff, so a poison event never blocks its batch."""

    class Status(models.TextChoices):
        PENDING = "pending"
        PROCESSING = "processing"
        PROCESSED = "processed"
        FAILED = "failed"
        SKIPPED = "skipped"

    # Written, and removed, in one transaction with the event. What PostgreSQL would ask for each row to be sure of that
    # costs as much as the row: so here, in the transitions and in the batches' lists.
    event = models.OneToOneField(
        FreeSwitchEvent, on_delete=models.CASCADE, related_name="processing", db_constraint=False
    )
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    last_attempt_at = models.DateTimeField(null=True, blank=True)
    next_retry_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    error_traceback = models.TextField(blank=True, default="")
    processed_at = models.DateTimeField(null=True, blank=True)
    call_log_id = models.UUIDField(null=True, blank=True, help_text="CallLog.call_id this event belongs to")

    class Meta:
        verbose_name_plural = "event processing statuses"
        indexes = [
            models.Index(fields=["status"], name="processing_status"),
            models.Index(
                fields=["status", "next_retry_at"],
                condition=Q(status__in=["pending", "processing", "failed"]),
                name="processing_unfinished",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="processed") | Q(processed_at__isnull=False), name="processed_has_its_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.status}"


class CallState(models.TextChoices):
    INITIATED = "initiated"
    ALERTING = "alerting"
    ANSWERED = "answered"
    BRIDGED = "bridged"
    HELD = "held"
    ENDED = "ended"


class CallStateEvent(models.Model):
    """One transition of one leg, as the ordered ingest folded it."""

    freeswitch_event = models.ForeignKey(
        FreeSwitchEvent,
        on_delete=models.CASCADE,
        related_name="transitions",
        null=True,
        blank=True,
        db_constraint=False,
    )
    channel_uuid = models.CharField(max_length=100)
    call_log_id = models.UUIDField(null=True, blank=True)
    previous_state = models.CharField(max_length=20, choices=CallState, blank=True, default="")
    current_state = models.CharField(max_length=20, choices=CallState)
    state_duration_ms = models.BigIntegerField(null=True, blank=True, help_text="Time in the previous state")
    timestamp = models.DateTimeField()
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel_uuid", "current_state", "timestamp"], name="transition_once_per_leg_and_time"
            ),
        ]
        indexes = [
            models.Index(fields=["channel_uuid", "timestamp"], name="transition_channel_time"),
            models.Index(fields=["call_log_id", "timestamp"], name="transition_call_time"),
            models.Index(fields=["current_state"], name="transition_state"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_uuid}: {self.previous_state or '-'} -> {self.current_state}"


class EventBatch(models.Model):
    """A run of journal entries to be stored together; the journal is trimmed only behind completed batches."""

    class Status(models.TextChoices):
        CREATED = "created"
        PROCESSING = "processing"
        COMPLETED = "completed"
        FAILED = "failed"

    batch_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    status = models.CharField(max_length=20, choices=Status, default=Status.CREATED)
    events = models.ManyToManyField(FreeSwitchEvent, blank=True, related_name="batches", db_constraint=False)
    event_count = models.PositiveIntegerField(default=0)
    processed_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    error_message = models.TextField(blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    first_journal_id = models.CharField(max_length=40, blank=True, default="")
    last_journal_id = models.CharField(max_length=40, blank=True, default="")
    transitions = models.JSONField(default=list, blank=True, help_text="Folded by the ingest, stored with the events")

    class Meta:
        verbose_name_plural = "event batches"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["status"], name="batch_status"),
        ]
        constraints = [
            # The ingest may read an entry again after a crash; the batch that holds it is still one batch.
            models.UniqueConstraint(
                fields=["first_journal_id", "last_journal_id"],
                condition=~Q(first_journal_id=""),
                name="batch_once_per_journal_run",
            ),
            models.CheckConstraint(
                condition=Q(processed_count__lte=models.F("event_count")), name="batch_processed_within_count"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} ({self.status}, {self.processed_count}/{self.event_count})"
