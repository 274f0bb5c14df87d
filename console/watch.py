"""Rights of open sockets, read again twice a second: whoever signs out, gets another password or loses a right loses
the socket, and whose part of the floor changes gets a snapshot of the new one.

One pass costs a few queries per process, however many sockets are open. While PostgreSQL is away the sockets stay
as they are: they only watch, and each command reads its rights itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
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

# From the beginning of one look to that of the next, however long it takes. A look that begins after a change was
# committed sees it, so a right that is taken away has left every socket within this and the time of two looks: 2 s,
# with a second for a slow database and a busy loop.
EVERY_SECONDS: Final = 0.5
# A thread and a connection of its own: in the one that all sockets share, a look would wait behind every handshake of
# a storm of them.
_reader: Final = ThreadPoolExecutor(1, "rights")
# By user id, as the last look has found them.
_before: Final[dict[int, Actor]] = {}


@dataclass(frozen=True, slots=True)
class Right:
    """Who opened a socket, and what someone with given rights and this subscription may see there; None: nothing."""

    identity: Identity
    scope: Callable[[Actor, Scope], Scope | None]


async def rights(clients: Collection[Client]) -> None:
    """For ever; `clients` is the hub's own set."""
    while True:
        began = time.monotonic()
        try:
            await check(list(clients))
        except DatabaseError as error:
            log.warning("rights of open sockets could not be read: %s", type(error).__name__)
        except Exception:
            log.exception("rights of open sockets could not be checked")
        await asyncio.sleep(max(0.0, began + EVERY_SECONDS - time.monotonic()))


async def check(clients: list[Client]) -> None:
    """One pass: close what is not allowed any more, cut down what is allowed in part."""
    watched = [(client, client.right) for client in clients if client.right is not None and not client.closed]
    if not watched:
        return
    identities = [right.identity for _, right in watched]
    read, valid = await _read(identities)
    # The same object for as long as nothing has changed.
    present = {pk: before if (before := _before.get(pk)) == actor else actor for pk, actor in read.items()}
    _before.clear()
    _before.update(present)
    for (client, right), holds in zip(watched, valid, strict=True):
        actor = present.get(client.user_id)
        if actor is None or not holds:
            client.end(codes.CLOSE_SIGNED_OUT)
            continue
        if client.judged[0] is actor and client.judged[1] is client.scope:
            continue
        scope = right.scope(actor, client.scope)
        if scope is None:
            client.end(codes.CLOSE_FORBIDDEN)
        elif scope != client.scope:
            client.change(scope)
        client.judged = actor, client.scope


async def _read(identities: list[Identity]) -> tuple[dict[int, Actor], list[bool]]:
    return await database_sync_to_async(_rights_of, thread_sensitive=False, executor=_reader)(identities)


def _rights_of(identities: list[Identity]) -> tuple[dict[int, Actor], list[bool]]:
    """(who is there, by user id; of each identity whether it still holds)"""
    present = permissions.actors({identity.actor.user_id for identity in identities})
    return present, auth.still_valid(identities)
