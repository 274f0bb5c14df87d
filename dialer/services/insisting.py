"""Hang-ups that have come to nothing are ordered again while their leg lives. An order expires or is refused when the
link to the switch is away, is in doubt when its bridge dies, or is lost with Redis; and a leg that we alone can end
would live for ever: a customer in silence, who holds a line and an agent, or a supervisor who hears the next one."""

from collections import defaultdict
from collections.abc import Collection

from django.db import connection

from dialer import agent_states as machine
from dialer import call_operations as ops
from dialer import orders
from dialer.limits import HANG_UP_AGAIN_AFTER, IN_DOUBT_AFTER
from dialer.models import AgentLeg, Order
from dialer.services import agents, calls, live_legs, observing, side_legs
from dialer.services.acting import Act

_UNDER_WAY = (Order.Status.SENT, Order.Status.ACCEPTED)
# The open legs that are to be gone: customers for whom nobody came, or whom nobody can take back; those called for a
# call that is over, or to listen to an agent who is done with it; softphones of agents who have left.
_UNWANTED = """
SELECT 'customer', call.freeswitch_uuid FROM dialer_calllog call
  LEFT JOIN dialer_agentleg leg ON leg.id = call.agent_leg_id
  WHERE call.ended_at IS NULL AND (
    call.bridged_at IS NULL AND call.abandoned
    OR call.bridged_at IS NOT NULL AND call.agent_id IS NOT NULL AND leg.ended_at IS NOT NULL
      AND (call.parked_at IS NOT NULL OR call.operation = ANY(%(apart)s))
  )
UNION ALL SELECT 'side', side.leg_uuid::text FROM dialer_sideleg side JOIN dialer_calllog call ON call.id = side.call_id
  WHERE side.ended_at IS NULL
    AND (call.ended_at IS NOT NULL OR side.purpose = %(listen)s AND call.agent_id IS NULL)
UNION ALL SELECT 'agent', leg.leg_uuid::text FROM dialer_agentleg leg JOIN dialer_agent agent ON agent.id = leg.agent_id
  WHERE leg.ended_at IS NULL AND agent.status = %(offline)s
"""


def overdue(act: Act) -> None:
    """While the link is down nothing is ordered: it would only expire."""
    unwanted = _unwanted()
    again = {what: _came_to_nothing(act, legs) for what, legs in unwanted.items()}
    if not any(again.values()) or not observing.link().up:
        return
    for leg in again.get("customer", ()):
        _customer(act, leg)
    for leg in again.get("side", ()):
        if live_legs.one(leg) is not None and (side := side_legs.locked(leg)) is not None:
            side_legs.hang_up(act, side)
    for leg in again.get("agent", ()):
        if live_legs.one(leg) is not None:
            agents.hang_up(act, AgentLeg.objects.get(leg_uuid=leg))


def _unwanted() -> dict[str, list[str]]:
    apart = {"apart": [ops.CONSULT, ops.RETURN], "listen": side_legs.LISTEN.value}
    with connection.cursor() as cursor:
        cursor.execute(_UNWANTED, {**apart, "offline": machine.Status.OFFLINE.value})
        rows = cursor.fetchall()
    found: dict[str, list[str]] = defaultdict(list)
    for what, leg in rows:
        found[what].append(leg)
    return found


def _came_to_nothing(act: Act, legs: Collection[str]) -> list[str]:
    """Of these legs, those whose last end that we ordered will not come."""
    uuids = [leg for leg in legs if orders.is_uuid(leg)]
    ends = Order.objects.filter(leg_uuid__in=uuids, kind__in=["hangup", "play_message"]).order_by("id")
    newest = {str(order.leg_uuid): order for order in ends}
    return [leg for leg, order in newest.items() if _is_given_up(act, order)]


def _is_given_up(act: Act, order: Order) -> bool:
    age = act.now - order.created_at
    if order.status in _UNDER_WAY:
        # It can no longer be executed, and nobody has said what became of it.
        return age > IN_DOUBT_AFTER
    return order.status in Order.GIVEN_UP and order.reply != orders.JOINED and age > HANG_UP_AGAIN_AFTER


def _customer(act: Act, leg: str) -> None:
    call = calls.locked(leg)
    if call is None or call.ended_at is not None or live_legs.is_joined(leg):
        return
    if call.bridged_at is None:
        calls.nobody_comes(act, call)
    calls.not_let_go(act, call)
