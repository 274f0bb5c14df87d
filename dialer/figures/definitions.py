"""What each figure means: the words that screens show on hover, exports name and docs/figures.md lists. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["share", "s", "ms", "per hour", "calls"]


@dataclass(frozen=True, slots=True)
class Definition:
    """unit: of the figure's value; a share is 0 to 1, shown in per cent."""

    name: str
    formula: str
    unit: Unit
    source: str


_WFM = "WFM Labs glossary; WFM Clubs"

DEFINITIONS: Final[dict[str, Definition]] = {
    "answer_rate": Definition(
        "Answer rate", "calls answered, by machines too / attempts", "share", 'Convoso ("connect rate")'
    ),
    "contact_rate": Definition(
        "Contact rate per attempt", "calls on which an agent talked with a person / attempts", "share", "sarv"
    ),
    "contact_rate_per_contact": Definition(
        "Contact rate per contact",
        "contacts with whom an agent has talked / contacts called at least once",
        "share",
        "Convoso (per lead)",
    ),
    "abandon_rate": Definition(
        "Abandon rate",
        "calls answered by a person that no agent joined within 2 s / calls answered by a person",
        "share",
        "16 CFR 310.4(b)(4), 47 CFR 64.1200(a)(7); VICIdial, drops over answers",
    ),
    "us_drop_rate": Definition(
        "Drop rate, US",
        "the abandon rate, over 30 days",
        "share",
        "16 CFR 310.4(b)(4), 47 CFR 64.1200(a)(7); safe harbour 3 % per campaign",
    ),
    "uk_drop_rate": Definition(
        "Drop rate, UK",
        "d' / (H + d') with d' = d (1 - AM / (H + AM)): d abandoned, machines among them, H people passed to an "
        "agent, AM machines that agents heard; over 24 hours",
        "share",
        "Ofcom, persistent misuse policy (2010, as calculated by VICIdial, UK_OFCOM_OUTBOUND_COMPLIANCE)",
    ),
    "drop_budget": Definition(
        "Drop budget",
        "calls that may still be abandoned before the cap if no further one is answered: cap x answered - abandoned, "
        "rounded down",
        "calls",
        "from the cap of the drop rate",
    ),
    "service_level": Definition(
        "Service level",
        "calls joined to an agent within 2 s of their answer / calls offered: those, and the abandoned (joined later "
        "or never)",
        "share",
        "WFM Labs glossary (abandoned calls stay in the denominator)",
    ),
    "average_speed_of_answer": Definition(
        "Average speed of answer",
        "time from answer to agent of the calls joined / calls joined",
        "s",
        "WFM Labs glossary",
    ),
    "wait_p50": Definition(
        "Median wait", "half of the calls joined to an agent had waited no longer than this", "ms", "percentile"
    ),
    "wait_p95": Definition(
        "95 % wait", "95 % of the calls joined to an agent had waited no longer than this", "ms", "percentile"
    ),
    "average_handle_time": Definition(
        "Average handle time", "(talk + hold + wrap-up) / calls handled", "s", _WFM
    ),
    "occupancy": Definition(
        "Occupancy",
        "(talk + hold + wrap-up) / (talk + hold + wrap-up + idle); breaks and other work are not in it",
        "share",
        "WFM Clubs",
    ),
    "utilisation": Definition(
        "Utilisation",
        "(talk + hold + wrap-up + idle) / (talk + hold + wrap-up + idle + breaks + other work)",
        "share",
        "WFM Clubs",
    ),
    "calls_per_agent_hour": Definition(
        "Calls per agent-hour",
        "calls handled / hours logged in, breaks among them",
        "per hour",
        "AWS Connect and VICIdial count calls per agent; per hour of logged-in time",
    ),
}  # fmt: skip
