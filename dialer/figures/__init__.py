"""All figures of the industry, one definition each, for boards, pages, exports, webhooks and pacing. Pure.

`DEFINITIONS` says what each figure is, in words, with its unit and its source; a function of the same name computes it.
A figure carries numerator, denominator and window; with a zero denominator it is None, shown as a dash, never 0 % or
100 %. docs/figures.md lists them.
"""

from dialer.figures.definitions import DEFINITIONS, Definition
from dialer.figures.drops import DropBudget, Figure, drop_budget, uk_drop_rate, us_drop_rate
from dialer.figures.rates import (
    TODAY,
    Rate,
    abandon_rate,
    answer_rate,
    average_handle_time,
    average_speed_of_answer,
    calls_per_agent_hour,
    contact_rate,
    contact_rate_per_contact,
    occupancy,
    service_level,
    utilisation,
)
from dialer.figures.text import NOTHING, exact_percent, percent
from dialer.figures.waits import BOUNDS_MS, WAITS, bucket_of, in_time, percentile

__all__ = [
    "BOUNDS_MS", "DEFINITIONS", "NOTHING", "TODAY", "WAITS", "Definition", "DropBudget", "Figure", "Rate",
    "abandon_rate", "answer_rate", "average_handle_time", "average_speed_of_answer", "bucket_of",
    "calls_per_agent_hour", "contact_rate", "contact_rate_per_contact", "drop_budget", "exact_percent", "in_time",
    "occupancy", "percent", "percentile", "service_level", "uk_drop_rate", "us_drop_rate", "utilisation",
]  # fmt: skip
