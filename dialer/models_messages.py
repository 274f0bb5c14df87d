"""Supervisors' messages to agents. Part of dialer.models, which re-exports it."""

import uuid

from django.db import models
from django.db.models import Q

LONGEST_MESSAGE = 500


class AgentMessage(models.Model):
    """A message before one agent until they have read it. Sent to many, each has a row of their own with one
    `command_id`."""

    message_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, related_name="messages")
    sender = models.CharField(max_length=150)
    text = models.CharField(max_length=LONGEST_MESSAGE)
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    command_id = models.UUIDField(null=True, blank=True, help_text="The command that sent it, to all of its agents")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "id"], condition=Q(read_at__isnull=True), name="agent_message_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.sender} to {self.agent_id}"
