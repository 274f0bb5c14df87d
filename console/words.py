"""How rows are told to people: words, icons and element ids. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from console import decision_words, health
from console.campaign_counts import NEARLY_FREE_MS
from console.floor_state import FloorState
from console.kpis import agent_kind
from console.rows import AgentRow, CallRow
from dialer.figures import DEFINITIONS

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
ALERT_LEVELS = {
    "warning": ("Warning", "alert", "warning"),
    "critical": ("Critical", "critical", "trouble"),
}
UNREGISTERED = ("softphone not registered", "alert", "trouble")
# The answered customer must have an agent by then (FTC safe harbour).
WAIT_LIMIT_MS = 2_000


# What a panel of the board rests on: its name, and the parts of the system without which it shows the past.
SOURCES = {
    "dialer": ("the dialer", ("floor", "dialer", "database")),
    "calls": ("the switch", ("floor", "bridge", "ingest")),
    "database": ("the database", ("floor", "database")),
}
# A board without news for this long says so; frames come at least once a second.
STALE_MS = 3_000
# What each figure of the board is, one hover away from it; those of the industry are in dialer/figures/definitions.py.
FIGURES = {
    "available": "Agents who are ready for a call and have none.",
    "on_call": "Agents joined to a customer.",
    "wrap_up": "Agents who finish the work on their last call; it ends by itself, or with a disposition.",
    "busy": "Agents who are at work, but not for calls, by their own choice.",
    "break": "Agents on a break, each with its reason.",
    "offline": "Agents who are not at work; no calls will come.",
    "initiated": "Calls that the switch has begun and that do not ring yet.",
    "alerting": "Calls that ring at the customer.",
    "bridged": "Customers who are joined to an agent.",
    "held": "Customers on hold.",
    "waiting": "Customers who have answered and are not joined to an agent. The limit is 2 s: beyond it the call is"
    " abandoned, as the US rule counts.",
    "attempts": "Calls placed today (UTC).",
    "connected": "Calls of today (UTC) that were joined to an agent.",
    "contacts": "Calls talked with a person today (UTC).",
    "drops": "Abandoned calls of those answered by a person, over the window of the rule, against the cap."
    " The bar shows how much of the cap is used.",
    "pacing": "What the dialer decided last: how many calls it placed, and what bound it.",
    "mode": "How the campaign dials: preview, progressive, power, predictive or by hand.",
    "idle": "Agents of the campaign who can be given a call now: available, the softphone connected, no call or preview"
    " at hand, no other state to follow. Required skills and the switch's nodes only the dialer knows.",
    "nearly_free": f"Nearly free: agents in wrap-up whose time is over within {NEARLY_FREE_MS // 1_000} s.",
    "talking": "Agents of the campaign who talk with a customer.",
    "on_break": "Agents of the campaign on a break.",
    "dialling": "Calls of the campaign that do not ring yet.",
    "ringing": "Calls of the campaign that ring.",
    "live": "Calls of the campaign joined to an agent, those on hold among them.",
    "ready": "Contacts that may be called now, as last counted.",
    "later": "Contacts whose next attempt is due later, as last counted.",
    "blocked": "Contacts that a rule forbids to call now; each is counted under the first gate that blocks it.",
    "forecast": "When the list will be used up, at the pace of the last hour.",
    "time_in_state": "Since the present state began, by the server's clock.",
    "call_age": "Since the customer answered.",
    "calls_today": "Calls joined to this agent: those that ended for them today (UTC), and the present one.",
    "disposition": "What the last call came to, as the agent has said.",
    "registered": "Whether the switch knows the agent's softphone now.",
    "round_trip": "From the agent's panel to the server and back.",
    "listeners": "Supervisors whose softphone listens to the call, as the switch has confirmed.",
    "attempt": "How often this contact has been called, this call included.",
    "legs": "The customer's leg and the agent's leg, as the switch says.",
    "behind": "How long ago the switch sent what is shown last, as the ingest measures it; and up to one frame more.",
    "queue_lag": "Tasks that wait for the dialer's sequential worker, and how long the present one has waited.",
    "screen": "From the switch's time of a changed leg state to the moment it is painted here:"
    " 95 of 100 changes are quicker.",
}


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


# --- for the board in the browser ---

# What the lines of the last hour are: each of one minute.
TRENDS = {
    "calls": {"name": "Calls", "formula": "calls placed"},
    "abandoned": {"name": "Abandoned", "formula": "calls answered by a person that no agent joined within 2 s"},
    **{
        key: {"name": DEFINITIONS[key].name, "formula": DEFINITIONS[key].formula}
        for key in ("answer_rate", "occupancy", "wait_p50", "wait_p95")
    },
}


def for_browser() -> dict[str, Any]:
    """Everything the board says that is not a row: one definition for server and browser."""
    return {
        "agent_states": AGENT_STATES,
        "call_states": CALL_STATES,
        "campaign_states": CAMPAIGN_STATES,
        "modes": MODES,
        "softphones": SOFTPHONES,
        "unregistered": UNREGISTERED,
        "decisions": decision_words.REASONS,
        "wait_limit_ms": WAIT_LIMIT_MS,
        "stale_ms": STALE_MS,
        "alert_levels": ALERT_LEVELS,
        "trends": TRENDS,
        "parts": health.LABELS,
        "sources": SOURCES,
        "figures": FIGURES | {key: f"{one.name}: {one.formula}. {one.source}." for key, one in DEFINITIONS.items()},
    }
