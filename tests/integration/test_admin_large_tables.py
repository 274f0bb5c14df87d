"""No admin page reads a large table to show a hundred rows: its queries are explained, their rows counted."""

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from dialer import models as d
from events import models as e
from events.admin.large_tables import LargeTableAdmin
from tests.fakes.explained import LARGE, explained

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

ROWS = 20_000
WINDOW = 1_000
COUNTED = 500
# What one query may read of a large table: the window, with some air for rows that are visited twice.
READ_AT_MOST = 2 * WINDOW


def mostly(common: str, rare: str, every: int = 100) -> str:
    """An expression of n: one row in `every` has the rare value."""
    return f"CASE WHEN n % {every} = 0 THEN '{rare}' ELSE '{common}' END"


NUMBER = "'+1212' || (5000000 + n)"
# What each large table is filled with where its columns' empty values will not do: expressions of n, 1 to ROWS.
FILL: dict[type[models.Model], dict[str, str]] = {
    d.AgentLeg: {"agent_id": "{agent}", "ended_at": "now()"},
    d.AgentState: {"agent_id": "{agent}", "state": "'break'"},
    d.AppliedCommand: {"status": mostly("applied", "failed", ROWS)},
    d.CallLog: {
        "agent_id": "{agent}",
        "campaign_id": "{campaign}",
        "ended_at": "now()",
        "freeswitch_uuid": "n::text",
        "status": mostly("completed", "failed"),
        "to_number": NUMBER,
    },
    d.Contact: {"target_list_id": "{list}", "number": NUMBER, "status": mostly("completed", "ready")},
    d.Order: {"agent_id": "{agent}", "leg_uuid": "gen_random_uuid()", "status": mostly("done", "failed")},
    d.PacingDecision: {"campaign_id": "{campaign}"},
    e.CallStateEvent: {"channel_uuid": "n::text", "current_state": mostly("ended", "held", ROWS)},
    e.EventBatch: {"status": mostly("completed", "failed")},
    e.EventProcessingStatus: {
        "event_id": "(SELECT min(id) FROM events_freeswitchevent) + n - 1",
        "status": mostly("processed", "failed"),
        "processed_at": "now()",
    },
    e.FreeSwitchEvent: {
        "channel_uuid": "n::text",
        "core_uuid": "'core'",
        "destination_number": "n::text",
        "event_sequence": "n",
        "event_type": mostly("CHANNEL_CREATE", "CHANNEL_ANSWER"),
    },
}
EMPTY = {
    "BooleanField": "false",
    "CharField": "''",
    "DateTimeField": "now()",
    "JSONField": "'{{}}'",
    "TextField": "''",
    "UUIDField": "gen_random_uuid()",
}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def insert(model: type[models.Model]) -> str:
    columns = {
        field.column: "NULL" if field.null else EMPTY.get(field.get_internal_type(), "0")
        for field in model._meta.concrete_fields
        if not field.primary_key
    }
    columns |= FILL[model]
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"INSERT INTO {model._meta.db_table} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) AS n"


def fill(model: type[models.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """The table with ROWS rows, and what they refer to; the admin's limits made smaller in proportion."""
    busy = d.Agent.objects.create(agent_id="busy", extension="1001")
    d.Agent.objects.create(agent_id="idle", extension="1002")
    targets = d.DialerTargetList.objects.create(name="list")
    campaign = d.DialerCampaign.objects.create(name="campaign")
    tables = [e.FreeSwitchEvent, model] if model is e.EventProcessingStatus else [model]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(insert(table).format(agent=busy.pk, campaign=campaign.pk, list=targets.pk))
            cursor.execute(f"VACUUM ANALYZE {table._meta.db_table}")
    registered = admin.site._registry[model]
    assert isinstance(registered, LargeTableAdmin)
    monkeypatch.setattr(registered, "window", WINDOW)
    monkeypatch.setattr(registered, "counted", COUNTED)


def questions(model: type[models.Model]) -> list[dict[str, Any]]:
    """What a person may ask of the change list: each filter and value, sorting, paging, searching."""
    asked: list[dict[str, Any]] = [
        {},
        {"p": 3},
        {"o": "2.-1"},
        {"q": "+12125000005"},
        {"q": str(uuid.uuid4())},
        {"q": "5"},
    ]
    for name in admin.site._registry[model].list_filter:
        if not isinstance(name, str):
            offered = name.lookups(None, None, None)
            asked += [{name.parameter_name: value} for value, _ in (*offered[:3], offered[-1])]
            asked += [{"day": "2020-01-31"}, {"day": "soon"}] if name.parameter_name == "day" else []
            continue
        field = model._meta.get_field(name)
        if field.is_relation:
            asked += [{f"{name}__id__exact": pk} for pk in field.related_model.objects.values_list("pk", flat=True)]
        elif field.choices:
            asked += [{f"{name}__exact": value} for value, _ in field.choices]
        else:
            asked += [{f"{name}__exact": value} for value in (0, 1)]
    return asked


@pytest.mark.parametrize("model", LARGE, ids=lambda model: model.__name__)
def test_no_question_to_a_change_list_reads_the_whole_table(client, model, monkeypatch):
    fill(model, monkeypatch)
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for asked in questions(model):
        for read, query in explained(client, address, asked):
            assert read <= READ_AT_MOST, f"{asked}: {read} rows read by {query}"


def test_the_guard_is_what_keeps_the_reading_small(client, monkeypatch):
    """The same page without the window: a value that no row has is looked for in all of them."""
    fill(d.AppliedCommand, monkeypatch)
    address = reverse("admin:dialer_appliedcommand_changelist")
    monkeypatch.setattr(admin.site._registry[d.AppliedCommand], "window", 10 * ROWS)
    assert max(read for read, _ in explained(client, address, {"status__exact": "rejected"})) >= ROWS


def test_an_indexed_filter_reaches_behind_the_window(client, monkeypatch):
    fill(d.AgentState, monkeypatch)
    idle = d.Agent.objects.get(agent_id="idle")
    oldest = d.AgentState.objects.order_by("pk")[0]
    d.AgentState.objects.filter(pk=oldest.pk).update(agent=idle)
    address = reverse("admin:dialer_agentstate_changelist")
    assert client.get(address, {"agent__id__exact": idle.pk}).context["cl"].result_count == 1
    assert client.get(address, {"state__exact": "break"}).context["cl"].result_count == COUNTED


def test_a_search_reaches_behind_the_window(client, monkeypatch):
    fill(d.CallLog, monkeypatch)
    oldest = d.CallLog.objects.order_by("pk")[0]
    address = reverse("admin:dialer_calllog_changelist")
    for term in (oldest.to_number, str(oldest.call_id), oldest.freeswitch_uuid, f" {oldest.to_number} "):
        assert [row.pk for row in client.get(address, {"q": term}).context["cl"].result_list] == [oldest.pk]


def test_the_page_says_what_it_looks_at(client, monkeypatch):
    fill(d.CallLog, monkeypatch)
    text = client.get(reverse("admin:dialer_calllog_changelist")).content.decode()
    assert "About 20,000 rows. Newest first, from the newest 1,000" in text


def test_a_page_that_still_costs_too_much_ends_with_a_hint(client, monkeypatch):
    """The database's time limit answers what nobody foresaw; here the table is locked, so that the page must wait."""
    monkeypatch.setattr(admin.site._registry[d.CallLog], "statement_seconds", 0.1)
    address = reverse("admin:dialer_calllog_changelist")
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE dialer_calllog IN ACCESS EXCLUSIVE MODE")
        response = client.get(address, {"cdr_data__regex": "(a+)+b"})
    finally:
        other.rollback()
        other.close()
    assert (response.status_code, response.headers["Location"]) == (302, address)
    assert "narrow it down" in client.get(address).content.decode()
