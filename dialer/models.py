"""The dialer's truth. One writer: the sequential worker changes agents, contacts and calls (dialer/services/).

Invariants are database constraints, so that a second worker, a bug or a person in a shell cannot break them:
one open attempt per number, one open attempt per contact, one open call per agent, one open softphone leg per agent.
"""

import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from dialer.models_agents import (
    AfterWrapUp,
    Agent,
    AgentLeg,
    AgentState,
    AgentStatus,
    ReasonCode,
    Registered,
    Softphone,
)
from dialer.models_assignments import AgentSkill, Assignment, RequiredSkill, Skill, Team
from dialer.models_audit import AuditEntry
from dialer.models_call_control import SideLeg
from dialer.models_calls import OPEN_CALL_STATUSES, CallLog, CallStatus
from dialer.models_dispositions import Disposition, DispositionChange
from dialer.models_figures import AgentDay, CampaignMinute, no_waits
from dialer.models_lists import Duplicates, ExportRun, ImportRun
from dialer.models_messages import AgentMessage
from dialer.models_modes import (
    DIALS_AHEAD,
    LARGEST_RATIO,
    RATIO_VALIDATORS,
    SMALLEST_RATIO,
    DialingMode,
    MachineAction,
    Message,
    PreviewEnd,
    Recording,
)
from dialer.models_preview import ContactReservation
from dialer.models_rules import (
    E164,
    Callback,
    ComplianceProfile,
    ConsentRevocation,
    DoNotCall,
    Holiday,
    SystemLimits,
    zone_written,
)
from dialer.models_work import AppliedCommand, Order, QueuedCommand, WorkerLease

__all__ = [
    "DIALS_AHEAD", "OPEN_CALL_STATUSES", "AfterWrapUp", "Agent", "AgentDay", "AgentLeg", "AgentMessage", "AgentSkill",
    "AgentState", "AgentStatus", "AppliedCommand", "Assignment", "AuditEntry", "CallLog", "CallStatus", "Callback",
    "CampaignDay", "CampaignMinute", "CampaignStatus", "ComplianceProfile", "ConsentRevocation", "Contact",
    "ContactReservation", "ContactStatus", "DialerCampaign", "DialerTargetList", "DialingMode", "Disposition",
    "DispositionChange", "DoNotCall", "Duplicates", "ExportRun", "Holiday", "ImportRun", "MachineAction", "Message",
    "Order", "PacingDecision", "PreviewEnd", "QueuedCommand", "ReasonCode", "Recording", "Registered", "RequiredSkill",
    "SideLeg", "Skill", "Softphone", "SystemLimits", "Team", "WorkerLease",
]  # fmt: skip


class DialerTargetList(models.Model):
    target_list_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True, default="")
    total_contacts = models.PositiveIntegerField(default=0)
    processed_contacts = models.PositiveIntegerField(default=0)
    source = models.CharField(max_length=255, blank=True, default="", help_text="Where it was imported from")
    source_metadata = models.JSONField(default=dict, blank=True)
    imported_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CampaignStatus(models.TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class DialerCampaign(models.Model):
    campaign_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    status = models.CharField(max_length=20, choices=CampaignStatus, default=CampaignStatus.DRAFT)
    assigned_agents = models.ManyToManyField(Agent, through=Assignment, blank=True, related_name="campaigns")
    supervisors = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="supervised_campaigns",
        help_text="See and steer it and its calls. Supervisors of a team need not be named where only agents of their "
        "teams work",
    )
    target_list = models.ForeignKey(
        DialerTargetList, on_delete=models.PROTECT, null=True, blank=True, related_name="campaigns"
    )
    calls_per_agent_per_hour = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    max_retry_attempts = models.PositiveSmallIntegerField(
        default=3, validators=[MaxValueValidator(50)], help_text="Further attempts after the first"
    )
    retry_delay_minutes = models.PositiveIntegerField(default=60)
    scheduled_start = models.DateTimeField(null=True, blank=True)
    scheduled_end = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # What the work needs besides.
    wrap_up_seconds = models.PositiveIntegerField(default=15, validators=[MaxValueValidator(3600)])
    ring_timeout_seconds = models.PositiveIntegerField(
        default=25, validators=[MinValueValidator(15), MaxValueValidator(120)], help_text="15 s or more by US rules"
    )
    caller_id_number = models.CharField(max_length=20, blank=True, default="", validators=[E164])
    caller_id_name = models.CharField(max_length=40, blank=True, default="")
    record_calls = models.BooleanField(default=False)
    max_lines = models.PositiveIntegerField(default=100, help_text="Concurrent customer calls")
    profile = models.ForeignKey(
        "dialer.ComplianceProfile",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="campaigns",
        help_text="Whom it may call, when and how often; empty: 08:00 to 21:00 where the called party is",
    )
    max_calls_per_second = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    price_per_attempt = models.DecimalField(
        max_digits=8, decimal_places=4, default=Decimal(0), validators=[MinValueValidator(Decimal(0))]
    )
    price_per_minute = models.DecimalField(
        max_digits=8,
        decimal_places=4,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text="From answer to end, by the second",
    )
    daily_spend_cap = models.DecimalField(
        null=True,
        blank=True,
        max_digits=12,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0))],
        help_text="In one UTC day; reached, no further call is placed",
    )
    mode = models.CharField(max_length=20, choices=DialingMode, default=DialingMode.PROGRESSIVE)
    power_ratio = models.DecimalField(
        max_digits=4,
        decimal_places=2,
        default=Decimal(2),
        validators=RATIO_VALIDATORS,
        help_text="Power: calls in the air for each idle agent",
    )
    message = models.ForeignKey(
        "dialer.Message",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="campaigns",
        help_text="Played to a customer for whom no agent is free within 2 s; without one, power and predictive "
        "dial progressively",
    )
    preview_seconds = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(900)],
        help_text="How long an agent has a contact before them",
    )
    preview_at_end = models.CharField(
        max_length=10, choices=PreviewEnd, default=PreviewEnd.RETURN, help_text="When that time is over"
    )
    preview_skip_minutes = models.PositiveIntegerField(
        default=30, validators=[MaxValueValidator(43_200)], help_text="Before a skipped contact is offered again"
    )
    preview_max_skips = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="Skipped so often, a contact goes behind all others"
    )
    script = models.TextField(blank=True, default="", help_text="What the agent reads before and during the call")
    allow_manual_dial = models.BooleanField(default=False, help_text="Agents may dial numbers by hand in any mode")
    machine_action = models.CharField(
        max_length=20,
        choices=MachineAction,
        default=MachineAction.OFF,
        help_text="When the switch hears an answering machine; it needs mod_avmd for that",
    )
    machine_message = models.ForeignKey(
        "dialer.Message",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Left on answering machines; without one they are hung up",
    )
    # After the call.
    disposition_required = models.BooleanField(
        default=False, help_text="Wrap-up lasts until the agent has disposed of the call, or until its maximum"
    )
    disposition_ends_wrap_up = models.BooleanField(default=True, help_text="At once, without waiting for its time")
    max_wrap_up_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(86_400)],
        help_text="Where a disposition is required; empty: no maximum",
    )
    max_wrap_up_action = models.CharField(max_length=10, choices=AfterWrapUp, default=AfterWrapUp.ALERT)
    max_wrap_up_reason = models.SlugField(
        max_length=40, default="wrap_up_over", help_text="Reason of the break that follows the maximum"
    )
    callback_fallback_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=60,
        help_text="A personal appointment becomes anyone's this long after its time; empty: never",
    )
    version = models.PositiveBigIntegerField(default=0, help_text="Grows with each committed change")

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["campaign_id"], name="campaign_campaign_id"),
            models.Index(fields=["status"], name="campaign_status"),
            models.Index(fields=["created_at"], name="campaign_created"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=CampaignStatus.values), name="campaign_status_known"),
            models.CheckConstraint(condition=Q(mode__in=DialingMode.values), name="campaign_mode_known"),
            models.CheckConstraint(
                condition=Q(scheduled_start__isnull=True)
                | Q(scheduled_end__isnull=True)
                | Q(scheduled_start__lt=models.F("scheduled_end")),
                name="campaign_starts_before_it_ends",
            ),
            models.CheckConstraint(condition=Q(calls_per_agent_per_hour__gte=1), name="campaign_rate_positive"),
            models.CheckConstraint(
                condition=Q(power_ratio__gte=SMALLEST_RATIO, power_ratio__lte=LARGEST_RATIO),
                name="campaign_ratio_1_to_10",
            ),
            models.CheckConstraint(
                condition=Q(max_wrap_up_seconds__isnull=True) | Q(max_wrap_up_seconds__gte=models.F("wrap_up_seconds")),
                name="campaign_wrap_up_within_maximum",
                violation_error_message="The longest wrap-up is at least as long as the usual one.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        choices = Disposition.objects.filter(Q(campaign=None) | Q(campaign=self.pk), is_active=True)
        if self.disposition_required and not choices.exists():
            # Every agent would be held in wrap-up with nothing to choose.
            words = "There is no disposition to choose from; set some up first."
            raise ValidationError({"disposition_required": words})


class ContactStatus(models.TextChoices):
    READY = "ready"
    RESERVED = "reserved", "before an agent"
    DIALING = "dialing"
    COMPLETED = "completed"
    EXHAUSTED = "exhausted", "no attempts left"
    INVALID = "invalid"


# The list is done with these: DialerTargetList.processed_contacts counts them.
FINISHED_CONTACTS = (ContactStatus.COMPLETED, ContactStatus.EXHAUSTED, ContactStatus.INVALID)


class Contact(models.Model):
    """One number in one list. `next_attempt_at` orders the dialing; a row leaves that index while it is dialled or
    done."""

    target_list = models.ForeignKey(DialerTargetList, on_delete=models.CASCADE, related_name="contacts")
    number = models.CharField(max_length=16, validators=[E164])
    name = models.CharField(max_length=200, blank=True, default="")
    time_zone = models.CharField(max_length=64, blank=True, default="")
    custom_fields = models.JSONField(default=dict, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="Higher first")
    status = models.CharField(max_length=20, choices=ContactStatus, default=ContactStatus.READY)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="Not before")
    last_outcome = models.CharField(max_length=20, blank=True, default="", help_text="As CallLog.outcome")
    # The import writes contacts by COPY, so the default is the database's own.
    blocked_by = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="The gate it waits for until the next attempt"
    )
    source = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="manual: an agent typed the number"
    )
    # Which import brought it. No index and no constraint, which a million rows would pay for: a run knows the first and
    # the last of its contacts, and is never deleted.
    import_run = models.ForeignKey(
        "dialer.ImportRun",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        editable=False,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["target_list", "number"], name="contact_once_per_list"),
            models.CheckConstraint(condition=Q(number__regex=r"^\+[1-9][0-9]{6,14}$"), name="contact_number_e164"),
            models.CheckConstraint(condition=Q(status__in=ContactStatus.values), name="contact_status_known"),
        ]
        indexes = [
            models.Index(
                fields=["target_list", "-priority", "next_attempt_at", "id"],
                condition=Q(status="ready"),
                name="contact_due",
            ),
            models.Index(fields=["number"], name="contact_number"),
            # Few rows, each only while a gate is closed for it: the census, and whom a changed rule sets free.
            models.Index(
                fields=["target_list", "blocked_by", "next_attempt_at"],
                condition=Q(status="ready") & ~Q(blocked_by=""),
                name="contact_blocked",
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"contact {self.pk}"

    def clean(self) -> None:
        self.time_zone = zone_written(self.time_zone)


class PacingDecision(models.Model):
    """Why it dialled, or why it did not: inputs and the reason that bound. One row per change of the answer."""

    campaign = models.ForeignKey(DialerCampaign, on_delete=models.CASCADE, related_name="decisions")
    decided_at = models.DateTimeField()
    mode = models.CharField(max_length=20, default="progressive")
    placed = models.PositiveIntegerField(default=0)
    binding_reason = models.CharField(max_length=30)
    summary = models.CharField(max_length=300, help_text="The decision as one line")
    inputs = models.JSONField(default=dict, blank=True)
    repeats = models.PositiveIntegerField(default=1, help_text="Ticks in a row with this same answer")
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["campaign", "-id"], name="decision_campaign"),
            models.Index(fields=["campaign", "binding_reason", "-id"], name="decision_campaign_reason"),
            models.Index(fields=["campaign", "-id"], condition=Q(placed__gt=0), name="decision_campaign_placed"),
            models.Index(fields=["decided_at"], name="decision_time"),
        ]

    def __str__(self) -> str:
        return self.summary


class CampaignDay(models.Model):
    """A campaign's counts of one UTC day, kept with each outcome in the same transaction: boards read, never count."""

    campaign = models.ForeignKey(DialerCampaign, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    attempts = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    connected = models.PositiveIntegerField(default=0, help_text="Joined to an agent")
    abandoned = models.PositiveIntegerField(default=0)
    machines = models.PositiveIntegerField(default=0, help_text="Of the answered, found to be machines")
    machines_connected = models.PositiveIntegerField(default=0)
    machines_abandoned = models.PositiveIntegerField(default=0)
    busy = models.PositiveIntegerField(default=0)
    no_answer = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    talk_seconds = models.PositiveBigIntegerField(default=0)
    wait_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="From answer to agent, of the joined")
    waits = ArrayField(models.IntegerField(), default=no_waits, help_text="Joined calls by their wait: figures.waits")
    tried = models.PositiveIntegerField(default=0, db_default=0, help_text="Contacts called for the first time")
    reached = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Contacts with whom an agent has talked for the first time"
    )
    spent = models.DecimalField(
        max_digits=14, decimal_places=4, default=Decimal(0), help_text="At the campaign's prices"
    )

    class Meta:
        ordering = ["-day"]
        indexes = [models.Index(fields=["day"], name="campaign_day_day")]
        constraints = [models.UniqueConstraint(fields=["campaign", "day"], name="campaign_day_once")]

    def __str__(self) -> str:
        return f"{self.campaign_id} {self.day}"
