"""A long past: calls as a busy floor leaves them, made by the database itself, for pages that look for them."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from dialer.models import Agent, CallLog, Contact, DialerCampaign, DialerTargetList, Disposition, Team

AGENTS, CAMPAIGNS = 300, 20
# So long after one another: 10,000 calls a day.
STEP = dt.timedelta(seconds=8.64)
# Of each contact: the same however long the past is.
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Past:
    """end: of the last whole day. rare: an outcome of the oldest calls alone; a disposition likewise."""

    end: dt.datetime
    calls: int
    rare: str = "rejected"
    rare_disposition: str = "moved"


def make(calls: int) -> Past:
    """300 agents in 10 teams, 20 campaigns with dispositions of their own; a fifth of the calls are conversations."""
    end = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    contact_list = DialerTargetList.objects.create(name=f"{calls} calls")
    teams = [Team.objects.create(code=f"team{n}", name=f"Team {n}") for n in range(10)]
    Agent.objects.bulk_create(
        Agent(agent_id=f"agent_{n}", name=f"Agent {n}", extension=str(20_000 + n), team=teams[n % 10])
        for n in range(AGENTS)
    )
    campaigns = DialerCampaign.objects.bulk_create(
        DialerCampaign(name=f"Campaign {n}", target_list=contact_list) for n in range(CAMPAIGNS)
    )
    Disposition.objects.bulk_create(
        Disposition(campaign=campaign, code=code, label=code.capitalize())
        for campaign in campaigns
        for code in ("sale", "no_interest", "moved")
    )
    known = {
        "n": calls, "end": end, "step": STEP, "list": contact_list.pk, "contacts": max(1, calls // ATTEMPTS),
        "agents": AGENTS, "campaigns": CAMPAIGNS, "agent": Agent.objects.earliest("pk").pk,
        "campaign": campaigns[0].pk, "disposition": Disposition.objects.earliest("pk").pk,
        "contact": 1 + (Contact.objects.order_by("-pk").values_list("pk", flat=True).first() or 0),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL maintenance_work_mem = '256MB'")
        # Foreign keys are not looked at row by row, and indexes are built when the rows are there.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, statement in ((Contact._meta.db_table, _CONTACTS), (CallLog._meta.db_table, _CALLS),
                                 ("dialer_agentstate", _STATES), ("events_freeswitchevent", _EVENTS)):  # fmt: skip
            cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
            indexes = [(name, made) for name, made in cursor.fetchall() if " UNIQUE " not in made]
            for name, _ in indexes:
                cursor.execute(f'DROP INDEX "{name}"')
            cursor.execute(statement, known)
            for _, made in indexes:
                cursor.execute(made)
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("SELECT setval(pg_get_serial_sequence('dialer_contact', 'id'), max(id)) FROM dialer_contact")
        cursor.execute("SET LOCAL session_replication_role = origin")
    return Past(end, calls)


_CONTACTS = """
INSERT INTO dialer_contact (id, target_list_id, number, name, time_zone, custom_fields, priority, status, attempts,
    next_attempt_at, last_outcome, created_at, updated_at)
SELECT %(contact)s + n, %(list)s, '+1' || (2000000000 + n), 'Contact ' || n, '', '{}', 0, 'ready', 4, now(), '', now(),
    now()
FROM generate_series(0, %(contacts)s - 1) AS n
"""
# n = 0 is the oldest. A fifth are conversations, joined after 1 s, for a minute; 9 of 10 of them have a disposition.
_CALLS = """
INSERT INTO dialer_calllog (call_id, freeswitch_uuid, from_extension, to_number, agent_id, campaign_id, contact_id,
    status, disconnect_reason, outcome, initiated_at, answered_at, bridged_at, ended_at, talk_time_seconds,
    attempt_number, recording_url, recording_stored, recording, muted, agent_waits, taken_over_by, operation, machine,
    cdr_data, abandoned, direction, disposition_id, disposition_notes, disposed_at, disposed_by, version)
SELECT gen_random_uuid(), gen_random_uuid(), '', '+1' || (2000000000 + n %% %(contacts)s),
    CASE WHEN talk THEN %(agent)s + n / 5 %% %(agents)s END, %(campaign)s + n %% %(campaigns)s,
    %(contact)s + n %% %(contacts)s, CASE WHEN talk THEN 'completed' ELSE 'no_answer' END, '',
    CASE WHEN talk THEN 'conversation' WHEN n < %(n)s / 1000 THEN 'rejected' WHEN n %% 3 = 0 THEN 'busy'
        ELSE 'no_answer' END,
    at, CASE WHEN talk THEN at + interval '9 s' END, CASE WHEN talk THEN at + interval '10 s' END,
    at + interval '70 s', CASE WHEN talk THEN 60 END, 1, '', false, 'off', false, false, '', '', false, '{}', false,
    'outbound',
    CASE WHEN given THEN %(disposition)s + n %% %(campaigns)s * 3
        + CASE WHEN n < %(n)s / 1000 THEN 2 ELSE n / 5 %% 2 END END,
    '', CASE WHEN given THEN at + interval '80 s' END, CASE WHEN given THEN 'agent' ELSE '' END, 0
FROM generate_series(0, %(n)s - 1) AS n,
    LATERAL (SELECT n %% 5 = 0 AS talk, %(end)s - (%(n)s - n) * %(step)s AS at) AS a,
    LATERAL (SELECT talk AND n %% 50 <> 0 AS given) AS b
"""
_STATES = """
INSERT INTO dialer_agentstate (agent_id, state, timestamp, call_id, reason, metadata)
SELECT agent_id, state, bridged_at + after, id, reason, '{}' FROM dialer_calllog,
    (VALUES ('on_call', interval '0 s', ''), ('busy', interval '60 s', 'wrap_up'), ('available', interval '70 s', ''))
    AS s (state, after, reason)
WHERE agent_id IS NOT NULL
"""
# Two of each call's legs: enough to make their table long.
_EVENTS = """
INSERT INTO events_freeswitchevent (event_id, event_type, channel_uuid, channel_name, caller_id_number, caller_id_name,
    destination_number, timestamp, event_data, hangup_cause, core_uuid, event_sequence, journal_id)
SELECT gen_random_uuid(), kind, freeswitch_uuid, '', '', '', to_number, initiated_at + after, jsonb_build_object(
    'Event-Name', kind, 'Unique-ID', freeswitch_uuid, 'Event-Date-Timestamp',
    (extract(epoch FROM initiated_at + after) * 1000000)::bigint::text), '', 'history', id * 2 + place, ''
FROM dialer_calllog, (VALUES ('CHANNEL_CREATE', interval '0 s', 0), ('CHANNEL_HANGUP', interval '70 s', 1))
    AS e (kind, after, place)
"""
