"""Legs called for a call besides the customer's and the agent's. Part of dialer.models, which re-exports it."""

import uuid

from django.db import models
from django.db.models import Q


class SideLeg(models.Model):
    """One leg of a supervisor who listens or takes over, or of a colleague who is consulted: who, on which call, from
    when until when as the switch has confirmed. Its uuid is committed before the order leaves. Kept for audit.

    `agent`: who was talking then. `mode`, for those who listen: as last confirmed; `changes` has all of them.
    """

    class Purpose(models.TextChoices):
        LISTEN = "listen", "listens"
        TAKE_OVER = "take_over", "takes over"
        CONSULT = "consult", "is consulted"

    class Mode(models.TextChoices):
        LISTEN = "listen"
        WHISPER = "whisper"
        BARGE = "barge"

    leg_uuid = models.UUIDField(unique=True, default=uuid.uuid4)
    call = models.ForeignKey("dialer.CallLog", on_delete=models.CASCADE, related_name="side_legs")
    agent = models.ForeignKey(
        "dialer.Agent", on_delete=models.SET_NULL, null=True, blank=True, related_name="side_legs"
    )
    purpose = models.CharField(max_length=10, choices=Purpose)
    actor = models.CharField(max_length=150, blank=True, default="", help_text="Who asked for it")
    extension = models.CharField(max_length=12)
    mode = models.CharField(max_length=10, choices=Mode, blank=True, default="")
    changes = models.JSONField(default=list, blank=True, help_text="[{mode, at}], each as the switch confirmed it")
    requested_at = models.DateTimeField()
    known_at = models.DateTimeField(null=True, blank=True, help_text="The switch has the leg")
    answered_at = models.DateTimeField(null=True, blank=True)
    joined_at = models.DateTimeField(null=True, blank=True, help_text="It listens, or is bridged, since then")
    ended_at = models.DateTimeField(null=True, blank=True)
    hangup_cause = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # One who listens has one ear on a call; a call is taken over by one, and one is consulted.
            models.UniqueConstraint(
                fields=["call", "actor"],
                condition=Q(ended_at__isnull=True, purpose="listen"),
                name="side_leg_one_ear",
            ),
            models.UniqueConstraint(
                fields=["call", "purpose"],
                condition=Q(ended_at__isnull=True) & ~Q(purpose="listen"),
                name="side_leg_one_per_purpose",
            ),
            models.CheckConstraint(
                condition=Q(purpose="listen") | Q(mode="", purpose__in=["take_over", "consult"]),
                name="side_leg_mode_of_listeners",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(ended_at__isnull=True), name="side_leg_open"),
            models.Index(fields=["actor", "requested_at"], name="side_leg_actor_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor or self.extension} {self.purpose} {self.leg_uuid}"
