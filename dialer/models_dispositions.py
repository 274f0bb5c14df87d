"""What agents say a call came to, and what follows from it for the contact: dialer/dispositions.py decides. Part of
dialer.models, which re-exports all of it."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

HOT_KEY = RegexValidator(r"^[a-z0-9]\Z", "A hot key is one lower-case letter or digit.")


class Disposition(models.Model):
    """One choice of the agent's form: of one campaign, or of all. A campaign's own row with the same code takes the
    place of the general one, also to switch it off."""

    code = models.SlugField(max_length=40)
    label = models.CharField(max_length=80)
    campaign = models.ForeignKey(
        "dialer.DialerCampaign",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="dispositions",
        help_text="Empty: every campaign has it",
    )
    is_contact = models.BooleanField("contact", default=False, help_text="The person wanted was spoken to")
    is_sale = models.BooleanField("sale", default=False)
    is_do_not_call = models.BooleanField(
        "do not call", default=False, help_text="The number goes on the do-not-call list of all campaigns at once"
    )
    is_callback = models.BooleanField("callback", default=False, help_text="The agent makes an appointment")
    is_retry = models.BooleanField("retry", default=False, help_text="The contact is tried again")
    is_complete = models.BooleanField("complete", default=False, help_text="The contact is done")
    retry_delay_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60 * 24 * 90)],
        help_text="Of a retry; empty: the campaign's delay",
    )
    hot_key = models.CharField(max_length=1, blank=True, default="", validators=[HOT_KEY])
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["campaign", "position", "code"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "code"], name="disposition_once_per_campaign"),
            models.UniqueConstraint(fields=["code"], condition=Q(campaign=None), name="disposition_once_for_all"),
            models.UniqueConstraint(
                fields=["campaign", "hot_key"],
                condition=Q(is_active=True) & ~Q(hot_key=""),
                name="disposition_key_once",
            ),
            models.UniqueConstraint(
                fields=["hot_key"],
                condition=Q(campaign=None, is_active=True) & ~Q(hot_key=""),
                name="disposition_key_once_for_all",
            ),
            models.CheckConstraint(
                condition=~Q(is_callback=True, is_retry=True)
                & ~(Q(is_complete=True) & (Q(is_callback=True) | Q(is_retry=True)))
                & ~(Q(is_do_not_call=True) & (Q(is_callback=True) | Q(is_retry=True))),
                name="disposition_one_way_on",
                violation_error_message="A contact is tried again, called back or done: one of them.",
            ),
        ]

    def __str__(self) -> str:
        return self.label


class DispositionChange(models.Model):
    """Every disposition that was given, the first and each correction. Append-only; `effect` says what it did."""

    call = models.ForeignKey("dialer.CallLog", on_delete=models.CASCADE, related_name="disposition_changes")
    disposition = models.ForeignKey(Disposition, on_delete=models.PROTECT, related_name="+")
    notes = models.TextField(max_length=2000, blank=True, default="")
    by = models.CharField(max_length=150)
    at = models.DateTimeField()
    command_id = models.UUIDField(null=True, blank=True)
    effect = models.JSONField(
        default=dict, blank=True, help_text="{before, after}: the contact; what became of earlier effects"
    )
    # What it made, so that a correction can take exactly that back.
    do_not_call = models.ForeignKey(
        "dialer.DoNotCall", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    callback = models.ForeignKey("dialer.Callback", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.disposition_id} of call {self.call_id}"
