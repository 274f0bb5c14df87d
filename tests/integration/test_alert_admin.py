"""Thresholds and alerts in the admin: set up by people, history read-only, hostile words inert."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.models import Alert, AlertDelivery, AlertEvent, AlertThreshold, OccupancyMinute
from dialer.models import Team
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]

HOSTILE = "<script>alert(1)</script>'\"&\u202e"


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


@pytest.fixture
def alert() -> Alert:
    made = Alert.objects.create(
        name=HOSTILE, measure="agent_state", level="warning", subject_kind="agent", subject_id=HOSTILE[:90],
        text=HOSTILE, figure={HOSTILE: HOSTILE}, raised_at=timezone.now(), owner=HOSTILE,
    )  # fmt: skip
    AlertEvent.objects.create(alert=made, kind="raised", at=timezone.now(), by=HOSTILE, note=HOSTILE)
    AlertDelivery.objects.create(alert=made, content=HOSTILE, made_at=timezone.now(), due_at=timezone.now())
    OccupancyMinute.objects.create(minute=timezone.now())
    return made


def form(**values: Any) -> dict[str, Any]:
    return {"name": "Lunch", "measure": "agent_state", "state": "break", "reason": "lunch", "warning": "2700",
            "critical": "3600", "hold_seconds": "0", "clear_seconds": "0", "least": "0", "is_active": "on",
            **values}  # fmt: skip


@pytest.mark.parametrize(
    "model", [AlertThreshold, Alert, AlertEvent, AlertDelivery, OccupancyMinute], ids=lambda model: model.__name__
)
def test_every_page_renders_and_hostile_words_are_inert(client, alert, model):
    name = model._meta.model_name
    pages = [
        reverse(f"admin:console_{name}_changelist"),
        reverse(f"admin:console_{name}_change", args=[model.objects.first().pk]),
    ]
    for page in [*pages, pages[0] + "?q=agent_101"]:
        response = client.get(page)
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()


@pytest.mark.parametrize("model", [Alert, AlertEvent, AlertDelivery, OccupancyMinute], ids=lambda model: model.__name__)
def test_history_cannot_be_written_by_anybody(client, alert, model):
    name, row = model._meta.model_name, model.objects.first()
    assert client.get(reverse(f"admin:console_{name}_add")).status_code == 403
    assert client.post(reverse(f"admin:console_{name}_change", args=[row.pk]), {"name": "x"}).status_code == 403
    assert client.post(reverse(f"admin:console_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_an_administrator_sets_a_threshold_for_a_reason_of_a_team_in_a_campaign(client):
    campaign, team = make_campaign(make_agents(1)), Team.objects.create(code="red", name="Red")
    address = reverse("admin:console_alertthreshold_add")
    assert client.post(address, form(campaign=campaign.pk, team=team.pk)).status_code == 302
    rule = AlertThreshold.objects.get(name="Lunch").rule()
    assert (rule.reason, rule.team, rule.campaign_id) == ("lunch", "red", str(campaign.campaign_id))
    listed = client.get(reverse("admin:console_alertthreshold_changelist")).content.decode()
    assert "45 min" in listed and "1 h" in listed


def test_levels_in_the_wrong_order_are_refused_where_they_stand(client):
    response = client.post(reverse("admin:console_alertthreshold_add"), form(warning="3600", critical="60"))
    assert response.status_code == 200
    assert "In this order: clear ≤ warning ≤ critical." in response.content.decode()
