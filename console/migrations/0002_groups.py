"""The groups that give rights exist from the first migration on."""

from django.db import migrations

# As in console/permissions.py; a migration keeps the names of its day.
NAMES = ("supervisor", "agent")


def create(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in NAMES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("console", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
