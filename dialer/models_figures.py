"""Counts kept with each outcome, so that a figure over a window is a sum of few rows."""

from django.db import models

from dialer.figures import WAITS


def no_waits() -> list[int]:
    return [0] * WAITS


class CampaignMinute(models.Model):
    """A campaign's answered calls by the UTC minute of their answer: what the caps of 24 hours and of half an hour are
    judged by. Older rows are of no use; `manage.py retention` removes them."""

    campaign = models.ForeignKey("dialer.DialerCampaign", on_delete=models.CASCADE, related_name="minutes")
    minute = models.DateTimeField(help_text="Its start")
    answered = models.PositiveIntegerField(default=0, db_default=0)
    connected = models.PositiveIntegerField(default=0, db_default=0, help_text="Joined to an agent")
    abandoned = models.PositiveIntegerField(default=0, db_default=0)
    machines = models.PositiveIntegerField(default=0, db_default=0, help_text="Of the answered, found to be machines")
    machines_connected = models.PositiveIntegerField(default=0, db_default=0)
    machines_abandoned = models.PositiveIntegerField(default=0, db_default=0)
    finished = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Contacts that the list was done with in this minute: its pace"
    )

    class Meta:
        ordering = ["-minute"]
        constraints = [models.UniqueConstraint(fields=["campaign", "minute"], name="campaign_minute_once")]

    def __str__(self) -> str:
        return f"{self.campaign_id} {self.minute:%Y-%m-%d %H:%M}"


class AgentDay(models.Model):
    """An agent's time and calls of one UTC day, up to the beginning of their present state. Written with each change of
    state in the same transaction: boards read a row, never a day's history."""

    agent = models.ForeignKey("dialer.Agent", on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    talk_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Without hold")
    hold_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    wrap_up_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    idle_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    break_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    busy_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Busy with other work than wrap-up")
    handled = models.PositiveIntegerField(default=0, db_default=0, help_text="Calls joined to the agent, and over")
    contacts = models.PositiveIntegerField(default=0, db_default=0, help_text="Of these, with a person")

    class Meta:
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["agent", "day"], name="agent_day_once")]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.day}"
