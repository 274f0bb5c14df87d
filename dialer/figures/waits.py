"""How long answered customers waited for an agent, as counts in fixed steps: percentiles that add up. Pure.

Counts of several campaigns or minutes are added place by place; a percentile is the upper end of the step it falls in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

# Upper ends, ms: fine below the 2 s that a customer may wait. What waited longer is counted in one place more.
BOUNDS_MS = (50, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000)
WAITS = len(BOUNDS_MS) + 1
# What the caps and the service level allow.
IN_TIME_MS = 2_000


def bucket_of(wait_ms: float) -> int:
    """The place in which a wait is counted."""
    return bisect_left(BOUNDS_MS, wait_ms)


def in_time(counts: Sequence[int]) -> int:
    """How many waited no longer than IN_TIME_MS."""
    return sum(counts[: BOUNDS_MS.index(IN_TIME_MS) + 1])


def percentile(counts: Sequence[int], share: float) -> int | None:
    """Milliseconds that `share` of the counted waits did not exceed, rounded up to a step; None without any. Waits
    beyond the last step are told as that step."""
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    place = next(place for place, reached in enumerate(accumulate(counts)) if reached >= wanted - 1e-9)
    return BOUNDS_MS[min(place, len(BOUNDS_MS) - 1)]
