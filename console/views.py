"""The pages. They show the floor as last published and then live from their websocket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import redis
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_safe

from console import permissions, protocol, words
from console.floor_state import FloorState
from console.kpis import WRAP_UP
from console.permissions import Actor
from console.render import board_parts, panel_parts
from dialer import selectors
from dialer.models import Agent, AgentStatus, CallLog, DialerCampaign, ReasonCode
from events import streams

log = logging.getLogger(__name__)

HISTORY = 30
PROTOCOL_PAGE = Path(settings.BASE_DIR) / "docs" / "protocol.md"
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
            return view(request, actor, *args, **kwargs)

        return wrapped

    return decorate


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
@with_actor(lambda actor: actor.sees_floor)
def board(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {
        "page": "board",
        "actor": actor,
        "now_ms": int(time.time() * 1000),
        "parts": board_parts(floor_now()),
        "filters": [(key, value[0]) for key, value in words.AGENT_STATES.items()],
    }
    return render(request, "console/board.html", context)


@require_safe
@with_actor(lambda actor: bool(actor.agent_id))
def panel(request: HttpRequest, actor: Actor) -> HttpResponse:
    choices = state_choices()
    by_status = [[choice for choice in choices if choice["status"] == status] for status in words.AGENT_STATES]
    context = {
        "page": "panel",
        "actor": actor,
        "agent_id": actor.agent_id,
        "now_ms": int(time.time() * 1000),
        "parts": panel_parts(floor_now(), actor.agent_id),
        "groups": [{"word": group[0]["word"], "choices": group} for group in by_status if group],
    }
    return render(request, "console/panel.html", context)


@require_GET
@with_actor(lambda actor: bool(actor.agent_id))
def preview(request: HttpRequest, actor: Actor, preview_id: UUID) -> HttpResponse:
    """The contact before the agent, with all that the call needs; only while it is before them."""
    offer = selectors.offered(preview_id, actor.agent_id)
    if offer is None:
        raise Http404
    context = {
        "offer": offer,
        "contact": offer.contact,
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


@require_GET
@with_actor(lambda actor: actor.sees_floor)
def agent_menu(request: HttpRequest, actor: Actor, agent_id: str) -> HttpResponse:
    """What a supervisor can do with one agent, from the database: the menu's buttons are for the agent as they are."""
    agent = get_object_or_404(Agent, agent_id=agent_id)
    kind = WRAP_UP if agent.status == "busy" and agent.status_reason == WRAP_UP else agent.status
    word, icon, tone = words.AGENT_STATES[kind]
    call = CallLog.objects.select_related("contact").filter(agent=agent, ended_at=None).first()
    context = {
        "agent": agent,
        "word": word,
        "icon": icon,
        "tone": tone,
        "reason": "" if kind == WRAP_UP else words.plain(agent.status_reason),
        "on_call": agent.status == AgentStatus.ON_CALL,
        "choices": state_choices(),
        "call": call,
        "history": agent.states.filter(timestamp__gte=selectors.start_of_today())[:HISTORY],
    }
    return render(request, "console/menu.html", context)


@require_GET
@with_actor(lambda actor: actor.sees_floor)
def campaign_menu(request: HttpRequest, actor: Actor, campaign_id: str) -> HttpResponse:
    """How a campaign dials, from the database: each mode is a command."""
    try:
        campaign = get_object_or_404(DialerCampaign, campaign_id=UUID(campaign_id))
    except ValueError:
        raise Http404 from None
    modes = [
        {"value": value, "word": word, "hint": hint, "now": value == campaign.mode}
        for value, (word, hint) in words.MODES.items()
    ]
    return render(request, "console/campaign_menu.html", {"campaign": campaign, "modes": modes})


@require_safe
def session(request: HttpRequest) -> HttpResponse:
    """204 while signed in, else 401: a page whose socket is refused asks here whether it should go on trying."""
    return HttpResponse(status=204 if request.user.is_authenticated else 401)


@require_safe
@login_required
def protocol_page(request: HttpRequest) -> HttpResponse:
    actor = permissions.actor(request.user.pk)
    text = PROTOCOL_PAGE.read_text(encoding="utf-8") if PROTOCOL_PAGE.exists() else "docs/protocol.md is missing."
    return render(request, "console/protocol.html", {"text": text, "actor": actor})
