"""How rows are told to people: words, icons and element ids. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from console.floor_state import FloorState
from console.kpis import agent_kind
from console.rows import AgentRow, CallRow, CampaignRow, Drops, Kpis, Ratio

# state -> (word, icon, CSS tone). Colour never stands alone.
AGENT_STATES = {
    "available": ("Available", "ready", "available"),
    "on_call": ("On call", "call", "oncall"),
    "wrap_up": ("Wrap-up", "pen", "wrapup"),
    "busy": ("Busy", "busy", "busy"),
    "break": ("Break", "pause", "break"),
    "offline": ("Offline", "off", "offline"),
}
CALL_STATES = {
    "initiated": ("Dialling", "dial", "quiet"),
    "alerting": ("Ringing", "ring", "quiet"),
    "answered": ("Answered", "wait", "available"),
    "bridged": ("Talking", "call", "oncall"),
    "held": ("On hold", "pause", "break"),
    "ended": ("Ended", "off", "offline"),
}
CAMPAIGN_STATES = {
    "active": ("Active", "ready", "available"),
    "paused": ("Paused", "pause", "break"),
    "scheduled": ("Scheduled", "wait", "quiet"),
    "draft": ("Draft", "pen", "quiet"),
    "completed": ("Completed", "done", "quiet"),
    "cancelled": ("Cancelled", "off", "offline"),
}
MODES = {
    "preview": ("Preview", "an agent sees the contact, then dials"),
    "progressive": ("Progressive", "one call for each idle agent"),
    "power": ("Power", "a fixed number of calls for each idle agent"),
    "predictive": ("Predictive", "ahead of the agents, below the drop limit"),
    "manual": ("Manual", "agents dial; nothing by itself"),
}
SOFTPHONES = {
    "none": ("softphone not called", "off", "quiet"),
    "ringing": ("softphone ringing", "ring", "break"),
    "open": ("softphone connected", "phone", "quiet"),
    "lost": ("softphone lost", "alert", "trouble"),
}
UNREGISTERED = ("softphone not registered", "alert", "trouble")
# The answered customer must have an agent by then (FTC safe harbour).
WAIT_LIMIT_MS = 2_000


def dom_id(prefix: str, key: str) -> str:
    """An element id from any key: no two keys share one, and it needs no escaping in a selector."""
    return prefix + "-" + re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found.group()):x}_", key)


def plain(code: str) -> str:
    return code.replace("_", " ").replace("-", " ")


@dataclass(frozen=True, slots=True)
class AgentView:
    row: AgentRow
    dom: str
    kind: str
    word: str
    icon: str
    tone: str
    reason: str
    phone_word: str
    phone_icon: str
    phone_tone: str
    call: CallRow | None
    campaign: str
    pending: str

    @property
    def phone_shown(self) -> bool:
        """Whether the board says something of the softphone: it is not as it should be."""
        return self.phone_tone == "trouble" or self.row.softphone == "ringing"

    @property
    def owes(self) -> bool:
        """Whether wrap-up waits for the disposition of the last call."""
        last = self.row.last_call
        return self.kind == "wrap_up" and last is not None and last.required and not last.disposition


def agent(row: AgentRow, state: FloorState) -> AgentView:
    kind = agent_kind(row)
    word, icon, tone = AGENT_STATES[kind]
    unregistered = row.registered == "no" and row.softphone != "open" and row.status != "offline"
    phone_word, phone_icon, phone_tone = UNREGISTERED if unregistered else SOFTPHONES[row.softphone]
    call = state.calls.get(row.call_id) if row.call_id else None
    campaign = state.campaigns.get(call.campaign_id or "") if call else None
    return AgentView(
        row=row,
        dom=dom_id("agent", row.id),
        kind=kind,
        word=word,
        icon=icon,
        tone=tone,
        reason="" if kind == "wrap_up" else plain(row.reason),
        phone_word=phone_word,
        phone_icon=phone_icon,
        phone_tone=phone_tone,
        call=call,
        campaign=campaign.name if campaign else "",
        pending=_pending(row),
    )


def _pending(row: AgentRow) -> str:
    if row.pending is None:
        return ""
    word = AGENT_STATES.get(row.pending.status, (plain(row.pending.status),))[0].lower()
    return f"{word} ({plain(row.pending.reason)})" if row.pending.reason else word


@dataclass(frozen=True, slots=True)
class CallView:
    row: CallRow
    dom: str
    word: str
    icon: str
    tone: str
    waiting: bool
    agent: str
    campaign: str

    @property
    def who(self) -> str:
        return self.row.contact or self.row.number or "Unknown"


def call(row: CallRow, state: FloorState) -> CallView:
    word, icon, tone = CALL_STATES[row.state]
    waiting = row.waiting_since is not None
    agent_row = state.agents.get(row.agent_id or "")
    campaign = state.campaigns.get(row.campaign_id or "")
    return CallView(
        row=row,
        dom=dom_id("call", row.id),
        word="Waiting" if waiting else word,
        icon=icon,
        tone=tone,
        waiting=waiting,
        agent=agent_row.name if agent_row else (row.agent_id or ""),
        campaign=campaign.name if campaign else "",
    )


@dataclass(frozen=True, slots=True)
class CampaignView:
    row: CampaignRow
    dom: str
    word: str
    icon: str
    tone: str
    abandon: str
    answer: str
    budget: str = ""

    @property
    def over(self) -> bool:
        """Whether more was abandoned than the cap allows."""
        return self.row.drops is not None and self.row.drops.left < 0

    @property
    def done(self) -> int:
        return max(0, self.row.contacts_total - self.row.contacts_left)

    @property
    def actions(self) -> list[tuple[str, str]]:
        """(action, word) that make sense now; the worker may still refuse."""
        match self.row.status:
            case "active":
                return [("pause", "Pause"), ("stop", "Stop")]
            case "paused":
                return [("start", "Start"), ("stop", "Stop")]
            case "draft" | "scheduled" | "completed":
                return [("start", "Start")]
            case _:
                return []


def campaign(row: CampaignRow) -> CampaignView:
    word, icon, tone = CAMPAIGN_STATES.get(row.status, (plain(row.status).title(), "off", "quiet"))
    return CampaignView(
        row=row,
        dom=dom_id("campaign", row.id),
        word=word,
        icon=icon,
        tone=tone,
        abandon=percent(row.today.abandoned, row.today.answered),
        answer=percent(row.today.answered, row.today.attempts),
        budget=_budget(row.drops) if row.drops else "",
    )


def _budget(drops: Drops) -> str:
    cap = f"{100 * drops.cap:g} %"
    return f"{drops.left} more before {cap}" if drops.left >= 0 else f"over {cap} by {-drops.left}"


def percent(numerator: int, denominator: int) -> str:
    """One decimal; a dash when there is nothing to divide by."""
    return f"{100 * numerator / denominator:.1f} %" if denominator else "–"


def ratio(figure: Ratio) -> str:
    return percent(figure.numerator, figure.denominator)


def agent_tiles(kpis: Kpis) -> list[dict[str, Any]]:
    counts = kpis.agents
    order = (
        ("available", counts.available),
        ("on_call", counts.on_call),
        ("wrap_up", counts.wrap_up),
        ("busy", counts.busy),
        ("break", counts.on_break),
        ("offline", counts.offline),
    )
    return [
        {"word": AGENT_STATES[key][0], "icon": AGENT_STATES[key][1], "tone": AGENT_STATES[key][2], "n": n, "key": key}
        for key, n in order
    ]


def call_tiles(kpis: Kpis) -> list[dict[str, Any]]:
    counts = kpis.calls
    order = (
        ("initiated", counts.initiated),
        ("alerting", counts.alerting),
        ("bridged", counts.bridged),
        ("held", counts.held),
    )
    return [
        {"word": CALL_STATES[key][0], "icon": CALL_STATES[key][1], "tone": CALL_STATES[key][2], "n": n, "key": key}
        for key, n in order
    ]
