"""Events of a leg within a time. Made beside the ingest, without a lock: the table is the largest of all."""

from django.db import migrations, models

from events.index_changes import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("events", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            "freeswitchevent", models.Index(fields=["channel_uuid", "timestamp"], name="event_channel_time")
        ),
        RemoveIndexConcurrently("freeswitchevent", "event_channel"),
    ]
