"""What a campaign's own last days were like, as parameters of a simulation. Reads by index, at most SAMPLED calls."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from dialer import figures, retry
from dialer.models import CallLog, DialerCampaign

# The newest so many attempts say enough, of a campaign of any size.
SAMPLED = 20_000
# With fewer, a spread is chance: the usual one is taken.
LEAST = 30

# A wrap-up lasts from its own change of state to the agent's next.
_WRAP_UPS = """
SELECT extract(epoch FROM following.timestamp - wrapped.timestamp)
FROM (
    SELECT s.id, s.agent_id, s.timestamp FROM dialer_agentstate s JOIN dialer_calllog c ON c.id = s.call_id
    WHERE c.id = ANY(%s) AND s.state = 'busy' AND s.reason = 'wrap_up'
) AS wrapped
CROSS JOIN LATERAL (
    SELECT n.timestamp FROM dialer_agentstate n
    WHERE n.agent_id = wrapped.agent_id AND n.timestamp >= wrapped.timestamp AND n.id > wrapped.id
    ORDER BY n.timestamp, n.id LIMIT 1
) AS following
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of `count` durations: mean seconds, and the deviation of their logarithms; None with too few of them."""

    count: int
    mean: float | None = None
    sigma: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """attempts: that left for the customer; answered: by a person. sampled: whether there were more attempts."""

    days: int
    attempts: int
    answered: int
    agents: int
    sampled: bool
    talk: Spread
    wrap_up: Spread
    ring: Spread
    ring_timeout: float

    @property
    def answer_rate(self) -> float | None:
        return figures.answer_rate(self.answered, self.attempts).value

    def parameters(self) -> dict[str, Any]:
        """Of whatif.Parameters, those that were measured."""
        found: dict[str, Any] = {"ring_timeout": self.ring_timeout}
        if self.agents:
            found["agents"] = self.agents
        if self.answered >= LEAST and self.answer_rate is not None:
            found["answer_rate"] = round(self.answer_rate, 4)
        for name, spread in (("talk", self.talk), ("wrap_up", self.wrap_up), ("ring", self.ring)):
            if spread.mean is not None and spread.sigma is not None:
                found |= {name: round(spread.mean, 1), f"{name}_sigma": round(spread.sigma, 3)}
        return found


def measure(campaign: DialerCampaign, days: int, now: dt.datetime) -> Measured:
    """The campaign's attempts of the last `days` days that have ended."""
    calls = CallLog.objects.filter(campaign=campaign, initiated_at__gt=now - dt.timedelta(days=days))
    calls = calls.filter(ended_at__isnull=False).order_by("-initiated_at")
    columns = ("pk", "agent_id", "initiated_at", "answered_at", "bridged_at", "ended_at", "outcome")
    rows = list(calls.values_list(*columns)[:SAMPLED])
    dialled = [row for row in rows if row[6] != retry.NOT_DIALLED]
    people = [row for row in dialled if row[3] is not None and row[6] != retry.MACHINE]
    talked = [(row[5] - row[4]).total_seconds() for row in people if row[4] is not None]
    return Measured(
        days,
        len(dialled),
        len(people),
        len({row[1] for row in people if row[1] is not None}),
        len(rows) == SAMPLED,
        _spread(talked),
        _spread(_wrap_ups([row[0] for row in people if row[4] is not None])),
        _spread([(row[3] - row[2]).total_seconds() for row in people]),
        float(campaign.ring_timeout_seconds),
    )


def _wrap_ups(calls: list[int]) -> list[float]:
    with connection.cursor() as cursor:
        cursor.execute(_WRAP_UPS, [calls])
        return [float(seconds) for (seconds,) in cursor.fetchall()]


def _spread(durations: Sequence[float]) -> Spread:
    """Of the durations that lasted at all: a logarithm has no place for zero."""
    logs = [math.log(seconds) for seconds in durations if seconds > 0]
    if len(logs) < LEAST:
        return Spread(len(durations))
    centre = sum(logs) / len(logs)
    sigma = math.sqrt(sum((value - centre) ** 2 for value in logs) / (len(logs) - 1))
    # The mean as it was: the simulation's lognormal has it, whatever the shape of the times.
    return Spread(len(durations), sum(durations) / len(durations), sigma)
