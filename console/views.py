"""The pages. They show the floor as last published and then live from their websocket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

import msgspec
import redis
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_safe

from console import permissions, protocol, script, shown, words
from console.floor_state import FloorState
from console.kpis import WRAP_UP
from console.permissions import Actor, Permission, Reach
from console.render import panel_parts
from dialer import selectors
from dialer.models import AgentStatus, ReasonCode
from events import streams

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


def floor_now() -> FloorState:
    """The floor as last published; empty while nobody has. The page says how old it is."""
    try:
        raw = streams.shared().get(streams.SNAPSHOT)
        return FloorState.of(protocol.read_snapshot(raw)) if raw else FloorState()
    except (redis.RedisError, msgspec.DecodeError) as error:
        log.warning("the floor's snapshot cannot be read: %s", type(error).__name__)
        return FloorState()


def with_actor(allowed: Callable[[Actor], bool] | None = None) -> Callable[[View], View]:
    """Pass the user's present rights as `actor`; a page that they may not see says so."""

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            actor = permissions.actor(request.user.pk)
            if actor is None or (allowed is not None and not allowed(actor)):
                text = "Your user may not see this page."
                context = {"title": "Not for you", "words": text, "actor": actor}
                return render(request, "console/nothing.html", context, status=403)
            # For what is told by the user alone: see shown.py.
            request.user.actor = actor  # type: ignore[union-attr]
            return view(request, actor, *args, **kwargs)

        return wrapped

    return decorate


def with_permission(permission: Permission, *, whole: bool = False) -> Callable[[View], View]:
    """Pass the user's present rights as `actor`; 403 for those without the permission. How far it reaches is the
    view's business (`actor.reaches`, `permissions.calls_within` and the like); `whole`: only those of the whole floor.
    """
    least = Reach.ALL if whole else Reach.OWN
    return with_actor(lambda actor: actor.reach(permission) >= least)


@require_safe
@with_actor()
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Everyone to their own page."""
    if actor.sees_floor:
        return redirect("console:board")
    if actor.agent_id:
        return redirect("console:panel")
    if request.user.is_staff:  # type: ignore[union-attr]
        return redirect("admin:index")
    text = "Your user is neither a supervisor nor linked to an agent. An administrator can change that."
    return render(request, "console/nothing.html", {"title": "Nothing here for you yet", "words": text, "actor": actor})


@require_safe
@with_permission(Permission.SEE_FLOOR)
def board(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {
        "page": "board",
        "actor": actor,
        "now_ms": int(time.time() * 1000),
        "words": words.for_browser()
        | {
            "choices": state_choices(),
            # What the user may do at all; to whom, the floor they see says.
            "rights": actor.rights,
            "me": {"user": actor.username, "extension": actor.extension},
        },
    }
    return render(request, "console/board.html", context)


@require_safe
@with_actor(lambda actor: bool(actor.agent_id))
def panel(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {
        "page": "panel",
        "actor": actor,
        "agent_id": actor.agent_id,
        "now_ms": int(time.time() * 1000),
        "parts": panel_parts(floor_now(), actor.agent_id),
        "choices": state_choices(),
    }
    return render(request, "console/panel.html", context)


@require_GET
@with_actor(lambda actor: bool(actor.agent_id))
def preview(request: HttpRequest, actor: Actor, preview_id: UUID) -> HttpResponse:
    """The contact before the agent, with all that the call needs; only while it is before them."""
    offer = selectors.offered(preview_id, actor.agent_id)
    if offer is None:
        raise Http404
    agent, campaign, contact = offer.agent, offer.campaign, offer.contact
    number = shown.number(actor, contact.number, own=True)
    known = script.known(
        contact.custom_fields,
        name=contact.name,
        number=number,
        agent=agent.name or agent.agent_id,
        campaign=campaign.name,
    )
    context = {
        "offer": offer,
        "script": script.fill(campaign.script, known),
        "contact": offer.contact,
        "number": number,
        "expires_ms": selectors.ms(offer.expires_at),
        "calls": [(words.plain(call.outcome or call.status), call) for call in selectors.last_calls(offer.contact)],
    }
    answer = render(request, "console/preview.html", context)
    # A person's number and history: not for the browser's own store.
    answer["Cache-Control"] = "no-store"
    return answer


def state_choices() -> list[dict[str, str]]:
    """The states a person may choose, each reason a choice of its own; a state without reasons is one choice."""
    reasons: dict[str, list[ReasonCode]] = {}
    for reason in ReasonCode.objects.filter(is_active=True):
        if reason.code != WRAP_UP:  # wrap-up begins and ends by itself
            reasons.setdefault(reason.status, []).append(reason)
    choices = []
    for status in (AgentStatus.AVAILABLE, AgentStatus.BREAK, AgentStatus.BUSY, AgentStatus.OFFLINE):
        word, icon, tone = words.AGENT_STATES[status]
        base = {"status": str(status), "word": word, "icon": icon, "tone": tone}
        found = [base | {"reason": reason.code, "label": reason.label} for reason in reasons.get(status, [])]
        choices += found or [base | {"reason": "", "label": ""}]
    return choices


@require_safe
def session(request: HttpRequest) -> HttpResponse:
    """A page whose socket is refused asks why: 401 signed out, 403 not for them (`?floor`: the board, `?agent`: the
    panel), else 204."""
    actor = permissions.actor(request.user.pk) if request.user.is_authenticated else None
    if actor is None:
        return HttpResponse(status=401)
    barred = ("floor" in request.GET and not actor.sees_floor) or ("agent" in request.GET and not actor.agent_id)
    return HttpResponse(status=403 if barred else 204)
