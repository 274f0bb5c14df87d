"""Rights of open sockets, read again every second: whoever signs out or loses a right loses the socket, and whose part
of the floor changes gets a snapshot of the new one.

One pass costs a few queries per process, however many sockets are open. While PostgreSQL is away the sockets stay
as they are: they only watch, and each command reads its rights itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from console import auth, codes, permissions
from console.auth import Identity
from console.permissions import Actor
from console.scopes import Scope

if TYPE_CHECKING:
    from console.outbox import Client

log = logging.getLogger(__name__)

# A right that is taken away has left every socket within 2 s, the reading itself and a busy loop included.
EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Right:
    """Who opened a socket, and what someone with given rights and this subscription may see there; None: nothing."""

    identity: Identity
    scope: Callable[[Actor, Scope], Scope | None]


async def rights(clients: Collection[Client]) -> None:
    """For ever; `clients` is the hub's own set."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await check(list(clients))
        except DatabaseError as error:
            log.warning("rights of open sockets could not be read: %s", type(error).__name__)
        except Exception:
            log.exception("rights of open sockets could not be checked")


async def check(clients: list[Client]) -> None:
    """One pass: close what is not allowed any more, cut down what is allowed in part."""
    watched = [(client, client.right) for client in clients if client.right is not None and not client.closed]
    if not watched:
        return
    identities = [right.identity for _, right in watched]
    present, sessions, tokens = await _read(identities)
    for client, right in watched:
        identity = right.identity
        actor = present.get(client.user_id)
        if actor is None or identity.key not in (sessions if identity.kind == "session" else tokens):
            client.end(codes.CLOSE_SIGNED_OUT)
            continue
        scope = right.scope(actor, client.scope)
        if scope is None:
            client.end(codes.CLOSE_FORBIDDEN)
        elif scope != client.scope:
            client.change(scope)


@database_sync_to_async
def _read(identities: list[Identity]) -> tuple[dict[int, Actor], set[str], set[str]]:
    present = permissions.actors({identity.actor.user_id for identity in identities})
    sessions = {identity.key for identity in identities if identity.kind == "session"}
    tokens = {identity.key for identity in identities if identity.kind == "token"}
    return (present, *auth.still_valid(sessions, tokens))
