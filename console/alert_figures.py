"""What thresholds are held against: figures of the floor by subject, as the board shows them. Pure.

A figure that the rows do not date themselves (a softphone is lost, a component is silent, nothing was dialled) is dated
here by `Onsets`: since when it has been seen to be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from console import health, words
from console.floor_state import FloorState
from console.kpis import agent_kind, is_idle, ratio
from console.rows import AgentRow, CallRow, CampaignRow, Ratio
from dialer import figures

SECONDS: Final = "s"
PERCENT: Final = "%"
CONTACTS: Final = "contacts"
# Modes in which calls come from agents, so that no call is no fault of the dialer.
BY_HAND: Final = frozenset({"manual", "preview"})


@dataclass(frozen=True, slots=True)
class Measure:
    """What a threshold may be about. below: trouble is a value that is too small. texts: with {limit}."""

    kind: str
    label: str
    unit: str
    text: str
    below: bool = False


MEASURES: Final[dict[str, Measure]] = {
    "agent_state": Measure("agent", "agent: time in a state", SECONDS, "{what} longer than {limit}"),
    "agent_over": Measure("agent", "agent: over the limit of their reason or wrap-up", SECONDS, "over their limit"),
    "softphone": Measure("agent", "agent: softphone lost or not registered", SECONDS, "{what} for {limit}"),
    "call_waiting": Measure("call", "call: customer waits for an agent", SECONDS, "waits longer than {limit}"),
    "call_length": Measure("call", "call: talking", SECONDS, "talking longer than {limit}"),
    "call_ringing": Measure("call", "call: ringing", SECONDS, "ringing longer than {limit}"),
    "abandon_cap": Measure("campaign", "campaign: abandon rate, share of its cap", PERCENT, "abandon rate {what}"),
    "answer_rate": Measure("campaign", "campaign: answer rate", PERCENT, "answer rate {what}", below=True),
    "contacts_left": Measure("campaign", "campaign: contacts left", CONTACTS, "{what} left", below=True),
    "not_dialling": Measure("campaign", "campaign: nobody dialled, agents idle", SECONDS, "{what} for {limit}"),
    "occupancy_low": Measure("campaign", "campaign: occupancy too low", PERCENT, "occupancy {what}", below=True),
    "occupancy_high": Measure("campaign", "campaign: occupancy too high", PERCENT, "occupancy {what}"),
    "component": Measure("floor", "floor: a component is silent or in trouble", SECONDS, "{what}, for {limit} now"),
    "queue_delay": Measure("floor", "floor: a queue lags", SECONDS, "works {limit} behind"),
    "behind": Measure("floor", "floor: behind the switch", SECONDS, "more than {limit} behind the switch"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one subject. value: in the measure's unit. since: ms, when what it counts began, where it began.

    what: the value in words, for texts. sample: how many calls or seconds it is made of; None: it is no share.
    """

    measure: str
    subject_id: str
    name: str
    value: float
    what: str = ""
    since: int | None = None
    sample: int | None = None
    campaign_id: str | None = None
    campaigns: frozenset[str] = frozenset()
    team: str = ""
    state: str = ""
    reason: str = ""
    figure: Ratio | None = None

    @property
    def kind(self) -> str:
        return MEASURES[self.measure].kind


class Onsets:
    """Since when something has been so, as far as it was watched."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[object, int]] = {}
        self._seen: set[tuple[str, str]] = set()

    def since(self, measure: str, subject: str, mark: object, now: int) -> int:
        """ms since which the mark has been what it is now."""
        key = (measure, subject)
        self._seen.add(key)
        known = self._known.get(key)
        if known is None or known[0] != mark:
            known = self._known[key] = (mark, now)
        return known[1]

    def resume(self, measure: str, subject: str, mark: object, since: int) -> None:
        """What another watcher has seen; nothing when it is known here."""
        self._known.setdefault((measure, subject), (mark, since))

    def forget_unseen(self) -> None:
        """Drop what was not asked for since the last time."""
        self._known = {key: value for key, value in self._known.items() if key in self._seen}
        self._seen.clear()


def measure(floor: FloorState, onsets: Onsets, resumed: Mapping[tuple[str, str], int], now: int) -> list[Measured]:
    """Every figure of the floor at `now` (ms). resumed: (measure, subject) -> ms, of alerts that are open: what began
    before this process watched began then."""
    found: list[Measured] = []
    occupied: dict[str, list[Ratio]] = {}
    idle: dict[str, int] = {}
    for agent in floor.agents.values():
        found += _agent(agent, onsets, resumed, now)
        for campaign in agent.campaigns:
            if agent.today.occupancy is not None:
                occupied.setdefault(campaign, []).append(agent.today.occupancy)
            if is_idle(agent):
                idle[campaign] = idle.get(campaign, 0) + 1
    for call in floor.calls.values():
        found += _call(call, now)
    for row in floor.campaigns.values():
        found += _campaign(row, occupied.get(row.id, ()), idle.get(row.id, 0), onsets, resumed, now)
    found += _floor(floor, onsets, resumed, now)
    onsets.forget_unseen()
    return found


def duration(seconds: float) -> str:
    """In words for people: "45 s", "15 min", "1 h 30 min"."""
    whole = round(seconds)
    if whole < 120 and whole % 60:
        return f"{seconds:g} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min" if minutes else f"{whole} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _age(since: int | None, now: int) -> float:
    return 0.0 if since is None else max(0.0, (now - since) / 1000)


def _lasting(
    measure_: str, subject: str, so: bool, onsets: Onsets, resumed: Mapping[tuple[str, str], int], now: int
) -> tuple[float, int | None]:
    """(seconds, since when in ms) that something has been so; 0 when it is not."""
    if so and (before := resumed.get((measure_, subject))) is not None:
        onsets.resume(measure_, subject, True, before)
    since = onsets.since(measure_, subject, so, now)
    return (_age(since, now), since) if so else (0.0, None)


def _agent(row: AgentRow, onsets: Onsets, resumed: Mapping[tuple[str, str], int], now: int) -> Iterator[Measured]:
    kind = agent_kind(row)
    own = row.campaign_id or (row.campaigns[0] if len(row.campaigns) == 1 else None)
    state = words.AGENT_STATES[kind][0].lower()
    reason = "" if kind == "wrap_up" else row.reason
    told = f"{state} ({words.plain(reason)})" if reason else state

    def of(name: str, value: float, what: str, since: int | None) -> Measured:
        return Measured(
            measure=name, subject_id=row.id, name=row.name, value=value, what=what, since=since, campaign_id=own,
            campaigns=frozenset(row.campaigns) | ({own} if own else set()), team=row.team, state=kind, reason=reason,
        )  # fmt: skip

    yield of("agent_state", _age(row.since, now), told, row.since)
    if row.over_at is not None and row.over_at <= now:
        yield of("agent_over", _age(row.over_at, now), told, row.over_at)
    if row.status != "offline":
        unregistered = row.registered == "no" and row.softphone != "open"
        bad = row.softphone == "lost" or unregistered
        value, since = _lasting("softphone", row.id, bad, onsets, resumed, now)
        yield of("softphone", value, words.UNREGISTERED[0] if unregistered else words.SOFTPHONES["lost"][0], since)


def _call(row: CallRow, now: int) -> Iterator[Measured]:
    def of(name: str, since: int) -> Measured:
        return Measured(
            measure=name, subject_id=row.id, name=row.contact or row.number or "Unknown", value=_age(since, now),
            since=since, campaign_id=row.campaign_id, campaigns=frozenset({row.campaign_id} if row.campaign_id else ()),
            team=row.team,
        )  # fmt: skip

    if row.waiting_since is not None:
        yield of("call_waiting", row.waiting_since)
    elif row.state in ("bridged", "held") and row.bridged_at is not None:
        yield of("call_length", row.bridged_at)
    elif row.state == "alerting" and row.since is not None:
        yield of("call_ringing", row.since)


def _campaign(
    row: CampaignRow, occupied: Iterable[Ratio], idle: int, onsets: Onsets,
    resumed: Mapping[tuple[str, str], int], now: int,
) -> Iterator[Measured]:  # fmt: skip
    if row.status != "active":
        return

    def of(name: str, value: float, what: str, since: int | None = None, figure: Ratio | None = None) -> Measured:
        return Measured(
            measure=name, subject_id=row.id, name=row.name, value=value, what=what, since=since, campaign_id=row.id,
            campaigns=frozenset({row.id}), figure=figure, sample=figure.denominator if figure else None,
        )  # fmt: skip

    if row.drops is not None and row.drops.answered:
        drops = row.drops
        share = ratio(figures.abandon_rate(drops.abandoned, drops.answered, drops.window))
        yield of("abandon_cap", 100 * _share(share) / drops.cap, _of(share, drops.cap), None, share)
    answers = row.answer_rate or ratio(figures.answer_rate(row.today.answered, row.today.attempts))
    if answers.denominator:
        yield of("answer_rate", 100 * _share(answers), _of(answers), None, answers)
    if row.contacts_total:
        yield of("contacts_left", row.contacts_left, f"{row.contacts_left:,} of {row.contacts_total:,} contacts")
    if row.mode not in BY_HAND:
        # A call that is placed starts the time anew, and so does an agent who comes to be idle.
        stuck = idle > 0
        if stuck and (before := resumed.get(("not_dialling", row.id))) is not None:
            onsets.resume("not_dialling", row.id, (True, row.today.attempts), before)
        since = onsets.since("not_dialling", row.id, (stuck, row.today.attempts), now)
        why = f" ({words.plain(row.decision.reason)})" if row.decision and row.decision.reason else ""
        agents = "1 agent" if idle == 1 else f"{idle} agents"
        told = f"nobody dialled with {agents} idle{why}"
        yield of("not_dialling", _age(since, now) if stuck else 0.0, told, since if stuck else None)
    busy = list(occupied)
    numerator, denominator = sum(one.numerator for one in busy), sum(one.denominator for one in busy)
    if denominator:
        whole = ratio(figures.Rate(numerator, denominator, busy[0].window))
        value, told = 100 * _share(whole), f"{figures.percent(_share(whole), 0)}, {whole.window}"
        yield of("occupancy_low", value, told, None, whole)
        yield of("occupancy_high", value, told, None, whole)


def _share(figure: Ratio) -> float:
    """As exact as its parts; the row's own value is rounded."""
    return figures.Rate(figure.numerator, figure.denominator, figure.window).value or 0.0


def _of(figure: Ratio, cap: float | None = None) -> str:
    text = f"{figures.percent(_share(figure))} ({figure.numerator} of {figure.denominator}, {figure.window})"
    return text if cap is None else f"{text}, cap {figures.exact_percent(cap)}"


def _floor(floor: FloorState, onsets: Onsets, resumed: Mapping[tuple[str, str], int], now: int) -> Iterator[Measured]:
    if floor.kpis is None:
        return
    for name, part in floor.kpis.health.items():
        label = health.LABELS.get(name, words.plain(name))
        value, since = _lasting("component", name, not part.ok, onsets, resumed, now)
        # How long it has been silent is told by the alert's own age.
        what = "silent" if part.detail.startswith("silent for") else part.detail or "in trouble"
        yield Measured("component", name, label, value, what, since)
        # How far the ingest lags is the floor's own measure, `behind`.
        if part.delay_ms is not None and name != "ingest":
            yield Measured("queue_delay", name, label, part.delay_ms / 1000)
    if floor.kpis.behind_ms is not None:
        yield Measured("behind", "switch", "Floor", floor.kpis.behind_ms / 1000)
