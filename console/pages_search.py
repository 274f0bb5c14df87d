"""One box that finds: a number, an agent, a call, a campaign.

What the box sends travels in the body, because it may be a number and addresses are written to logs and histories; an
address with ?q= is answered as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from console import shown
from console.permissions import Actor
from console.views import with_actor
from dialer import numbers
from dialer.models import Agent, AgentLeg, CallLog, Contact, DialerCampaign

# Of each kind: who finds more asks for more letters.
MOST = 20
LONGEST = 100


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str
    text: str
    more: str
    address: str


@require_http_methods(["GET", "HEAD", "POST"])
@with_actor(shown.sees_pages)
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    asked = given.get("q", "").replace("\0", "").strip()[:LONGEST]
    hits = look(actor, asked) if asked else []
    if len(hits) == 1:
        return redirect(hits[0].address)
    context = {"page": "calls", "actor": actor, "q": asked, "hits": hits, "most": MOST}
    return render(request, "console/pages/search.html", context)


def look(actor: Actor, asked: str) -> list[Hit]:
    return [*_calls(actor, asked), *_number(actor, asked), *_agents(actor, asked), *_campaigns(actor, asked)]


def _calls(actor: Actor, asked: str) -> list[Hit]:
    """A call or a leg by its whole uuid."""
    try:
        key = UUID(asked)
    except ValueError:
        return []
    # Each by its own index; joined by OR, the database would read all calls.
    legs = AgentLeg.objects.filter(leg_uuid=key).values_list("pk", flat=True)
    which = Q(call_id=key) | Q(freeswitch_uuid=str(key)) | Q(agent_leg__in=list(legs))
    calls = CallLog.objects.filter(shown.calls(actor)).filter(which).order_by("-id")
    return [
        Hit("Call", f"{call.initiated_at:%Y-%m-%d %H:%M:%S} UTC", str(call.call_id), _call(call))
        for call in calls.only("call_id", "initiated_at")[:MOST]
    ]


def _number(actor: Actor, asked: str) -> list[Hit]:
    """A number in any way of writing: the contacts that have it, and the calls to it."""
    try:
        e164 = numbers.normalise(asked, settings.DEFAULT_REGION)
    except numbers.NumberError:
        return []
    number = shown.number(actor, e164)
    contacts = Contact.objects.filter(shown.contacts(actor)).filter(number=e164).select_related("target_list")
    hits = [
        Hit("Contact", contact.name or number, f"{number}, in {contact.target_list.name}", _contact(contact))
        for contact in contacts.order_by("-id")[:MOST]
    ]
    calls = CallLog.objects.filter(shown.calls(actor)).filter(to_number=e164).order_by("-initiated_at")
    newest = calls.values_list("call_id", flat=True).first()
    if newest is not None:
        address = f"{reverse('console:calls')}?{urlencode({'as': str(newest)})}"
        hits.append(Hit("Calls", f"All calls to {number}", "newest first", address))
    return hits


def _agents(actor: Actor, asked: str) -> list[Hit]:
    which = Q(agent_id__icontains=asked) | Q(name__icontains=asked) | Q(extension=asked)
    agents = Agent.objects.filter(shown.agents(actor)).filter(which).order_by("agent_id")
    return [
        Hit("Agent", agent.name or agent.agent_id, f"{agent.agent_id}, extension {agent.extension}", _agent(agent))
        for agent in agents[:MOST]
    ]


def _campaigns(actor: Actor, asked: str) -> list[Hit]:
    which = Q(name__icontains=asked)
    try:
        which |= Q(campaign_id=UUID(asked))
    except ValueError:
        pass
    campaigns = DialerCampaign.objects.filter(shown.campaigns(actor)).filter(which).order_by("name")
    return [
        Hit("Campaign", campaign.name, f"{campaign.get_status_display()}, {campaign.mode}", _campaign(campaign))
        for campaign in campaigns[:MOST]
    ]


def _call(call: CallLog) -> str:
    return reverse("console:call", args=[call.call_id])


def _contact(contact: Contact) -> str:
    return reverse("console:contact", args=[contact.pk])


def _agent(agent: Agent) -> str:
    return reverse("console:agent_day", args=[agent.agent_id])


def _campaign(campaign: DialerCampaign) -> str:
    return f"{reverse('console:decisions')}?{urlencode({'campaign': str(campaign.campaign_id)})}"
