"""What a pacing decision says, and the words it says it in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["preview", "progressive", "power", "predictive", "manual"]
BindingReason = Literal[
    "progressive_base",
    "price",
    "cap_guard",
    "strict_cap",
    "trunks",
    "rate_limit",
    "calling_window",
    "spend_limit",
    "list_empty",
    "no_agents",
    "stale_state",
    "not_active",
    "agents_dial",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """place: calls to place now. mode: the one that decided, which is not the campaign's own after a fall-back."""

    place: int
    reason: BindingReason
    summary: str
    inputs: dict[str, Any]
    mode: str = "progressive"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
