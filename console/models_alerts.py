"""Thresholds, the alerts that passing them raises, and what became of each; minutes of occupancy for the trends."""

from itertools import pairwise
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from console.alert_figures import MEASURES
from console.alerting import Rule
from console.words import AGENT_STATES

LONGEST_WAIT = MaxValueValidator(86_400)


class AlertThreshold(models.Model):
    """When something on the floor needs a person. The narrowest threshold that fits a subject speaks for it alone."""

    name = models.CharField(max_length=80, unique=True, help_text="As it is called on the board and in webhooks")
    measure = models.CharField(max_length=20, choices=[(key, value.label) for key, value in MEASURES.items()])
    state = models.CharField(
        max_length=20,
        blank=True,
        default="",
        choices=[(key, value[0]) for key, value in AGENT_STATES.items()],
        help_text="Only agents in this state",
    )
    reason = models.SlugField(max_length=40, blank=True, default="", help_text="Only this reason, e.g. lunch")
    campaign = models.ForeignKey(
        "dialer.DialerCampaign", on_delete=models.CASCADE, null=True, blank=True, related_name="+",
        help_text="Only this campaign, its calls and its agents",
    )  # fmt: skip
    team = models.ForeignKey(
        "dialer.Team", on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text="Only this team"
    )
    warning = models.FloatField(null=True, blank=True, help_text="Seconds, per cent or contacts; empty: no such level")
    critical = models.FloatField(
        null=True, blank=True, help_text="Both empty: an exception, no alert where this threshold is the narrowest"
    )
    clear = models.FloatField(
        null=True, blank=True, help_text="Where it is well again; empty: as soon as no level is reached"
    )
    hold_seconds = models.FloatField(
        default=0, validators=[MinValueValidator(0), LONGEST_WAIT], help_text="So long it must be reached to be raised"
    )
    clear_seconds = models.FloatField(
        default=0, validators=[MinValueValidator(0), LONGEST_WAIT], help_text="So long it must be well to be over"
    )
    least = models.PositiveIntegerField(
        default=0, help_text="Shares: not judged while made of fewer calls (occupancy: seconds) than this"
    )
    webhook = models.BooleanField(default=True, help_text="Also sent to ALERT_WEBHOOK_URL, if there is one")
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["measure", "name"]
        verbose_name = "alert threshold"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        wrong: dict[str, str] = {}
        measure = MEASURES.get(self.measure)
        if measure is None:
            return
        if (self.state or self.reason) and measure.kind != "agent":
            wrong["state" if self.state else "reason"] = "Only for measures of agents."
        if self.team_id and measure.kind not in ("agent", "call"):
            wrong["team"] = "Only for measures of agents and calls."
        if self.campaign_id and measure.kind == "floor":
            wrong["campaign"] = "The floor is of no campaign."
        sign = -1 if measure.below else 1
        order = [value for value in (self.clear, self.warning, self.critical) if value is not None]
        if any(sign * one > sign * two for one, two in pairwise(order)):
            order_words = "critical ≤ warning ≤ clear" if measure.below else "clear ≤ warning ≤ critical"
            wrong["warning"] = f"In this order: {order_words}."
        if wrong:
            raise ValidationError(wrong)

    def rule(self) -> Rule:
        """For the evaluation. Reads `campaign` and `team`: select them with it."""
        return Rule(
            key=self.pk,
            name=self.name,
            measure=self.measure,
            warning=self.warning,
            critical=self.critical,
            clear=self.clear,
            hold_seconds=self.hold_seconds,
            clear_seconds=self.clear_seconds,
            least=self.least,
            state=self.state,
            reason=self.reason,
            campaign_id=str(self.campaign.campaign_id) if self.campaign else None,
            team=self.team.code if self.team else "",
        )


class Level(models.TextChoices):
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(models.Model):
    """One trouble of one subject, from when it was raised until it is over.

    `resolved_at`: it has left the boards, by itself or because a person said so. `over_at`: the figure is well again;
    until then the same is not raised a second time.
    """

    threshold = models.ForeignKey(AlertThreshold, on_delete=models.SET_NULL, null=True, related_name="alerts")
    name = models.CharField(max_length=80, help_text="The threshold's")
    measure = models.CharField(max_length=20)
    level = models.CharField(max_length=10, choices=Level)
    subject_kind = models.CharField(max_length=10)
    subject_id = models.CharField(max_length=100, blank=True, default="")
    campaign = models.CharField(max_length=36, blank=True, default="", help_text="Its campaign_id")
    team = models.CharField(max_length=40, blank=True, default="", help_text="Its code")
    text = models.CharField(max_length=300)
    figure = models.JSONField(default=dict, help_text="The value that reached the level, and the level")
    since = models.DateTimeField(null=True, blank=True, help_text="When what it is about began")
    raised_at = models.DateTimeField()
    owner = models.CharField(max_length=150, blank=True, default="", help_text="Who has taken it on")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="", help_text="Empty: by itself")
    over_at = models.DateTimeField(null=True, blank=True, help_text="When the figure was well again")
    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["raised_at"], name="alert_time"),
            models.Index(fields=["subject_id"], name="alert_subject"),
            models.Index(fields=["id"], condition=Q(over_at__isnull=True), name="alert_not_over"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["threshold", "subject_kind", "subject_id"],
                condition=Q(over_at__isnull=True),
                name="alert_raised_once",
            ),
            models.CheckConstraint(
                condition=Q(over_at__isnull=True) | Q(resolved_at__isnull=False), name="alert_over_is_resolved"
            ),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def state(self) -> str:
        if self.resolved_at is not None:
            return "resolved"
        if self.snoozed_until is not None:
            return "snoozed"
        return "acknowledged" if self.acknowledged_at is not None else "raised"


class AlertEvent(models.Model):
    """What happened to an alert, and by whom. Append-only."""

    class Kind(models.TextChoices):
        RAISED = "raised"
        ESCALATED = "escalated"
        ACKNOWLEDGED = "acknowledged"
        SNOOZED = "snoozed"
        WOKEN = "woken", "snooze over"
        RESOLVED = "resolved"
        NOT_SENT = "not_sent", "webhook gave up"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20, choices=Kind)
    at = models.DateTimeField()
    by = models.CharField(max_length=150, blank=True, default="", help_text="Empty: by itself")
    note = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.note}".strip()


class AlertDelivery(models.Model):
    """A change of an alert that the webhook has still to be told: gone once it is told, or has been given up."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    content = models.TextField(help_text="The document, as it was at the change")
    made_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often the receiver has not taken it")
    due_at = models.DateTimeField(help_text="When it is put on the queue (again)")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["due_at"], name="alert_delivery_due")]
        verbose_name_plural = "alert deliveries"

    def __str__(self) -> str:
        return f"alert {self.alert_id}, tried {self.tries} times"


class OccupancyMinute(models.Model):
    """How much of a minute its agents were busy, as the floor publisher saw them second by second. A minute that has no
    row was watched by nobody: the trends show a gap there. An empty campaign is the whole floor."""

    campaign = models.CharField(max_length=36, blank=True, default="", help_text="Its campaign_id; empty: the floor")
    minute = models.DateTimeField(help_text="Its start")
    busy_seconds = models.FloatField(default=0, db_default=0, help_text="Agents' seconds on calls and in wrap-up")
    idle_seconds = models.FloatField(default=0, db_default=0, help_text="Agents' seconds available without a call")

    class Meta:
        ordering = ["-minute"]
        constraints = [models.UniqueConstraint(fields=["minute", "campaign"], name="occupancy_minute_once")]

    def __str__(self) -> str:
        return f"{self.campaign or 'floor'} {self.minute:%Y-%m-%d %H:%M}"


def rules() -> list[Rule]:
    """The thresholds in force."""
    found: Any = AlertThreshold.objects.filter(is_active=True).select_related("campaign", "team")
    return [threshold.rule() for threshold in found]
