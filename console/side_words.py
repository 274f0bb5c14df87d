"""Who was called for a call besides its customer and its agent, in words: supervisors who listened or took over,
colleagues who were consulted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from console import cause_words, ladder
from dialer.models import SideLeg

LISTEN, TAKE_OVER, CONSULT = SideLeg.Purpose.LISTEN, SideLeg.Purpose.TAKE_OVER, SideLeg.Purpose.CONSULT
# Confirmed change -> (word, icon).
_CHANGES = {
    "listen": ("Listens", "listen"),
    "whisper": ("Whispers to the agent", "whisper"),
    "barge": ("Talks with both", "barge"),
    "take_over": ("Takes over from the agent", "takeover"),
}
_AS = {LISTEN: "listened", TAKE_OVER: "took over", CONSULT: "was consulted"}
_IN_VAIN = {LISTEN: "was called to listen", TAKE_OVER: "was called to take over", CONSULT: "was called"}


@dataclass(frozen=True, slots=True)
class Side:
    """One leg. was: what its owner did. asked_by: '' where they asked themselves. changes: (when, what), as confirmed.
    start: since they were on the call, None: never. end: when the leg ended, None: not yet. cause: why a leg came to
    nothing."""

    who: str
    extension: str
    was: str
    asked_by: str
    changes: Sequence[tuple[dt.datetime, str]]
    start: dt.datetime | None
    end: dt.datetime | None
    length: str
    cause: str


def told(side: SideLeg, now: dt.datetime) -> Side:
    joined = side.joined_at is not None
    return Side(
        who=who(side),
        extension=side.extension,
        was=(_AS if joined else _IN_VAIN)[side.purpose],
        asked_by=side.actor if side.purpose == CONSULT else "",
        changes=[(at, word) for at, word, _ in changes(side)],
        start=side.joined_at,
        end=side.ended_at,
        length=ladder.span(ladder.between(side.joined_at, side.ended_at or now)),
        cause="" if joined or not side.hangup_cause else cause_words.cause(side.hangup_cause),
    )


def who(side: SideLeg) -> str:
    """The supervisor; of those who are consulted, only the extension is known."""
    return side.extension if side.purpose == CONSULT else side.actor or side.extension


def lane(side: SideLeg) -> tuple[str, str]:
    """(title, role) of the leg's column in the ladder."""
    if side.purpose == CONSULT:
        return f"{who(side)}, consulted", "colleague"
    return f"{who(side)}, {'takes over' if side.purpose == TAKE_OVER else 'listens'}", "supervisor"


def changes(side: SideLeg) -> list[tuple[dt.datetime, str, str]]:
    """(when, word, icon) of what the switch has confirmed."""
    found = []
    for one in side.changes if isinstance(side.changes, list) else []:
        word, icon = _CHANGES.get(str(one["mode"]), (str(one["mode"]).capitalize(), "listen"))
        found.append((dt.datetime.fromisoformat(one["at"]), word, icon))
    return found


def heard(sides: Iterable[SideLeg]) -> str:
    """Which supervisors were on a call, in one line: "maria listened, tom took over"; '' for none."""
    there = sorted((side for side in sides if side.purpose != CONSULT and side.joined_at), key=lambda side: side.pk)
    return ", ".join(dict.fromkeys(f"{who(side)} {_AS[side.purpose]}" for side in there))
