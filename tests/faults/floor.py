"""The floor that is worked on: campaigns with agents and contacts, users with keys for their sockets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

FIRST_EXTENSION = 2001
# Outside the simulator's numbering plan: these customers do what chance says. Not a number twice in all the lists.
FIRST_NUMBER = 16_462_000_000
MODES = ("progressive", "power", "progressive", "predictive")


@dataclass
class Size:
    agents: int = 100
    campaigns: int = 10
    boards: int = 20
    panels: int = 10
    """Agents who have their panel open and command themselves."""
    calls_per_second: float = 20.0
    """Each campaign may place half as many again as its share, since others are paused meanwhile."""
    minutes: float = 5.0
    commands_per_second: float = 6.0
    ring: float = 1.5
    talk: float = 2.0

    @property
    def extensions(self) -> str:
        return f"{FIRST_EXTENSION}-{FIRST_EXTENSION + self.agents - 1}"


@dataclass
class Made:
    agents: list[str] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)
    board_keys: list[str] = field(default_factory=list)
    panel_keys: dict[str, str] = field(default_factory=dict)
    """agent_id -> key"""


def make(size: Size, messages: str) -> Made:
    from django.conf import settings
    from django.core.files.base import ContentFile
    from django.utils import timezone

    from console.models import ApiToken
    from dialer import demo
    from dialer.models import Agent, Contact, DialerCampaign, DialerTargetList, Message
    from tests.fakes.console import make_user
    from tests.fakes.floor import any_hour

    settings.MESSAGES_DIR = messages
    made, now = Made(), timezone.now()
    agents = [
        Agent.objects.create(agent_id=f"agent_{n}", name=f"Agent {n}", extension=str(FIRST_EXTENSION + n))
        for n in range(size.agents)
    ]
    message = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
    wanted = round(size.calls_per_second * 2 * (size.minutes + 1) * 60 / size.campaigns)
    numbers = itertools.count(FIRST_NUMBER)
    for n in range(size.campaigns):
        targets = DialerTargetList.objects.create(name=f"List {n}", total_contacts=wanted)
        rows = (Contact(target_list=targets, number=f"+{next(numbers)}", next_attempt_at=now) for _ in range(wanted))
        Contact.objects.bulk_create(rows, batch_size=2_000)
        campaign = DialerCampaign.objects.create(
            name=f"Campaign {n}", target_list=targets, status="active", profile=any_hour(), message=message,
            mode=MODES[n % len(MODES)], wrap_up_seconds=1, max_retry_attempts=0, calls_per_agent_per_hour=3600,
            max_calls_per_second=max(1, round(1.5 * size.calls_per_second / size.campaigns)), max_lines=500,
            power_ratio=1.5,
        )  # fmt: skip
        campaign.assigned_agents.set(agents[n :: size.campaigns])
        made.campaigns.append(str(campaign.campaign_id))
    made.agents = [agent.agent_id for agent in agents]
    for n in range(size.boards):
        made.board_keys.append(ApiToken.issue(make_user(f"sup_{n}", supervisor=True))[1])
    for agent in agents[: size.panels]:
        made.panel_keys[agent.agent_id] = ApiToken.issue(make_user(agent.agent_id, agent=agent))[1]
    return made


# Each write of a dialer worker is held against the lease of that moment. A worker says who it is by its connection's
# name, `dialer-PID`; the holder is host/namespace/PID/start. What has no such name is a web process or this suite.
_WATCH = """
CREATE TABLE IF NOT EXISTS fault_old_tokens (at timestamptz, wrote text, holder text, token bigint, place text);
CREATE SEQUENCE IF NOT EXISTS fault_fenced_writes;
CREATE OR REPLACE FUNCTION fault_watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrote text := current_setting('application_name'); lease record;
BEGIN
  IF wrote LIKE 'dialer-%' THEN
    PERFORM nextval('fault_fenced_writes');
    SELECT holder, token INTO lease FROM dialer_workerlease WHERE name = 'dialer';
    IF split_part(lease.holder, '/', 3) <> substring(wrote FROM 8) THEN
      INSERT INTO fault_old_tokens VALUES (clock_timestamp(), wrote, lease.holder, lease.token, TG_TABLE_NAME);
    END IF;
  END IF;
  RETURN NULL;
END $$;
"""
WATCHED = ("dialer_order", "dialer_calllog", "dialer_agent", "dialer_appliedcommand", "dialer_contact",
           "dialer_agentleg", "dialer_agentstate")  # fmt: skip


def watch_writes() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(_WATCH)
        for table in WATCHED:
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER fault_watch AFTER INSERT OR UPDATE OR DELETE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION fault_watch()"
            )


def unwatch_writes() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for table in WATCHED:
            cursor.execute(f"DROP TRIGGER IF EXISTS fault_watch ON {table}")
        cursor.execute("DROP FUNCTION IF EXISTS fault_watch; DROP TABLE IF EXISTS fault_old_tokens;"
                       "DROP SEQUENCE IF EXISTS fault_fenced_writes")  # fmt: skip
