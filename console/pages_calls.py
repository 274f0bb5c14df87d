"""One call with all that is known of it, and the calls that people look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from console import call_story, cause_words, shown, side_words, words
from console.asked import moment_of, uuid_of
from console.pages_recordings import recording_of
from console.permissions import Actor
from console.views import with_actor
from dialer import call_search, dispositions, numbers
from dialer.models import Agent, CallLog, DialerCampaign, Disposition
from dialer.retry import OUTCOMES

PAGE = 50


@dataclass(frozen=True, slots=True)
class CallLine:
    """A call as one row of a list. beside: which supervisors listened or took over, '' for none."""

    call: CallLog
    number: str
    word: str
    icon: str
    tone: str
    cause: str
    talk: str
    beside: str


def line(call: CallLog, number: str, *, monitored: bool = True) -> CallLine:
    """monitored: whether the reader may know who listened."""
    word, icon, tone = ending(call)
    talk = call.talk_time_seconds
    return CallLine(
        call,
        number,
        word,
        icon,
        tone,
        cause_words.cause(call.disconnect_reason),
        "–" if talk is None else f"{talk // 60}:{talk % 60:02}",
        side_words.heard(call.side_legs.all()) if monitored else "",
    )


def ending(call: CallLog) -> tuple[str, str, str]:
    """(word, icon, tone): how a call ended, or how far it has come."""
    if call.ended_at is None:
        state = "bridged" if call.bridged_at else "answered" if call.answered_at else "initiated"
        return words.CALL_STATES[state]
    word = cause_words.outcome(call.outcome or call.status)
    if call.outcome == "conversation":
        return word, "done", "available"
    return (word, "alert", "trouble") if call.abandoned else (word, "off", "quiet")


@require_safe
@with_actor(shown.sees_pages)
def call(request: HttpRequest, actor: Actor, call_id: UUID) -> HttpResponse:
    found = call_story.find(call_id, shown.calls(actor))
    if found is None:
        raise Http404
    now = timezone.now()
    story = call_story.tell(found, now)
    attempts = call_story.attempts(found, shown.calls(actor))
    word, icon, tone = ending(found)
    heard = CallLog.objects.filter(shown.recorded(actor), pk=found.pk).exists()
    state = dispositions.refusal(answered=found.answered_at is not None, disposed_at=found.disposed_at, now=now)
    context = {
        "page": "calls",
        "actor": actor,
        "now": now,
        "call": found,
        "who": (found.contact.name if found.contact else "") or shown.number(actor, found.to_number),
        "number": shown.number(actor, found.to_number),
        "word": word,
        "icon": icon,
        "tone": tone,
        "cause": cause_words.cause(found.disconnect_reason),
        "story": story,
        "attempts": [line(one, "") for one in attempts],
        "of": len(attempts),
        "changes": call_story.dispositions(found),
        "undisposed": found.disposition is None and not state,
        "recording": recording_of(found) if heard else None,
    }
    return render(request, "console/pages/call.html", context)


@dataclass(frozen=True, slots=True)
class Form:
    """What the address asks for. shown: as the form's fields have it, empty where nothing was asked."""

    asked: call_search.Asked
    shown: dict[str, str]
    number: str


@require_http_methods(["GET", "HEAD", "POST"])
@with_actor(shown.sees_pages)
def calls(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A number is asked for in the body and becomes "as on this call" in the address, which logs and histories keep."""
    if request.method != "POST":
        return _listed(request, actor, request.GET)
    said = {name: request.POST[name] for name in FIELDS if request.POST.get(name)}
    written = request.POST.get("number", "").strip()
    if written:
        said.pop("as", None)
        try:
            number = numbers.normalise(written, settings.DEFAULT_REGION)
        except numbers.NumberError as error:
            return _listed(request, actor, said, problem=str(error))
        newest = _newest_to(actor, number)
        if newest is None:
            return _listed(request, actor, said, problem="There was no call to that number.")
        said["as"] = newest
    return redirect(f"{reverse('console:calls')}?{urlencode(said)}")


def _listed(request: HttpRequest, actor: Actor, said: Mapping[str, str], problem: str = "") -> HttpResponse:
    form, place = read(actor, said), _place(said)
    rows: list[CallLog] = []
    ended, too_much = None, False
    if not problem:
        try:
            rows, ended = call_search.page(form.asked, place, PAGE, shown.calls(actor))
        except call_search.TooMuch:
            too_much = True
    campaigns = DialerCampaign.objects.filter(shown.campaigns(actor))
    older = {**form.shown, "before": f"{ended.at.isoformat()}~{ended.pk}"} if ended else {}
    context = {
        "page": "calls",
        "actor": actor,
        "form": form,
        "problem": problem,
        "too_much": too_much,
        "lines": [line(call, shown.number(actor, call.to_number)) for call in rows],
        "older": urlencode(older),
        "kept": urlencode(form.shown),
        "without": {
            name: urlencode({key: value for key, value in form.shown.items() if key != name})
            for name in ("as", "contact")
        },
        "paged": place is not None,
        "agents": Agent.objects.filter(shown.agents(actor)).values_list("agent_id", "name"),
        "campaigns": [(str(key), name) for key, name in campaigns.values_list("campaign_id", "name")],
        "outcomes": [("open", "Not ended"), *((name, cause_words.outcome(name)) for name in OUTCOMES)],
        "dispositions": Disposition.objects.order_by("code").values_list("code", "label").distinct("code"),
        "exports": shown.takes_out(actor),
    }
    answer = render(request, "console/pages/calls.html", context)
    if problem:
        # What was posted and could not be asked: the address keeps the other filters.
        answer["HX-Push-Url"] = f"{reverse('console:calls')}?{urlencode(form.shown)}"
    return answer


def _newest_to(actor: Actor, number: str) -> str | None:
    calls = CallLog.objects.filter(shown.calls(actor), to_number=number).order_by("-initiated_at")
    found = calls.values_list("call_id", flat=True).first()
    return str(found) if found else None


FIELDS = ("agent", "campaign", "contact", "as", "outcome", "disposition", "since", "until")


def read(actor: Actor, given: Mapping[str, str]) -> Form:
    """The filters of an address or a form; 404 for what cannot be one."""
    said = {name: given[name][:100] for name in FIELDS if given.get(name)}
    number = ""
    agent = campaign = contact = None
    if "agent" in said:
        agent = (
            Agent.objects.filter(shown.agents(actor), agent_id=said["agent"]).values_list("pk", flat=True).first()
            or _missing()
        )
    if "campaign" in said:
        campaigns = DialerCampaign.objects.filter(shown.campaigns(actor), campaign_id=uuid_of(said["campaign"]))
        campaign = campaigns.values_list("pk", flat=True).first() or _missing()
    if "contact" in said:
        contact = _key(said["contact"])
    if "as" in said:
        numbered = CallLog.objects.filter(shown.calls(actor), call_id=uuid_of(said["as"]))
        number = numbered.values_list("to_number", flat=True).first() or _missing()
    if said.get("outcome", "open") not in ("open", *OUTCOMES):
        raise Http404
    asked = call_search.Asked(
        agent=agent,
        campaign=campaign,
        contact=contact,
        number=number,
        outcome=said.get("outcome", ""),
        disposition=said.get("disposition", ""),
        since=moment_of(said.get("since", "")),
        until=moment_of(said.get("until", "")),
    )
    return Form(asked, said, shown.number(actor, number) if number else "")


def _place(asked: Mapping[str, str]) -> call_search.Place | None:
    written = asked.get("before", "")
    if not written:
        return None
    at, _, pk = written.partition("~")
    when = moment_of(at)
    return call_search.Place(when, _key(pk)) if when else None


def _key(written: str) -> int:
    if not written.isascii() or not written.isdigit() or len(written) > 18:
        raise Http404
    return int(written)


def _missing() -> Any:
    raise Http404
