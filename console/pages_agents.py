"""An agent's day: a strip of their states, the figures, the calls."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_safe

from console import day_strip, figure_text, ladder, shown, words
from console.pages_calls import line
from console.permissions import Actor
from console.views import with_actor
from dialer import agent_day, day_figures
from dialer.models import Agent, AgentDay


@require_safe
@with_actor(shown.sees_own_day)
def day(request: HttpRequest, actor: Actor, agent_id: str) -> HttpResponse:
    """Supervisors see their agents' days, agents their own."""
    agent = Agent.objects.filter(shown.agents(actor), agent_id=agent_id).select_related("team").first()
    if agent is None:
        raise Http404
    now = timezone.now()
    # Agents are told of it as on their panel.
    monitored = shown.sees_pages(actor) or settings.MONITORING_VISIBLE_TO_AGENTS
    asked = day_of(request.GET.get("day", ""), now)
    found = agent_day.read(agent, asked, now)
    spans = [(span, _words(span), ladder.span(_ms(span, now))) for span in found.spans]
    drawn = [
        (span.kind, span.start, span.end or now, f"{span.start:%H:%M:%S} {_title(span)}, {length}")
        for span, _, length in spans
    ]
    word, icon, tone = words.AGENT_STATES[_kind_now(agent)]
    context = {
        "page": "agents",
        "actor": actor,
        "agent": agent,
        "now": now,
        "day": asked,
        "today": asked == now.date(),
        "before": asked - dt.timedelta(days=1),
        "after": asked + dt.timedelta(days=1) if asked < now.date() else None,
        "state": {"word": word, "icon": icon, "tone": tone, "reason": words.plain(agent.status_reason)},
        "strip": day_strip.strip(drawn),
        "spans": spans,
        "lines": [line(call, shown.number(actor, call.to_number), monitored=monitored) for call in found.calls],
        "more": found.more,
        "figures": _figures(agent, asked),
        "links": shown.sees_pages(actor),
        # Of the calls they talked on some may be another's by now.
        "open": {call.call_id for call in found.calls if shown.opens(actor, call)},
        "exports": shown.takes_out(actor),
    }
    return render(request, "console/pages/agent.html", context)


@dataclass(frozen=True, slots=True)
class Said:
    """A figure for people. of: what it is made of; title: its definition."""

    name: str
    text: str
    of: str
    title: str


def _figures(agent: Agent, asked: dt.date) -> list[Said]:
    """The day's counts, then its figures, as the board and the exports have them."""
    row = AgentDay.objects.filter(agent=agent, day=asked).first()
    if row is None:
        return []
    counts = day_figures.agent_counts(row)
    said = [
        Said(name.removesuffix("_seconds").replace("_", "-").capitalize(), _count(name, n), "", meaning)
        for (name, meaning), n in zip(day_figures.AGENT_COUNTS.items(), counts.values(), strict=True)
    ]
    for name, rate in day_figures.agent_figures(row).items():
        said.append(Said(day_figures.title(name), *figure_text.told(name, rate), day_figures.meaning(name)))
    return said


def _count(name: str, n: int) -> str:
    return figure_text.seconds(n) if name.endswith("_seconds") else f"{n:,}"


def day_of(written: str, now: dt.datetime) -> dt.date:
    """The day asked for, at most today; today where none is."""
    if not written:
        return now.date()
    try:
        found = parse_date(written)
    except ValueError:
        found = None
    if found is None or found.year < 2000:
        raise Http404
    return min(found, now.date())


def _kind_now(agent: Agent) -> str:
    wrap_up = agent.status == "busy" and agent.status_reason == agent_day.WRAP_UP
    return agent_day.WRAP_UP if wrap_up else agent.status


def _words(span: agent_day.Span) -> dict[str, str]:
    word, icon, tone = words.AGENT_STATES.get(span.kind, (words.plain(span.kind), "off", "quiet"))
    return {"word": word, "icon": icon, "tone": tone, "reason": words.plain(span.reason)}


def _title(span: agent_day.Span) -> str:
    said = _words(span)
    return f"{said['word']} ({said['reason']})" if said["reason"] else said["word"]


def _ms(span: agent_day.Span, now: dt.datetime) -> float:
    return ((span.end or now) - span.start).total_seconds() * 1000
