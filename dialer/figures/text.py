"""Shares as people read them. Pure."""

from __future__ import annotations

NOTHING = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """12.5 %; a dash for what is not known. digits: behind the point."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def exact_percent(share: float) -> str:
    """As it was chosen, without idle digits: 3 %, 2.5 %."""
    return f"{100 * share:.4g} %"
