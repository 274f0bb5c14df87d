"""What a policy is told: the floor at one instant, the facts between, and the limits it must keep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dialer.pacing.decision import BindingReason, Decision

# Whatever makes calls answer differently: attempt number and hour block, say. Compared, never interpreted.
Stratum = int | str | tuple[int | str, ...]
NO_STRATUM: Stratum = 0
# Seconds: who has rung for longer is counted as having rung for this long.
RING_LONGEST = 60


@dataclass(frozen=True, slots=True)
class WindowCount:
    """Answered by a person, and abandoned, within one of the profile's windows."""

    name: str
    answered: int
    lost: int
    cap: float
    aim: float
    least: int = 0


@dataclass(frozen=True, slots=True)
class Ceilings:
    """How many more calls each limit allows now; None where there is no such limit.

    lines: trunks and the campaign's own. per_second: calls per second. per_hour: what the agents' hourly limits leave
    together. spend: calls that the day's cap still pays for. contacts: due ones. per_agent: lines per agent, over the
    team.
    """

    lines: int | None = None
    per_second: int | None = None
    per_hour: int | None = None
    spend: int | None = None
    contacts: int | None = None
    per_agent: int | None = None

    def bound(self, wanted: int) -> tuple[int, BindingReason | None, str]:
        """wanted cut to the tightest ceiling; the reason and its words if one cuts."""
        place: int = wanted
        reason: BindingReason | None = None
        words = ""
        ceilings: tuple[tuple[int | None, BindingReason, str], ...] = (
            (self.contacts, "list_empty", "no more contacts are due"),
            (self.lines, "trunks", "no more lines"),
            (self.per_agent, "trunks", "no more lines for each agent"),
            (self.per_second, "rate_limit", "no more calls in this second"),
            (self.spend, "spend_limit", "the day's spending cap leaves no more"),
            (self.per_hour, "rate_limit", "the agents' hourly limit allows no more"),
        )
        for left, name, text in ceilings:
            if left is not None and max(0, left) < place:
                place, reason, words = max(0, left), name, text
        return place, reason, words


@dataclass(frozen=True, slots=True)
class Observation:
    """The floor of one campaign at `at` (seconds, any origin, never backwards).

    assigned: agents logged in who may get the campaign's calls. idle: those free with an open softphone leg and no call
    reserved for them. talking, wrapping: seconds since the phase began, one entry per busy agent who will come back;
    whoever asked for a break or to log out is in neither. ringing: unreserved calls by whole seconds since they were
    placed, per stratum. waiting: answered, no agent yet. windows: counts under the profile's caps. next_stratum: of the
    next contacts. age: seconds since the floor was known to be as told. winding_down: the shift or the list ends within
    a call's length. closed_gate, closed: name and reason of the first closed campaign gate, '' when open. link_ok: the
    bridge said within limits.LINK_STALE_SECONDS that it is connected.
    """

    at: float
    assigned: int
    idle: int
    talking: Sequence[float] = ()
    wrapping: Sequence[float] = ()
    ringing: Mapping[Stratum, Sequence[int]] = field(default_factory=dict)
    waiting: int = 0
    windows: tuple[WindowCount, ...] = ()
    ceilings: Ceilings = Ceilings()
    next_stratum: Stratum = NO_STRATUM
    age: float = 0.0
    winding_down: bool = False
    closed_gate: str = ""
    closed: str = ""
    link_ok: bool = True

    @property
    def ringing_calls(self) -> int:
        return sum(sum(counts) for counts in self.ringing.values())

    @property
    def base(self) -> int:
        """Calls a progressive dialler would place: one for each idle agent that no ringing or waiting call may need."""
        return max(0, self.idle - self.waiting - self.ringing_calls)

    def as_inputs(self) -> dict[str, Any]:
        """What is stored with the decision: counts, not the floor in full."""
        return {
            "assigned": self.assigned,
            "idle": self.idle,
            "talking": len(self.talking),
            "wrapping": len(self.wrapping),
            "ringing": self.ringing_calls,
            "waiting": self.waiting,
            "windows": {window.name: [window.lost, window.answered, window.cap] for window in self.windows},
        }


class Policy(Protocol):
    """Told every fact in order of time, asked each second and whenever an agent becomes free.

    State is only what the facts made it: a new worker rebuilds it by telling the last half hour again.
    """

    def placed(self, at: float, calls: int, stratum: Stratum = NO_STRATUM) -> None: ...

    def answered(self, at: float, ring: float, stratum: Stratum = NO_STRATUM) -> None:
        """A person answered after ringing for `ring` seconds."""

    def lost(self, at: float) -> None:
        """An answered person got no agent within the grace time."""

    def talked(self, at: float, seconds: float) -> None: ...

    def wrapped(self, at: float, seconds: float) -> None: ...

    def decide(self, seen: Observation) -> Decision: ...


class Indifferent:
    """A policy that looks at the floor only: facts pass it by."""

    def placed(self, at: float, calls: int, stratum: Stratum = NO_STRATUM) -> None:
        pass

    def answered(self, at: float, ring: float, stratum: Stratum = NO_STRATUM) -> None:
        pass

    def lost(self, at: float) -> None:
        pass

    def talked(self, at: float, seconds: float) -> None:
        pass

    def wrapped(self, at: float, seconds: float) -> None:
        pass
