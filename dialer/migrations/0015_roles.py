"""Supervisors of campaigns, and the audit log with the trigger that keeps it."""

from django.conf import settings
from django.db import migrations, models


# `orchestrator.audit_trim` is set, for one transaction, by `manage.py trim_audit` alone (dialer/audit_retention.py).
GUARD = """
CREATE FUNCTION dialer_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' AND current_setting('orchestrator.audit_trim', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON dialer_auditentry
    FOR EACH ROW EXECUTE FUNCTION dialer_audit_guard();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON dialer_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION dialer_audit_guard();
"""
UNGUARD = """
DROP TRIGGER audit_append_only ON dialer_auditentry;
DROP TRIGGER audit_no_truncate ON dialer_auditentry;
DROP FUNCTION dialer_audit_guard();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('dialer', '0014_call_pages'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='dialercampaign',
            name='supervisors',
            field=models.ManyToManyField(blank=True, help_text='See and steer it and its calls. Supervisors of a team need not be named where only agents of their teams work', related_name='supervised_campaigns', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='team',
            name='supervisors',
            field=models.ManyToManyField(blank=True, help_text='See and steer its agents, their calls, and campaigns for which only agents of their teams work', related_name='supervised_teams', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('actor', models.CharField(blank=True, default='', help_text='User name; empty: nobody signed in', max_length=150)),
                ('user_id', models.BigIntegerField(blank=True, null=True)),
                ('action', models.CharField(db_collation='C', help_text='e.g. call_control.listen, sign_in', max_length=60)),
                ('target_kind', models.CharField(blank=True, default='', help_text='e.g. agent, call, campaign', max_length=40)),
                ('target', models.CharField(blank=True, default='', max_length=100)),
                ('result', models.CharField(choices=[('done', 'Done'), ('applied', 'Applied'), ('confirmed', 'confirmed by the switch'), ('rejected', 'rejected by the dialer'), ('failed', 'Failed'), ('refused', 'refused at the door')], default='done', max_length=10)),
                ('reason', models.CharField(blank=True, default='', max_length=300)),
                ('details', models.JSONField(blank=True, default=dict, help_text='Without telephone numbers and texts of people')),
                ('via', models.CharField(blank=True, default='', help_text='Session, token, admin or command line', max_length=60)),
                ('page', models.CharField(blank=True, default='', help_text='Page or socket', max_length=200)),
                ('address', models.GenericIPAddressField(blank=True, null=True, unpack_ipv4=True)),
                ('command_id', models.UUIDField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit log',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['at'], name='audit_time'), models.Index(fields=['actor', '-id'], name='audit_actor'), models.Index(fields=['action', '-id'], name='audit_action'), models.Index(fields=['target', '-id'], name='audit_target'), models.Index(fields=['address', '-id'], name='audit_address'), models.Index(condition=models.Q(('command_id__isnull', False)), fields=['command_id'], name='audit_command')],
            },
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
