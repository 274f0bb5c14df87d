"""Counts kept with each outcome, so that a figure over a window is a sum of few rows."""

from django.db import models


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

    class Meta:
        ordering = ["-minute"]
        constraints = [models.UniqueConstraint(fields=["campaign", "minute"], name="campaign_minute_once")]

    def __str__(self) -> str:
        return f"{self.campaign_id} {self.minute:%Y-%m-%d %H:%M}"
