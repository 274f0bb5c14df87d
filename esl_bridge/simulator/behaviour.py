"""What a dialled number does: number -> Fate. Pure, and the same for the same seed.

The numbering plan is one convention for this simulator and for a real switch in the tests: the
fifth digit from the end chooses the behaviour.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from enum import StrEnum

from esl_bridge.simulator.config import Config, Mix

RESERVED = re.compile(r"(?:\+?1?21255)?(\d)\d{4}")
"""Short numbers of five digits, and the block +1 212 55D xxxx kept for demonstrations."""
SHORTEST_RANDOM = 6
"""Digits below which a number that is not reserved has no route at the carrier."""

ANSWER_AGENT = 0.3


class Ring(StrEnum):
    """What the far end sends before the final answer."""

    NOTHING = "nothing"
    RINGING = "180"
    EARLY_MEDIA = "183"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final SIP status, and what FreeSWITCH makes of it."""

    status: int
    phrase: str
    cause: str
    q850: int


BUSY = Refusal(486, "Busy Here", "USER_BUSY", 17)
DECLINED = Refusal(603, "Decline", "CALL_REJECTED", 21)
NOT_FOUND = Refusal(404, "Not Found", "UNALLOCATED_NUMBER", 1)
NO_ROUTE = Refusal(404, "Not Found", "NO_ROUTE_DESTINATION", 3)
UNAVAILABLE = Refusal(503, "Service Unavailable", "NORMAL_TEMPORARY_FAILURE", 41)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one INVITE. Times in seconds, None for never.

    Neither `answer_after` nor a refusal: it rings until the caller gives up.
    """

    name: str
    ring: Ring = Ring.RINGING
    answer_after: float | None = None
    hangup_after: float | None = None
    """After the answer."""
    patience: float | None = None
    """After the answer while nobody has been bridged; then `hangup_after` counts from the bridge."""
    refusal: Refusal | None = None
    refuse_after: float = 0.02


_PLAN = {
    "0": Fate("machine", answer_after=0.8, hangup_after=8.0),
    "1": Fate("early media", Ring.EARLY_MEDIA, answer_after=2.0, hangup_after=5.0),
    "2": Fate("answer", answer_after=1.0, hangup_after=5.0),
    "3": Fate("no answer"),
    "4": Fate("busy", Ring.NOTHING, refusal=BUSY),
    "5": Fate("rejected", refusal=DECLINED, refuse_after=0.5),
    "6": Fate("invalid", Ring.NOTHING, refusal=NOT_FOUND),
    "7": Fate("slow answer", answer_after=4.0, hangup_after=30.0),
    "8": Fate("temporary failure", Ring.NOTHING, refusal=UNAVAILABLE),
    "9": Fate("patient answer", answer_after=0.3),
}

UNROUTED = Fate("no route", Ring.NOTHING, refusal=NO_ROUTE, refuse_after=0.0)
DEAD_GATEWAY = Fate("dead gateway", Ring.NOTHING, refusal=UNAVAILABLE, refuse_after=0.0)


class Unreachable(StrEnum):
    """Why an extension cannot even be called, as `originate` reports it."""

    UNKNOWN = "SUBSCRIBER_ABSENT"
    NOT_REGISTERED = "USER_NOT_REGISTERED"


def customer_fate(number: str, seed: int, nth: int, mix: Mix) -> Fate:
    """The fate of the nth INVITE (from 1) to a customer's number."""
    reserved = RESERVED.fullmatch(number)
    if reserved is not None:
        return _PLAN[reserved.group(1)]
    if sum(char.isdigit() for char in number) < SHORTEST_RANDOM:
        return UNROUTED
    return _random_fate(random.Random(f"{seed}/{number}/{nth}"), mix)


def agent_fate(extension: str, config: Config) -> Fate | Unreachable:
    """The fate of an INVITE to an agent's telephone, or why there is none."""
    if not extension.isdigit():
        return Unreachable.UNKNOWN
    match int(extension):
        case 1041 | 1042 | 1043:
            return Fate("no answer")
        case 1044 | 1045:
            return Fate("busy", Ring.NOTHING, refusal=BUSY)
        case 1046:
            return Fate("rejected", refusal=DECLINED, refuse_after=0.5)
        case 1047:
            return Fate("slow agent", answer_after=3.0)
        case 1048:
            return Fate("short agent", answer_after=ANSWER_AGENT, hangup_after=3.0)
        case 1050:
            return Unreachable.NOT_REGISTERED
        case n if 1001 <= n <= 1049 or any(low <= n <= high for low, high in config.agents):
            return Fate("agent", answer_after=ANSWER_AGENT)
    return Unreachable.UNKNOWN


def registered(config: Config) -> list[str]:
    """The extensions of the numbering plan that are registered; the extra ranges are left out."""
    return [str(n) for n in range(1001, 1050)]


def _random_fate(rng: random.Random, mix: Mix) -> Fate:
    # Always the same number of draws, so that changing one rate moves no other customer's times.
    draw = rng.random()
    ring = _lognormal(rng, mix.ring_mean, mix.ring_sigma)
    talk = _lognormal(rng, mix.talk_mean, mix.talk_sigma)
    patience = _lognormal(rng, mix.patience_mean, 0.6)
    limit = mix.answer_rate
    if draw < limit:
        return Fate("live", answer_after=ring, hangup_after=talk, patience=patience)
    limit += mix.machine_rate
    if draw < limit:
        # Machines pick up late and talk for a while, whoever listens.
        return Fate("machine", answer_after=max(ring, mix.ring_mean), hangup_after=20.0)
    limit += mix.busy_rate
    if draw < limit:
        return Fate("busy", Ring.NOTHING, refusal=BUSY, refuse_after=0.2)
    limit += mix.rejected_rate
    if draw < limit:
        return Fate("rejected", refusal=DECLINED, refuse_after=ring / 2)
    limit += mix.invalid_rate
    if draw < limit:
        return Fate("invalid", Ring.NOTHING, refusal=NOT_FOUND, refuse_after=0.1)
    return Fate("no answer")


def _lognormal(rng: random.Random, mean: float, sigma: float) -> float:
    """A lognormal draw with the given mean; sigma is that of the logarithm."""
    return rng.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)
