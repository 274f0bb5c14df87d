"""The rules a campaign dials under. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MONTH_SECONDS = 30 * 86_400.0
DAY_SECONDS = 86_400.0
HALF_HOUR_SECONDS = 1_800.0
# Share of a cap that is spent on purpose. Between .8 and .9 it costs no utilisation that could be measured.
AIM = 0.85


@dataclass(frozen=True, slots=True)
class CapWindow:
    """Abandoned calls per call answered by a person may not exceed `cap` over the last `seconds`.

    aim: the share that is spent on purpose. least: up to so many lost calls are no breach; of the hundred answers a
    small team has in half an hour, 3 % is noise.
    """

    name: str
    seconds: float
    cap: float
    aim: float
    least: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """Compliance profile of a campaign.

    cap: share of calls answered by a person that may be abandoned (16 CFR 310.4(b); 47 CFR 64.1200(a)(7)).
    grace: seconds an answered person may wait for an agent. minimum_ring: seconds a call must ring before it is given
    up. strict: over the cap, dial progressively until the bank is positive again. message_asset: a recorded
    safe-harbour message is there to be played; without one, nothing may be dialled ahead of the agents.
    """

    cap: float = 0.03
    windows: tuple[CapWindow, ...] = ()
    grace: float = 2.0
    minimum_ring: float = 15.0
    strict: bool = False
    message_asset: bool = True


def standard(cap: float = 0.03, *, strict: bool = False, message_asset: bool = True) -> Profile:
    """The US cap per campaign over 30 days, the UK target over 24 hours, and half an hour for our own peace: a burst is
    allowed a tenth more there, and less is spent on purpose, so that there is room for one."""
    windows = (
        CapWindow("30 d", MONTH_SECONDS, cap, AIM * cap),
        CapWindow("24 h", DAY_SECONDS, cap, AIM * cap),
        CapWindow("30 min", HALF_HOUR_SECONDS, 1.1 * cap, 0.7 * cap, least=6),
    )
    return Profile(cap=cap, windows=windows, strict=strict, message_asset=message_asset)
