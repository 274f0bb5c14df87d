"""Who is at the other end of a websocket: a token from the Authorization header, or a session whose page is ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from console import origins, permissions
from console.models import ApiToken
from console.permissions import Actor

BEARER = "bearer "
# `last_used_at` is for people who tidy up tokens; minutes are enough.
USED_EVERY_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: the session's key or the token's primary key, to ask later whether it is still valid. `name`: of a token,
    its first characters, to recognise it by. `auth_hash`: of a session, what its user's password came to when it was
    checked; another password signs out whoever had the old one."""

    actor: Actor
    kind: Literal["session", "token"]
    key: str
    name: str = ""
    auth_hash: str = ""


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
    return Identity(actor, "session", session_key, auth_hash=user.get_session_auth_hash()) if actor else None


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


def still_valid(identities: Sequence[Identity]) -> list[bool]:
    """Of each whether its session or token still holds, in three queries at most. Whether the user may still sign in,
    `permissions.actors` says."""
    now = timezone.now()
    keys = {identity.key for identity in identities if identity.kind == "session"}
    tokens = {int(identity.key) for identity in identities if identity.kind == "token"}
    users = {identity.actor.user_id for identity in identities if identity.kind == "session"}
    alive: set[str] = set()
    hashes: dict[int, str] = {}
    if keys:
        found = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
        alive.update(found.values_list("session_key", flat=True))
        # By the key that also made the sockets' own: that of this process, never one of SECRET_KEY_FALLBACKS.
        people = get_user_model().objects.filter(pk__in=users).only("password")
        hashes = {user.pk: user.get_session_auth_hash() for user in people}
    valid = set(ApiToken.objects.valid().filter(pk__in=tokens).values_list("pk", flat=True)) if tokens else set()

    def holds(identity: Identity) -> bool:
        if identity.kind == "token":
            return int(identity.key) in valid
        present = hashes.get(identity.actor.user_id, "")
        return identity.key in alive and constant_time_compare(identity.auth_hash, present)

    return [holds(identity) for identity in identities]
