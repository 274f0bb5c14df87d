"""Why a campaign dials at this moment, or why not, as one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dialer.eligibility import Gate, opens_at
from dialer.pacing.decision import counted

# The dialer decides for each active campaign at least once a second; past this nobody does.
SILENT_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Last:
    """The newest stored decision."""

    at: datetime
    placed: int
    reason: str
    summary: str


@dataclass(frozen=True, slots=True)
class Answer:
    """text: a sentence. dialling: whether calls are being placed, or would be for the next free agent. opens_at: when
    what stands in the way ends by itself; None when nobody knows."""

    text: str
    dialling: bool
    opens_at: datetime | None = None


def time_text(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def answer(
    gates: Sequence[Gate],
    *,
    assigned: int,
    idle: int,
    able: int,
    not_idle: Sequence[tuple[str, int]],
    last: Last | None,
    next_contact_at: datetime | None,
    now: datetime,
) -> Answer:
    """gates: closed ones of the campaign and the link. able: of the idle agents, those below their hourly limit.
    not_idle: (reason, how many), most first. next_contact_at: when the next contact that waits may be called."""
    if gates:
        opens = opens_at(gates)
        return Answer(f"Not dialling: {' and '.join(gate.reason for gate in gates)}.", False, opens)
    if last is None:
        return Answer("Not dialling yet: nothing has been decided. Is the dialer worker running?", False)
    if now - last.at > SILENT_AFTER:
        silent = _span(now - last.at)
        return Answer(f"Not dialling: nothing was decided for {silent}. Is the dialer worker running?", False)
    if not assigned:
        return Answer("Not dialling: no agent is assigned.", False)
    if last.placed:
        return Answer(f"Dialling: {last.summary}.", True)
    if not idle:
        why = ", ".join(f"{count} {reason}" for reason, count in not_idle)
        return Answer(f"Waiting for an agent: none of {assigned} is idle ({why}).", True)
    if not able:
        those = "the one idle agent is" if idle == 1 else f"all {idle} idle agents are"
        return Answer(f"Not dialling: {those} at the hourly limit of calls.", False)
    if last.reason == "list_empty":
        return Answer(
            f"Not dialling: {counted(able, 'agent')} idle, and no contact may be called now.", False, next_contact_at
        )
    return Answer(f"Not placing a call at this moment: {last.summary}.", True)


def _span(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return counted(seconds // size, noun)
    return counted(seconds, "second")
