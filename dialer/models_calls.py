"""One row an attempt, from the moment before its order leaves."""

import uuid

from django.db import models
from django.db.models import Q

from dialer.models_modes import Recording


class CallStatus(models.TextChoices):
    INITIATED = "initiated"
    DIALING = "dialing"
    ANSWERED = "answered"
    COMPLETED = "completed"
    FAILED = "failed"
    NO_ANSWER = "no_answer", "no answer"
    BUSY = "busy"
    INVALID = "invalid"
    CANCELLED = "cancelled"


OPEN_CALL_STATUSES = (CallStatus.INITIATED, CallStatus.DIALING, CallStatus.ANSWERED)


class CallLog(models.Model):
    """One attempt. `call_id` and `freeswitch_uuid` are committed before the order leaves: the switch is told our
    uuid."""

    call_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    freeswitch_uuid = models.CharField(max_length=100, unique=True, help_text="The customer leg's uuid, chosen by us")
    from_extension = models.CharField(max_length=12, blank=True, default="")
    to_number = models.CharField(max_length=20)
    agent = models.ForeignKey("dialer.Agent", on_delete=models.SET_NULL, null=True, blank=True, related_name="calls")
    campaign = models.ForeignKey(
        "dialer.DialerCampaign", on_delete=models.SET_NULL, null=True, blank=True, related_name="calls"
    )
    contact = models.ForeignKey(
        "dialer.Contact", on_delete=models.SET_NULL, null=True, blank=True, related_name="calls"
    )
    status = models.CharField(max_length=20, choices=CallStatus, default=CallStatus.INITIATED)
    disconnect_reason = models.CharField(max_length=64, blank=True, default="", help_text="Hangup cause of the switch")
    outcome = models.CharField(
        max_length=20, blank=True, default="", help_text="How it ended, of dialer.retry.OUTCOMES"
    )
    initiated_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    bridged_at = models.DateTimeField(null=True, blank=True, help_text="When the agent and the customer were joined")
    ended_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.PositiveIntegerField(null=True, blank=True)
    talk_time_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="From bridge to end")
    hold_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="On hold altogether, until the end")
    attempt_number = models.PositiveSmallIntegerField(default=1)
    retry_after = models.DateTimeField(null=True, blank=True)
    recording_url = models.CharField(max_length=500, blank=True, default="")
    recording_stored = models.BooleanField(default=False)
    recording = models.CharField(
        max_length=10, choices=Recording, default=Recording.OFF, help_text="Now, as the switch has confirmed"
    )
    # What the switch has confirmed of the talk (dialer/services/call_control.py).
    muted = models.BooleanField(default=False, help_text="Nobody hears the agent")
    held_at = models.DateTimeField(null=True, blank=True, help_text="The agent has the customer on hold, since then")
    parked_at = models.DateTimeField(null=True, blank=True, help_text="The customer waits apart from the agent")
    agent_waits = models.BooleanField(default=False, help_text="The agent's leg has parked, apart from the customer")
    taken_over_by = models.CharField(
        max_length=150, blank=True, default="", help_text="The supervisor who talks in the agent's place"
    )
    operation = models.CharField(
        max_length=20, blank=True, default="", help_text="What moves its legs now and the switch has not confirmed"
    )
    operation_at = models.DateTimeField(null=True, blank=True)
    machine = models.BooleanField(default=False, help_text="The switch heard an answering machine")
    cdr_data = models.JSONField(default=dict, blank=True, help_text="The switch's own record, from HANGUP_COMPLETE")
    # What the work needs besides.
    agent_leg = models.ForeignKey(
        "dialer.AgentLeg", on_delete=models.SET_NULL, null=True, blank=True, related_name="calls"
    )
    abandoned = models.BooleanField(default=False, help_text="Answered, and no agent within 2 s (or later)")
    direction = models.CharField(max_length=10, default="outbound")
    decision = models.ForeignKey(
        "dialer.PacingDecision",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="calls",
        help_text="Why it was placed",
    )
    in_doubt_since = models.DateTimeField(
        null=True, blank=True, help_text="Ordered, and the switch has not said a word"
    )
    disposition = models.ForeignKey(
        "dialer.Disposition", on_delete=models.PROTECT, null=True, blank=True, related_name="calls"
    )
    disposition_notes = models.TextField(max_length=2000, blank=True, default="")
    disposed_at = models.DateTimeField(null=True, blank=True, help_text="For the first time; corrections are changes")
    disposed_by = models.CharField(max_length=150, blank=True, default="", help_text="Who gave the present one")
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["call_id"], name="call_call_id"),
            models.Index(fields=["freeswitch_uuid"], name="call_freeswitch_uuid"),
            models.Index(fields=["agent", "initiated_at"], name="call_agent_time"),
            models.Index(fields=["campaign", "status"], name="call_campaign_status"),
            models.Index(fields=["campaign", "initiated_at"], name="call_campaign_time"),
            models.Index(fields=["status", "initiated_at"], name="call_status_time"),
            models.Index(fields=["to_number", "initiated_at"], name="call_number_time"),
            models.Index(fields=["initiated_at"], name="call_time"),
            models.Index(fields=["outcome", "initiated_at"], condition=~Q(outcome=""), name="call_outcome_time"),
            models.Index(
                fields=["disposition", "initiated_at"],
                condition=Q(disposition__isnull=False),
                name="call_disposition_time",
            ),
            # Few rows: those whose disposition is still to come.
            models.Index(
                fields=["initiated_at"],
                condition=Q(disposition__isnull=True, bridged_at__isnull=False),
                name="call_undisposed",
            ),
            models.Index(fields=["id"], condition=Q(ended_at__isnull=True), name="call_open"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["to_number"], condition=Q(ended_at__isnull=True), name="call_one_open_per_number"
            ),
            models.UniqueConstraint(
                fields=["contact"], condition=Q(ended_at__isnull=True), name="call_one_open_per_contact"
            ),
            models.UniqueConstraint(
                fields=["agent"], condition=Q(ended_at__isnull=True), name="call_one_open_per_agent"
            ),
            models.CheckConstraint(
                condition=Q(status__in=OPEN_CALL_STATUSES, ended_at__isnull=True)
                | (~Q(status__in=OPEN_CALL_STATUSES) & Q(ended_at__isnull=False)),
                name="call_ended_has_its_time",
            ),
            models.CheckConstraint(
                condition=Q(disposition__isnull=True, disposed_at__isnull=True, disposed_by="", disposition_notes="")
                | (Q(disposition__isnull=False, disposed_at__isnull=False) & ~Q(disposed_by="")),
                name="call_disposed_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} ({self.status})"
