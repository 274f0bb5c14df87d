"""Thresholds that suit most floors, so that the board warns from the first day. Changed and removed in the admin."""

from django.db import migrations

THRESHOLDS = (
    {"name": "Long break", "measure": "agent_state", "state": "break", "warning": 1800, "critical": 3600},
    {"name": "Long wrap-up", "measure": "agent_state", "state": "wrap_up", "warning": 180, "critical": 600},
    {"name": "Over the limit", "measure": "agent_over", "warning": 0, "critical": 300},
    {
        "name": "Softphone lost", "measure": "softphone", "warning": 10, "critical": 60, "clear": 0,
        "clear_seconds": 3,
    },
    # Over in seconds, one way or the other: for the people on the floor, not for a webhook.
    {"name": "Customer waits", "measure": "call_waiting", "warning": 2, "critical": 5, "webhook": False},
    {"name": "Very long call", "measure": "call_length", "warning": 1800, "critical": 3600},
    {"name": "Rings too long", "measure": "call_ringing", "warning": 45, "critical": 90},
    {
        "name": "Abandon rate near its cap", "measure": "abandon_cap", "warning": 80, "critical": 100, "clear": 75,
        "hold_seconds": 5, "clear_seconds": 30, "least": 100,
    },
    {
        "name": "Low answer rate", "measure": "answer_rate", "warning": 10, "critical": 5, "clear": 12,
        "hold_seconds": 60, "clear_seconds": 60, "least": 100,
    },
    {"name": "List runs out", "measure": "contacts_left", "warning": 100, "critical": 20},
    {"name": "Nobody dialled", "measure": "not_dialling", "warning": 300, "critical": 900, "clear": 0},
    {
        "name": "High occupancy", "measure": "occupancy_high", "warning": 90, "critical": 95, "clear": 87,
        "hold_seconds": 60, "clear_seconds": 60, "least": 3600,
    },
    {
        "name": "Low occupancy", "measure": "occupancy_low", "warning": 40, "clear": 45, "hold_seconds": 60,
        "clear_seconds": 60, "least": 3600, "is_active": False,
    },
    {
        "name": "Component in trouble", "measure": "component", "warning": 15, "critical": 60, "clear": 0,
        "clear_seconds": 5,
    },
    {
        "name": "Queue lags", "measure": "queue_delay", "warning": 10, "critical": 60, "clear": 3, "hold_seconds": 5,
        "clear_seconds": 10,
    },
    {
        "name": "Behind the switch", "measure": "behind", "warning": 3, "critical": 10, "clear": 1, "hold_seconds": 3,
        "clear_seconds": 5,
    },
)


def create(apps, schema_editor):
    model = apps.get_model("console", "AlertThreshold")
    for values in THRESHOLDS:
        model.objects.get_or_create(name=values["name"], defaults=values)


class Migration(migrations.Migration):
    dependencies = [("console", "0003_alerts")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
