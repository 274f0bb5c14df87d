"""Who may be called now: every gate that blocks, with the time at which it next opens. Pure; docs/rules.md lists them.

The same functions decide what is placed, are asked again inside the transaction that dials, and answer `explain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from dialer import numbers
from dialer.calling_hours import (
    DEFAULT_WEEK,
    Holiday,
    Week,
    after_holidays,
    holiday_today,
    is_open,
    next_open,
    zone,
)
from dialer.retry import NOT_DIALLED, RETRY_OUTCOMES, RetryRule
from dialer.rule_forms import FrequencyRule

# A call to these costs the called party, or nobody knows what it is: refused whatever a profile says.
NEVER_CALLED = frozenset({"premium_rate", "shared_cost", numbers.UNKNOWN})
AT_ONCE = RetryRule(timedelta(0))
# Rolling: no second of any choosing holds more than the allowed calls.
SECOND = timedelta(seconds=1)
# Gates of a contact, in the order in which they are named. A contact is counted under the first that blocks it.
CONTACT_GATES = (
    "status", "do_not_call", "consent", "prefix", "number_type", "time_zone", "attempts", "outcome_limit", "on_call",
    "callback", "retry_delay", "frequency", "quiet_days", "abandon_wait", "abandon_reserved", "holiday",
    "calling_hours",
)  # fmt: skip
# Those that an entry on a list closes: its removal opens them at once.
LISTED_GATES = ("do_not_call", "consent")


@dataclass(frozen=True, slots=True)
class Gate:
    """A closed gate. `opens_at`: None when only a person can open it, or nobody knows when."""

    name: str
    reason: str
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is in use and what is allowed, of a campaign or of the whole system; None: no limit. spent: today, with what
    the open calls have cost until now. next_cost: the least that one more call adds."""

    lines: int = 0
    max_lines: int | None = None
    in_last_second: int = 0
    per_second: int | None = None
    oldest_in_second: datetime | None = None
    spent: Decimal = Decimal(0)
    spend_cap: Decimal | None = None
    next_cost: Decimal = Decimal(0)
    day_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CampaignView:
    status: str
    has_list: bool
    scheduled_start: datetime | None
    scheduled_end: datetime | None
    own: Limits = field(default_factory=Limits)
    system: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Rules:
    """A campaign's compliance profile. The defaults are those of a campaign without one; sources in docs/rules.md."""

    week: Week = DEFAULT_WEEK
    holidays: tuple[Holiday, ...] = ()
    frequency: tuple[FrequencyRule, ...] = ()
    quiet_after_conversation: timedelta = timedelta(0)
    wait_after_abandon: timedelta = timedelta(0)
    reserved_after_abandon: timedelta = timedelta(hours=72)
    max_attempts: int = 1
    retry: dict[str, RetryRule] = field(default_factory=dict)
    retry_default: RetryRule = AT_ONCE
    refused_types: frozenset[str] = frozenset()
    allowed_prefixes: tuple[str, ...] = ()

    def retry_rule(self, kind: str) -> RetryRule:
        return self.retry.get(kind, self.retry_default)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier call to the number, by this campaign or (`ours` False) another. outcome: of retry.OUTCOMES, '' while
    it lasts; a refusal by the switch was no attempt at the customer."""

    at: datetime
    outcome: str = ""
    talked_until: datetime | None = None
    abandoned_at: datetime | None = None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Callback:
    """An appointment the customer asked for. agent: whose it is until `anyone_at`; None: anyone's from the start."""

    at: datetime
    agent: int | None = None
    anyone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContactView:
    """history: calls to the number within the longest window of the rules. outcomes: how often this contact's attempts
    ended how. last_ended_at: of the contact's last attempt. do_not_call, consent_revoked: why, '' for not at all."""

    number: str
    status: str
    next_attempt_at: datetime
    number_is_on_a_call: bool = False
    time_zone: str = ""
    attempts: int = 0
    last_outcome: str = ""
    last_ended_at: datetime | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    history: tuple[Attempt, ...] = ()
    do_not_call: str = ""
    consent_revoked: str = ""
    callback: Callback | None = None


def campaign_gates(campaign: CampaignView, now: datetime) -> tuple[Gate, ...]:
    """Why this campaign may not dial at all; () when it may. The end of the schedule is exclusive."""
    gates = []
    if campaign.status != "active":
        gates.append(Gate("status", f"the campaign is {campaign.status}"))
    if not campaign.has_list:
        gates.append(Gate("list", "the campaign has no contact list"))
    if campaign.scheduled_start is not None and now < campaign.scheduled_start:
        gates.append(Gate("schedule", "the campaign has not started yet", campaign.scheduled_start))
    if campaign.scheduled_end is not None and now >= campaign.scheduled_end:
        gates.append(Gate("schedule", "the campaign is over"))
    for limits, whose in ((campaign.own, "the campaign"), (campaign.system, "the system")):
        gates.extend(_limit_gates(limits, whose))
    return tuple(gates)


def _limit_gates(limits: Limits, whose: str) -> list[Gate]:
    gates = []
    if limits.max_lines is not None and limits.lines >= limits.max_lines:
        gates.append(Gate("lines", f"{whose} has {limits.lines} of {limits.max_lines} lines in use"))
    if limits.per_second is not None and limits.in_last_second >= limits.per_second:
        opens_at = limits.oldest_in_second + SECOND if limits.oldest_in_second is not None else None
        reason = f"{whose} has placed its {limits.per_second} calls of this second"
        gates.append(Gate("calls_per_second", reason, opens_at))
    if limits.spend_cap is not None and limits.spent + limits.next_cost > limits.spend_cap:
        reason = f"{whose} has spent {limits.spent} of {limits.spend_cap} today"
        gates.append(Gate("spend", reason, limits.day_ends_at))
    return gates


def calls_paid_for(limits: Limits) -> int | None:
    """How many more calls the day's spending cap pays for; None without a cap, or where calls cost nothing."""
    if limits.spend_cap is None:
        return None
    if limits.next_cost > 0:
        return int((limits.spend_cap - limits.spent) // limits.next_cost)
    return 0 if limits.spent > limits.spend_cap else None


def room(campaign: CampaignView) -> int | None:
    """How many calls the limits leave at this moment; None for any number. Never negative."""
    rooms = []
    for limits in (campaign.own, campaign.system):
        if limits.max_lines is not None:
            rooms.append(limits.max_lines - limits.lines)
        if limits.per_second is not None:
            rooms.append(limits.per_second - limits.in_last_second)
        if (paid := calls_paid_for(limits)) is not None:
            rooms.append(paid)
    return max(0, min(rooms)) if rooms else None


def zones_of(contact: ContactView) -> tuple[ZoneInfo, ...]:
    """Every zone whose clock must allow the call: all that the number may be in, and the contact's own; () when one of
    them is unknown, or no place's (EST), or there is none."""
    names = list(numbers.time_zones(contact.number))
    if contact.time_zone and contact.time_zone not in names:
        names.append(contact.time_zone)
    zones = [zone(name) for name in names]
    return tuple(one for one in zones if one is not None) if all(zones) else ()


def _why_no_zone(contact: ContactView) -> str:
    if contact.time_zone and zone(contact.time_zone) is None:
        return "the contact's time zone is not that of a place, such as America/New_York"
    return "nobody knows what time it is where this number is called"


def contact_gates(
    contact: ContactView,
    allowed_prefixes: Sequence[str],
    now: datetime,
    rules: Rules,
    *,
    agent: int | None = None,
    agent_reserved: bool = True,
) -> tuple[Gate, ...]:
    """Why this contact may not be dialled now; () when it may.

    agent: for whom it would be dialled, where that is known already. agent_reserved: one idle agent waits for this very
    call (as every progressive one has).
    """
    zones = zones_of(contact)
    gates = [
        *_standing_gates(contact, allowed_prefixes, rules),
        *([] if zones else [Gate("time_zone", _why_no_zone(contact))]),
        *_attempt_gates(contact, now, rules, agent),
        *_history_gates(contact, now, rules, agent_reserved),
    ]
    if zones:
        gates += _clock_gates(contact, now, rules, zones)
    return tuple(gates)


def opens_at(gates: Sequence[Gate]) -> datetime | None:
    """When the last of the gates opens: before that no other look is worth it. None when nobody knows."""
    times = [gate.opens_at for gate in gates]
    known = [moment for moment in times if moment is not None]
    return max(known) if known and len(known) == len(times) else None


def _standing_gates(contact: ContactView, allowed_prefixes: Sequence[str], rules: Rules) -> list[Gate]:
    """Those that no passing of time opens."""
    gates = []
    if contact.status != "ready":
        gates.append(Gate("status", f"the contact is {contact.status}"))
    if contact.do_not_call:
        gates.append(Gate("do_not_call", f"the number is not to be called: {contact.do_not_call}"))
    if contact.consent_revoked:
        gates.append(Gate("consent", f"consent was revoked: {contact.consent_revoked}"))
    if not numbers.is_allowed(contact.number, allowed_prefixes):
        gates.append(Gate("prefix", "the number is outside DIAL_ALLOWED_PREFIXES"))
    elif rules.allowed_prefixes and not numbers.is_allowed(contact.number, rules.allowed_prefixes):
        gates.append(Gate("prefix", "the number is outside the profile's prefixes"))
    kind = numbers.number_type(contact.number)
    if kind in NEVER_CALLED or kind in rules.refused_types:
        gates.append(Gate("number_type", f"numbers of the type {kind.replace('_', ' ')} are not called"))
    return gates


def _attempt_gates(contact: ContactView, now: datetime, rules: Rules, agent: int | None) -> list[Gate]:
    gates = []
    last = contact.last_outcome
    count = contact.outcomes.get(last, 0)
    rule = rules.retry_rule(last)
    appointment = contact.callback
    if contact.attempts >= rules.max_attempts and appointment is None:
        gates.append(Gate("attempts", f"{contact.attempts} attempts made, {rules.max_attempts} allowed"))
    if last in RETRY_OUTCOMES and rule.is_used_up(count) and appointment is None:
        gates.append(Gate("outcome_limit", f"{count} times {last.replace('_', ' ')}, {rule.times} retries allowed"))
    if contact.number_is_on_a_call:
        gates.append(Gate("on_call", "this number is on a call already"))
    if appointment is not None:
        if now < appointment.at:
            gates.append(Gate("callback", "the customer asked to be called later", appointment.at))
        elif appointment.agent not in (None, agent) and (appointment.anyone_at is None or now < appointment.anyone_at):
            gates.append(Gate("callback", "the appointment is another agent's", appointment.anyone_at))
        return gates
    due = contact.next_attempt_at
    if last in RETRY_OUTCOMES and contact.last_ended_at is not None:
        # The rule may have changed since the time was written down.
        due = max(due, contact.last_ended_at + rule.delay_after(count))
    if now < due:
        gates.append(Gate("retry_delay", "the next attempt is not due yet", due))
    return gates


def _history_gates(contact: ContactView, now: datetime, rules: Rules, agent_reserved: bool) -> list[Gate]:
    gates = []
    made = [attempt for attempt in contact.history if attempt.outcome != NOT_DIALLED]
    for limit in rules.frequency:
        window = timedelta(days=limit.days)
        times = sorted(a.at for a in made if a.at > now - window and (a.ours or not limit.this_campaign_only))
        if len(times) >= limit.attempts:
            reason = f"{len(times)} attempts within {limit.days} days, {limit.attempts} allowed"
            gates.append(Gate("frequency", reason, times[-limit.attempts] + window))
    talks = [attempt.talked_until for attempt in made if attempt.talked_until is not None]
    # Whoever asked to be called back has said when the quiet ends: 12 CFR 1006.14(b)(5).
    if talks and contact.callback is None and now < max(talks) + rules.quiet_after_conversation:
        ends = max(talks) + rules.quiet_after_conversation
        gates.append(Gate("quiet_days", "there was a conversation a short while ago", ends))
    abandons = [attempt.abandoned_at for attempt in made if attempt.abandoned_at is not None]
    if abandons:
        last = max(abandons)
        if now < last + rules.wait_after_abandon:
            reason = "a call to this number was abandoned a short while ago"
            gates.append(Gate("abandon_wait", reason, last + rules.wait_after_abandon))
        if not agent_reserved and now < last + rules.reserved_after_abandon:
            reason = "after an abandoned call this number is dialled only with an agent reserved"
            gates.append(Gate("abandon_reserved", reason, last + rules.reserved_after_abandon))
    return gates


def _clock_gates(contact: ContactView, now: datetime, rules: Rules, zones: Sequence[ZoneInfo]) -> list[Gate]:
    gates = []
    region = numbers.region(contact.number)
    holiday = holiday_today(rules.holidays, region, zones, now)
    if holiday is not None:
        gates.append(Gate("holiday", f"{holiday.name} there", after_holidays(rules.holidays, region, zones, now)))
    if not is_open(rules.week, zones, now):
        where = zones[0].key if len(zones) == 1 else f"all {len(zones)} zones this number may be in"
        gates.append(Gate("calling_hours", f"outside calling hours in {where}", next_open(rules.week, zones, now)))
    return gates
