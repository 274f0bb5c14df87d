"""Rates of calls and of agents' time. Pure.

Counts and seconds are whole where they are counted; a simulation's may be fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

TODAY = "today (UTC)"
SINCE_START = "since its start"
_HOUR = 3600
# Of the value as people are told it.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Rate:
    """numerator / denominator over a named window, times `per` (3600 where the value is per hour of seconds)."""

    numerator: float
    denominator: float
    window: str = TODAY
    per: float = 1

    @property
    def value(self) -> float | None:
        """None where there is nothing to divide by."""
        return self.per * self.numerator / self.denominator if self.denominator > 0 else None

    @property
    def rounded(self) -> float | None:
        return None if self.value is None else round(self.value, _DIGITS)

    def as_row(self) -> dict[str, int | float | str | None]:
        """As the protocol's Ratio: whole parts and a rounded value."""
        return {
            "numerator": round(self.numerator),
            "denominator": round(self.denominator),
            "window": self.window,
            "value": self.rounded,
        }


def answer_rate(answered: float, attempts: float, window: str = TODAY) -> Rate:
    """answered: by machines too."""
    return Rate(answered, attempts, window)


def abandon_rate(abandoned: float, people: float, window: str = TODAY) -> Rate:
    """abandoned: no agent within 2 s. people: calls that a person answered, the abandoned among them."""
    return Rate(abandoned, people, window)


def contact_rate(contacts: float, attempts: float, window: str = TODAY) -> Rate:
    """Per attempt. contacts: calls on which an agent talked with a person."""
    return Rate(contacts, attempts, window)


def contact_rate_per_contact(reached: float, called: float, window: str = SINCE_START) -> Rate:
    """Per contact. reached: an agent has talked with them; called: at least once."""
    return Rate(reached, called, window)


def service_level(in_time: float, abandoned: float, window: str = TODAY) -> Rate:
    """in_time: joined to an agent within 2 s. abandoned: not within 2 s, those joined later among them."""
    return Rate(in_time, in_time + abandoned, window)


def average_speed_of_answer(wait_ms: float, joined: float, window: str = TODAY) -> Rate:
    """In seconds. wait_ms: from answer to agent, of all calls joined."""
    return Rate(wait_ms, joined, window, 1 / 1000)


def average_handle_time(talk: float, hold: float, wrap_up: float, handled: float, window: str = TODAY) -> Rate:
    """Seconds per call."""
    return Rate(talk + hold + wrap_up, handled, window)


def occupancy(talk: float, hold: float, wrap_up: float, idle: float, window: str = TODAY) -> Rate:
    """Of the time in which an agent could be talking, the part in which they did or followed up. Seconds."""
    busy = talk + hold + wrap_up
    return Rate(busy, busy + idle, window)


def utilisation(talk: float, hold: float, wrap_up: float, idle: float, away: float, window: str = TODAY) -> Rate:
    """Of the time logged in, the part that was for calls. away: breaks and other work. Seconds."""
    ready = talk + hold + wrap_up + idle
    return Rate(ready, ready + away, window)


def calls_per_agent_hour(handled: float, staffed_seconds: float, window: str = TODAY) -> Rate:
    """staffed_seconds: logged in, in whatever state."""
    return Rate(handled, staffed_seconds, window, _HOUR)
