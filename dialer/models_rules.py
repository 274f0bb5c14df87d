"""The rules of who may be called, as rows people edit: dialer/rules.py makes values of them, dialer/eligibility.py
decides. Part of dialer.models, which re-exports all of it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from dialer import calling_hours, numbers, rule_forms

E164 = RegexValidator(r"^\+[1-9][0-9]{6,14}\Z", "A number is written as +, country code and digits (E.164).")
LONGEST_DAYS = rule_forms.LONGEST_DAYS


def zone_written(text: str) -> str:
    """The time zone of a place, as its name is written; '' for nothing. Raises ValidationError for the field."""
    name = calling_hours.named(text)
    if text.strip() and not name:
        raise ValidationError({"time_zone": "There is no such time zone; write it like America/New_York."})
    return name


class ComplianceProfile(models.Model):
    """Whom a campaign may call, when and how often. One for all campaigns under the same law; none: the defaults."""

    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True, default="")
    calling_hours = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"mon": [["08:00", "21:00"]], ...} in the called party\'s local time; a weekday left out is closed. '
        "Empty: 08:00 to 21:00 every day",
    )
    observe_holidays = models.BooleanField(default=True, help_text="No calls on the days listed under holidays")
    frequency = models.JSONField(
        default=list,
        blank=True,
        help_text='[{"attempts": 7, "days": 7}]: at most so many to one number within so many days, of 24 hours each; '
        'all must hold. "scope": "campaign" counts this campaign\'s attempts only',
    )
    quiet_days = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(LONGEST_DAYS)], help_text="Without a call after a conversation"
    )
    abandon_wait_hours = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(8760)], help_text="Without a call after an abandoned one"
    )
    abandon_reserved_hours = models.PositiveSmallIntegerField(
        default=72,
        validators=[MaxValueValidator(8760)],
        help_text="After an abandoned call, within these hours only with an agent reserved",
    )
    abandon_cap_percent = models.DecimalField(
        max_digits=4,
        decimal_places=2,
        default=Decimal(3),
        validators=[MinValueValidator(Decimal("0.1")), MaxValueValidator(Decimal(20))],
        help_text="Of the calls answered by a person, over 30 days, 24 hours and 30 minutes",
    )
    strict_abandon_cap = models.BooleanField(
        default=False, help_text="Once over the cap, dial progressively until it is kept again"
    )
    retry = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"busy": {"delay_minutes": 15, "times": 3, "growth": 2, "max_delay_minutes": 240}, ...}; outcomes: '
        "busy, no_answer, failed, rejected, cancelled, machine, abandoned, hung_up. Others follow the campaign's delay",
    )
    allowed_prefixes = models.JSONField(
        default=list, blank=True, help_text='["+1212"]: narrower than DIAL_ALLOWED_PREFIXES; empty: as there'
    )
    refused_number_types = models.JSONField(
        default=list,
        blank=True,
        help_text='["mobile", "toll_free"]; premium rate, shared cost and unknown are always refused',
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        # Rules that cannot be read would stop the dialer, or worse; a shell or a fixture does not call clean().
        self.clean()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        problems: dict[str, str] = {}
        form: Callable[[Any], object]
        for field, form in (
            ("calling_hours", rule_forms.week),
            ("frequency", rule_forms.frequency),
            ("retry", rule_forms.retries),
            ("allowed_prefixes", rule_forms.prefixes),
            ("refused_number_types", rule_forms.number_types),
        ):
            try:
                form(getattr(self, field))
            except rule_forms.RuleError as error:
                problems[field] = str(error)
        if problems:
            raise ValidationError(problems)


class SystemLimits(models.Model):
    """What all campaigns together may do. One row; empty fields limit nothing."""

    max_lines = models.PositiveIntegerField(null=True, blank=True, help_text="Concurrent customer calls")
    max_calls_per_second = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    daily_spend_cap = models.DecimalField(
        null=True,
        blank=True,
        max_digits=12,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0))],
        help_text="Of all campaigns in one UTC day; reached, no further call is placed",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "system limits"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="system_limits_one_row")]

    def __str__(self) -> str:
        return "System limits"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        super().save(*args, **kwargs)


class Listed(models.Model):
    """A number that is not to be called: by one campaign, or by none."""

    number = models.CharField(max_length=16, validators=[E164], help_text="E.164, +12125550100")
    campaign = models.ForeignKey(
        "dialer.DialerCampaign",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: no campaign may call it",
    )
    source = models.CharField(max_length=100, blank=True, default="", help_text="Where it came from: a letter, a list")
    note = models.CharField(max_length=300, blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{type(self)._meta.verbose_name} {self.pk}"


class DoNotCall(Listed):
    """47 CFR 64.1200(d). Acts on the very next dial: it is read inside the transaction that dials."""

    class Meta:
        ordering = ["-id"]
        verbose_name = "do-not-call entry"
        verbose_name_plural = "do-not-call entries"
        constraints = [
            models.UniqueConstraint(fields=["number", "campaign"], name="do_not_call_once"),
            models.UniqueConstraint(fields=["number"], condition=Q(campaign=None), name="do_not_call_once_for_all"),
        ]


class ConsentRevocation(Listed):
    """47 CFR 64.1200(a)(10): effective at once here, though the law allows ten days."""

    class Meta:
        ordering = ["-id"]
        verbose_name = "consent revocation"
        constraints = [
            models.UniqueConstraint(fields=["number", "campaign"], name="consent_revoked_once"),
            models.UniqueConstraint(fields=["number"], condition=Q(campaign=None), name="consent_revoked_once_for_all"),
        ]


class Holiday(models.Model):
    """A day, local to the called party, on which nobody is called."""

    day = models.DateField()
    name = models.CharField(max_length=100)
    region = models.CharField(
        max_length=2, blank=True, default="", help_text="Country of the number, e.g. US; empty: all"
    )
    time_zone = models.CharField(
        max_length=64, blank=True, default="", help_text="Where it is kept, e.g. Europe/Berlin; empty: everywhere"
    )

    class Meta:
        ordering = ["day", "name"]
        constraints = [models.UniqueConstraint(fields=["day", "region", "time_zone"], name="holiday_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"

    def clean(self) -> None:
        self.region = self.region.strip().upper()
        if self.region and not numbers.is_region(self.region):
            raise ValidationError({"region": "There is no such country; write it like US."})
        self.time_zone = zone_written(self.time_zone)


class Callback(models.Model):
    """An appointment the customer asked for: with one agent until `anyone_at`, or with whoever is free."""

    class Status(models.TextChoices):
        OPEN = "open"
        DIALLED = "dialled"
        CANCELLED = "cancelled"

    campaign = models.ForeignKey("dialer.DialerCampaign", on_delete=models.CASCADE, related_name="callbacks")
    contact = models.ForeignKey("dialer.Contact", on_delete=models.CASCADE, related_name="callbacks")
    agent = models.ForeignKey(
        "dialer.Agent", on_delete=models.SET_NULL, null=True, blank=True, help_text="Whose it is; empty: anyone's"
    )
    at = models.DateTimeField(help_text="Not before")
    anyone_at = models.DateTimeField(null=True, blank=True, help_text="From then on anyone's; empty: never")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    note = models.CharField(max_length=300, blank=True, default="")
    call = models.ForeignKey("dialer.CallLog", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_by = models.CharField(max_length=150, blank=True, default="", help_text="Who wrote it down")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["contact"], condition=Q(status="open"), name="callback_one_open"),
            models.CheckConstraint(
                condition=Q(anyone_at__isnull=True) | Q(anyone_at__gte=models.F("at")),
                name="callback_falls_back_later",
            ),
        ]
        indexes = [models.Index(fields=["campaign", "at"], condition=Q(status="open"), name="callback_due")]

    def __str__(self) -> str:
        return f"callback {self.pk} ({self.status})"
