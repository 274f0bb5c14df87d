"""Calls, agents' days and campaigns' days as CSV and JSON: the same rows and figures as the pages, streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from console import shown
from console.asked import uuid_of
from console.pages_agents import day_of
from console.pages_calls import read
from console.permissions import Actor
from console.views import with_actor
from dialer import call_search, exports
from dialer.models import Agent, AgentDay, CampaignDay, DialerCampaign, ExportRun

Chosen = tuple[QuerySet[Any], dict[str, str]]
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@require_safe
@with_actor(shown.takes_out)
def export(request: HttpRequest, actor: Actor, what: str, form: str) -> HttpResponse:
    """`what` for the filters of the address: those of the calls' page, or of days: since, until, agent, campaign."""
    if what not in ROWS or form not in TYPES:
        raise Http404
    rows, filters = ROWS[what](request, actor)
    run = exports.begin(
        what,
        actor=actor.username,
        filters=filters,
        full_numbers=shown.takes_numbers_out(request.user, actor),
        user_id=actor.user_id,
    )
    parts = exports.pieces(run, rows, form="csv" if form == "csv" else "json", explained=True)
    name = f"{what}-{timezone.now():%Y%m%d-%H%M}.{form}"
    response = StreamingHttpResponse(exports.sent(parts), content_type=TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _calls(request: HttpRequest, actor: Actor) -> Chosen:
    form = read(actor, request.GET.dict())
    return call_search.found(form.asked).filter(shown.calls_taken_out(actor)), form.shown


def _agents(request: HttpRequest, actor: Actor) -> Chosen:
    filters = _days(request)
    agents = Agent.objects.filter(shown.agents_taken_out(actor))
    if asked := request.GET.get("agent"):
        filters["agent"] = asked[:100]
        agents = agents.filter(agent_id=asked)
    return _within(AgentDay.objects.filter(agent__in=agents), filters), filters


def _campaigns(request: HttpRequest, actor: Actor) -> Chosen:
    filters = _days(request)
    campaigns = DialerCampaign.objects.filter(shown.campaigns_taken_out(actor))
    if asked := request.GET.get("campaign"):
        filters["campaign"] = asked[:100]
        campaigns = campaigns.filter(campaign_id=uuid_of(asked))
    return _within(CampaignDay.objects.filter(campaign__in=campaigns), filters), filters


def _within(days: QuerySet[Any], filters: dict[str, str]) -> QuerySet[Any]:
    return days.filter(day__gte=filters["since"], day__lte=filters["until"])


def _days(request: HttpRequest) -> dict[str, str]:
    """The first and the last day asked for, today where nothing is."""
    now = timezone.now()
    return {name: day_of(request.GET.get(name, ""), now).isoformat() for name in ("since", "until")}


ROWS: dict[str, Callable[[HttpRequest, Actor], Chosen]] = {
    ExportRun.What.CALLS: _calls,
    ExportRun.What.AGENTS: _agents,
    ExportRun.What.CAMPAIGNS: _campaigns,
}
