"""Why does it dial, why does it not: what is known of a campaign or a number, for console and `manage.py explain`.

The same functions answer here that decide where it is dialled; nothing is changed by asking. Lines for a terminal are
made in dialer/explain_text.py, pages in console/why.py.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dialer import census, eligibility, numbers, rules, whydial
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
    Registered,
    Softphone,
)
from dialer.services import agents, observing

DECISIONS = 10
AGENTS = 50
CONTACTS = 50
CALLS = 10
LINK = eligibility.Gate("link", "the bridge has no connection to the switch, or is silent")


@dataclass(frozen=True, slots=True)
class AgentNow:
    """why: what keeps the agent from a call, '' for an idle one who may take one."""

    agent: Agent
    idle: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class CampaignExplained:
    """now: why it dials or does not, in one sentence. not_idle: how many agents for which reason. found: the census,
    None while it is being counted."""

    campaign: DialerCampaign
    at: dt.datetime
    now: whydial.Answer
    gates: tuple[eligibility.Gate, ...]
    view: eligibility.CampaignView
    agents: tuple[AgentNow, ...]
    not_idle: tuple[tuple[str, int], ...]
    idle: int
    decisions: tuple[PacingDecision, ...]
    found: census.Census | None


@dataclass(frozen=True, slots=True)
class Listing:
    """An entry that forbids calls to a number."""

    what: str
    entry: DoNotCall | ConsentRevocation

    @property
    def scope(self) -> str:
        return f"campaign {self.entry.campaign.name}" if self.entry.campaign else "every campaign"


@dataclass(frozen=True, slots=True)
class InCampaign:
    """A contact in one campaign: the gates of both; it is dialled when there are none."""

    campaign: DialerCampaign
    campaign_gates: tuple[eligibility.Gate, ...]
    contact_gates: tuple[eligibility.Gate, ...]

    @property
    def may_be_called(self) -> bool:
        return not self.campaign_gates and not self.contact_gates

    @property
    def opens_at(self) -> dt.datetime | None:
        """When the last of all gates opens; None when nobody knows."""
        return eligibility.opens_at((*self.campaign_gates, *self.contact_gates))


@dataclass(frozen=True, slots=True)
class InList:
    contact: Contact
    campaigns: tuple[InCampaign, ...]


@dataclass(frozen=True, slots=True)
class NumberExplained:
    number: str
    at: dt.datetime
    kind: str
    region: str
    zones: tuple[str, ...]
    listed: tuple[Listing, ...]
    lists: tuple[InList, ...]
    calls: tuple[CallLog, ...]


def campaign(asked: DialerCampaign, found: census.Census | None, now: dt.datetime) -> CampaignExplained:
    """Everything that is known about why a campaign dials or does not. found: its census."""
    view = rules.campaign_view(asked, now)
    gates = eligibility.campaign_gates(view, now)
    if not observing.link().up:
        gates = (*gates, LINK)
    people, not_idle, idle = _agents(asked, now)
    decisions = tuple(PacingDecision.objects.filter(campaign=asked).order_by("-id")[:DECISIONS])
    newest = decisions[0] if decisions else None
    answer = whydial.answer(
        gates,
        assigned=idle + sum(count for _, count in not_idle),
        idle=idle,
        able=sum(1 for person in people if person.idle and not person.why),
        not_idle=not_idle,
        last=newest and whydial.Last(newest.last_at, newest.placed, newest.binding_reason, newest.summary),
        next_contact_at=census.next_at(found) if found else None,
        now=now,
    )
    return CampaignExplained(asked, now, answer, gates, view, people, not_idle, idle, decisions, found)


def number(e164: str, now: dt.datetime) -> NumberExplained:
    """Every list and campaign a number is in, each gate there, and the last calls to it."""
    listed = tuple(
        Listing(what, entry)
        for model, what in ((DoNotCall, "do not call"), (ConsentRevocation, "consent revoked"))
        for entry in model.objects.select_related("campaign", "created_by").filter(number=e164)
    )
    contacts = Contact.objects.select_related("target_list").filter(number=e164).order_by("pk")[:CONTACTS]
    calls = CallLog.objects.select_related("campaign", "agent", "decision").filter(to_number=e164)
    return NumberExplained(
        e164,
        now,
        numbers.number_type(e164).replace("_", " "),
        numbers.region(e164) or "",
        tuple(numbers.time_zones(e164)),
        listed,
        tuple(InList(contact, campaigns_of(contact, now)) for contact in contacts),
        tuple(calls.order_by("-initiated_at")[:CALLS]),
    )


def campaigns_of(contact: Contact, now: dt.datetime) -> tuple[InCampaign, ...]:
    """The campaigns that dial the contact's list, with the gates of both."""
    found = []
    for one in contact.target_list.campaigns.select_related("profile").order_by("name"):
        closed = eligibility.campaign_gates(rules.campaign_view(one, now), now)
        found.append(InCampaign(one, closed, rules.contact_gates(contact, one, now)))
    return tuple(found)


def _agents(asked: DialerCampaign, now: dt.datetime) -> tuple[tuple[AgentNow, ...], tuple[tuple[str, int], ...], int]:
    """The first of its agents, idle ones before others; how many of the others for which reason; how many are idle."""
    idle = list(agents.idle(asked.pk))
    able = set(observing.may_take(asked, [agent.pk for agent in idle], now))
    others = list(asked.assigned_agents.exclude(pk__in=[agent.pk for agent in idle]).order_by("agent_id"))
    on_call = set(CallLog.objects.filter(agent__in=others, ended_at=None).values_list("agent_id", flat=True))
    skilled = set(agents.skilled(asked.pk).filter(pk__in=[agent.pk for agent in others]).values_list("pk", flat=True))
    offers = ContactReservation.objects.filter(agent__in=others, state=ContactReservation.State.OFFERED)
    offered = set(offers.values_list("agent_id", flat=True))
    unskilled = "lacks a skill the campaign requires"
    reasons = {
        agent.pk: _why_not_idle(agent, agent.pk in on_call, agent.pk in offered) if agent.pk in skilled else unskilled
        for agent in others
    }
    limit = f"at the limit of {asked.calls_per_agent_per_hour} calls an hour"
    people = [AgentNow(agent, True, "" if agent.pk in able else limit) for agent in idle[:AGENTS]]
    people += [AgentNow(agent, False, reasons[agent.pk]) for agent in others[:AGENTS]]
    return tuple(people), tuple(Counter(reasons.values()).most_common()), len(idle)


def _why_not_idle(agent: Agent, on_call: bool, offered: bool) -> str:
    if not agent.is_active:
        return "taken out of service"
    if on_call:
        return "with a call"
    if agent.status != AgentStatus.AVAILABLE:
        return f"{agent.status.replace('_', ' ')}{f' ({agent.status_reason})' if agent.status_reason else ''}"
    if agent.pending_status:
        return f"asked for {agent.pending_status}"
    if offered:
        return "has a contact before them for preview"
    if agent.softphone != Softphone.OPEN and agent.registered == Registered.NO:
        return "softphone not registered"
    if agent.softphone != Softphone.OPEN:
        return f"softphone {Softphone(agent.softphone).label}"
    return "became idle just now"


def limits_in_words(view: eligibility.CampaignView) -> list[tuple[str, str]]:
    """(whose, what is in use of what is allowed)."""
    found = []
    for limits, whose in ((view.own, "campaign"), (view.system, "system")):
        used = (
            _used(limits.lines, limits.max_lines, "lines"),
            _used(limits.in_last_second, limits.per_second, "calls this second"),
            _used(limits.spent, limits.spend_cap, "spent today"),
        )
        found.append((whose, "; ".join(used)))
    return found


def _used(used: object, allowed: object, what: str) -> str:
    return f"{used} of {allowed} {what}" if allowed is not None else f"{used} {what}, no limit"


def set_aside(decision: PacingDecision) -> Sequence[tuple[str, int]]:
    """Gates for which the decision passed contacts over, and how many."""
    blocked = decision.inputs.get("blocked") if isinstance(decision.inputs, dict) else None
    if not isinstance(blocked, dict):
        return ()
    return [(str(name), count) for name, count in blocked.items() if isinstance(count, int)]
