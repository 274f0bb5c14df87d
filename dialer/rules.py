"""The rules as rows -> values for dialer/eligibility.py, and what is known of the contacts they are asked about.

Every function costs a fixed number of queries, each by an index, whatever the length of lists and history.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet, Sum, Value

from dialer import dispositions, eligibility, retry, rule_forms
from dialer.calling_hours import SEARCH_DAYS
from dialer.calling_hours import Holiday as HolidayValue
from dialer.compiled import any_of, compiled
from dialer.models import Callback as CallbackRow
from dialer.models import (
    CallLog,
    CampaignDay,
    ComplianceProfile,
    ConsentRevocation,
    Contact,
    DialerCampaign,
    Disposition,
    DoNotCall,
    Holiday,
    SystemLimits,
)
from dialer.services import closing

log = logging.getLogger(__name__)
_MINUTE = Decimal(60)


def of(campaign: DialerCampaign, now: dt.datetime) -> eligibility.Rules:
    """The campaign's rules now: its profile's, or the defaults. A profile that cannot be read allows nothing."""
    attempts = campaign.max_retry_attempts + 1
    fixed = _fixed_retry(campaign)
    profile = campaign.profile
    if profile is None:
        return eligibility.Rules(holidays=_holidays(now), max_attempts=attempts, retry_default=fixed)
    try:
        return _of(profile, attempts, fixed, now)
    except rule_forms.RuleError as error:
        # Not by any form of ours: they check it. One bad row must stop its own campaigns, and no other.
        log.error("the rules of profile %s cannot be read: %s", profile.pk, error)
        return eligibility.Rules(week=((),) * 7, max_attempts=attempts, retry_default=fixed)


def retry_rule(campaign: DialerCampaign, kind: str) -> retry.RetryRule:
    """As `of(campaign, now).retry_rule(kind)`: what the end of a call asks for is neither days nor hours."""
    fixed = _fixed_retry(campaign)
    try:
        return rule_forms.retries(campaign.profile.retry if campaign.profile else {}).get(kind, fixed)
    except rule_forms.RuleError:
        return fixed  # as `of`, which says so when the campaign is asked for next


def _fixed_retry(campaign: DialerCampaign) -> retry.RetryRule:
    return retry.RetryRule(dt.timedelta(minutes=campaign.retry_delay_minutes))


def _of(profile: ComplianceProfile, attempts: int, fixed: retry.RetryRule, now: dt.datetime) -> eligibility.Rules:
    return eligibility.Rules(
        week=rule_forms.week(profile.calling_hours),
        holidays=_holidays(now) if profile.observe_holidays else (),
        frequency=rule_forms.frequency(profile.frequency),
        quiet_after_conversation=dt.timedelta(days=profile.quiet_days),
        wait_after_abandon=dt.timedelta(hours=profile.abandon_wait_hours),
        reserved_after_abandon=dt.timedelta(hours=profile.abandon_reserved_hours),
        max_attempts=attempts,
        retry=rule_forms.retries(profile.retry),
        retry_default=fixed,
        refused_types=rule_forms.number_types(profile.refused_number_types),
        allowed_prefixes=rule_forms.prefixes(profile.allowed_prefixes),
    )


_HOLIDAYS = compiled(
    lambda first, last: Holiday.objects.filter(day__gte=first, day__lte=last).values_list(
        "day", "name", "region", "time_zone"
    )
)


def _holidays(now: dt.datetime) -> tuple[HolidayValue, ...]:
    days = (now.date() - dt.timedelta(days=2), now.date() + dt.timedelta(days=SEARCH_DAYS + 2))
    return tuple(HolidayValue(*row) for row in _HOLIDAYS(*days))


# --- Limits --------------------------------------------------------------------------------------------------------


_SYSTEM = compiled(lambda: SystemLimits.objects.filter(pk=1))


def campaign_view(
    campaign: DialerCampaign, now: dt.datetime, lines: tuple[int, int] | None = None
) -> eligibility.CampaignView:
    """The campaign with what it, and the system, have in use at this moment. lines: its own open calls and all, where
    they are known already."""
    system = _SYSTEM.first() or SystemLimits()
    own_lines, all_lines = lines or _lines(campaign)
    second = _last_second(campaign, system, now)
    tomorrow = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    capped = campaign.daily_spend_cap is not None or system.daily_spend_cap is not None
    spent = _spent(now) if capped else {}
    next_cost = campaign.price_per_attempt + campaign.price_per_minute
    return eligibility.CampaignView(
        campaign.status,
        campaign.target_list_id is not None,
        campaign.scheduled_start,
        campaign.scheduled_end,
        own=eligibility.Limits(
            own_lines, campaign.max_lines, second["own"], campaign.max_calls_per_second, second["own_oldest"],
            spent.get(campaign.pk, Decimal(0)), campaign.daily_spend_cap, next_cost, tomorrow,
        ),
        system=eligibility.Limits(
            all_lines, system.max_lines, second["all"], system.max_calls_per_second, second["oldest"],
            sum(spent.values(), Decimal(0)), system.daily_spend_cap, next_cost, tomorrow,
        ),
    )  # fmt: skip


def _lines(campaign: DialerCampaign) -> tuple[int, int]:
    found = CallLog.objects.filter(ended_at=None).aggregate(
        own=Count("pk", filter=Q(campaign=campaign)), all=Count("pk")
    )
    return found["own"], found["all"]


_SINCE = compiled(
    lambda since: CallLog.objects.filter(initiated_at__gt=since).order_by().values_list("initiated_at", "campaign")
)


def _last_second(campaign: DialerCampaign, system: SystemLimits, now: dt.datetime) -> dict[str, Any]:
    """Calls placed within the last second, and the oldest of them; asked only where they are limited."""
    if campaign.max_calls_per_second is None and system.max_calls_per_second is None:
        return {"all": 0, "own": 0, "oldest": None, "own_oldest": None}
    calls = _SINCE(now - eligibility.SECOND)
    ours = [at for at, whose in calls if whose == campaign.pk]
    oldest = min((at for at, _ in calls), default=None)
    return {"all": len(calls), "own": len(ours), "oldest": oldest, "own_oldest": min(ours, default=None)}


def _spent(now: dt.datetime) -> dict[int, Decimal]:
    """Each campaign's spending today: what is booked, and what the open calls have cost until now (a minute at
    least)."""
    closing.write()
    days = CampaignDay.objects.filter(day=now.date()).values_list("campaign").annotate(Sum("spent"))
    spent: dict[int, Decimal] = defaultdict(Decimal, dict(days))
    calls = CallLog.objects.filter(ended_at=None, campaign__price_per_minute__gt=0)
    for pk, price, answered in calls.values_list("campaign", "campaign__price_per_minute", "answered_at"):
        seconds = (now - answered).total_seconds() if answered else 0.0
        spent[pk] += price * max(Decimal(1), Decimal(round(seconds)) / _MINUTE)
    return spent


def cost_of_talk(campaign: DialerCampaign, answered: dt.datetime | None, ended: dt.datetime) -> Decimal:
    """What an ended call is booked at, besides its attempt."""
    if answered is None:
        return Decimal(0)
    seconds = Decimal(round(max(0.0, (ended - answered).total_seconds())))
    return (campaign.price_per_minute * seconds / _MINUTE).quantize(Decimal("0.0001"))


# --- What is known of contacts -------------------------------------------------------------------------------------


def longest_window(rules: eligibility.Rules) -> dt.timedelta:
    """How far back a call can still matter."""
    windows = [dt.timedelta(days=rule.days) for rule in rules.frequency]
    windows += [rules.quiet_after_conversation, rules.wait_after_abandon, rules.reserved_after_abandon]
    # A conversation that began before its quiet days may have ended within them.
    return max(windows) + dt.timedelta(days=1)


# By contacts' keys and the campaign's.
open_appointments = compiled(
    lambda contacts, campaign: CallbackRow.objects.filter(
        any_of("contact", contacts), campaign=campaign, status=CallbackRow.Status.OPEN
    )
)


def contact_views(
    contacts: Sequence[Contact], campaign: DialerCampaign, rules: eligibility.Rules, now: dt.datetime
) -> dict[int, eligibility.ContactView]:
    """By contact's key, everything the gates ask about. Four queries for any number of contacts."""
    numbers = {contact.number for contact in contacts}
    keys = [contact.pk for contact in contacts]
    busy, history = _history(numbers, campaign, now - longest_window(rules))
    refused, revoked = _listed(numbers, campaign)
    outcomes, last_ended = _outcomes(keys)
    appointments = {
        row.contact_id: eligibility.Callback(row.at, row.agent_id, row.anyone_at)
        for row in open_appointments(keys, campaign.pk)
    }
    return {
        contact.pk: eligibility.ContactView(
            contact.number,
            contact.status,
            contact.next_attempt_at,
            contact.number in busy,
            contact.time_zone,
            contact.attempts,
            contact.last_outcome,
            last_ended.get(contact.pk),
            outcomes.get(contact.pk, {}),
            tuple(history.get(contact.number, ())),
            refused.get(contact.number, ""),
            revoked.get(contact.number, ""),
            appointments.get(contact.pk),
        )
        for contact in contacts
    }


def contact_gates(
    contact: Contact,
    campaign: DialerCampaign,
    now: dt.datetime,
    *,
    at: dt.datetime | None = None,
    agent: int | None = None,
) -> tuple[eligibility.Gate, ...]:
    """The closed gates of one contact in a campaign; at: as they will stand then. agent: as in eligibility."""
    rule_set = of(campaign, now)
    view = contact_views([contact], campaign, rule_set, now)[contact.pk]
    return eligibility.contact_gates(view, settings.DIAL_ALLOWED_PREFIXES, at or now, rule_set, agent=agent)


_CALLS_TO = compiled(
    lambda numbers, since: CallLog.objects.filter(
        Q(initiated_at__gt=since) | Q(ended_at=None), any_of("to_number", numbers)
    ).values_list(
        "to_number", "initiated_at", "answered_at", "bridged_at", "ended_at", "outcome", "abandoned", "campaign"
    )
)


def _history(
    numbers: Iterable[str], campaign: DialerCampaign, since: dt.datetime
) -> tuple[set[str], dict[str, list[eligibility.Attempt]]]:
    """The numbers that are on a call, and the calls to each since then."""
    busy: set[str] = set()
    found: dict[str, list[eligibility.Attempt]] = defaultdict(list)
    for number, at, answered, bridged, ended, outcome, abandoned, campaign_id in _CALLS_TO(list(numbers), since):
        if ended is None:
            busy.add(number)
        over = ended or answered or at
        # Nobody was spoken to, and nobody kept waiting, where a machine answered: an agent may have been joined to it.
        person = outcome != retry.MACHINE
        found[number].append(
            eligibility.Attempt(
                at,
                outcome,
                talked_until=over if bridged is not None and person else None,
                abandoned_at=over if abandoned and person else None,
                ours=campaign_id == campaign.pk,
            )
        )
    return busy, found


_ENDED = compiled(
    lambda contacts: (
        CallLog.objects.filter(any_of("contact", contacts))
        .values_list("contact", "outcome")
        .order_by()
        .annotate(n=Count("pk"), ended=Max("ended_at"))
    )
)


def _outcomes(contacts: Iterable[int]) -> tuple[dict[int, dict[str, int]], dict[int, dt.datetime]]:
    """By contact's key, how often its attempts ended how, and when the last that was dialled ended."""
    outcomes: dict[int, dict[str, int]] = defaultdict(dict)
    last: dict[int, dt.datetime] = {}
    for pk, outcome, count, ended in _ENDED(list(contacts)):
        outcomes[pk][outcome] = count
        if ended is not None and outcome != retry.NOT_DIALLED:
            last[pk] = max(ended, last.get(pk, ended))
    return outcomes, last


@compiled
def _entries(numbers: Value, campaign: Value) -> QuerySet[Any, Any]:
    mine = Q(campaign=None) | Q(campaign=campaign)
    lists = [
        model._default_manager.filter(mine, any_of("number", numbers)).order_by().values_list(
            Value(n), "number", "campaign", "source", "created_at"
        )
        for n, model in enumerate((DoNotCall, ConsentRevocation))
    ]  # fmt: skip
    return lists[0].union(lists[1], all=True)


def _listed(numbers: Iterable[str], campaign: DialerCampaign) -> tuple[dict[str, str], dict[str, str]]:
    """Why each of the numbers may not be called, and whose consent was taken back and how: the system's entry before
    the campaign's."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for n, number, whose, source, since in _entries(list(numbers), campaign.pk):
        if whose is None or number not in found[n]:
            where = "this campaign" if whose else "every campaign"
            found[n][number] = f"{where}{f', {source}' if source else ''}, since {since:%Y-%m-%d}"
    return found


def wrap_up(campaign: DialerCampaign | None) -> dispositions.WrapUp:
    """What follows a conversation of this campaign."""
    if campaign is None:
        return dispositions.WrapUp()
    return dispositions.WrapUp(
        seconds=campaign.wrap_up_seconds,
        required=campaign.disposition_required,
        ends=campaign.disposition_ends_wrap_up,
        maximum=campaign.max_wrap_up_seconds,
        then=dispositions.AtMaximum(campaign.max_wrap_up_action),
        reason=campaign.max_wrap_up_reason,
    )


def flags(disposition: Disposition) -> dispositions.Flags:
    minutes = disposition.retry_delay_minutes
    return dispositions.Flags(
        do_not_call=disposition.is_do_not_call,
        callback=disposition.is_callback,
        retry=disposition.is_retry,
        complete=disposition.is_complete,
        retry_delay=None if minutes is None else dt.timedelta(minutes=minutes),
    )


class Retries(TypedDict):
    max_retries: int
    retry_delay: dt.timedelta


def retries(campaign: DialerCampaign | None) -> Retries:
    """The campaign's own limits of further attempts, as dispositions.following takes them."""
    if campaign is None:
        return {"max_retries": 0, "retry_delay": dt.timedelta(0)}
    return {
        "max_retries": campaign.max_retry_attempts,
        "retry_delay": dt.timedelta(minutes=campaign.retry_delay_minutes),
    }


def callback_fallback(campaign: DialerCampaign | None) -> dt.timedelta | None:
    """How long after its time a personal appointment becomes anyone's; None: never."""
    minutes = campaign.callback_fallback_minutes if campaign else None
    return None if minutes is None else dt.timedelta(minutes=minutes)
