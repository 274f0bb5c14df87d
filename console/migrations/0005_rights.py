"""What administrators change about roles' rights, and the groups of the roles that came with it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# As in console/permissions.py; a migration keeps the names of its day.
NAMES = ("viewer", "administrator")


def create(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in NAMES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('console', '0004_alert_thresholds'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(create, migrations.RunPython.noop),
        migrations.CreateModel(
            name='Right',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('permission', models.CharField(choices=[('see_floor', 'see the live floor'), ('see_pages', 'see the pages of calls, agents, contacts and decisions'), ('full_numbers', 'see telephone numbers in full'), ('play_recordings', 'play recordings'), ('export', 'export as CSV and JSON'), ('set_agent_state', "change an agent's state"), ('send_message', 'send messages to agents'), ('read_message', 'read messages'), ('listen', 'listen to a call'), ('whisper', 'whisper to the agent'), ('barge', 'barge into a call'), ('take_over', 'take a call over'), ('transfer', 'transfer a call'), ('hold', 'hold a call'), ('mute', 'mute a call'), ('park', 'park a call'), ('hang_up', 'hang up a call'), ('record', 'start, stop and pause recording'), ('dispose', 'dispose of a call'), ('preview', 'act on a previewed contact'), ('dial_by_hand', 'dial by hand'), ('run_campaign', 'start, pause and stop a campaign'), ('campaign_mode', 'change how a campaign dials'), ('campaign_limits', "change a campaign's limits"), ('alerts', 'take on, put off and close alerts'), ('audit', 'read the audit log'), ('configure', 'configure')], max_length=40)),
                ('given', models.BooleanField(choices=[(True, 'given'), (False, 'taken')], help_text='Given: as far as the user sees the floor, or for their own calls. Taken: not at all')),
                ('reason', models.CharField(blank=True, default='', max_length=200)),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='changed_rights', to='auth.group')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='changed_rights', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['permission', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('user__isnull', True), ('group__isnull', True), _connector='XOR'), name='right_of_a_user_or_a_group'), models.UniqueConstraint(fields=('user', 'permission'), name='right_once_per_user'), models.UniqueConstraint(fields=('group', 'permission'), name='right_once_per_group')],
            },
        ),
    ]
