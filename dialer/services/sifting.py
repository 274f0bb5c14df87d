"""Of the facts of one transaction, those that ask for something; what only is to be noted (the switch has taken an
order, has placed or joined a call, knows a customer's leg) is noted, all in one statement, with which the transaction
begins."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from dialer import announce, orders
from dialer.models import Agent, CallStatus, Order
from dialer.services import acting, agents
from events import facts as f

ABOUT_OPEN_LEGS = (f.LegCreated, f.LegAnswered, f.LegHeld, f.LegUnheld, f.LegEnded, f.MachineHeard)
ABOUT_LEGS = (*ABOUT_OPEN_LEGS, f.LegBridged, f.RecordingStarted, f.RecordingStopped)
OPEN_ORDER = (Order.Status.PENDING, Order.Status.SENT, Order.Status.ACCEPTED, Order.Status.IN_DOUBT)
_OPEN = frozenset({"call", "side", "agent"})
_CUSTOMERS = frozenset({"call", "ended"})

# Of two parts of one statement neither sees what the other writes: they write different columns than the others read.
_NOTED = """noted AS (
  UPDATE dialer_order one SET status = told.status, reply = coalesce(told.reply, one.reply),
    settled_at = CASE WHEN told.reply IS NULL THEN one.settled_at ELSE %(now)s END
  FROM json_to_recordset(%(told)s) AS told (order_id uuid, status text, reply text)
  WHERE one.order_id = told.order_id AND (
    told.reply IS NULL AND one.status = ANY(%(waiting)s)
    OR told.reply IS NOT NULL AND one.kind IN ('originate_customer', 'bridge') AND one.status = ANY(%(open)s)
  )
  RETURNING one.order_id::text AS order_id, told.reply IS NOT NULL AS done
)"""
_SETTLED = "SELECT 'settled' AS what, order_id AS about, '' AS more FROM noted WHERE done"
# The switch knows these legs: an attempt among them is no longer in doubt.
_STARTED = """started AS (
  UPDATE dialer_calllog SET status = %(dialing)s, in_doubt_since = NULL, version = version + 1
  WHERE freeswitch_uuid = ANY(%(created)s) AND status = %(initiated)s AND ended_at IS NULL RETURNING id
)"""
_NEWLY = "SELECT 'started' AS what, id::text AS about, '' AS more FROM started"
# What each of the legs is to us: `call`, a customer's, or `ended`; `side` or `agent`, or `over`.
_OURS = f"""
SELECT CASE WHEN ended_at IS NULL THEN 'agent' ELSE 'over' END AS what, leg_uuid::text AS about, '' AS more
  FROM dialer_agentleg WHERE leg_uuid = ANY(%(uuids)s::uuid[])
UNION ALL SELECT CASE WHEN ended_at IS NULL THEN 'side' ELSE 'over' END, leg_uuid::text, ''
  FROM dialer_sideleg WHERE leg_uuid = ANY(%(uuids)s::uuid[])
UNION ALL SELECT CASE WHEN ended_at IS NULL THEN 'call' ELSE 'ended' END, freeswitch_uuid, ''
  FROM dialer_calllog WHERE freeswitch_uuid = ANY(%(legs)s)
UNION ALL SELECT 'campaign', c.id::text, {acting.VERSIONS} FROM {acting.CAMPAIGNS}
  WHERE c.id IN (SELECT campaign_id FROM dialer_calllog WHERE freeswitch_uuid = ANY(%(legs)s))
"""  # noqa: S608 - made of constants
# The customers' and agents' legs of the calls that somebody is moving, or that are parked.
_MOVING = """
SELECT 'moving' AS what, unnest(ARRAY[call.freeswitch_uuid, leg.leg_uuid::text]) AS about, '' AS more
  FROM dialer_calllog call LEFT JOIN dialer_agentleg leg ON leg.id = call.agent_leg_id
  WHERE call.ended_at IS NULL AND (call.operation <> '' OR call.parked_at IS NOT NULL)
"""


@dataclass(slots=True)
class _Known:
    """settled: orders that are done with what the switch has said of them. ours: see _OURS. moving: legs of which it
    is news that they are parked."""

    settled: set[str] = field(default_factory=set)
    ours: dict[str, str] = field(default_factory=dict)
    moving: set[str] = field(default_factory=set)


def sift(facts: Sequence[f.AnyFact], now: dt.datetime) -> list[f.AnyFact]:
    """Those that ask for something: about a call or softphone leg of ours that is still open, or an order's outcome."""
    known = _look(facts, now)
    news = _registration_news([fact for fact in facts if isinstance(fact, f.SoftphoneRegistration)])
    return [
        fact
        for fact in facts
        if (fact in news if isinstance(fact, f.SoftphoneRegistration) else _asks_for_something(fact, known))
    ]


def _asks_for_something(fact: f.AnyFact, known: _Known) -> bool:
    what = known.ours.get(fact.leg)
    match fact:
        case f.OrderReported(status=status):
            # Placed or joined: the call's own events say more.
            return status != "sent" and not (status == "done" and fact.order_id in known.settled)
        case f.LegCreated():
            return what in {"side", "agent"}  # of a customer it is noted
        case f.LegAnswered():
            # `over`: declared lost, and it was only late; nobody knows it any more who could hang up.
            return what in _OPEN or what == "over"
        case f.LegHeld() | f.LegUnheld() | f.LegEnded() | f.MachineHeard():
            return what in _OPEN
        case f.LegBridged():
            return what in {"call", "side"}
        case f.LegParked():
            # Every leg parks, between customers and before the first; it is news where somebody moves the call.
            return fact.leg in known.moving
        case f.RecordingStarted() | f.RecordingStopped():
            return what in _CUSTOMERS  # a recording is finished when the call is over
        case _:
            return False


def _look(facts: Sequence[f.AnyFact], now: dt.datetime) -> _Known:
    changing, reading, values = [], [], dict[str, Any]()
    if told := _told([fact for fact in facts if isinstance(fact, f.OrderReported)]):
        changing.append(_NOTED)
        reading.append(_SETTLED)
        waiting = [Order.Status.PENDING.value, Order.Status.SENT.value]
        values |= {"told": json.dumps(told), "now": now, "waiting": waiting, "open": [one.value for one in OPEN_ORDER]}
    if created := [fact.leg for fact in facts if isinstance(fact, f.LegCreated)]:
        changing.append(_STARTED)
        reading.append(_NEWLY)
        values |= {"created": created, "dialing": CallStatus.DIALING.value, "initiated": CallStatus.INITIATED.value}
    if legs := list({fact.leg for fact in facts if isinstance(fact, ABOUT_LEGS)}):
        reading.append(_OURS)
        values |= {"legs": legs, "uuids": [leg for leg in legs if orders.is_uuid(leg)]}
    if any(isinstance(fact, f.LegParked) for fact in facts):
        reading.append(_MOVING)
    known = _Known()
    if not reading:
        return known
    with connection.cursor() as cursor:
        cursor.execute(f"{'WITH ' * bool(changing)}{', '.join(changing)} {' UNION ALL '.join(reading)}", values)
        rows = cursor.fetchall()
    versions = {}
    for what, about, more in rows:
        match what:
            case "settled":
                known.settled.add(about)
            case "started":
                announce.changed("call", int(about))
            case "moving":
                known.moving.add(about)
            case "campaign":
                versions[int(about)] = more
            case _:
                known.ours[about] = what
    acting.seen(versions)
    return known


def _told(reports: Sequence[f.OrderReported]) -> list[dict[str, str | None]]:
    """The orders that the switch has taken, and those that it has carried out, with its reply."""
    taken = {one.order_id: None for one in reports if one.status == "sent"}
    replies = {one.order_id: one.reply[:500] for one in reports if one.status == "done"}
    return [
        {"order_id": key, "reply": reply, "status": Order.Status.ACCEPTED if reply is None else Order.Status.DONE}
        for key, reply in {**taken, **replies}.items()
    ]


def _registration_news(facts: list[f.SoftphoneRegistration]) -> list[f.SoftphoneRegistration]:
    """Those of our softphones that change what is known, or follow one that does."""
    extensions = {fact.user for fact in facts}
    if not extensions:
        return []
    rows = Agent.objects.filter(extension__in=extensions).values_list("extension", "registered", "registration")
    known = {extension: (state, registration) for extension, state, registration in rows}
    news: list[f.SoftphoneRegistration] = []
    changed: set[str] = set()
    for fact in facts:
        if fact.user not in known:
            continue
        if fact.user in changed or not agents.is_old_news(*known[fact.user], fact.registered, fact.registration):
            changed.add(fact.user)
            news.append(fact)
    return news
