"""The disposition form of one call, as the panel and the board's menu fetch it. It is sent over their websocket."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from console import targets
from console.permissions import Actor, Permission
from console.views import with_permission
from dialer import dispositions, selectors
from dialer.models import Callback, CallLog
from events.privacy import mask


@require_GET
@with_permission(Permission.DISPOSE)
def form(request: HttpRequest, actor: Actor, call_id: UUID) -> HttpResponse:
    """204 when there is nothing to dispose of (any more), 404 when the call is not this person's."""
    calls = CallLog.objects.select_related("agent", "contact", "campaign", "disposition").defer("cdr_data")
    call = calls.filter(call_id=call_id).first()
    if call is None or not actor.reaches(Permission.DISPOSE, targets.call_talked_on(actor, str(call_id))):
        raise Http404
    now = timezone.now()
    if dispositions.refusal(answered=call.answered_at is not None, disposed_at=call.disposed_at, now=now):
        return HttpResponse(status=204)
    if call.disposed_at is None and call.ended_at is not None and now - call.ended_at > dispositions.CORRECTABLE:
        return HttpResponse(status=204)
    choices = selectors.dispositions(call.campaign_id)
    if not choices:
        return HttpResponse(status=204)
    change = call.disposition_changes.select_related("callback").first()
    callback = change.callback if change is not None else None
    appointed = callback if callback is not None and callback.status == Callback.Status.OPEN else None
    context = {
        "call": call,
        "who": (call.contact.name if call.contact else "") or mask(call.to_number),
        "zone": call.contact.time_zone if call.contact else "",
        "choices": choices,
        "given": call.disposition.code if call.disposition else "",
        # What a correction leaves as it is, unless it is changed: a form that began elsewhere would move it.
        "appointed_at": selectors.ms(appointed.at) if appointed else "",
        "anyones": appointed is not None and appointed.agent_id is None,
        "makes_appointments": any(choice.is_callback for choice in choices),
    }
    return render(request, "console/disposition.html", context)
