"""Figures as people read them: value, then what it is made of. Pure."""

from __future__ import annotations

from dialer.figures import DEFINITIONS, NOTHING, Rate, percent


def told(name: str, rate: Rate) -> tuple[str, str]:
    """(value, "numerator of denominator"); a dash where there is nothing to divide by. name: of DEFINITIONS."""
    unit, value = DEFINITIONS[name].unit, rate.value
    if value is None:
        return NOTHING, ""
    numerator, denominator = f"{round(rate.numerator):,}", f"{round(rate.denominator):,}"
    match unit:
        case "share":
            if rate.denominator >= 60 and name in ("occupancy", "utilisation"):
                numerator, denominator = seconds(rate.numerator), seconds(rate.denominator)
            return percent(value), f"{numerator} of {denominator}"
        case "s":
            return seconds(value), f"{denominator} calls"
        case "per hour":
            return f"{value:.1f}", f"{numerator} in {seconds(rate.denominator)}"
        case _:
            return f"{value:g}", ""


def seconds(amount: float) -> str:
    """45 s, 2:13, 1:02:13."""
    whole = round(amount)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
