"""Why does it dial, why does it not: a campaign's or a number's every gate, as lines for people.

The same functions answer here that decide where it is dialled; nothing is changed by asking.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence

from django.conf import settings

from dialer import census, eligibility, numbers, rules
from dialer.models import (
    Agent,
    AgentStatus,
    CallLog,
    ConsentRevocation,
    Contact,
    ContactReservation,
    DialerCampaign,
    DoNotCall,
    PacingDecision,
    Softphone,
)
from dialer.services import agents, observing

DECISIONS = 10
AGENTS = 50
CONTACTS = 50
CALLS = 10


def time_text(moment: dt.datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def gate_lines(gates: Sequence[eligibility.Gate]) -> list[str]:
    lines = []
    for gate in gates:
        opens = f"; opens {time_text(gate.opens_at)}" if gate.opens_at else ""
        lines.append(f"closed  {gate.name}: {gate.reason}{opens}")
    return lines or ["open    every gate is open"]


def gates_now(campaign: DialerCampaign, now: dt.datetime) -> list[str]:
    """The campaign's own gates, and the link to the switch."""
    gates = list(eligibility.campaign_gates(rules.campaign_view(campaign, now), now))
    if not observing.link().up:
        gates.append(eligibility.Gate("link", "the bridge has no connection to the switch, or is silent"))
    return gate_lines(gates)


def campaign_lines(campaign: DialerCampaign, found: census.Census, now: dt.datetime) -> Iterator[str]:
    """Everything that is known about why a campaign dials or does not. found: its census."""
    view = rules.campaign_view(campaign, now)
    yield f"Campaign {campaign.name} ({campaign.campaign_id}), {time_text(now)}"
    yield ""
    yield "Gates"
    yield from _indent(gates_now(campaign, now))
    yield ""
    yield "Limits"
    for limits, whose in ((view.own, "campaign"), (view.system, "system")):
        lines = f"{_of(limits.lines, limits.max_lines)} lines"
        second = f"{_of(limits.in_last_second, limits.per_second)} calls this second"
        yield f"  {whose}: {lines}, {second}, {_of(limits.spent, limits.spend_cap)} spent today"
    yield f"  profile: {campaign.profile or 'none, so 08:00 to 21:00 where the called party is'}"
    yield ""
    yield from _agent_lines(campaign, now)
    yield ""
    yield "Last decisions"
    decisions = list(PacingDecision.objects.filter(campaign=campaign).order_by("-id")[:DECISIONS])
    for decision in decisions:
        blocked = decision.inputs.get("blocked") if isinstance(decision.inputs, dict) else None
        aside = f" (set aside: {_counts(blocked)})" if blocked else ""
        times = f", {decision.repeats} times" if decision.repeats > 1 else ""
        yield f"  {time_text(decision.last_at)}  {decision.binding_reason}: {decision.summary}{aside}{times}"
    if not decisions:
        yield "  none yet"
    yield ""
    yield from census_lines(found, now)


def census_lines(found: census.Census, now: dt.datetime) -> Iterator[str]:
    yield f"Contacts, counted {max(0, round(census.age(found, now)))} s ago"
    if "due" not in found:
        yield "  the campaign has no contact list"
        return
    yield f"  {found['total']:,} in the list, {found['processed']:,} done with"
    sample, due = found["sample"], found["due"]
    yield f"  due: {_bounded(due)}"
    if sample["looked"]:
        gates = f"; {_counts(sample['gates'])}" if sample["gates"] else ""
        yield f"    of the first {sample['looked']:,}: {sample['free']:,} may be called now{gates}"
    waiting = found["waiting"]
    if waiting["count"] or waiting["more"]:
        yield f"  waiting for their time: {_bounded(waiting)}{_following(waiting)}"
    for gate, row in found["blocked"].items():
        yield f"  behind {gate}: {_bounded(row)}{_following(row)}"


def _agent_lines(campaign: DialerCampaign, now: dt.datetime) -> Iterator[str]:
    idle = list(agents.idle(campaign.pk))
    able = set(observing.may_take(campaign, [agent.pk for agent in idle], now))
    others = campaign.assigned_agents.exclude(pk__in=[agent.pk for agent in idle]).order_by("agent_id")
    on_call = set(CallLog.objects.filter(agent__in=others, ended_at=None).values_list("agent_id", flat=True))
    yield f"Agents: {len(idle)} idle of {campaign.assigned_agents.count()} assigned"
    why = Counter(_why_not_idle(agent, agent.pk in on_call) for agent in others)
    for reason, count in why.most_common():
        yield f"  {count} not idle: {reason}"
    for agent in idle[:AGENTS]:
        limit = "" if agent.pk in able else ", at the hourly limit of calls"
        yield f"  {agent.agent_id}: idle since {time_text(agent.idle_since)}{limit}"
    for agent in others[:AGENTS]:
        yield f"  {agent.agent_id}: {_why_not_idle(agent, agent.pk in on_call)}"


def _why_not_idle(agent: Agent, on_call: bool) -> str:
    if not agent.is_active:
        return "taken out of service"
    if on_call:
        return "has a call"
    if agent.status != AgentStatus.AVAILABLE:
        return f"{agent.status.replace('_', ' ')}{f' ({agent.status_reason})' if agent.status_reason else ''}"
    if agent.pending_status:
        return f"asked for {agent.pending_status}"
    if ContactReservation.objects.filter(agent=agent, state=ContactReservation.State.OFFERED).exists():
        return "has a contact before them for preview"
    if agent.softphone != Softphone.OPEN:
        return f"softphone {Softphone(agent.softphone).label}"
    return "became idle just now"


def number_lines(e164: str, now: dt.datetime) -> Iterator[str]:
    """Every list and campaign a number is in, and each gate there."""
    zones = numbers.time_zones(e164)
    yield f"Number {e164}, {time_text(now)}"
    kind = numbers.number_type(e164).replace("_", " ")
    yield f"  {kind}, {numbers.region(e164) or 'no known country'}, zones: {', '.join(zones) or 'unknown'}"
    for model, what in ((DoNotCall, "do not call"), (ConsentRevocation, "consent revoked")):
        for entry in model.objects.select_related("campaign", "created_by").filter(number=e164):
            scope = f"campaign {entry.campaign.name}" if entry.campaign else "every campaign"
            by = entry.created_by or "-"
            yield f"  {what}: {scope}, since {time_text(entry.created_at)}, source {entry.source or '-'}, by {by}"
    contacts = Contact.objects.select_related("target_list").filter(number=e164).order_by("pk")[:CONTACTS]
    for contact in contacts:
        yield ""
        yield (
            f"In the list {contact.target_list.name}: {contact.status}, {contact.attempts} attempts"
            + (f", last {contact.last_outcome.replace('_', ' ')}" if contact.last_outcome else "")
            + f", next {time_text(contact.next_attempt_at)}"
        )
        campaigns = list(contact.target_list.campaigns.select_related("profile").order_by("name"))
        for campaign in campaigns:
            yield from _contact_in(contact, campaign, now)
        if not campaigns:
            yield "  no campaign dials this list"
    if not contacts:
        yield "  it is in no list"
    calls = CallLog.objects.select_related("campaign", "agent").filter(to_number=e164).order_by("-initiated_at")[:CALLS]
    if calls:
        yield ""
        yield "Last calls"
    for call in calls:
        campaign = call.campaign.name if call.campaign else "no campaign"
        agent = call.agent.agent_id if call.agent else "-"
        how = f"{call.outcome or call.status} ({call.disconnect_reason or '-'})"
        yield f"  {time_text(call.initiated_at)}  {how}, {campaign}, {agent}"


def _contact_in(contact: Contact, campaign: DialerCampaign, now: dt.datetime) -> Iterator[str]:
    rule_set = rules.of(campaign, now)
    view = rules.contact_views([contact], campaign, rule_set, now)[contact.pk]
    gates = eligibility.contact_gates(view, settings.DIAL_ALLOWED_PREFIXES, now, rule_set)
    yield f"  campaign {campaign.name} ({campaign.status})"
    closed = eligibility.campaign_gates(rules.campaign_view(campaign, now), now)
    yield from _indent(gate_lines(closed), "the campaign: ")
    yield from _indent(gate_lines(gates), "the contact:  ")


def _indent(lines: Sequence[str], before: str = "") -> list[str]:
    return [f"  {'  ' if before else ''}{before}{line}" for line in lines]


def _of(used: object, allowed: object) -> str:
    return f"{used} of {allowed}" if allowed is not None else f"{used} (no limit)"


def _bounded(row: dict[str, object]) -> str:
    return f"{'more than ' if row['more'] else ''}{row['count']:,}"


def _following(row: dict[str, str | None]) -> str:
    return f", the next at {time_text(dt.datetime.fromisoformat(row['next']))}" if row["next"] else ""


def _counts(gates: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in gates.items())
