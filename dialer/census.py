"""A campaign's contacts by the gate that blocks them, and when the next gates open.

Counting stops at COUNTED and what has not been looked at yet is sampled, so that a list of ten million costs what one
of ten thousand does. Computed once for all viewers, and kept in the cache.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from dialer import eligibility, rules
from dialer.models import CampaignStatus, Contact, DialerCampaign
from dialer.services import choosing

log = logging.getLogger(__name__)
Census = dict[str, Any]

# Beyond this a person reads "more than".
COUNTED = 10_000
# Due contacts asked all their gates: enough to tell 1 % from none.
SAMPLED = 500
# Older is computed anew when somebody looks; then it may be read for as long as the cache's own timeout.
FRESH_SECONDS = 20
# The board's campaigns are counted without anybody asking, this often.
BOARD_SECONDS = 30
KEPT_SECONDS = 600
# One computation at a time: longer than any takes.
_BUSY_SECONDS = 30

_BLOCKED = """
SELECT g.name,
       (SELECT count(*) FROM (
            SELECT 1 FROM dialer_contact c
            WHERE c.target_list_id = %(list)s AND c.status = 'ready' AND NOT (c.blocked_by = '')
              AND c.blocked_by = g.name
            LIMIT %(limit)s) AS counted),
       (SELECT c.next_attempt_at FROM dialer_contact c
        WHERE c.target_list_id = %(list)s AND c.status = 'ready' AND NOT (c.blocked_by = '') AND c.blocked_by = g.name
          AND c.next_attempt_at > %(now)s
        ORDER BY c.next_attempt_at LIMIT 1)
FROM unnest(%(gates)s) AS g(name)
"""
_WAITING = f"""
{choosing.LEVELS}
SELECT count(*) FILTER (WHERE blocked_by = ''), count(*), min(next_attempt_at) FILTER (WHERE blocked_by = '')
FROM (
    SELECT later.blocked_by, later.next_attempt_at FROM levels CROSS JOIN LATERAL (
        SELECT c.blocked_by, c.next_attempt_at FROM dialer_contact c
        WHERE c.target_list_id = %(list)s AND c.status = 'ready' AND c.priority = levels.priority
          AND c.next_attempt_at > %(now)s
        ORDER BY c.next_attempt_at, c.id LIMIT %(limit)s
    ) AS later
    WHERE levels.priority IS NOT NULL LIMIT %(limit)s
) AS counted
"""  # noqa: S608 - made of constants


def compute(campaign: DialerCampaign, now: dt.datetime) -> Census:
    """{at, total, processed, due {count, more}, sample {looked, free, gates}, waiting {count, more, next}, blocked
    {gate: {count, more, next}}}; times as ISO texts."""
    census: Census = {"at": now.isoformat(), "total": 0, "processed": 0}
    contacts = campaign.target_list
    if contacts is None:
        return census
    census["total"], census["processed"] = contacts.total_contacts, contacts.processed_contacts
    keys = choosing.due_keys(contacts.pk, now, COUNTED + 1)
    census["due"] = {"count": min(len(keys), COUNTED), "more": len(keys) > COUNTED}
    census["sample"] = _sample(campaign, keys[:SAMPLED], now)
    asked = {"list": contacts.pk, "now": now, "limit": COUNTED + 1, "gates": list(eligibility.CONTACT_GATES)}
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, asked)
        waiting, looked, following = cursor.fetchone()
        census["waiting"] = {"count": waiting, "more": looked > COUNTED, "next": _iso(following)}
        cursor.execute(_BLOCKED, asked)
        census["blocked"] = {
            name: {"count": min(count, COUNTED), "more": count > COUNTED, "next": _iso(opens)}
            for name, count, opens in cursor.fetchall()
            if count
        }
    return census


def _sample(campaign: DialerCampaign, keys: list[int], now: dt.datetime) -> Census:
    rule_set = rules.of(campaign, now)
    contacts = list(Contact.objects.filter(pk__in=keys))
    closed: Counter[str] = Counter()
    for view in rules.contact_views(contacts, campaign, rule_set, now).values():
        gates = eligibility.contact_gates(view, settings.DIAL_ALLOWED_PREFIXES, now, rule_set)
        closed[choosing.counted_under(gates) if gates else ""] += 1
    free = closed.pop("", 0)
    return {"looked": len(contacts), "free": free, "gates": dict(closed.most_common())}


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _key(campaign: DialerCampaign) -> str:
    return f"census:{campaign.campaign_id}"


def cached(campaign: DialerCampaign) -> Census | None:
    try:
        found: Census | None = cache.get(_key(campaign))
    except (redis.RedisError, ValueError):
        return None
    return found


def kept(campaigns: Sequence[DialerCampaign]) -> dict[int, Census]:
    """The kept census of each of these campaigns by its key: one question for all of them."""
    keys = {_key(campaign): campaign.pk for campaign in campaigns}
    try:
        found: dict[str, Census] = cache.get_many(list(keys)) if keys else {}
    except (redis.RedisError, ValueError):
        return {}
    return {keys[key]: census for key, census in found.items()}


def counts(census: Census | None) -> dict[str, Any]:
    """For the board: {at, ready, later, blocked {gate: count}, more}. What has not been asked its gates yet is told in
    the shares of the sample. more: counting stopped at COUNTED somewhere, so the numbers are at least these."""
    if census is None or "due" not in census:
        return {}
    due, sample, waiting = census["due"], census["sample"], census["waiting"]
    scale = due["count"] / sample["looked"] if sample["looked"] else 0.0
    blocked = Counter({gate: row["count"] for gate, row in census["blocked"].items()})
    blocked.update({gate: round(count * scale) for gate, count in sample["gates"].items()})
    return {
        "at": int(dt.datetime.fromisoformat(census["at"]).timestamp() * 1000),
        "ready": round(sample["free"] * scale),
        "later": waiting["count"],
        "blocked": dict(sorted(blocked.items())),
        "more": due["more"] or waiting["more"] or any(row["more"] for row in census["blocked"].values()),
    }


def age(census: Census, now: dt.datetime) -> float:
    """Seconds since it was computed."""
    return (now - dt.datetime.fromisoformat(census["at"])).total_seconds()


def next_at(census: Census) -> dt.datetime | None:
    """When the next of those that wait, for their time or behind a gate, may be called."""
    rows = [census.get("waiting") or {}, *census.get("blocked", {}).values()]
    times = [dt.datetime.fromisoformat(row["next"]) for row in rows if row.get("next")]
    return min(times, default=None)


def refresh(campaign: DialerCampaign) -> Census:
    """Compute it now, for everybody."""
    census = compute(campaign, timezone.now())
    try:
        cache.set(_key(campaign), census, KEPT_SECONDS)
        cache.delete(f"{_key(campaign)}:asked")
    except redis.RedisError as error:
        log.warning("the census was not kept: %s", type(error).__name__)
    return census


def keep_fresh() -> None:
    """Have the census of each active campaign computed when it is older than BOARD_SECONDS."""
    for campaign in DialerCampaign.objects.filter(status=CampaignStatus.ACTIVE).only("pk", "campaign_id"):
        look(campaign, BOARD_SECONDS)


def look(campaign: DialerCampaign, fresh: float = FRESH_SECONDS) -> Census | None:
    """The kept census, without waiting; one older than `fresh` seconds, or none, is computed on the queue `default`,
    once however many look."""
    found = cached(campaign)
    if found is not None and age(found, timezone.now()) < fresh:
        return found
    try:
        if cache.add(f"{_key(campaign)}:asked", 1, _BUSY_SECONDS):
            current_app.send_task("dialer.tasks.refresh_census", args=[campaign.pk], retry=False)
    except (redis.RedisError, OperationalError):
        pass
    return found
