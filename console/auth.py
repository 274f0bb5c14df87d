"""Who is at the other end of a websocket: a token from the Authorization header, or a session whose page is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.contrib.sessions.models import Session
from django.utils import timezone

from console import origins, permissions
from console.models import ApiToken
from console.permissions import Actor

BEARER = "bearer "
# `last_used_at` is for people who tidy up tokens; minutes are enough.
USED_EVERY_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: the session's key or the token's primary key, to ask later whether it is still valid. `name`: of a token,
    its first characters, to recognise it by."""

    actor: Actor
    kind: Literal["session", "token"]
    key: str
    name: str = ""


async def identify(scope: dict[str, Any]) -> Identity | None:
    """None: close before accepting. A token is no cookie, so its client needs no Origin; a session's page always
    does."""
    authorization = origins.header(scope, b"authorization")
    if authorization is not None:
        if authorization[: len(BEARER)].lower() != BEARER:
            return None
        return await _by_token(authorization[len(BEARER) :].strip())
    if not origins.scope_allowed(scope):
        return None
    user = await get_user(scope)
    session_key = getattr(scope.get("session"), "session_key", None)
    if not user.is_authenticated or not session_key:
        return None
    actor = await database_sync_to_async(permissions.actor)(user.pk)
    return Identity(actor, "session", session_key) if actor else None


@database_sync_to_async
def _by_token(secret: str) -> Identity | None:
    token = ApiToken.objects.find(secret)
    if token is None:
        return None
    now = timezone.now()
    if token.last_used_at is None or (now - token.last_used_at).total_seconds() > USED_EVERY_SECONDS:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    actor = permissions.actor(token.user_id)
    return Identity(actor, "token", str(token.pk), token.hint) if actor else None


def still_valid(sessions: set[str], tokens: set[str]) -> tuple[set[str], set[str]]:
    """Those of these session keys and token keys that still hold, in two queries."""
    alive = Session.objects.filter(session_key__in=sessions, expire_date__gt=timezone.now())
    valid = ApiToken.objects.valid().filter(pk__in=[int(key) for key in tokens])
    return (
        set(alive.values_list("session_key", flat=True)) if sessions else set(),
        {str(pk) for pk in valid.values_list("pk", flat=True)} if tokens else set(),
    )
