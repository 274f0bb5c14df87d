"""The dialer's truth. One writer: the sequential worker changes agents, contacts and calls (dialer/services/).

Invariants are database constraints, so that a second worker, a bug or a person in a shell cannot break them:
one open attempt per number, one open attempt per contact, one open call per agent, one open softphone leg per agent.
"""

import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from dialer.models_assignments import AgentSkill, Assignment, RequiredSkill, Skill, Team
from dialer.models_audit import AuditEntry
from dialer.models_call_control import SideLeg
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
)

__all__ = [
    "DIALS_AHEAD", "OPEN_CALL_STATUSES", "AfterWrapUp", "Agent", "AgentDay", "AgentLeg", "AgentMessage", "AgentSkill",
    "AgentState", "AgentStatus", "AppliedCommand", "Assignment", "AuditEntry", "CallLog", "CallStatus", "Callback",
    "CampaignDay", "CampaignMinute", "CampaignStatus", "ComplianceProfile", "ConsentRevocation", "Contact",
    "ContactReservation", "ContactStatus", "DialerCampaign", "DialerTargetList", "DialingMode", "Disposition",
    "DispositionChange", "DoNotCall", "Duplicates", "ExportRun", "Holiday", "ImportRun", "MachineAction", "Message",
    "Order", "PacingDecision", "PreviewEnd", "ReasonCode", "Recording", "Registered", "RequiredSkill", "SideLeg",
    "Skill", "Softphone", "SystemLimits", "Team", "WorkerLease",
]  # fmt: skip

EXTENSION = RegexValidator(r"^[0-9]{2,12}\Z", "An extension is 2 to 12 digits.")
AGENT_ID = RegexValidator(r"^[A-Za-z0-9_.-]{1,50}\Z", "Letters, digits, dot, dash and underscore only.")


class AgentStatus(models.TextChoices):
    AVAILABLE = "available"
    BUSY = "busy"
    BREAK = "break"
    OFFLINE = "offline"
    ON_CALL = "on_call", "on call"


class Softphone(models.TextChoices):
    NONE = "none", "not called"
    RINGING = "ringing"
    OPEN = "open"
    LOST = "lost"


class Registered(models.TextChoices):
    """Whether the switch has a registration of the softphone, as far as its events tell."""

    UNKNOWN = "unknown"
    YES = "yes"
    NO = "no"


class AfterWrapUp(models.TextChoices):
    """What the longest wrap-up ends in while the disposition is still missing."""

    AVAILABLE = "available"
    BREAK = "break"
    ALERT = "alert", "stay and alert"


class ReasonCode(models.Model):
    """A reason an agent may give for a state, e.g. lunch for break."""

    code = models.SlugField(max_length=40)
    label = models.CharField(max_length=80)
    status = models.CharField(max_length=20, choices=AgentStatus, default=AgentStatus.BREAK)
    is_productive = models.BooleanField(default=False, help_text="Counts as paid work in occupancy figures")
    limit_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="Longer than this is shown as overdue")
    over_action = models.CharField(
        "over the limit",
        max_length=10,
        choices=[("none", "only shown"), ("offline", "set offline")],
        default="none",
    )
    is_active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["status", "position", "code"]
        constraints = [models.UniqueConstraint(fields=["status", "code"], name="reason_once_per_status")]

    def __str__(self) -> str:
        return self.label


class Agent(models.Model):
    agent_id = models.CharField(max_length=50, unique=True, validators=[AGENT_ID], help_text="e.g. agent_101")
    name = models.CharField(max_length=120, blank=True, default="")
    extension = models.CharField(max_length=12, validators=[EXTENSION])
    phone_number = models.CharField(max_length=20, blank=True, default="")
    status = models.CharField(max_length=20, choices=AgentStatus, default=AgentStatus.OFFLINE)
    is_active = models.BooleanField(default=True)
    team = models.ForeignKey("dialer.Team", on_delete=models.SET_NULL, null=True, blank=True, related_name="agents")
    max_concurrent_calls = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text="Calls reserved for or joined to the agent at once. A softphone's leg joins one customer: only 1",
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="agent"
    )
    # Below: written by the sequential worker only.
    status_reason = models.CharField(max_length=100, blank=True, default="")
    status_since = models.DateTimeField(null=True, blank=True)
    pending_status = models.CharField(max_length=20, choices=AgentStatus, blank=True, default="")
    pending_reason = models.CharField(max_length=100, blank=True, default="")
    idle_since = models.DateTimeField(null=True, blank=True, help_text="Since when without a call; longest first")
    wrap_up_until = models.DateTimeField(null=True, blank=True)
    softphone = models.CharField(max_length=10, choices=Softphone, default=Softphone.NONE)
    softphone_failures = models.PositiveSmallIntegerField(default=0, help_text="In a row; too many stop the calling")
    softphone_retry_at = models.DateTimeField(null=True, blank=True)
    registered = models.CharField(max_length=10, choices=Registered, default=Registered.UNKNOWN)
    registered_since = models.DateTimeField(null=True, blank=True)
    registration = models.CharField(
        max_length=200, blank=True, default="", help_text="Its SIP Call-ID: whose end counts"
    )
    over_at = models.DateTimeField(
        null=True, blank=True, help_text="When the reason's or the wrap-up's limit is exceeded"
    )
    last_call = models.ForeignKey(
        "CallLog",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="They talked on it last",
    )
    panel_since = models.DateTimeField(
        null=True, blank=True, help_text="A panel has been open since they came to work; empty: they work without"
    )
    panel_lost_at = models.DateTimeField(null=True, blank=True, help_text="Since when no panel is open any more")
    version = models.PositiveBigIntegerField(default=0, help_text="Grows with each committed change")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["agent_id"]
        indexes = [
            models.Index(fields=["agent_id"], name="agent_agent_id"),
            models.Index(fields=["status"], name="agent_status"),
            models.Index(fields=["is_active"], name="agent_is_active"),
            models.Index(fields=["wrap_up_until"], name="agent_wrap_up", condition=Q(wrap_up_until__isnull=False)),
            models.Index(fields=["over_at"], name="agent_over", condition=Q(over_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["extension"], name="agent_extension_once"),
            models.CheckConstraint(condition=Q(status__in=AgentStatus.values), name="agent_status_known"),
            models.CheckConstraint(
                condition=Q(max_concurrent_calls__gte=1, max_concurrent_calls__lte=10), name="agent_calls_1_to_10"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} ({self.name})" if self.name else self.agent_id

    def clean(self) -> None:
        if self.max_concurrent_calls > 1:
            # Rows that say more are worked as 1: call_one_open_per_agent holds whatever this field says.
            words = "An agent talks on a softphone, whose one leg joins one customer at a time: only 1 is possible."
            raise ValidationError({"max_concurrent_calls": words})


class AgentLeg(models.Model):
    """One call to an agent's softphone, held open between customers. Its uuid is committed before the order leaves."""

    leg_uuid = models.UUIDField(unique=True, default=uuid.uuid4)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="legs")
    requested_at = models.DateTimeField(auto_now_add=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    hangup_cause = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=Q(ended_at__isnull=True), name="agent_leg_one_open"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.leg_uuid}"


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
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls")
    campaign = models.ForeignKey(DialerCampaign, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls")
    contact = models.ForeignKey(Contact, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls")
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
    agent_leg = models.ForeignKey(AgentLeg, on_delete=models.SET_NULL, null=True, blank=True, related_name="calls")
    abandoned = models.BooleanField(default=False, help_text="Answered, and no agent within 2 s (or later)")
    direction = models.CharField(max_length=10, default="outbound")
    decision = models.ForeignKey(
        "PacingDecision",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="calls",
        help_text="Why it was placed",
    )
    in_doubt_since = models.DateTimeField(
        null=True, blank=True, help_text="Ordered, and the switch has not said a word"
    )
    disposition = models.ForeignKey(Disposition, on_delete=models.PROTECT, null=True, blank=True, related_name="calls")
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


class AgentState(models.Model):
    """Every change of an agent's state: who, why, before, after. Append-only."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="states")
    state = models.CharField(max_length=20, choices=AgentStatus)
    timestamp = models.DateTimeField()
    call = models.ForeignKey(CallLog, on_delete=models.SET_NULL, null=True, blank=True, related_name="agent_states")
    reason = models.CharField(max_length=100, blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True, help_text="previous state, who asked, command id")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "timestamp"], name="agent_state_agent_time"),
            models.Index(fields=["timestamp"], name="agent_state_time"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.state}"


class Order(models.Model):
    """The order outbox: committed with the change that needs it, sent after the commit, settled by the switch's
    answer."""

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent", "on the stream"
        ACCEPTED = "accepted", "taken by the switch"
        DONE = "done"
        FAILED = "failed"
        REFUSED = "refused"
        EXPIRED = "expired"
        IN_DOUBT = "in_doubt", "in doubt"

    order_id = models.UUIDField(unique=True)
    kind = models.CharField(max_length=30)
    payload = models.JSONField()
    leg_uuid = models.UUIDField(null=True, blank=True)
    call = models.ForeignKey(CallLog, on_delete=models.CASCADE, null=True, blank=True, related_name="orders")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, blank=True, related_name="orders")
    command_id = models.UUIDField(null=True, blank=True, help_text="The command that asked for it")
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    reply = models.CharField(max_length=500, blank=True, default="")
    fencing_token = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=Q(status="pending"), name="order_pending"),
            models.Index(fields=["leg_uuid"], name="order_leg"),
            models.Index(fields=["status", "created_at"], name="order_status_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.order_id} ({self.status})"


class QueuedCommand(models.Model):
    """A command that was accepted and has had no effect yet; crossed out with its effect (dialer/inbox.py)."""

    command_id = models.UUIDField(unique=True)
    task = models.CharField(max_length=60)
    payload = models.JSONField()
    queued_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["queued_at"], name="queued_command_time")]

    def __str__(self) -> str:
        return f"{self.task} {self.command_id}"


class AppliedCommand(models.Model):
    """A command's one effect and its answer: the same id again gets the same answer and no second effect."""

    class Status(models.TextChoices):
        APPLIED = "applied"
        REJECTED = "rejected"
        FAILED = "failed"

    class Confirmation(models.TextChoices):
        """What the switch says of it, where it was asked for something."""

        NONE = "", "not asked"
        WAITING = "waiting"
        CONFIRMED = "confirmed"
        FAILED = "failed"

    command_id = models.UUIDField(unique=True)
    kind = models.CharField(max_length=40)
    actor = models.CharField(max_length=150, blank=True, default="")
    target = models.CharField(max_length=100, blank=True, default="")
    payload = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=Status)
    reason = models.CharField(max_length=300, blank=True, default="")
    result = models.JSONField(default=dict, blank=True)
    applied_at = models.DateTimeField()
    confirmation = models.CharField(max_length=10, choices=Confirmation, blank=True, default=Confirmation.NONE)
    confirmation_reason = models.CharField(max_length=300, blank=True, default="")
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["applied_at"], name="command_time"),
            models.Index(fields=["target", "id"], name="command_target"),
            models.Index(fields=["target"], condition=Q(confirmation="waiting"), name="command_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target} ({self.status})"


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


class WorkerLease(models.Model):
    """Who may act as the sequential worker. The token grows with each new holder and is checked in each transaction."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=200, blank=True, default="")
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'} ({self.token})"
