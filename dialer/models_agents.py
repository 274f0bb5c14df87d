"""Agents: their states and reasons, their softphones' legs, and every change of their state."""

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

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
        "dialer.CallLog",
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


class AgentState(models.Model):
    """Every change of an agent's state: who, why, before, after. Append-only."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="states")
    state = models.CharField(max_length=20, choices=AgentStatus)
    timestamp = models.DateTimeField()
    call = models.ForeignKey(
        "dialer.CallLog", on_delete=models.SET_NULL, null=True, blank=True, related_name="agent_states"
    )
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
