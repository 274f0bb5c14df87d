"""A stored decision's reason and inputs in words. Pure; the inputs are whatever was stored, of any version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialer.figures import exact_percent

# binding_reason -> what it means.
REASONS = {
    "progressive_base": "one call for each idle agent",
    "price": "the next call's risk would be above its price",
    "cap_guard": "one more abandoned call would break the cap",
    "strict_cap": "over the cap: progressive until it is met again",
    "trunks": "no more lines",
    "rate_limit": "a limit of calls per second or per hour",
    "spend_limit": "today's spending",
    "calling_window": "outside the campaign's schedule",
    "list_empty": "no more contacts may be called now",
    "no_agents": "no idle agent",
    "agents_dial": "in this mode agents place the calls",
    "stale_state": "the floor or the switch was not known well enough",
    "not_active": "the campaign is not active, or has no list",
}
_INPUTS = {
    "assigned": "agents assigned",
    "idle": "idle agents",
    "rate_limited": "of them at their hourly limit",
    "talking": "agents talking",
    "wrapping": "agents in wrap-up",
    "ringing": "calls ringing",
    "live": "calls answered",
    "waiting": "answered calls without an agent",
    "due": "contacts found that may be called",
    "max_lines": "lines allowed",
    "closed_gate": "closed gate",
    "closed": "why it is closed",
    "link_ok": "link to the switch is up",
    "wanted": "calls wanted before limits",
    "blocked": "contacts passed over, by gate",
    "windows": "abandoned of answered by a person, by window",
    "requested": "mode of the campaign",
    "price": "price",
    "bank": "bank of abandoned calls",
    "rate": "answer rate planned with",
    "rate_sd": "standard deviation of that rate",
    "free_12_s": "agents expected to be free within 12 s",
    "answers_12_s": "answers expected within 12 s",
    "risks": "risks of the first further calls",
    "mode": "mode",
    "previewing": "agents with a contact before them",
    "offered": "contacts offered",
    "agent": "agent",
}
# What a JSON field of any shape may take of a page.
_MOST, _LONGEST = 60, 300


def reason(code: str) -> str:
    return REASONS.get(code, code.replace("_", " "))


def inputs(stored: Any) -> list[tuple[str, str]]:
    """(what, value) of each input that says something."""
    if not isinstance(stored, Mapping):
        return [("stored", _value(stored))]
    rows = []
    # The database keeps no order of keys; people read the floor first, then what followed from it.
    order = {name: place for place, name in enumerate(_INPUTS)}
    for key, value in sorted(stored.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))[:_MOST]:
        if value in (None, "", {}, []):
            continue
        text = _windows(value) if key == "windows" and isinstance(value, Mapping) else _value(value)
        rows.append((_INPUTS.get(str(key), str(key).replace("_", " "))[:_LONGEST], text[:_LONGEST]))
    return rows


def _windows(found: Mapping[Any, Any]) -> str:
    parts = []
    for name, counts in found.items():
        match counts:
            case [int() as lost, int() as answered, float() | int() as cap]:
                parts.append(f"{name}: {lost} of {answered}, cap {exact_percent(cap)}")
            case _:
                parts.append(f"{name}: {_value(counts)}")
    return "; ".join(parts)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(f"{str(key).replace('_', ' ')} {_value(part)}" for key, part in value.items())
        case list() | tuple():
            return ", ".join(_value(part) for part in value)
        case None:
            return "–"
        case _:
            return str(value)
