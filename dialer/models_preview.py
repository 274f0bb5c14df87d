"""Contacts offered to agents before they are dialled. Part of dialer.models, which re-exports it."""

import uuid

from django.db import models
from django.db.models import Q


class ContactReservation(models.Model):
    """One contact before one agent for a limited time, theirs to dial, skip or reschedule (dialer/services/offers.py).

    While it is open the contact is `reserved`, so it is in no index of due contacts, and the agent is not idle.
    """

    class State(models.TextChoices):
        OFFERED = "offered"
        DIALLED = "dialled"
        SKIPPED = "skipped"
        RESCHEDULED = "rescheduled"
        EXPIRED = "expired"
        REFUSED = "refused", "refused by a gate"
        WITHDRAWN = "withdrawn"

    reservation_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    campaign = models.ForeignKey("dialer.DialerCampaign", on_delete=models.CASCADE, related_name="reservations")
    contact = models.ForeignKey("dialer.Contact", on_delete=models.CASCADE, related_name="reservations")
    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, related_name="reservations")
    state = models.CharField(max_length=12, choices=State, default=State.OFFERED)
    offered_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, default="", help_text="Why it ended as it did")
    decision = models.ForeignKey(
        "dialer.PacingDecision", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    call = models.ForeignKey("dialer.CallLog", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=Q(state="offered"), name="reservation_one_per_agent"),
            models.UniqueConstraint(
                fields=["contact"], condition=Q(state="offered"), name="reservation_one_per_contact"
            ),
            models.CheckConstraint(
                condition=Q(state="offered", ended_at__isnull=True) | (~Q(state="offered") & Q(ended_at__isnull=False)),
                name="reservation_ended_has_its_time",
            ),
        ]
        indexes = [models.Index(fields=["contact", "campaign", "state"], name="reservation_contact")]

    def __str__(self) -> str:
        return f"reservation {self.pk} ({self.state})"
