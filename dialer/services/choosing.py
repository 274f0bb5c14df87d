"""The next contacts of a campaign that may be called now, at a cost that does not depend on how long the list is.

Contacts come from the index contact_due, priority by priority. One that a gate blocks leaves its front: its next
attempt moves to the time the gate opens, and `blocked_by` says which; one that another campaign may call now is passed
over (services/passed_over.py). So each decision looks at a bounded number of rows, and none of them twice.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet, Value

from dialer import eligibility, limits, rules
from dialer.compiled import any_of, compiled
from dialer.models import Callback, CampaignStatus, Contact, ContactStatus, DialerCampaign
from dialer.services import passed_over

# The priorities of a list are few; each is found by one look into the index, and its due contacts by another.
LEVELS = """
WITH RECURSIVE levels(priority) AS (
    (SELECT c.priority FROM dialer_contact c WHERE c.target_list_id = %(list)s AND c.status = 'ready'
     ORDER BY c.priority DESC LIMIT 1)
    UNION ALL
    SELECT (SELECT c.priority FROM dialer_contact c
            WHERE c.target_list_id = %(list)s AND c.status = 'ready' AND c.priority < levels.priority
            ORDER BY c.priority DESC LIMIT 1)
    FROM levels WHERE levels.priority IS NOT NULL
)
"""
_DUE = f"""
{LEVELS}
SELECT due.id FROM levels CROSS JOIN LATERAL (
    SELECT c.id FROM dialer_contact c
    WHERE c.target_list_id = %(list)s AND c.status = 'ready' AND c.priority = levels.priority
      AND c.next_attempt_at <= %(now)s
      AND (c.next_attempt_at, c.id) > (
          COALESCE((%(after)s::jsonb -> levels.priority::text ->> 'at')::timestamptz, '-infinity'),
          COALESCE((%(after)s::jsonb -> levels.priority::text ->> 'id')::bigint, 0))
    ORDER BY c.next_attempt_at, c.id LIMIT %(limit)s
) AS due
WHERE levels.priority IS NOT NULL LIMIT %(limit)s
"""  # noqa: S608 - made of constants


_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(slots=True)
class Chosen:
    """contacts: may be called now, in order, each with the agent whose appointment it is, or None. blocked: contacts
    looked at and found blocked, by their first gate. left: the same by key; None for one that was set aside, the
    contact itself where it stays due because another campaign may call it."""

    contacts: list[tuple[Contact, int | None]] = field(default_factory=list)
    blocked: Counter[str] = field(default_factory=Counter)
    left: dict[int, Contact | None] = field(default_factory=dict)


def due_keys(target_list: int, now: dt.datetime, limit: int, after: str = "{}") -> list[int]:
    """Keys of ready contacts whose time has come: highest priority first, then the longest due. after: the place
    behind which each priority begins (passed_over)."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"list": target_list, "now": now, "limit": limit, "after": after})
        return [row[0] for row in cursor.fetchall()]


def choose(
    campaign: DialerCampaign,
    want: int,
    now: dt.datetime,
    *,
    idle: tuple[int, ...] = (),
    agent_reserved: bool = True,
) -> Chosen:
    """Up to `want` contacts to call now, locked until the transaction ends. Appointments come first.

    idle: agents who could take a call, longest idle first: an appointment that is one agent's own waits for them.
    agent_reserved: one of them waits for each call (eligibility.contact_gates). Otherwise one waits for an appointment
    that is theirs alone (`paired`).
    """
    chosen = Chosen()
    if campaign.target_list_id is None or want <= 0:
        return chosen
    rule_set = rules.of(campaign, now)
    seen: set[str] = set()
    passed = passed_over.by(campaign, rule_set, agent_reserved, now)
    keys = _appointments(campaign, idle, agent_reserved, now, want, passed.appointments_at(now))
    if keys:
        _examine(chosen, campaign, rule_set, keys, want, now, idle, agent_reserved, seen)
        passed.over_appointments([key for key in keys if chosen.left.get(key)], now)
    looked, due, after = set(keys), list[int](), passed.place()
    while len(chosen.contacts) < want and len(looked) < limits.MAX_EXAMINED:
        missing = want - len(chosen.contacts)
        batch = min(limits.MAX_EXAMINED, len(looked) + missing + 20)
        keys = [key for key in due_keys(campaign.target_list_id, now, batch, after) if key not in looked]
        if not keys:
            passed.at_end(now)
            break
        due += keys
        looked.update(keys)
        _examine(chosen, campaign, rule_set, keys, want, now, idle, agent_reserved, seen)
    # Not past one that may be called, or that somebody else holds: it may be due again with the next decision.
    for key in takewhile(chosen.left.__contains__, due):
        if (contact := chosen.left[key]) is not None:
            passed.over(contact)
    if keys and len(chosen.contacts) < want:
        passed.short()
    return chosen


def _appointed(agent_reserved: bool, campaign: Value, idle: Value, now: Value, passed: Value) -> QuerySet[Any, Any]:
    theirs = Q(any_of("agent", idle))
    whose = Q(agent=None) | theirs | Q(anyone_at__lte=now)
    # What a gate has set aside is not looked at before that opens; what waits for its own agent, or for any, is.
    reserved = Q() if agent_reserved else theirs
    seen = Q(contact__blocked_by__in=["", "callback"]) | Q(contact__next_attempt_at__lte=now)
    seen |= Q(contact__blocked_by="abandon_reserved") & reserved
    rows = Callback.objects.filter(
        whose, seen, campaign=campaign, status=Callback.Status.OPEN, at__lte=now, contact__status=ContactStatus.READY
    ).exclude(any_of("contact", passed))
    return rows.order_by("at").values_list("contact", flat=True)[: limits.MAX_PLACED_PER_DECISION]


_APPOINTED = {reserved: compiled(partial(_appointed, reserved)) for reserved in (True, False)}


def _appointments(
    campaign: DialerCampaign,
    idle: tuple[int, ...],
    agent_reserved: bool,
    now: dt.datetime,
    want: int,
    passed: Iterable[int],
) -> list[int]:
    """Contacts whose appointment has come and whose agent, if it is one's own, is idle."""
    return _APPOINTED[agent_reserved](campaign.pk, list(idle), now, list(passed))[:want]


_LOCKED = compiled(
    lambda pks, target_list: Contact.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        any_of("pk", pks), target_list=target_list
    )
)


def _examine(
    chosen: Chosen,
    campaign: DialerCampaign,
    rule_set: eligibility.Rules,
    keys: list[int],
    want: int,
    now: dt.datetime,
    idle: tuple[int, ...],
    agent_reserved: bool,
    seen: set[str],
) -> None:
    """Lock, ask every gate, keep those that may be called, and set the others aside until their gates open."""
    found = {contact.pk: contact for contact in _LOCKED(keys, campaign.target_list_id)}
    contacts = [found[key] for key in keys if key in found]
    views = rules.contact_views(contacts, campaign, rule_set, now)
    aside: list[tuple[Contact, tuple[eligibility.Gate, ...]]] = []
    for contact in contacts:
        if len(chosen.contacts) >= want:
            break
        view = views[contact.pk]
        whose = view.callback.agent if view.callback else None
        agent = whose if whose in idle else None
        reserved = agent_reserved or agent is not None
        gates = eligibility.contact_gates(
            view, settings.DIAL_ALLOWED_PREFIXES, now, rule_set, agent=agent, agent_reserved=reserved
        )
        if gates:
            chosen.blocked[gates[0].name] += 1
            aside.append((contact, gates))
        elif contact.number not in seen:
            seen.add(contact.number)
            chosen.contacts.append((contact, agent))
    chosen.left.update({contact.pk: contact for contact, _ in aside})
    chosen.left.update(dict.fromkeys(set_aside(aside, campaign, now)))


def set_aside(
    blocked: list[tuple[Contact, tuple[eligibility.Gate, ...]]], campaign: DialerCampaign, now: dt.datetime
) -> list[int]:
    """Move each to the time at which the last of its gates opens, in every active campaign that has its list; returns
    the keys of those moved. The others may be called by another campaign now."""
    waiting = [(contact, gates) for contact, gates in blocked if contact.status == ContactStatus.READY]
    if not waiting:
        return []
    others = _others(campaign)
    until = {contact.pk: _until(gates, now) for contact, gates in waiting}
    for other in others:
        other_rules = rules.of(other, now)
        views = rules.contact_views([contact for contact, _ in waiting], other, other_rules, now)
        for pk, view in views.items():
            gates = eligibility.contact_gates(view, settings.DIAL_ALLOWED_PREFIXES, now, other_rules)
            until[pk] = min(until[pk], _until(gates, now) if gates else now)
    moved = []
    for contact, gates in waiting:
        if until[contact.pk] > now:
            contact.next_attempt_at, contact.blocked_by = until[contact.pk], counted_under(gates)
            moved.append(contact)
    Contact.objects.bulk_update(moved, ["next_attempt_at", "blocked_by"])
    return [contact.pk for contact in moved]


def _others(campaign: DialerCampaign) -> list[DialerCampaign]:
    """Active campaigns that dial the same list under rules of their own."""
    sharing = DialerCampaign.objects.select_related("profile").filter(
        target_list=campaign.target_list_id, status=CampaignStatus.ACTIVE
    )
    return list(sharing.exclude(pk=campaign.pk))


def _until(gates: tuple[eligibility.Gate, ...], now: dt.datetime) -> dt.datetime:
    if any(gate.name == "on_call" for gate in gates):
        return now + limits.ON_CALL_RECHECK
    moment = eligibility.opens_at(gates)
    return now + limits.RECHECK if moment is None else max(moment, now + dt.timedelta(milliseconds=1))


def paired(chosen: Chosen, able: Sequence[int], *, ahead: bool = False) -> list[tuple[Contact, int | None]]:
    """Each contact with the agent (a key) who is reserved for it. Appointments with one agent first, so that nobody
    else's contact takes that agent; then the longest idle. Dialled ahead, only an appointment reserves its agent."""
    left, pairs = list(able), []
    for contact, whose in sorted(chosen.contacts, key=lambda pair: pair[1] is None):
        if whose is None and ahead:
            pairs.append((contact, None))
            continue
        pk = whose if whose is not None else next(iter(left), None)
        if pk in left:
            left.remove(pk)
            pairs.append((contact, pk))
    return pairs


def counted_under(gates: tuple[eligibility.Gate, ...]) -> str:
    """The gate to be counted under: the first that only a person opens, else the one that opens last."""
    closed = [gate for gate in gates if gate.opens_at is None]
    return closed[0].name if closed else max(gates, key=lambda gate: gate.opens_at or _NEVER).name
