"""A database restored from a backup: nobody is dialled by it before a person has looked; what was open is settled."""

import datetime as dt
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from psycopg2 import sql

from dialer import tasks
from dialer.models import Agent, Callback, CallLog, Contact
from dialer.services import dialing, freeing, restoring
from esl_bridge.simulator.config import Config
from esl_bridge.simulator.thread import SimulatorThread
from events import streams
from orchestrator.management.commands import after_restore
from orchestrator.stack.postgres import programs
from tests.conftest import wait_until
from tests.contract.client import Client
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state
from tests.fakes.processes import Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def simulator(settings):
    with SimulatorThread(Config(port=0, password="a-password", speed=0.1)) as switch:
        settings.FREESWITCH_ESL_HOST, settings.FREESWITCH_ESL_PORT = "127.0.0.1", switch.port
        settings.FREESWITCH_ESL_PASSWORD = "a-password"
        yield switch


def floor_with_open_calls():
    """A campaign in the middle of its work: two calls open, two softphones, contacts left."""
    campaign = make_campaign(make_agents(3), contacts=8)
    for agent in campaign.assigned_agents.all():
        set_state(agent, "available")
    switch = Switch()
    switch.open_softphones()
    lost, alive = place(campaign, 2)
    for call in (lost, alive):
        switch.ring(call)
    switch.answer(alive)
    switch.bridge(alive)
    return campaign, lost, alive


def ringing_at(switch: SimulatorThread, leg: str) -> None:
    """The simulated switch has this leg."""
    with Client("127.0.0.1", switch.port, "a-password") as talk:
        talk.login()
        talk.bgapi(f"originate {{origination_uuid={leg}}}sofia/gateway/carrier/+12125531234 &park()")
        # The listing comes from a database that a switch writes a little later.
        wait_until(lambda: leg in talk.api("show channels as json"), "the leg")


def restored(**options) -> str:
    out = StringIO()
    call_command("after_restore", stdout=out, **options)
    return out.getvalue()


def test_after_a_restore_campaigns_are_paused_and_open_attempts_are_settled_by_asking_the_switch(simulator, tmp_path):
    campaign, lost, alive = floor_with_open_calls()
    ringing_at(simulator, alive.freeswitch_uuid)
    stranger = str(uuid.uuid4())
    ringing_at(simulator, stranger)
    since = Contact.objects.filter(status="ready").first()
    dialled = tmp_path / "numbers.txt"
    dialled.write_text(f"{since.number}\n\nno number\n")
    floor = streams.shared()
    floor.set("lease:floor", "somebody")
    floor.rpush("dialer_queue", "of a later time")
    floor.set("esl:order:claimed", "1")
    text = restored(dialled=str(dialled))
    campaign.refresh_from_db(), lost.refresh_from_db(), alive.refresh_from_db()
    assert campaign.status == "paused"
    assert (lost.ended_at is not None, lost.disconnect_reason) == (True, "LOST")
    assert Contact.objects.get(pk=lost.contact_id).attempts == 1, "an attempt was made, as far as anybody knows"
    assert alive.ended_at is None
    talking = alive.agent_id
    assert set(Agent.objects.exclude(pk=talking).values_list("status", flat=True)) == {"offline"}
    assert Agent.objects.get(pk=talking).status == "on_call"
    since.refresh_from_db()
    assert since.attempts == 1 and since.next_attempt_at > timezone.now() + restoring.REST / 2
    assert "Campaigns paused: Spring" in text and "going on: 1" in text and "does not know: 1" in text
    assert not floor.exists("lease:floor", streams.ORDERS) and floor.exists("esl:order:claimed")
    # Whatever tick comes: nobody is dialled.
    before = CallLog.objects.count()
    tasks.process_dialer_logic()
    tasks.execute_dial(str(campaign.campaign_id))
    assert CallLog.objects.count() == before
    assert "none was active" in restored(), "a second time changes nothing"


def test_who_was_dialled_since_the_backup_rests_for_a_day_also_behind_a_gate_or_with_an_appointment(tmp_path):
    """A backup of the night has contacts that wait for the morning; and starting a campaign frees whom a gate held."""
    campaign = make_campaign(make_agents(1), contacts=3)
    set_state(campaign.assigned_agents.get(), "available")
    Switch().open_softphones()
    held, agreed, third = Contact.objects.order_by("pk")
    now = timezone.now()
    morning = now + dt.timedelta(hours=9)
    Contact.objects.filter(pk=held.pk).update(blocked_by="calling_hours", next_attempt_at=morning)
    Callback.objects.create(campaign=campaign, contact=agreed, at=now - HOUR, anyone_at=now + HOUR)
    dialled = tmp_path / "numbers.txt"
    dialled.write_text(f"{held.number}\n{agreed.number}\n")
    assert "with a day's rest now: 2" in restored(dialled=str(dialled), no_switch=True)
    callback = Callback.objects.get()
    assert callback.at > now + restoring.REST / 2 and callback.anyone_at - callback.at == 2 * HOUR
    campaign.refresh_from_db()
    dialing.set_status(campaign, "active")
    freeing.target_list(campaign.target_list_id)
    set_state(campaign.assigned_agents.get(), "available")
    Switch().open_softphones()
    assert [call.contact_id for call in place(campaign, 3)] == [third.pk]
    resting = Contact.objects.filter(pk__in=[held.pk, agreed.pk], next_attempt_at__gt=now + restoring.REST / 2)
    assert resting.count() == 2


def test_a_switch_that_cannot_be_asked_settles_nothing(settings, simulator):
    campaign, lost, _ = floor_with_open_calls()
    settings.FREESWITCH_ESL_PASSWORD = "wrong"
    with pytest.raises(CommandError, match="nothing was changed"):
        restored()
    campaign.refresh_from_db(), lost.refresh_from_db()
    assert (campaign.status, lost.ended_at) == ("active", None)
    assert "going on: 0" in restored(no_switch=True), "restarted, and without a call"


def test_an_answer_of_the_switch_that_is_none_settles_nothing(simulator, monkeypatch):
    campaign, lost, _ = floor_with_open_calls()
    plain = after_restore.Switch.api
    monkeypatch.setattr(
        after_restore.Switch,
        "api",
        lambda talk, line: "-ERR no reply\n" if line.startswith("uuid_exists") else plain(talk, line),
    )
    with pytest.raises(CommandError, match="nothing was changed"):
        restored()
    campaign.refresh_from_db(), lost.refresh_from_db()
    assert (campaign.status, lost.ended_at) == ("active", None)


def test_it_refuses_beside_a_running_worker(simulator):
    campaign, *_ = floor_with_open_calls()
    # As if the worker that `acting` took the lease for were another, living one.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dialer_workerlease SET holder = 'elsewhere', expires_at = now() + interval '1 minute'")
    with pytest.raises(CommandError, match="Stop the dialer worker first"):
        restored()
    campaign.refresh_from_db()
    assert campaign.status == "active"


@pytest.mark.stack
def test_a_backup_taken_while_calls_go_on_is_restored_and_its_worker_dials_nobody(tmp_path, simulator):
    campaign, *_ = floor_with_open_calls()
    name = connection.settings_dict["NAME"]
    copy = f"{name}_restored"[-63:]
    file = tmp_path / "backup.dump"
    run_program("pg_dump", "--format=custom", f"--file={file}", name)
    dialled_after = place(campaign, 1)[0]
    assert restoring.is_older_than_redis() is False
    with own_database(copy):
        run_program("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={copy}", str(file))
        with Processes(tmp_path, DB_NAME=copy) as run:
            worker = run.worker("dialer_queue")
            at_work = streams.HEARTBEAT_PREFIX + "dialer"
            wait_until(lambda: worker.poll() is not None or streams.shared().exists(at_work), "its word", 60)
            assert worker.poll() == 1, "it has not begun to work"
            assert "restored from a backup" in run.log("dialer_queue"), "it does not dial by an older record"
            run.environment |= {"FREESWITCH_ESL_PORT": str(simulator.port), "FREESWITCH_ESL_PASSWORD": "a-password"}
            command = run.manage("after", "after_restore")
            assert command.wait(60) == 0, run.log("after")
            assert "Attempts ended, whose legs the switch does not have: 2" in run.log("after")
            with connected(copy) as cursor:
                cursor.execute("SELECT count(*) FROM dialer_calllog")
                assert cursor.fetchone() == (2,), "the call placed after the backup is not known"
                cursor.execute("SELECT count(*) FROM dialer_order WHERE status IN ('pending', 'sent')")
                assert cursor.fetchone() == (0,)
                cursor.execute("SELECT status FROM dialer_contact WHERE number = %s", [dialled_after.to_number])
                assert cursor.fetchone() == ("ready",), "which is why the campaign stays paused"
                cursor.execute("SELECT status FROM dialer_dialercampaign")
                assert cursor.fetchall() == [("paused",)]


def run_program(program: str, *arguments: str) -> None:
    """A client program of PostgreSQL, of the version that the server has."""
    server = connection.settings_dict
    place = ["-h", server["HOST"], "-p", str(server["PORT"]), "-U", server["USER"]]
    environment = {**os.environ, "PGPASSWORD": server["PASSWORD"]}
    done = subprocess.run([programs() / program, *place, *arguments], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def own_database(name: str) -> Iterator[None]:
    """A database beside the tests' own, dropped at the end."""
    place = sql.Identifier(name)
    with connected("postgres") as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(place))
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(place))
        try:
            yield
        finally:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(place))


@contextmanager
def connected(name: str) -> Iterator[Any]:
    """A cursor at another database of the server."""
    server = connection.settings_dict
    other = psycopg2.connect(
        host=server["HOST"], port=server["PORT"], user=server["USER"], password=server["PASSWORD"], dbname=name
    )
    other.autocommit = True
    try:
        yield other.cursor()
    finally:
        other.close()
