"""What dialer/explain.py found, as lines for a terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dialer import census, eligibility, explain
from dialer.explain import CampaignExplained, InList, NumberExplained
from dialer.whydial import time_text


def gate_lines(gates: Sequence[eligibility.Gate]) -> list[str]:
    lines = []
    for gate in gates:
        opens = f"; opens {time_text(gate.opens_at)}" if gate.opens_at else ""
        lines.append(f"closed  {gate.name}: {gate.reason}{opens}")
    return lines or ["open    every gate is open"]


def campaign_lines(found: CampaignExplained) -> Iterator[str]:
    yield f"Campaign {found.campaign.name} ({found.campaign.campaign_id}), {time_text(found.at)}"
    opens = f" Opens {time_text(found.now.opens_at)}." if found.now.opens_at else ""
    yield f"{found.now.text}{opens}"
    yield ""
    yield "Gates"
    yield from _indent(gate_lines(found.gates))
    yield ""
    yield "Limits"
    for whose, text in explain.limits_in_words(found.view):
        yield f"  {whose}: {text}"
    yield f"  profile: {found.campaign.profile or 'none, so 08:00 to 21:00 where the called party is'}"
    yield ""
    yield from _agent_lines(found)
    yield ""
    yield "Last decisions"
    for decision in found.decisions:
        blocked = explain.set_aside(decision)
        aside = f" (set aside: {_counts(blocked)})" if blocked else ""
        times = f", {decision.repeats} times" if decision.repeats > 1 else ""
        yield f"  {time_text(decision.last_at)}  {decision.binding_reason}: {decision.summary}{aside}{times}"
    if not found.decisions:
        yield "  none yet"
    yield ""
    if found.found is not None:
        yield from census_lines(found.found, found.at)


def _agent_lines(found: CampaignExplained) -> Iterator[str]:
    assigned = found.idle + sum(count for _, count in found.not_idle)
    yield f"Agents: {found.idle} idle of {assigned} assigned"
    for reason, count in found.not_idle:
        yield f"  {count} not idle: {reason}"
    for person in found.agents:
        if person.idle:
            limit = f", {person.why}" if person.why else ""
            yield f"  {person.agent.agent_id}: idle since {time_text(person.agent.idle_since)}{limit}"
        else:
            yield f"  {person.agent.agent_id}: {person.why}"


def census_lines(found: census.Census, now: dt.datetime) -> Iterator[str]:
    yield f"Contacts, counted {max(0, round(census.age(found, now)))} s ago"
    if "due" not in found:
        yield "  the campaign has no contact list"
        return
    yield f"  {found['total']:,} in the list, {found['processed']:,} done with"
    sample, due = found["sample"], found["due"]
    yield f"  due: {_bounded(due)}"
    if sample["looked"]:
        gates = f"; {_counts(sample['gates'].items())}" if sample["gates"] else ""
        yield f"    of the first {sample['looked']:,}: {sample['free']:,} may be called now{gates}"
    waiting = found["waiting"]
    if waiting["count"] or waiting["more"]:
        yield f"  waiting for their time: {_bounded(waiting)}{_following(waiting)}"
    for gate, row in found["blocked"].items():
        yield f"  behind {gate}: {_bounded(row)}{_following(row)}"


def number_lines(found: NumberExplained) -> Iterator[str]:
    yield f"Number {found.number}, {time_text(found.at)}"
    yield f"  {found.kind}, {found.region or 'no known country'}, zones: {', '.join(found.zones) or 'unknown'}"
    for listing in found.listed:
        entry = listing.entry
        since, by = time_text(entry.created_at), entry.created_by or "-"
        yield f"  {listing.what}: {listing.scope}, since {since}, source {entry.source or '-'}, by {by}"
    for entry_in in found.lists:
        yield ""
        yield from _list_lines(entry_in)
    if not found.lists:
        yield "  it is in no list"
    if found.calls:
        yield ""
        yield "Last calls"
    for call in found.calls:
        campaign = call.campaign.name if call.campaign else "no campaign"
        agent = call.agent.agent_id if call.agent else "-"
        how = f"{call.outcome or call.status} ({call.disconnect_reason or '-'})"
        why = f"; placed because: {call.decision.summary}" if call.decision else ""
        yield f"  {time_text(call.initiated_at)}  {how}, {campaign}, {agent}{why}"


def _list_lines(found: InList) -> Iterator[str]:
    contact = found.contact
    last = f", last {contact.last_outcome.replace('_', ' ')}" if contact.last_outcome else ""
    attempts = f"{contact.attempts} attempts{last}, next {time_text(contact.next_attempt_at)}"
    yield f"In the list {contact.target_list.name}: {contact.status}, {attempts}"
    for one in found.campaigns:
        yield f"  campaign {one.campaign.name} ({one.campaign.status})"
        yield from _indent(gate_lines(one.campaign_gates), "the campaign: ")
        yield from _indent(gate_lines(one.contact_gates), "the contact:  ")
    if not found.campaigns:
        yield "  no campaign dials this list"


def _indent(lines: Sequence[str], before: str = "") -> list[str]:
    return [f"  {'  ' if before else ''}{before}{line}" for line in lines]


def _bounded(row: Mapping[str, Any]) -> str:
    return f"{'more than ' if row['more'] else ''}{row['count']:,}"


def _following(row: Mapping[str, str | None]) -> str:
    return f", the next at {time_text(dt.datetime.fromisoformat(row['next']))}" if row["next"] else ""


def _counts(gates: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in gates)
