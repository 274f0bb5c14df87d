"""The customer of the agent's own call, with all that the call needs; and the times at which they may be called back.

Only for the agent whose call it is: now, or in the wrap-up after it. Nothing of it may be kept by a browser.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from console import script, shown, words
from console.kpis import WRAP_UP
from console.permissions import Actor
from console.views import with_actor
from dialer import appointments, selectors
from dialer.models import Agent, AgentStatus, Callback, CallLog
from dialer.services.acting import moment

EARLIER_CALLS = 6


def _asked_for(actor: Actor, call_id: UUID) -> tuple[Agent, CallLog]:
    agent = Agent.objects.filter(agent_id=actor.agent_id).first()
    rows = CallLog.objects.select_related("contact", "campaign", "campaign__profile").defer("cdr_data")
    call = rows.filter(call_id=call_id).first()
    if agent is None or call is None:
        raise Http404
    return agent, call


def _own(actor: Actor, call_id: UUID) -> tuple[Agent, CallLog]:
    """Raises Http404 for any other call: whether it exists is not told."""
    agent, call = _asked_for(actor, call_id)
    has = call.agent_id == agent.pk and call.ended_at is None
    wraps_up = (agent.status, agent.status_reason) == (AgentStatus.BUSY, WRAP_UP) and agent.last_call_id == call.pk
    # Transferred away it is no longer theirs; until their state has been settled they are still on it.
    talks = agent.status == AgentStatus.ON_CALL and agent.last_call_id == call.pk
    if not (has or wraps_up or talks):
        raise Http404
    return agent, call


def _kept_nowhere(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    return answer


@require_GET
@with_actor(lambda actor: bool(actor.agent_id))
def record(request: HttpRequest, actor: Actor, call_id: UUID) -> HttpResponse:
    agent, call = _own(actor, call_id)
    contact = call.contact
    number = shown.number(actor, call.to_number, own=True)
    custom = contact.custom_fields if contact is not None and isinstance(contact.custom_fields, dict) else {}
    known = script.known(
        custom,
        name=contact.name if contact else "",
        number=number,
        agent=agent.name or agent.agent_id,
        campaign=call.campaign.name if call.campaign else "",
    )
    earlier = selectors.last_calls(contact, EARLIER_CALLS + 1) if contact is not None else []
    open_callback = None
    if contact is not None:
        rows = Callback.objects.select_related("agent").filter(contact=contact, status=Callback.Status.OPEN)
        open_callback = rows.first()
    context = {
        "call": call,
        "contact": contact,
        "number": number,
        "campaign": call.campaign,
        "custom": [(name, value) for name, value in custom.items() if value not in (None, "")],
        "script": script.fill(call.campaign.script, known) if call.campaign else [],
        "calls": [
            (words.plain(one.disposition.label if one.disposition else one.outcome or one.status), one)
            for one in earlier
            if one.pk != call.pk
        ][:EARLIER_CALLS],
        "callback": open_callback,
    }
    return _kept_nowhere(render(request, "console/mycall.html", context))


@require_GET
@with_actor(lambda actor: bool(actor.agent_id))
def callback_times(request: HttpRequest, actor: Actor, call_id: UUID) -> HttpResponse:
    """{zone, choices: [{key, label, at, reason, opens_at}], asked: the same of `?at=` (ms) or null}; times in ms. Empty
    reasons are possible times. Also for who corrects the disposition of the call they talked on last."""
    agent, call = _asked_for(actor, call_id)
    if agent.pk != call.agent_id and agent.last_call_id != call.pk:
        raise Http404
    if call.contact is None or call.campaign is None:
        return _kept_nowhere(JsonResponse({"zone": "", "choices": [], "asked": None}))
    # A correction takes the disposition's own entry back before it makes the appointment.
    given = call.disposition_changes.first()
    ignoring = ("do_not_call",) if given is not None and given.do_not_call_id is not None else ()
    times = appointments.Times(call.contact, call.campaign, timezone.now(), ignoring=ignoring)
    raw = request.GET.get("at", "")
    asked = moment(int(raw)) if raw.isascii() and raw.isdigit() and len(raw) < 16 else None
    answer = {
        "zone": times.zone.key if times.zone is not None else "",
        "choices": [{"key": c.key, "label": c.label, **_possible(c.time)} for c in times.choices()],
        "asked": _possible(times.at(asked)) if asked is not None else None,
    }
    return _kept_nowhere(JsonResponse(answer))


def _possible(time: appointments.Possible) -> dict[str, Any]:
    return {"at": selectors.ms(time.at), "reason": time.reason, "opens_at": selectors.ms(time.opens_at)}
