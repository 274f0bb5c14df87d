"""Why did it, why didn't it: pages about a campaign, a decision, a number. What they say is dialer/explain.py's."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from console import decision_words, permissions, shown, words
from console.asked import key_of, moment_of, uuid_of
from console.pages_calls import ending
from console.permissions import Actor, Permission, Target
from console.views import with_permission
from dialer import census, explain, numbers, selectors
from dialer.figures import DEFINITIONS
from dialer.models import CallLog, Contact, DialerCampaign, PacingDecision
from dialer.services import drops

PAGE = 50
# A decision places no more than pacing allows at once; what is shown of one is bounded all the same.
CALLS = 100
CENSUS_GATES = 20


@require_GET
@with_permission(Permission.SEE_PAGES)
def decisions(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Stored decisions, newest first. Of a chosen campaign also why it dials or does not, and what it has abandoned."""
    asked = request.GET
    within = permissions.campaigns_within(actor, Permission.SEE_PAGES)
    campaign = _campaign(asked.get("campaign", ""), within)
    only = asked.get("only", "") if campaign is not None else ""
    if only and only != "placed" and only not in decision_words.REASONS:
        raise Http404
    until, before = moment_of(asked.get("until", "")), key_of(asked.get("before", ""))
    now = timezone.now()
    among = list(DialerCampaign.objects.filter(within).values_list("pk", flat=True)) if within else None
    rows, more = selectors.decisions_page(
        campaign and campaign.pk, among=among, only=only, until=until, before=before, limit=PAGE
    )
    kept = request.GET.copy()
    kept.pop("before", None)
    newest = kept.urlencode()
    if rows:
        kept["before"] = str(rows[-1].pk)
    context: dict[str, Any] = {
        "page": "decisions",
        "actor": actor,
        "now": now,
        "chosen": str(campaign.campaign_id) if campaign else "",
        "campaign": campaign,
        "campaigns": [
            (str(key), name) for key, name in DialerCampaign.objects.filter(within).values_list("campaign_id", "name")
        ],
        "reasons": decision_words.REASONS.items(),
        "only": only,
        "until": until,
        "decisions": [(row, decision_words.reason(row.binding_reason)) for row in rows],
        "older": kept.urlencode() if more else "",
        "newest": newest,
        "paged": before is not None or until is not None,
    }
    if campaign is not None and not context["paged"]:
        context |= _why(campaign, now)
    return render(request, "console/decisions.html", context)


def _why(campaign: DialerCampaign, now: dt.datetime) -> dict[str, Any]:
    found = explain.campaign(campaign, census.look(campaign), now)
    return {
        "found": found,
        "limits": explain.limits_in_words(found.view),
        "census": _census(found.found, now) if found.found else None,
        "drops": drops.counts(campaign.pk, now, drops.profile_of(campaign).windows),
        "definitions": DEFINITIONS,
    }


def _census(found: census.Census, now: dt.datetime) -> dict[str, Any]:
    """The census with its times as times and its gates in order of how many wait behind them."""
    blocked = [
        {"gate": words.plain(gate), "count": row["count"], "more": row["more"], "next": _iso(row["next"])}
        for gate, row in found.get("blocked", {}).items()
    ]
    waiting = found.get("waiting")
    return {
        "age": max(0, round(census.age(found, now))),
        "has_list": "due" in found,
        "total": found["total"],
        "processed": found["processed"],
        "due": found.get("due"),
        "sample": found.get("sample"),
        "aside": [(words.plain(gate), n) for gate, n in found.get("sample", {}).get("gates", {}).items()],
        "waiting": waiting and {**waiting, "next": _iso(waiting["next"])},
        "blocked": sorted(blocked, key=lambda row: -row["count"])[:CENSUS_GATES],
        "next": census.next_at(found),
    }


@require_GET
@with_permission(Permission.SEE_PAGES)
def decision(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """One decision with its inputs in words and the calls that it placed."""
    row = get_object_or_404(PacingDecision.objects.select_related("campaign"), pk=pk)
    target = Target(campaign_id=str(row.campaign.campaign_id))
    if not actor.reaches(Permission.SEE_PAGES, target):
        raise Http404
    calls = CallLog.objects.select_related("agent", "contact").filter(decision=row).order_by("id").defer("cdr_data")
    context = {
        "page": "decisions",
        "actor": actor,
        "now": timezone.now(),
        "d": row,
        "reason": decision_words.reason(row.binding_reason),
        "inputs": decision_words.inputs(row.inputs),
        "calls": [(call, shown.number(actor, call.to_number), ending(call)[0]) for call in calls[:CALLS]],
    }
    return render(request, "console/decision.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@with_permission(Permission.SEE_PAGES, whole=True)
def number(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Ask about a number. It travels in the body: an address is written to logs and histories."""
    context: dict[str, Any] = {"page": "why", "actor": actor, "now": timezone.now()}
    written = request.POST.get("number", "").strip()
    if request.method == "POST":
        context["written"] = written[: numbers.LONGEST_TEXT]
        try:
            e164 = numbers.normalise(written, settings.DEFAULT_REGION)
        except numbers.NumberError as error:
            context["problem"] = str(error)
        else:
            context |= _number(actor, e164)
    return render(request, "console/why.html", context)


@require_GET
@with_permission(Permission.SEE_PAGES, whole=True)
def contact(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    found = get_object_or_404(Contact, pk=pk)
    context = {"page": "why", "actor": actor, "now": timezone.now(), "name": found.name}
    return render(request, "console/why.html", context | _number(actor, found.number))


def _number(actor: Actor, e164: str) -> dict[str, Any]:
    return {"found": explain.number(e164, timezone.now()), "shown": shown.number(actor, e164)}


def _campaign(asked: str, within: Q) -> DialerCampaign | None:
    if not asked:
        return None
    campaigns = DialerCampaign.objects.select_related("profile", "target_list")
    return get_object_or_404(campaigns, within, campaign_id=uuid_of(asked))


def _iso(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
