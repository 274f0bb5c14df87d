"""Who did what to whom, with which result, from where. Part of dialer.models, which re-exports it.

Rows are only ever added: a trigger of the database (migration 0022) refuses to change or remove them, whoever asks.
Nothing here is a foreign key: a user or an agent who is removed stays in it by name.
"""

from django.db import models


class AuditEntry(models.Model):
    class Result(models.TextChoices):
        DONE = "done"
        APPLIED = "applied"
        CONFIRMED = "confirmed", "confirmed by the switch"
        REJECTED = "rejected", "rejected by the dialer"
        FAILED = "failed"
        REFUSED = "refused", "refused at the door"

    at = models.DateTimeField()
    actor = models.CharField(max_length=150, blank=True, default="", help_text="User name; empty: nobody signed in")
    user_id = models.BigIntegerField(null=True, blank=True)
    action = models.CharField(max_length=60, db_collation="C", help_text="e.g. call_control.listen, sign_in")
    target_kind = models.CharField(max_length=40, blank=True, default="", help_text="e.g. agent, call, campaign")
    target = models.CharField(max_length=100, blank=True, default="")
    result = models.CharField(max_length=10, choices=Result, default=Result.DONE)
    reason = models.CharField(max_length=300, blank=True, default="")
    details = models.JSONField(default=dict, blank=True, help_text="Without telephone numbers and texts of people")
    via = models.CharField(max_length=60, blank=True, default="", help_text="Session, token, admin or command line")
    page = models.CharField(max_length=200, blank=True, default="", help_text="Page or socket")
    address = models.GenericIPAddressField(null=True, blank=True, unpack_ipv4=True)
    command_id = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["at"], name="audit_time"),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["target", "-id"], name="audit_target"),
            models.Index(fields=["address", "-id"], name="audit_address"),
            models.Index(fields=["command_id"], name="audit_command", condition=models.Q(command_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.actor or 'nobody'}: {self.action} {self.target} ({self.result})"
