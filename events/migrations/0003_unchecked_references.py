"""What hangs on an event is written with it, and no longer held against it by PostgreSQL row by row; and no index is kept
that nobody asks. Made beside the storing: constraints go in milliseconds, indexes without a lock."""

import django.db.models.deletion
from django.db import migrations, models

from events.index_changes import AddIndexConcurrently, IndexSQL, RemoveIndexConcurrently

# Of the batches' lists: the unique index begins with the same column.
REDUNDANT = "events_eventbatch_events_eventbatch_id_e4d03146"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("events", "0002_channel_time")]

    operations = [
        AddIndexConcurrently(
            "eventprocessingstatus",
            models.Index(
                condition=models.Q(("status__in", ["pending", "processing", "failed"])),
                fields=["status", "next_retry_at"],
                name="processing_unfinished",
            ),
        ),
        RemoveIndexConcurrently("eventprocessingstatus", "processing_status_retry"),
        migrations.AlterField(
            "callstateevent",
            "freeswitch_event",
            models.ForeignKey(
                blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE,
                related_name="transitions", to="events.freeswitchevent",
            ),
        ),
        migrations.AlterField(
            "eventbatch",
            "events",
            models.ManyToManyField(
                blank=True, db_constraint=False, related_name="batches", to="events.freeswitchevent"
            ),
        ),
        migrations.AlterField(
            "eventprocessingstatus",
            "event",
            models.OneToOneField(
                db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name="processing",
                to="events.freeswitchevent",
            ),
        ),
        IndexSQL(
            f"DROP INDEX CONCURRENTLY IF EXISTS {REDUNDANT}",
            [
                f"DROP INDEX CONCURRENTLY IF EXISTS {REDUNDANT}",
                f"CREATE INDEX CONCURRENTLY {REDUNDANT} ON events_eventbatch_events (eventbatch_id)",
            ],
        ),
    ]  # fmt: skip
