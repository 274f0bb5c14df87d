"""Indexes of the call pages. Made beside the dialling, without a lock: the tables may be large."""

from django.db import migrations, models
from django.db.models import Q

from events.index_changes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("dialer", "0013_agent_messages")]

    operations = [
        AddIndexConcurrently(
            "calllog",
            models.Index(fields=["outcome", "initiated_at"], condition=~Q(outcome=""), name="call_outcome_time"),
        ),
        AddIndexConcurrently(
            "calllog",
            models.Index(
                fields=["disposition", "initiated_at"],
                condition=Q(disposition__isnull=False),
                name="call_disposition_time",
            ),
        ),
        AddIndexConcurrently(
            "calllog",
            models.Index(
                fields=["initiated_at"],
                condition=Q(disposition__isnull=True, bridged_at__isnull=False),
                name="call_undisposed",
            ),
        ),
        AddIndexConcurrently("appliedcommand", models.Index(fields=["target", "id"], name="command_target")),
        migrations.AlterField(
            "exportrun",
            "what",
            models.CharField(
                choices=[
                    ("contacts", "Contacts"),
                    ("calls", "Calls"),
                    ("agents", "agents' day"),
                    ("campaigns", "campaigns' day"),
                ],
                max_length=10,
            ),
        ),
    ]
