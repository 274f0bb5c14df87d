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

import redis
from django.db import transaction
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
) -> Order:
    """Put one validated order into the outbox of the current transaction; raises msgspec.ValidationError on bad
    fields."""
    return add_all([(order, call_id, agent_id)], token=token, command_id=command_id)[0]


def add_all(
    wanted: Sequence[tuple[orders.AnyOrder, int | None, int | None]], *, token: int, command_id: str | None = None
) -> list[Order]:
    """As `add`, several in one statement. wanted: (order, call's key, agent's key)."""
    now = timezone.now()
    rows = Order.objects.bulk_create(
        Order(
            order_id=order.order_id,
            kind=orders.kind_of(order),
            payload=orders.as_payload(orders.validated(order)),
            leg_uuid=order.leg,
            call_id=call_id,
            agent_id=agent_id,
            command_id=command_id,
            fencing_token=token,
            created_at=now,
        )
        for order, call_id, agent_id in wanted
    )
    # Only a row whose transaction has committed may be sent; a rolled-back one takes this callback with it.
    transaction.on_commit(lambda: _committed().extend(rows))
    return rows


def _committed() -> list[Order]:
    rows: list[Order] | None = getattr(_local, "committed", None)
    if rows is None:
        rows = _local.committed = []
    return rows


def send_committed() -> int:
    """Send what this thread's last transaction committed, together; `acting` calls it. Returns how many."""
    rows = _committed()
    if not rows or transaction.get_connection().in_atomic_block:
        return 0
    _local.committed = []
    return _send(rows)


def waiting() -> bool:
    """Whether any order is committed and not sent."""
    return Order.objects.filter(status=Order.Status.PENDING).exists()


def flush() -> int:
    """Send what is still pending, oldest first; returns how many: what a dead worker had committed and not sent."""
    return _send(list(Order.objects.filter(status=Order.Status.PENDING).order_by("id")[:FLUSH_LIMIT]), again=True)


def _nodes(rows: list[Order]) -> dict[int, str]:
    """The node of each order, by its key: where the call's agent is, else the agent it is about."""
    if not nodes.several():
        return dict.fromkeys((row.pk for row in rows), nodes.names()[0])
    calls = {pk: placed or own for pk, placed, own in CallLog.objects.filter(
        pk__in={row.call_id for row in rows if row.call_id}
    ).values_list("pk", "from_extension", "agent__extension")}  # fmt: skip
    of_agents = dict(
        Agent.objects.filter(pk__in={row.agent_id for row in rows if row.agent_id}).values_list("pk", "extension")
    )
    return {
        row.pk: nodes.of_extension(calls.get(row.call_id or 0) or of_agents.get(row.agent_id or 0) or "")
        for row in rows
    }


def _send(rows: list[Order], *, again: bool = False) -> int:
    if not rows:
        return 0
    try:
        # One who has lost the lease since the commit sends nothing: the successor does.
        with transaction.atomic():
            lease.fence()
            where = _nodes(rows)
            pipe = streams.shared().pipeline(transaction=False)
            for row in rows:
                fields: dict[str, bytes | str] = {streams.ORDERS_FIELD: orders.wire(row.payload)}
                if command_id := row.command_id or trail.bound().get("command_id"):
                    fields[streams.ORDERS_COMMAND_FIELD] = str(command_id).encode()
                pipe.xadd(streams.orders_of(where[row.pk]), {**fields, streams.ORDERS_AGAIN: "1"} if again else fields)
            pipe.set(NEWEST, rows[-1].pk)
            pipe.execute()
            Order.objects.filter(pk__in=[row.pk for row in rows], status=Order.Status.PENDING).update(
                status=Order.Status.SENT, sent_at=timezone.now()
            )
    except redis.RedisError as error:
        log.warning("%d orders not sent yet: %s; trying again with the next tick", len(rows), error)
        return 0
    except lease.LeaseLost as error:
        log.warning("%d orders are left to whoever holds the lease: %s", len(rows), error)
        return 0
    for row in rows:
        trail.note(f"{row.kind} ordered", order_id=row.order_id, leg=row.leg_uuid, command_id=row.command_id)
    return len(rows)
