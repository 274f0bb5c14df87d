"""What happened, with times (seconds since 1970): what was asked and answered, what was broken, what boards showed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Command:
    """A command over a websocket, from its first saying to its answer."""

    id: str
    kind: str
    target: str
    wish: str
    """`break`, `pause`, `hangup` and so on."""
    said_at: float
    sayings: int = 1
    command_id: str = ""
    acked_at: float | None = None
    answered_at: float | None = None
    status: str = ""
    reason: str = ""
    error: str = ""
    """The code of a refusal: then it was not accepted (except `no_answer`)."""


@dataclass
class Fault:
    """Something that the nemesis did."""

    kind: str
    at: float
    until: float | None = None
    """When what was broken was whole again (a process: started)."""
    detail: str = ""
    between_commit_and_send: bool = False


@dataclass
class Sample:
    """What one board showed at one moment. `silent_for`: the age of its last frame, in seconds; `trouble`: what its
    health strip said. calls: leg -> state."""

    board: str
    at: float
    silent_for: float
    trouble: str
    calls: dict[str, str]


@dataclass
class Doubt:
    """An attempt in doubt, as looked at from outside."""

    leg: str
    since: float
    last_seen: float


@dataclass
class Levelling:
    """How long after the last fault the live state was the switch's own, in seconds; None: not in time."""

    after: str
    seconds: float | None
    differences: list[str] = field(default_factory=list)


@dataclass
class Stop:
    """A number's entry on the do-not-call list, as it was committed. `target`: the number."""

    target: str
    at: float


@dataclass
class History:
    seed: int
    began_at: float = 0.0
    ended_at: float = 0.0
    commands: dict[str, Command] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    doubts: dict[str, Doubt] = field(default_factory=dict)
    levellings: list[Levelling] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    boards_differ: list[str] = field(default_factory=list)
    """At the very end: how a board's state differs from a fresh snapshot."""
    boards: int = 0
    slack: float = 1.0
    """All limits in seconds are so many times as long: for a machine that others use."""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, default=str))


@dataclass
class Evidence:
    """What is left when everything has stopped: rows of the database as plain values, the switch's own records."""

    legs: list[dict[str, Any]]
    """esl_bridge/simulator/log.py: the last word on each leg."""
    calls: list[dict[str, Any]]
    """leg, number, campaign_id, agent_leg, ended_at, abandoned, bridged_at, answered_at, status, outcome"""
    applied: dict[str, str]
    """command_id -> status"""
    queued: set[str]
    """command_ids that were accepted and have had no effect"""
    asked_hangups: set[str]
    """legs that somebody asked to hang up"""
    old_token_writes: list[str]
    fenced_writes: int
    """How many statements were looked at for their token."""
    orders: list[tuple[int, int]]
    """(key, fencing token) in the order they were written"""
