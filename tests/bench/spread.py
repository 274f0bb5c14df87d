"""How measured times lie, in words for a bench's report."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Of sorted values."""
    if not values:
        return "-"
    p95, p99 = (values[min(len(values) - 1, int(len(values) * share))] for share in (0.95, 0.99))
    said = {"p50": statistics.median(values), "p95": p95, "p99": p99, "worst": values[-1]}
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in said.items())
