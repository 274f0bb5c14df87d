"""The order outbox: an order is a row of the transaction that needs it, and leaves for the switch after the commit.

Sent at least once to the stream; the bridge claims each order id before executing it, so it is executed at most once.
"""

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import redis
from django.db import connection, transaction
from django.utils import timezone

from dialer import lease, orders
from dialer.limits import ORDER_SECONDS
from dialer.models import Agent, CallLog, Order
from events import nodes, streams, trail

log = logging.getLogger(__name__)
# One flush's worth; the next tick takes the rest.
FLUSH_LIMIT = 500
# The number of the newest order that was sent, in Redis: a database that has given out fewer is an older one, restored
# from a backup (services/restoring.py).
NEWEST = "dialer:newest_order"
_local = threading.local()
# Written out, since fifty rows of thirteen columns cost Django half of what a call costs on its way to the bridge.
_INSERT = """
INSERT INTO dialer_order (order_id, kind, leg_uuid, payload, call_id, agent_id, command_id, status, fencing_token,
                          created_at, reply)
SELECT order_id, kind, leg, payload, call_id, agent_id, command_id, %s, %s, %s, ''
FROM json_to_recordset(%s) AS one (order_id uuid, kind text, leg uuid, payload jsonb, call_id bigint, agent_id bigint,
                                   command_id uuid)
RETURNING id
"""
_SENT = "UPDATE dialer_order SET status = %s, sent_at = %s WHERE id = ANY(%s) AND status = %s"


class _Leaving(msgspec.Struct):
    """An order of the outbox on its way. `payload`: its JSON, validated."""

    order_id: str
    kind: str
    leg: str
    payload: msgspec.Raw
    call_id: int | None = None
    agent_id: int | None = None
    command_id: str | None = None
    key: int = 0  # of its row


def header(decided_at: dt.datetime | None = None) -> dict[str, Any]:
    """A new order's id and the time after which it must not be executed. decided_at: now, unless told."""
    at = time.time() if decided_at is None else decided_at.timestamp()
    return {"order_id": str(uuid.uuid4()), "expires_at": at + ORDER_SECONDS}


def add(
    order: orders.AnyOrder,
    *,
    token: int,
    call_id: int | None = None,
    agent_id: int | None = None,
    command_id: str | None = None,
) -> None:
    """Put one order into the outbox of the current transaction; raises msgspec.ValidationError on bad fields."""
    add_all([(order, call_id, agent_id)], token=token, command_id=command_id)


def add_all(
    wanted: Sequence[tuple[orders.AnyOrder, int | None, int | None]], *, token: int, command_id: str | None = None
) -> None:
    """As `add`, several in one statement. wanted: (order, call's key, agent's key)."""
    leaving = [
        _Leaving(order.order_id, orders.kind_of(order), order.leg, msgspec.Raw(orders.encode(order)), call_id, agent_id,
                 command_id)
        for order, call_id, agent_id in wanted
    ]  # fmt: skip
    with connection.cursor() as cursor:
        rows = msgspec.json.encode(leaving).decode()
        cursor.execute(_INSERT, [Order.Status.PENDING.value, token, timezone.now(), rows])
        for one, (key,) in zip(leaving, cursor.fetchall(), strict=True):
            one.key = key
    # Only a row whose transaction has committed may be sent; a rolled-back one takes this callback with it.
    transaction.on_commit(lambda: _committed().extend(leaving))


def _committed() -> list[_Leaving]:
    found: list[_Leaving] | None = getattr(_local, "committed", None)
    if found is None:
        found = _local.committed = []
    return found


def send_committed() -> int:
    """Send what this thread's last transaction committed, together; `acting` calls it. Returns how many."""
    leaving = _committed()
    if not leaving or transaction.get_connection().in_atomic_block:
        return 0
    _local.committed = []
    return _send(leaving)


def waiting() -> bool:
    """Whether any order is committed and not sent."""
    return Order.objects.filter(status=Order.Status.PENDING).exists()


def flush() -> int:
    """Send what is still pending, oldest first; returns how many: what a dead worker had committed and not sent."""
    rows = Order.objects.filter(status=Order.Status.PENDING).order_by("id")[:FLUSH_LIMIT]
    return _send([_left(row) for row in rows], again=True)


def _left(row: Order) -> _Leaving:
    payload = msgspec.Raw(orders.wire(row.payload))
    command_id = str(row.command_id) if row.command_id else None
    return _Leaving(
        str(row.order_id), row.kind, str(row.leg_uuid), payload, row.call_id, row.agent_id, command_id, row.pk
    )


def _nodes(leaving: list[_Leaving]) -> list[str]:
    """The node of each order: where the call's agent is, else the agent it is about."""
    if not nodes.several():
        return [nodes.names()[0]] * len(leaving)
    calls = {pk: placed or own for pk, placed, own in CallLog.objects.filter(
        pk__in={one.call_id for one in leaving if one.call_id}
    ).values_list("pk", "from_extension", "agent__extension")}  # fmt: skip
    of_agents = dict(
        Agent.objects.filter(pk__in={one.agent_id for one in leaving if one.agent_id}).values_list("pk", "extension")
    )
    return [
        nodes.of_extension(calls.get(one.call_id or 0) or of_agents.get(one.agent_id or 0) or "") for one in leaving
    ]


def _send(leaving: list[_Leaving], *, again: bool = False) -> int:
    if not leaving:
        return 0
    bound = trail.bound().get("command_id")
    try:
        # One who has lost the lease since the commit sends nothing: the successor does.
        with transaction.atomic():
            # That they are sent may be forgotten with PostgreSQL's last moment: they are sent again then.
            lease.fence(lasting=False)
            pipe = streams.shared().pipeline(transaction=False)
            for one, node in zip(leaving, _nodes(leaving), strict=True):
                fields: dict[str, bytes | str] = {streams.ORDERS_FIELD: bytes(one.payload)}
                if command_id := one.command_id or bound:
                    fields[streams.ORDERS_COMMAND_FIELD] = command_id
                pipe.xadd(streams.orders_of(node), {**fields, streams.ORDERS_AGAIN: "1"} if again else fields)
            pipe.set(NEWEST, leaving[-1].key)
            pipe.execute()
            with connection.cursor() as cursor:
                cursor.execute(_SENT, [Order.Status.SENT.value, timezone.now(), [one.key for one in leaving],
                                       Order.Status.PENDING.value])  # fmt: skip
    except redis.RedisError as error:
        log.warning("%d orders not sent yet: %s; trying again with the next tick", len(leaving), error)
        return 0
    except lease.LeaseLost as error:
        log.warning("%d orders are left to whoever holds the lease: %s", len(leaving), error)
        return 0
    for one in leaving:
        trail.note(f"{one.kind} ordered", order_id=one.order_id, leg=one.leg, command_id=one.command_id)
    return len(leaving)
