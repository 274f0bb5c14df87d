"""The order outbox: an order is a row of the transaction that needs it, and leaves for the switch after the commit.

Sent at least once to the stream; the bridge claims each order id before executing it, so it is executed at most once.
"""

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

import redis
from django.db import transaction
from django.utils import timezone

from dialer import orders
from dialer.limits import ORDER_SECONDS
from dialer.models import Order
from events import streams

log = logging.getLogger(__name__)
# One flush's worth; the next tick takes the rest.
FLUSH_LIMIT = 500
_local = threading.local()


def header() -> dict[str, Any]:
    """A new order's id and the time after which it must not be executed."""
    return {"order_id": str(uuid.uuid4()), "expires_at": time.time() + ORDER_SECONDS}


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


def flush() -> int:
    """Send what is still pending, oldest first; returns how many: what a dead worker had committed and not sent."""
    return _send(list(Order.objects.filter(status=Order.Status.PENDING).order_by("id")[:FLUSH_LIMIT]))


def _send(rows: list[Order]) -> int:
    if not rows:
        return 0
    try:
        pipe = streams.shared().pipeline(transaction=False)
        for row in rows:
            pipe.xadd(streams.ORDERS, {streams.ORDERS_FIELD: orders.encode(orders.from_payload(row.payload))})
        pipe.execute()
    except redis.RedisError as error:
        log.warning("%d orders not sent yet: %s; trying again with the next tick", len(rows), error)
        return 0
    Order.objects.filter(pk__in=[row.pk for row in rows], status=Order.Status.PENDING).update(
        status=Order.Status.SENT, sent_at=timezone.now()
    )
    return len(rows)
