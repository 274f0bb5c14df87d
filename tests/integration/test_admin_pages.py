"""Every admin page renders for the administrator, with hostile text made harmless, and history cannot be written."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dialer import models as d
from events import models as e

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

HOSTILE = "<script>alert(1)</script>'\"&\u202e"
ROWS = 60
# Edited on the page of what they belong to.
WITHIN = {d.AgentSkill, d.Assignment, d.RequiredSkill}
MODELS = [
    model for app in ("dialer", "events") for model in apps.get_app_config(app).get_models() if model not in WITHIN
]
HISTORY = [
    d.AgentDay,
    d.AgentLeg,
    d.AgentMessage,
    d.AgentState,
    d.AppliedCommand,
    d.AuditEntry,
    d.CallLog,
    d.CampaignDay,
    d.ContactReservation,
    d.ExportRun,
    d.ImportRun,
    d.CampaignMinute,
    d.DispositionChange,
    d.Order,
    d.PacingDecision,
    d.QueuedCommand,
    d.SideLeg,
    d.WorkerLease,
    e.CallStateEvent,
    e.EventBatch,
    e.EventProcessingStatus,
    e.FreeSwitchEvent,
]
EDITABLE = [
    d.Agent, d.Callback, d.ComplianceProfile, d.ConsentRevocation, d.Contact, d.DialerCampaign, d.DialerTargetList,
    d.Disposition, d.DoNotCall, d.Holiday, d.Message, d.ReasonCode, d.Skill, d.SystemLimits, d.Team,
]  # fmt: skip


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def rows(model: type[Any], **columns: Any) -> list[Any]:
    """ROWS rows of the model in one statement; a callable is asked for each row's value."""
    return model.objects.bulk_create(
        model(**{name: value(n) if callable(value) else value for name, value in columns.items()}) for n in range(ROWS)
    )


@pytest.fixture
def full() -> None:
    """Rows of every model, each text of them hostile where its column has room."""
    now = timezone.now()
    hostile = {"note": HOSTILE, HOSTILE: [HOSTILE]}
    targets = d.DialerTargetList.objects.create(name=HOSTILE, source=HOSTILE, source_metadata=hostile)
    users = rows(get_user_model(), username=lambda n: f"user{n}")
    agents = rows(
        d.Agent,
        agent_id=lambda n: f"agent_{n}",
        name=HOSTILE,
        extension=lambda n: str(1000 + n),
        status_reason=HOSTILE[:40],
        user=lambda n: users[n],
    )
    rows(d.ReasonCode, code=lambda n: f"code{n}", label=HOSTILE)
    rows(d.WorkerLease, name=lambda n: f"lease{n}", holder=HOSTILE)
    campaigns = rows(d.DialerCampaign, name=lambda n: f"{n} {HOSTILE}", target_list=targets)
    campaigns[0].assigned_agents.set(agents)
    skills = rows(d.Skill, code=lambda n: f"skill{n}", label=HOSTILE)
    rows(d.AgentSkill, agent=agents[0], skill=lambda n: skills[n])
    rows(d.RequiredSkill, campaign=campaigns[0], skill=lambda n: skills[n])
    dispositions = rows(d.Disposition, code=lambda n: f"code{n}", label=HOSTILE, campaign=lambda n: campaigns[n])
    contacts = rows(
        d.Contact,
        target_list=targets,
        number=lambda n: f"+1212555{n:04}",
        name=HOSTILE,
        custom_fields=hostile,
        next_attempt_at=now,
    )
    rows(d.ComplianceProfile, name=lambda n: f"{n} {HOSTILE}", description=HOSTILE, calling_hours=hostile)
    rows(d.Holiday, day=lambda n: now.date() + dt.timedelta(days=n), name=HOSTILE)
    rows(d.Message, name=lambda n: f"{n} {HOSTILE}", text=HOSTILE, file=HOSTILE)
    rows(d.Team, code=lambda n: f"team-{n}", name=HOSTILE)
    d.SystemLimits.objects.create(max_lines=1)
    for listed in (d.DoNotCall, d.ConsentRevocation):
        rows(listed, number=lambda n: contacts[n].number, source=HOSTILE, note=HOSTILE, created_by=lambda n: users[n])
    rows(
        d.Callback,
        campaign=lambda n: campaigns[n],
        contact=lambda n: contacts[n],
        agent=lambda n: agents[n],
        at=now,
        note=HOSTILE,
        created_by=HOSTILE,
    )
    legs = rows(d.AgentLeg, agent=lambda n: agents[n], hangup_cause=HOSTILE)
    calls = rows(
        d.CallLog,
        freeswitch_uuid=lambda n: f"{n}{HOSTILE}",
        to_number=lambda n: contacts[n].number,
        agent=lambda n: agents[n],
        campaign=lambda n: campaigns[n],
        contact=lambda n: contacts[n],
        agent_leg=lambda n: legs[n],
        status="completed",
        disconnect_reason=HOSTILE,
        recording_url=HOSTILE,
        initiated_at=now,
        ended_at=now,
        cdr_data=hostile,
        disposition=lambda n: dispositions[n],
        disposition_notes=HOSTILE,
        disposed_at=now,
        disposed_by=HOSTILE,
    )
    rows(
        d.DispositionChange,
        call=lambda n: calls[n],
        disposition=lambda n: dispositions[n],
        notes=HOSTILE,
        by=HOSTILE,
        at=now,
        effect=hostile,
    )
    rows(
        d.ContactReservation,
        campaign=lambda n: campaigns[n],
        contact=lambda n: contacts[n],
        agent=lambda n: agents[n],
        call=lambda n: calls[n],
        state="skipped",
        offered_at=now,
        expires_at=now,
        ended_at=now,
        reason=HOSTILE,
    )
    rows(
        d.AgentState,
        agent=lambda n: agents[n],
        call=lambda n: calls[n],
        state="break",
        timestamp=now,
        reason=HOSTILE,
        metadata={"by": HOSTILE},
    )
    rows(
        d.Order,
        order_id=lambda n: uuid.uuid4(),
        kind="hangup",
        payload=hostile,
        call=lambda n: calls[n],
        agent=lambda n: agents[n],
        reply=HOSTILE,
        created_at=now,
    )
    rows(
        d.SideLeg,
        leg_uuid=lambda n: uuid.uuid4(),
        call=lambda n: calls[n],
        agent=lambda n: agents[n],
        purpose="listen",
        actor=HOSTILE,
        extension="1010",
        mode="barge",
        changes=[hostile],
        requested_at=now,
        ended_at=now,
        hangup_cause=HOSTILE,
    )
    rows(
        d.AppliedCommand,
        command_id=lambda n: uuid.uuid4(),
        kind=HOSTILE[:40],
        actor=HOSTILE,
        target=HOSTILE,
        status="rejected",
        reason=HOSTILE,
        payload=hostile,
        applied_at=now,
    )
    rows(
        d.AuditEntry,
        at=now,
        actor=HOSTILE,
        action=HOSTILE,
        target_kind=HOSTILE,
        target=HOSTILE,
        result="refused",
        reason=HOSTILE,
        details=hostile,
        via=HOSTILE,
        page=HOSTILE,
    )
    rows(d.QueuedCommand, command_id=lambda n: uuid.uuid4(), task=HOSTILE[:60], payload=hostile, queued_at=now)
    rows(
        d.PacingDecision,
        campaign=lambda n: campaigns[n],
        decided_at=now,
        last_at=now,
        binding_reason="x",
        summary=HOSTILE,
        inputs=hostile,
    )
    rows(d.ImportRun, list_name=HOSTILE, file_name=HOSTILE, error=HOSTILE, actor=HOSTILE, state="done", report=hostile)
    rows(d.ExportRun, what="calls", filters=hostile, actor=HOSTILE)
    rows(d.CampaignDay, campaign=lambda n: campaigns[n], day=lambda n: now.date() - dt.timedelta(days=n))
    rows(d.AgentDay, agent=lambda n: agents[n], day=now.date())
    rows(d.AgentMessage, agent=lambda n: agents[n], sender=HOSTILE, text=HOSTILE, at=now)
    rows(d.CampaignMinute, campaign=lambda n: campaigns[n], minute=lambda n: now - dt.timedelta(minutes=n))
    events = rows(
        e.FreeSwitchEvent,
        event_type="CHANNEL_ANSWER",
        channel_uuid=HOSTILE,
        caller_id_name=HOSTILE,
        caller_id_number=HOSTILE[:64],
        destination_number=HOSTILE[:64],
        timestamp=now,
        event_data=hostile,
        core_uuid="core",
        event_sequence=lambda n: n,
        hangup_cause=HOSTILE,
    )
    rows(
        e.EventProcessingStatus,
        event=lambda n: events[n],
        status="failed",
        attempts=9,
        last_error=HOSTILE,
        error_traceback=HOSTILE,
    )
    rows(
        e.CallStateEvent,
        freeswitch_event=lambda n: events[n],
        channel_uuid=lambda n: f"{n}{HOSTILE}",
        current_state="ended",
        timestamp=now,
        metadata=hostile,
    )
    batches = rows(e.EventBatch, error_message=HOSTILE, transitions=[hostile])
    batches[0].events.set(events)


def address(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def harmless(response: Any) -> str:
    text = response.content.decode()
    assert "<script>alert" not in text
    assert "'\"&\u202e" not in text
    return text


def test_every_model_has_an_admin_page():
    assert {model for model in MODELS if not model._meta.auto_created} <= set(admin.site._registry)
    assert set(HISTORY) | set(EDITABLE) == set(MODELS)


def test_the_site_carries_our_name(client):
    assert b"Voice Orchestrator" in client.get(reverse("admin:index")).content


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_page_renders_and_hostile_text_is_inert(client, model):
    response = client.get(address(model, "changelist"))
    assert response.status_code == 200
    assert len(response.context["cl"].result_list) == min(
        admin.site._registry[model].list_per_page, model.objects.count()
    )
    harmless(response)
    response = client.get(address(model, "change", model.objects.order_by("-pk")[0].pk))
    assert response.status_code == 200
    harmless(response)
    response = client.get(address(model, "add"))
    assert response.status_code == (403 if model in [*HISTORY, d.SystemLimits] else 200)
    for term in (HOSTILE, "'; --", "%", "\0", "x" * 5000, "+12125550001", str(uuid.uuid4()), "1"):
        response = client.get(address(model, "changelist"), {"q": term})
        assert response.status_code == 200, term
        harmless(response)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_filter_and_page_renders(client, model):
    registered = admin.site._registry[model]
    for name in [n for n in registered.list_filter if isinstance(n, str)]:
        field = model._meta.get_field(name)
        if field.is_relation:
            asked = {f"{name}__id__exact": field.related_model.objects.order_by("pk")[0].pk}
        elif field.choices:
            asked = {f"{name}__exact": field.choices[0][0]}
        else:
            asked = {f"{name}__exact": 1}
        assert client.get(address(model, "changelist"), asked).status_code == 200
    for asked in ({"p": 1}, {"p": 999}, {"o": "3.-1"}, {"all": ""}, {"e": "1"}, {"_facets": "True"}):
        assert client.get(address(model, "changelist"), asked).status_code in {200, 302}


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("model", HISTORY, ids=lambda model: model.__name__)
def test_history_cannot_be_written_by_anybody(client, model):
    before = list(model.objects.order_by("pk").values())
    row = model.objects.order_by("pk")[0]
    assert client.post(address(model, "add"), {}).status_code == 403
    assert client.post(address(model, "change", row.pk), {"status": "x"}).status_code == 403
    assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(
        address(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    )
    assert list(model.objects.order_by("pk").values()) == before
    text = client.get(address(model, "change", row.pk)).content.decode()
    assert 'name="_save"' not in text


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("model", [d.Agent, d.DialerCampaign, d.DialerTargetList], ids=lambda model: model.__name__)
def test_what_history_hangs_on_cannot_be_deleted(client, model):
    row = model.objects.order_by("pk")[0]
    assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(
        address(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    )
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.usefixtures("full")
def test_lists_show_no_full_number(client):
    for model in (d.CallLog, d.Contact, d.DoNotCall, d.ConsentRevocation):
        text = client.get(address(model, "changelist")).content.decode()
        assert "+1212***" in text
        assert "+12125550" not in text.replace("Whole number (+12125550100)", "")


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_change_list_costs_the_same_number_of_queries_for_any_number_of_rows(
    client, model, django_assert_max_num_queries
):
    with django_assert_max_num_queries(16):
        client.get(address(model, "changelist"))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_nobody_sees_a_page_without_permission(model):
    client = Client()
    assert client.get(address(model, "changelist")).status_code == 302
    client.force_login(get_user_model().objects.create(username="clerk", is_staff=True))
    assert client.get(address(model, "changelist")).status_code == 403


# --- For daily use --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("full")
def test_the_first_page_shows_the_floor_to_those_who_may_read_it(client):
    text = harmless(client.get(reverse("admin:index")))
    for words in ("Agents", "Open alerts", "Campaigns that run", "Last imports", 'href="/console/"', "/docs/protocol/"):
        assert words in text, words
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    text = client.get(reverse("admin:index")).content.decode()
    for words in ("<h2>Agents", "Open alerts", "Campaigns that run", "Last imports", 'href="/console/"'):
        assert words not in text, words


@pytest.mark.usefixtures("full")
def test_the_first_page_costs_the_same_for_any_number_of_rows(client):
    d.DialerCampaign.objects.filter(pk=d.DialerCampaign.objects.latest("pk").pk).update(status="active")
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse("admin:index"))
    d.DialerCampaign.objects.update(status="active")
    with CaptureQueriesContext(connection) as more:
        client.get(reverse("admin:index"))
    assert len(more) == len(captured) < 20


@pytest.mark.usefixtures("full")
def test_the_newest_rows_stand_beside_what_they_belong_to_and_cannot_be_changed_there(client):
    campaign, agent = d.DialerCampaign.objects.latest("pk"), d.Agent.objects.latest("pk")
    contact = d.Contact.objects.latest("pk")
    now = timezone.now()
    for n in range(15):
        d.CallLog.objects.create(
            freeswitch_uuid=f"of one {n}", to_number=f"+1646555{n:04d}", campaign=campaign, agent=agent,
            contact=contact, initiated_at=now, ended_at=now, status="busy",
        )  # fmt: skip
    newest = d.CallLog.objects.latest("pk")
    for model, row in ((d.DialerCampaign, campaign), (d.Agent, agent), (d.Contact, contact)):
        text = harmless(client.get(address(model, "change", row.pk)))
        assert text.count("+1646***") == 10 and f"/console/calls/{newest.call_id}/" in text
        assert 'name="calls-0-status"' not in text
    contacts = harmless(client.get(address(d.DialerTargetList, "change", contact.target_list_id)))
    assert f"/console/contacts/{contact.pk}/" in contacts


@pytest.mark.usefixtures("full")
def test_any_day_of_a_large_table_is_one_click_away(client):
    old = timezone.now() - dt.timedelta(days=400)
    d.CallLog.objects.create(
        freeswitch_uuid="old", to_number="+16465550000", initiated_at=old, ended_at=old, status="busy"
    )
    page = address(d.CallLog, "changelist")
    assert "Yesterday" in client.get(page).content.decode()
    listed = client.get(page, {"day": f"{old:%Y-%m-%d}"}).context["cl"].result_list
    assert [row.freeswitch_uuid for row in listed] == ["old"]
    assert len(client.get(page, {"day": f"{timezone.now():%Y-%m-%d}"}).context["cl"].result_list) == ROWS
    for nothing in ("soon", "2026-02-31", "9999-12-31", "0001-01-01"):
        assert client.get(page, {"day": nothing}).context["cl"].result_count == 0
