"""Which of several campaigns that want the same idle agents decides first: the one furthest below its share. Pure.

An agent's calls are to be shared out among their campaigns in proportion to the weights of their assignments. What a
campaign has had of its shared agents' calls, divided by what it should have had, orders the campaigns: the lowest
first. Only the order is given, so nobody waits idle for a campaign that has nobody to call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Assigned(NamedTuple):
    """An agent's place in a campaign (keys). weight: at least 1."""

    campaign: int
    agent: int
    weight: int


def order(campaigns: Sequence[int], assigned: Iterable[Assigned], calls: Mapping[tuple[int, int], int]) -> list[int]:
    """The campaigns in the order in which they decide. calls: (campaign, agent) -> calls in a recent window.

    Campaigns without a shared agent, and those equally served, keep their order.
    """
    wanted = set(campaigns)
    of_agent: dict[int, list[Assigned]] = defaultdict(list)
    for place in assigned:
        if place.campaign in wanted:
            of_agent[place.agent].append(place)
    had: dict[int, float] = defaultdict(float)
    due: dict[int, float] = defaultdict(float)
    for agent, places in of_agent.items():
        if len(places) < 2:
            continue
        weights = sum(place.weight for place in places)
        # One call ahead: before any has been placed, and for equals, the weights themselves decide.
        total = 1 + sum(calls.get((place.campaign, agent), 0) for place in places)
        for place in places:
            had[place.campaign] += calls.get((place.campaign, agent), 0)
            due[place.campaign] += total * place.weight / weights

    def served(campaign: int) -> float:
        # The +1 asks how it would stand with one call more, so that of two that have had nothing the heavier is first.
        return (had[campaign] + 1) / due[campaign] if due[campaign] else 0.0

    return sorted(campaigns, key=served)
