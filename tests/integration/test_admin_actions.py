"""What people do in the admin: commands to the sequential worker, edits and edits beside it."""

import base64
import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dialer import tasks
from dialer.models import Agent, AppliedCommand, Contact, DialerCampaign, DialerTargetList, Holiday
from events import streams
from events.models import EventProcessingStatus, FreeSwitchEvent
from tests.fakes.floor import make_agents, make_campaign, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def staff(*permissions: str) -> Client:
    user = get_user_model().objects.create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def queued() -> list[tuple[str, dict[str, Any]]]:
    """(task, command) of what waits for the sequential worker, taken off its queue."""
    found = []
    while raw := streams.shared().rpop("dialer_queue"):
        message = json.loads(raw)
        arguments = json.loads(base64.b64decode(message["body"]))[1]
        # The worker's own ticks wait there as well.
        if "command" in arguments:
            found.append((message["headers"]["task"], arguments["command"]))
    return found


def announced() -> list[tuple[str, str]]:
    entries = streams.shared().xrange(streams.CHANGES)
    changes = [json.loads(entry[streams.CHANGES_FIELD.encode()]) for _, entry in entries]
    return [(change["kind"], change["id"]) for change in changes]


def act(client: Client, model: str, action: str, *rows: Any) -> Any:
    return client.post(
        reverse(f"admin:{model}_changelist"),
        {"action": action, "_selected_action": [row.pk for row in rows]},
        follow=True,
    )


# --- commands ---------------------------------------------------------------------------------------------------------


def test_pausing_a_campaign_is_a_command_to_the_worker(client):
    campaign = make_campaign([])
    response = act(client, "dialer_dialercampaign", "pause", campaign)
    assert "1 sent to the dialer" in response.content.decode()
    campaign.refresh_from_db()
    assert campaign.status == "active"
    [(task, command)] = queued()
    assert task == "dialer.tasks.handle_command"
    assert (command["kind"], command["action"], command["actor"]) == ("campaign_control", "pause", "admin")
    assert tasks.handle_command(command)["status"] == "applied"
    campaign.refresh_from_db()
    assert campaign.status == "paused"
    act(client, "dialer_dialercampaign", "activate", campaign)
    tasks.handle_command(queued()[0][1])
    campaign.refresh_from_db()
    assert campaign.status == "active"


@pytest.mark.parametrize(("action", "state"), [("set_break", "break"), ("set_offline", "offline")])
def test_setting_agents_is_a_command_each_to_the_worker(client, action, state):
    agents = make_agents(2)
    for agent in agents:
        tasks.handle_agent_state({"agent_id": agent.agent_id, "state": "available", "actor": "x"})
    streams.shared().delete("dialer_queue")
    act(client, "dialer_agent", action, *agents)
    assert set(Agent.objects.values_list("status", flat=True)) == {"available"}
    commands = queued()
    assert {task for task, _ in commands} == {"dialer.tasks.handle_agent_state"}
    assert len({command["command_id"] for _, command in commands}) == 2
    for _, command in commands:
        assert tasks.handle_agent_state(command)["status"] == "applied"
    assert set(Agent.objects.values_list("status", flat=True)) == {state}
    assert AppliedCommand.objects.filter(actor="admin").count() == 2


def test_who_may_only_look_cannot_command():
    campaign = make_campaign([])
    client = staff("view_dialercampaign")
    act(client, "dialer_dialercampaign", "pause", campaign)
    assert queued() == []


def test_a_queue_that_takes_nothing_is_told(client):
    """Redis is full, and evicts nothing: what a real one says then."""
    campaign = make_campaign([])
    redis = streams.shared()
    redis.config_set("maxmemory", 1)
    try:
        response = act(client, "dialer_dialercampaign", "pause", campaign)
    finally:
        redis.config_set("maxmemory", 0)
    assert "The queue cannot be reached; 0 commands were sent, the others were not." in response.content.decode()
    assert queued() == []


# --- edits beside the worker ------------------------------------------------------------------------------------------


def rows_of(prefix: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of an inline table as a browser would send them; those with an id exist already and come first."""
    counts = {"TOTAL_FORMS": len(rows), "INITIAL_FORMS": sum("id" in row for row in rows)}
    sent = {f"{prefix}-{name}": value for name, value in counts.items()}
    return sent | {f"{prefix}-{n}-{name}": value for n, row in enumerate(rows) for name, value in row.items()}


def form_of(client: Client, address: str) -> dict[str, Any]:
    """The page's form as a browser would send it back, with the rows that belong to it."""
    context = client.get(address).context
    form = context["adminform"].form
    values: dict[str, Any] = {}
    for inline in context["inline_admin_formsets"]:
        values |= rows_of(inline.formset.prefix, [row.initial for row in inline.formset.initial_forms])
    for name in form.fields:
        value = form[name].value()
        if hasattr(form.fields[name].widget, "widgets") or value.__class__.__name__ == "datetime":
            values[f"{name}_0"], values[f"{name}_1"] = ("", "") if value is None else (value.date(), value.time())
        elif isinstance(value, list):
            values[name] = [getattr(item, "pk", item) for item in value]
        elif isinstance(value, bool):
            values |= {name: "on"} if value else {}
        else:
            values[name] = "" if value is None else value
    return values


def test_saving_an_agent_never_puts_back_the_state_it_had_when_the_page_was_opened(client):
    [agent] = make_agents(1)
    address = reverse("admin:dialer_agent_change", args=[agent.pk])
    form = form_of(client, address)
    assert not {"status", "status_reason", "pending_status", "softphone", "version", "agent_id"} & set(form)
    set_state(Agent.objects.get(pk=agent.pk), "break", "lunch")
    streams.shared().delete(streams.CHANGES)
    response = client.post(address, {**form, "name": "New Name", "status": "on_call", "version": 99})
    assert response.status_code == 302
    version = agent.version
    agent.refresh_from_db()
    assert (agent.name, agent.status, agent.status_reason) == ("New Name", "break", "lunch")
    assert agent.version == version + 2
    assert announced() == [("agent", agent.agent_id)]


def test_saving_a_campaign_leaves_its_status_and_announces_it_and_its_agents(client):
    agents = make_agents(3)
    campaign = make_campaign(agents[:2])
    address = reverse("admin:dialer_dialercampaign_change", args=[campaign.pk])
    form = form_of(client, address)
    assert not {"status", "version", "campaign_id"} & set(form)
    DialerCampaign.objects.filter(pk=campaign.pk).update(status="paused")
    left, kept = campaign.assignments.order_by("agent")
    form |= {"max_lines": 7, "status": "active"}
    form |= rows_of(
        "assignments",
        [
            {"id": left.pk, "agent": agents[0].pk, "weight": 10, "DELETE": "on"},
            {"id": kept.pk, "agent": agents[1].pk, "weight": 30},
            {"agent": agents[2].pk, "weight": 10},
        ],
    )
    response = client.post(address, form)
    assert response.status_code == 302, response.context["errors"]
    campaign.refresh_from_db()
    assert (campaign.status, campaign.max_lines) == ("paused", 7)
    assert set(campaign.assignments.values_list("agent", "weight")) == {(agents[1].pk, 30), (agents[2].pk, 10)}
    assert set(announced()) == {
        ("campaign", str(campaign.campaign_id)),
        ("agent", agents[0].agent_id),
        ("agent", agents[2].agent_id),
    }


def test_an_agent_leads_to_their_states_and_calls(client):
    [agent] = make_agents(1)
    text = client.get(reverse("admin:dialer_agent_change", args=[agent.pk])).content.decode()
    for model in ("agentstate", "calllog"):
        address = f"{reverse(f'admin:dialer_{model}_changelist')}?agent__id__exact={agent.pk}"
        assert f'<a href="{address}">' in text
        assert client.get(address).status_code == 200


def test_a_campaign_shows_its_agents_and_leads_to_its_calls_and_decisions(client):
    campaign = make_campaign(make_agents(2))
    text = client.get(reverse("admin:dialer_dialercampaign_change", args=[campaign.pk])).content.decode()
    assert "agent_101" in text
    for model in ("calllog", "pacingdecision"):
        address = f"{reverse(f'admin:dialer_{model}_changelist')}?campaign__id__exact={campaign.pk}"
        assert f'<a href="{address}">' in text
        assert client.get(address).status_code == 200


def test_another_mode_in_the_form_is_a_command_and_the_other_fields_are_saved(client):
    campaign = make_campaign([])
    address = reverse("admin:dialer_dialercampaign_change", args=[campaign.pk])
    response = client.post(address, form_of(client, address) | {"mode": "manual", "preview_seconds": 90})
    assert response.status_code == 302, response.context["errors"]
    campaign.refresh_from_db()
    assert (campaign.mode, campaign.preview_seconds) == ("progressive", 90)
    [(_, command)] = queued()
    assert (command["action"], command["mode"], command["actor"]) == ("set_mode", "manual", "admin")
    tasks.handle_command(command)
    campaign.refresh_from_db()
    assert campaign.mode == "manual"


def test_a_campaign_that_ends_before_it_starts_is_refused_in_the_form(client):
    campaign = make_campaign([])
    address = reverse("admin:dialer_dialercampaign_change", args=[campaign.pk])
    form = form_of(client, address) | {
        "scheduled_start_0": "2026-05-02",
        "scheduled_start_1": "09:00",
        "scheduled_end_0": "2026-05-01",
        "scheduled_end_1": "09:00",
    }
    response = client.post(address, form)
    assert response.status_code == 200
    assert response.context["errors"]


def test_contacts_added_and_deleted_by_hand_are_counted(client):
    campaign = make_campaign([], contacts=3)
    targets = campaign.target_list
    add = {"target_list": targets.pk, "number": "+12125559999", "name": "Ann", "priority": 0, "custom_fields": "{}"}
    response = client.post(reverse("admin:dialer_contact_add"), add)
    assert response.status_code == 302, response.context["errors"]
    done, dialing, *_ = Contact.objects.order_by("pk")
    Contact.objects.filter(pk=done.pk).update(status="completed")
    Contact.objects.filter(pk=dialing.pk).update(status="dialing")
    DialerTargetList.objects.update(processed_contacts=1)
    client.post(
        reverse("admin:dialer_contact_changelist"),
        {"action": "delete_selected", "_selected_action": [done.pk, dialing.pk], "post": "yes"},
    )
    targets.refresh_from_db()
    # The one that is being dialled stays.
    assert set(Contact.objects.values_list("status", flat=True)) == {"ready", "dialing"}
    assert (targets.total_contacts, targets.processed_contacts) == (3, 0)


def test_a_contacts_number_is_fixed_and_bad_numbers_are_refused(client):
    campaign = make_campaign([], contacts=1)
    contact = Contact.objects.get()
    address = reverse("admin:dialer_contact_change", args=[contact.pk])
    assert not {"number", "status", "attempts"} & set(form_of(client, address))
    add = {"target_list": campaign.target_list.pk, "number": "12;drop", "priority": 0, "custom_fields": "{}"}
    assert client.post(reverse("admin:dialer_contact_add"), add).status_code == 200
    assert Contact.objects.count() == 1


def test_a_contact_s_time_zone_is_that_of_a_place(client):
    make_campaign([], contacts=1)
    contact = Contact.objects.get()
    address = reverse("admin:dialer_contact_change", args=[contact.pk])
    refused = client.post(address, form_of(client, address) | {"time_zone": "EST"})
    assert "There is no such time zone; write it like America/New_York." in refused.content.decode()
    contact.refresh_from_db()
    assert contact.time_zone == ""
    assert client.post(address, form_of(client, address) | {"time_zone": "us/eastern"}).status_code == 302
    contact.refresh_from_db()
    assert contact.time_zone == "US/Eastern"


def test_a_holiday_is_kept_where_a_place_is(client):
    address = reverse("admin:dialer_holiday_add")
    day = {"day": "2026-07-03", "name": "Feast", "region": "us"}
    assert client.post(address, day | {"time_zone": "EST"}).status_code == 200
    assert not Holiday.objects.exists(), "no number is in that zone: the day would be kept nowhere"
    assert client.post(address, day | {"time_zone": "america/new york"}).status_code == 302
    assert Holiday.objects.get().time_zone == "America/New_York"


def test_failed_events_can_be_retried():
    now = timezone.now()
    statuses = []
    for n, status in enumerate(("failed", "failed", "processed")):
        event = FreeSwitchEvent.objects.create(
            event_type="X", timestamp=now, event_data={}, core_uuid="core", event_sequence=n
        )
        statuses.append(EventProcessingStatus.objects.create(event=event, status=status, processed_at=now))
    act(staff("view_eventprocessingstatus"), "events_eventprocessingstatus", "retry", *statuses)
    assert not EventProcessingStatus.objects.exclude(next_retry_at=None).exists()
    get_user_model().objects.all().delete()
    client = staff("view_eventprocessingstatus", "change_eventprocessingstatus")
    response = act(client, "events_eventprocessingstatus", "retry", *statuses)
    assert "2 failed events will be tried again" in response.content.decode()
    due = EventProcessingStatus.objects.filter(next_retry_at__lte=timezone.now())
    assert [row.status for row in due] == ["failed", "failed"]
