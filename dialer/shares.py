"""Several campaigns that want the same agents: which decides first, and which of another's calls it counts. Pure.

An agent's calls are to be shared out among their campaigns in proportion to the weights of their assignments: what a
campaign has had of its shared agents' calls, divided by what it should have had, orders the campaigns: the lowest
first. Only the order is given, so nobody waits idle for a campaign that has nobody to call.

What others that dial ahead have in the air may be answered and take an agent who is theirs, too. A campaign leaves
agents for the calls that will want one of its own, and for no more: not for those that are dialled for others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple, TypeVar

Call = TypeVar("Call")


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


@dataclass(slots=True)
class Sibling:
    """A campaign that dials ahead and has agents of ours: how many are logged in there and how many of those are idle,
    and how many of either are ours, too."""

    crew: int = 0
    idle: int = 0
    shared: int = 0
    shared_idle: int = 0

    def waiting_for_ours(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Each of its waiting customers takes the next free agent: no more than there are agents of both."""
        return calls[: self.shared]

    def ringing_for_ours(self, calls: Sequence[Call]) -> list[Call]:
        """The part of its ringing calls that is dialled for agents of both, rounded up, spread evenly over all.

        It dials for those who are idle and those who soon will be. Whichever of the two says more counts: a call too
        many keeps an agent waiting for a moment, one too few may be abandoned.
        """
        if not self.shared:
            return []
        part = max(self.shared / self.crew, self.shared_idle / self.idle if self.idle else 0.0)
        return [call for n, call in enumerate(calls) if ceil((n + 1) * part) > ceil(n * part)]
