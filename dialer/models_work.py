"""What the sequential worker is asked for, what it asks of the switch, and who may act as it."""

from django.db import models
from django.db.models import Q


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

    NOT_DONE = (Status.FAILED, Status.REFUSED, Status.EXPIRED)
    GIVEN_UP = (*NOT_DONE, Status.IN_DOUBT)

    order_id = models.UUIDField(unique=True)
    kind = models.CharField(max_length=30)
    payload = models.JSONField()
    leg_uuid = models.UUIDField(null=True, blank=True)
    call = models.ForeignKey("dialer.CallLog", on_delete=models.CASCADE, null=True, blank=True, related_name="orders")
    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, null=True, blank=True, related_name="orders")
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


class WorkerLease(models.Model):
    """Who may act as the sequential worker. The token grows with each new holder and is checked in each transaction."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=200, blank=True, default="")
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'} ({self.token})"
