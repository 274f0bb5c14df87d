"""The figures of an agent's and of a campaign's day, for pages and exports: counts kept with each outcome, and what
dialer/figures makes of them. No formula of its own, so that a page and a file say what the board says."""

from __future__ import annotations

from collections.abc import Mapping

from dialer import figures, row_figures
from dialer.figures import DEFINITIONS, Rate
from dialer.models import AgentDay, CampaignDay

AGENT_FIGURES = ("average_handle_time", "occupancy", "utilisation", "calls_per_agent_hour")
CAMPAIGN_FIGURES = ("answer_rate", "contact_rate", "abandon_rate", "service_level", "average_speed_of_answer")
WAITS = {"wait_p50": 0.5, "wait_p95": 0.95}
# Counts of a day by the name of their column -> what they are.
AGENT_COUNTS = {
    "handled": "calls joined to the agent, and over",
    "contacts": "of the calls handled, those with a person",
    "talk_seconds": "talking, without hold",
    "hold_seconds": "the customer on hold",
    "wrap_up_seconds": "work after a call",
    "idle_seconds": "available, without a call",
    "break_seconds": "on a break",
    "busy_seconds": "busy with other work than wrap-up",
}
CAMPAIGN_COUNTS = {
    "attempts": "calls placed",
    "answered": "answered, by machines too",
    "people": "answered by a person, as far as the switch hears machines",
    "connected": "joined to an agent",
    "contacts": "joined to an agent and not a machine",
    "abandoned": "answered by a person that no agent joined within 2 s",
    "busy": "ended busy",
    "no_answer": "ended without an answer",
    "failed": "failed",
    "talk_seconds": "from joining to end, hold among it",
}


def agent_counts(day: AgentDay) -> Mapping[str, int]:
    row = row_figures.agent_today(day)
    return {name: row[name] for name in AGENT_COUNTS}


def agent_figures(day: AgentDay) -> Mapping[str, Rate]:
    """By the names of figures.DEFINITIONS, in the order of AGENT_FIGURES."""
    n, window = agent_counts(day), f"{day.day} (UTC)"
    talk, hold, wrap_up, idle = (n[f"{name}_seconds"] for name in ("talk", "hold", "wrap_up", "idle"))
    away = n["break_seconds"] + n["busy_seconds"]
    return {
        "average_handle_time": figures.average_handle_time(talk, hold, wrap_up, n["handled"], window),
        "occupancy": figures.occupancy(talk, hold, wrap_up, idle, window),
        "utilisation": figures.utilisation(talk, hold, wrap_up, idle, away, window),
        "calls_per_agent_hour": figures.calls_per_agent_hour(n["handled"], talk + hold + wrap_up + idle + away, window),
    }


def campaign_counts(day: CampaignDay) -> Mapping[str, int]:
    today = row_figures.campaign_today(day)["today"]
    return {name: today[name] for name in CAMPAIGN_COUNTS}


def campaign_figures(day: CampaignDay) -> Mapping[str, Rate]:
    """By the names of figures.DEFINITIONS, in the order of CAMPAIGN_FIGURES."""
    n, window = campaign_counts(day), f"{day.day} (UTC)"
    return {
        "answer_rate": figures.answer_rate(n["answered"], n["attempts"], window),
        "contact_rate": figures.contact_rate(n["contacts"], n["attempts"], window),
        "abandon_rate": figures.abandon_rate(n["abandoned"], n["people"], window),
        "service_level": figures.service_level(figures.in_time(day.waits), n["abandoned"], window),
        "average_speed_of_answer": figures.average_speed_of_answer(day.wait_ms, sum(day.waits), window),
    }


def wait_percentile(day: CampaignDay, name: str) -> int | None:
    """wait_p50 or wait_p95 of the calls joined that day, in milliseconds."""
    return figures.percentile(day.waits, WAITS[name])


def meaning(name: str) -> str:
    """A figure's definition in one line, with its unit and source."""
    found = DEFINITIONS[name]
    return f"{found.name}: {found.formula} [{found.unit}; {found.source}]"


def title(name: str) -> str:
    return DEFINITIONS[name].name
