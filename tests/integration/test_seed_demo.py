"""`manage.py seed_demo`: a floor to look at, made once, and never against what people have changed since."""

import base64
import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as settings_of_project
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection

from dialer import demo, numbers, tasks
from dialer.models import Agent, AgentState, CallLog, Contact, DialerCampaign, DialerTargetList, ReasonCode
from events import streams

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture(autouse=True)
def _development(settings: Any) -> None:
    settings.DEBUG = True
    settings.SWITCH = "simulator"


def seed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("seed_demo", *arguments, stdout=out)
    return out.getvalue()


def queued() -> list[dict[str, Any]]:
    """The commands that wait for the sequential worker, in order, taken off the queue."""
    found = []
    while raw := streams.shared().rpop("dialer_queue"):
        message = json.loads(raw)
        if message["headers"]["task"] == "dialer.tasks.handle_agent_state":
            found.append(json.loads(base64.b64decode(message["body"]))[1]["command"])
    return found


def work() -> list[dict[str, Any]]:
    """What the worker does once it runs."""
    return [tasks.handle_agent_state(command) for command in queued()]


def test_the_demo_floor_has_twenty_agents_two_campaigns_and_two_thousand_contacts():
    seed()
    assert Agent.objects.count() == 20
    assert list(Agent.objects.values_list("extension", flat=True)) == [str(n) for n in range(1001, 1021)]
    assert Agent.objects.exclude(name="").values("name").distinct().count() == 20
    assert [agent.user.get_username() for agent in Agent.objects.all()] == [a.agent_id for a in demo.agents()]
    assert {(c.name, c.status, c.assigned_agents.count()) for c in DialerCampaign.objects.all()} == {
        ("Spring renewal", "active", 12),
        ("Customer survey", "active", 12),
    }
    assert not Agent.objects.filter(campaigns=None).exists()
    assert Contact.objects.count() == 2_000
    assert {targets.total_contacts for targets in DialerTargetList.objects.all()} == {1_000}
    assert ReasonCode.objects.filter(status="break").count() >= 4
    assert ReasonCode.objects.get(code="training").is_productive


def test_every_contact_has_a_fictional_number_and_its_time_zone():
    seed()
    contacts = list(Contact.objects.all())
    assert len({contact.number for contact in contacts}) == 2_000
    assert len({contact.number[2:5] for contact in contacts}) == 20
    for contact in contacts:
        assert contact.number[5:10] == "55501"
        assert numbers.normalise(contact.number, "US") == contact.number
        assert contact.time_zone in numbers.time_zones(contact.number)
        assert contact.name


def test_the_logins_are_printed_and_work():
    said = seed()
    for username in ("supervisor", "agent_101", "admin"):
        assert f"{username}-demo" in said
        assert authenticate(username=username, password=f"{username}-demo") is not None
    supervisor = get_user_model().objects.get(username="supervisor")
    assert supervisor.groups.filter(name=demo.SUPERVISOR_GROUP).exists()
    assert not supervisor.is_superuser
    assert supervisor.has_perms(["dialer.change_dialercampaign", "dialer.add_contact", "events.view_freeswitchevent"])
    assert not supervisor.has_perm("dialer.change_calllog")
    assert not supervisor.has_perm("dialer.delete_agent")
    agent = get_user_model().objects.get(username="agent_101")
    assert not agent.is_staff
    assert not agent.get_all_permissions()


def test_agents_go_to_work_through_the_sequential_worker():
    seed()
    assert set(Agent.objects.values_list("status", flat=True)) == {"offline"}
    answers = work()
    assert {answer["status"] for answer in answers} == {"applied"}
    by_status = {
        s: set(Agent.objects.filter(status=s).values_list("agent_id", flat=True)) for s in ("break", "offline")
    }
    assert Agent.objects.filter(status="available").count() == 18
    assert by_status == {"break": {"agent_119"}, "offline": {"agent_120"}}
    assert Agent.objects.get(agent_id="agent_119").status_reason == "lunch"
    assert AgentState.objects.count() == 19


def test_the_requests_do_not_become_too_old_while_no_worker_runs():
    seed()
    assert all(command["requested_at"] is None for command in queued())


def test_a_second_seed_changes_nothing():
    seed()
    work()
    before = {model: list(model.objects.order_by("pk").values()) for model in (Agent, DialerCampaign, Contact, Group)}
    passwords = list(get_user_model().objects.order_by("pk").values_list("password", flat=True))
    seed()
    assert queued() == []
    assert before == {model: list(model.objects.order_by("pk").values()) for model in before}
    assert passwords == list(get_user_model().objects.order_by("pk").values_list("password", flat=True))


def test_two_seeds_before_the_worker_starts_have_one_effect():
    seed()
    seed()
    work()
    assert AgentState.objects.count() == 19


def test_a_second_seed_brings_back_only_agents_who_are_offline():
    seed()
    work()
    for agent_id, state in (("agent_101", "offline"), ("agent_102", "break"), ("agent_119", "available")):
        tasks.handle_agent_state({"agent_id": agent_id, "state": state, "actor": "supervisor"})
    seed()
    assert [command["agent_id"] for command in queued()] == ["agent_101"]


def test_what_people_have_changed_stays():
    seed()
    supervisor = get_user_model().objects.get(username="supervisor")
    supervisor.set_password("my own word")
    supervisor.save()
    DialerCampaign.objects.filter(name="Spring renewal").update(status="paused", max_lines=3)
    Agent.objects.filter(agent_id="agent_101").update(name="Somebody Else")
    said = seed()
    assert "supervisor   (your own)" in said
    assert authenticate(username="supervisor", password="my own word") is not None
    campaign = DialerCampaign.objects.get(name="Spring renewal")
    assert (campaign.status, campaign.max_lines) == ("paused", 3)
    assert Agent.objects.get(agent_id="agent_101").name == "Somebody Else"


def test_a_login_that_exists_already_is_never_made_an_administrator():
    get_user_model().objects.create_user("admin", password="mine")
    seed()
    admin = get_user_model().objects.get(username="admin")
    assert not admin.is_superuser
    assert admin.check_password("mine")


def test_contacts_are_made_ready_again_once_most_are_used_up():
    seed()
    used = list(Contact.objects.order_by("pk").values_list("pk", flat=True)[:1_501])
    Contact.objects.filter(pk__in=used).update(status="completed", attempts=2, last_outcome="completed")
    DialerTargetList.objects.update(processed_contacts=750)
    busy = Contact.objects.get(pk=used[0])
    Contact.objects.filter(pk=busy.pk).update(status="dialing")
    CallLog.objects.create(
        contact=busy, to_number=busy.number, freeswitch_uuid="x", initiated_at="2026-01-01T00:00Z", status="dialing"
    )
    assert "are ready to be called again" in seed()
    busy.refresh_from_db()
    assert (busy.status, busy.attempts) == ("dialing", 2)
    assert Contact.objects.filter(status="ready", attempts=0).count() == 1_999
    assert set(DialerTargetList.objects.values_list("processed_contacts", flat=True)) == {0}


def test_contacts_in_use_are_left_alone_while_enough_are_ready():
    seed()
    used = list(Contact.objects.order_by("pk").values_list("pk", flat=True)[:1_500])
    Contact.objects.filter(pk__in=used).update(status="completed")
    seed()
    assert Contact.objects.filter(status="ready").count() == 500


def test_nothing_dials_on_a_real_switch_before_somebody_starts_it(settings):
    settings.SWITCH = "freeswitch"
    seed()
    assert set(DialerCampaign.objects.values_list("status", flat=True)) == {"paused"}
    # An agent at work would have their softphone rung.
    assert queued() == []


def test_well_known_passwords_are_refused_outside_development(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="refused while DEBUG is off"):
        seed()
    assert not get_user_model().objects.exists()
    seed("--force")
    assert Agent.objects.count() == 20


def test_a_collision_with_real_data_stores_nothing():
    Agent.objects.create(agent_id="somebody", extension="1005")
    with pytest.raises(CommandError, match="collides with data that is already here.*agent_extension_once"):
        seed()
    assert Agent.objects.count() == 1
    assert not get_user_model().objects.exists()
    assert queued() == []


def test_a_running_board_is_told():
    seed()
    entries = streams.shared().xrange(streams.CHANGES)
    kinds = [json.loads(entry[streams.CHANGES_FIELD.encode()])["kind"] for _, entry in entries]
    assert (kinds.count("agent"), kinds.count("campaign")) == (20, 2)


@pytest.mark.slow
def test_without_redis_the_demo_is_stored_and_one_line_says_what_is_missing():
    """As a process of its own: its broker is a port where nobody listens."""
    nowhere = "redis://127.0.0.1:1/0"
    servers = dict.fromkeys(("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL", "CACHE_URL"), nowhere)
    environment = {**os.environ, **servers, "DB_NAME": connection.settings_dict["NAME"], "DEBUG": "1"}
    found = subprocess.run(
        [sys.executable, "manage.py", "seed_demo"],
        cwd=settings_of_project.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 1
    assert found.stderr.strip().splitlines()[-1].startswith("CommandError: The demo is stored, but Redis takes no")
    assert "Traceback" not in found.stderr
    assert Contact.objects.count() == 2_000
