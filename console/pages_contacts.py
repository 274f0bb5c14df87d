"""One contact: what was tried, what came of it, what is agreed, and whether it may be called now."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from console import shown
from console.pages_calls import line
from console.permissions import Actor
from console.views import with_actor
from dialer import explain
from dialer.models import Callback, CallLog, ConsentRevocation, Contact, DispositionChange, DoNotCall

ATTEMPTS, CHANGES, APPOINTMENTS, FIELDS, LISTS = 50, 50, 20, 60, 20
# Of one custom field on the page.
LONGEST = 500


@require_safe
@with_actor(shown.sees_pages)
def contact(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    found = Contact.objects.filter(shown.contacts(actor), pk=pk).select_related("target_list").first()
    if found is None:
        raise Http404
    now = timezone.now()
    calls = CallLog.objects.filter(shown.calls(actor), contact=found).order_by("-initiated_at", "-id").defer("cdr_data")
    calls = calls.prefetch_related("agent__team", "campaign", "disposition", "side_legs")
    attempts = list(calls[: ATTEMPTS + 1])
    changes = DispositionChange.objects.filter(call__in=attempts).select_related("disposition", "call")
    related = ("agent", "campaign", "call__agent__team", "call__campaign")
    appointments = Callback.objects.filter(contact=found).select_related(*related)
    also = Contact.objects.filter(shown.contacts(actor), number=found.number).exclude(pk=found.pk)
    context = {
        "page": "calls",
        "actor": actor,
        "now": now,
        "contact": found,
        "number": shown.number(actor, found.number),
        "fields": custom_fields(found.custom_fields),
        "lines": [line(call, "") for call in attempts],
        "attempts": ATTEMPTS,
        "changes": changes.defer("call__cdr_data").order_by("-id")[:CHANGES],
        "appointments": appointments.defer("call__cdr_data").order_by("-id")[:APPOINTMENTS],
        "listed": [
            explain.Listing(what, entry)
            for model, what in ((DoNotCall, "do not call"), (ConsentRevocation, "consent revoked"))
            for entry in model.objects.select_related("campaign", "created_by").filter(number=found.number)
        ],
        "campaigns": explain.campaigns_of(found, now),
        "also": also.select_related("target_list").order_by("-id")[:LISTS],
    }
    return render(request, "console/pages/contact.html", context)


def custom_fields(stored: Any) -> list[tuple[str, str]]:
    """(name, value), bounded: whatever an import has brought."""
    if not isinstance(stored, dict):
        return []
    return [(str(name)[:LONGEST], str(value)[:LONGEST]) for name, value in sorted(stored.items())[:FIELDS]]
