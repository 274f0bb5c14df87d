"""What must hold of a run, as pure functions over what was asked, answered, broken and recorded."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.faults.history import Command, Evidence, History

# "In-doubt attempts settled within 60 s", "live state equal to the switch's within 10 s".
DOUBT_SECONDS = 60.0
LEVEL_SECONDS = 10.0
# A board that says nothing for this long shows that it is stale (console: the board greys).
STALE_SECONDS = 3.0
# What a live board shows is so much older than the floor at most, before it must say that it is behind.
BOARD_BEHIND_SECONDS = 10.0
# No INVITE later than this after a stop was answered.
STOP_SECONDS = 1.0
# A hang-up of both legs is one moment in the switch's log.
TOGETHER_SECONDS = 0.5


@dataclass(frozen=True)
class Found:
    """One check. `figure`: of how many, in words. `troubles`: empty when it holds."""

    name: str
    figure: str
    troubles: list[str]


def dialled_twice(history: History, evidence: Evidence) -> Found:
    """An attempt is one uuid. Nobody's retries are allowed here, so a number has one INVITE at most, too."""
    customers = [leg for leg in evidence.legs if leg["kind"] == "customer"]
    troubles = []
    for key, what in (("uuid", "attempt"), ("number", "number")):
        for value, times in collections.Counter(leg[key] for leg in customers).items():
            if times > 1:
                troubles.append(f"{what} {_short(value)} has {times} INVITEs")
    known = {call["leg"] for call in evidence.calls}
    troubles += [f"leg {leg['uuid']} is no attempt of ours" for leg in customers if leg["uuid"] not in known]
    return Found("numbers dialled twice for one attempt", f"{len(customers)} INVITEs", troubles)


def commands_lost(history: History, evidence: Evidence) -> Found:
    """Whatever was acknowledged has had its one effect or its one refusal, and the answer given is the one recorded."""
    accepted = [command for command in history.commands.values() if command.acked_at is not None]
    troubles = []
    for command in accepted:
        recorded = evidence.applied.get(command.command_id)
        if recorded is None:
            where = "still queued" if command.command_id in evidence.queued else "gone"
            troubles.append(f"{command.kind} {command.wish} was acknowledged and is {where}")
        elif command.answered_at is not None and command.status != recorded:
            troubles.append(f"{command.kind} {command.wish} was answered {command.status}, recorded {recorded}")
    refused = sum(bool(command.error) and command.acked_at is None for command in history.commands.values())
    return Found("accepted commands lost", f"{len(accepted)} accepted, {refused} refused", troubles)


def old_tokens(history: History, evidence: Evidence) -> Found:
    troubles = list(evidence.old_token_writes)
    newest = 0
    for key, token in evidence.orders:
        if token < newest:
            troubles.append(f"order {key} has token {token} after {newest}")
        newest = max(newest, token)
    if not evidence.fenced_writes:
        troubles.append("no write was looked at")
    takeovers = len({token for _, token in evidence.orders})
    figure = f"{evidence.fenced_writes} writes, {takeovers} tokens"
    return Found("writes with an old fencing token", figure, troubles)


def calls_dropped(history: History, evidence: Evidence) -> Found:
    """A customer who talks is hung up on by the agent, by whoever asked for it, or not at all; one who waits, only by
    the rule for those whom nobody can take."""
    agents = {leg["uuid"]: leg for leg in evidence.legs if leg["kind"] == "agent"}
    calls = {call["leg"]: call for call in evidence.calls}
    answered = [leg for leg in evidence.legs if leg["kind"] == "customer" and leg["answered_at"] is not None]
    troubles, abandoned = [], 0
    for leg in answered:
        if leg["ended_at"] is None or leg["disposition"] == "recv_bye":
            continue
        if leg["uuid"] in evidence.asked_hangups:
            continue
        if leg["bridges"]:
            agent = agents.get(leg["bridges"][-1]["peer"])
            by_agent = agent is not None and agent["disposition"] == "recv_bye" and agent["ended_at"] is not None
            if by_agent and agent and abs(agent["ended_at"] - leg["ended_at"]) <= TOGETHER_SECONDS:
                continue
            troubles.append(f"customer {leg['uuid']} was talking and was hung up ({leg['hangup_cause']})")
        else:
            call = calls.get(leg["uuid"])
            if call is not None and call["abandoned"]:
                abandoned += 1
            else:
                troubles.append(f"customer {leg['uuid']} had answered and was hung up ({leg['hangup_cause']})")
    return Found(
        "customer calls dropped by us", f"{len(answered)} answered, {abandoned} abandoned by the rule", troubles
    )


def doubts_settled(history: History, evidence: Evidence) -> Found:
    lasted = {doubt.leg: doubt.last_seen - doubt.since for doubt in history.doubts.values()}
    troubles = [
        f"{leg} was in doubt for {seconds:.0f} s"
        for leg, seconds in lasted.items()
        if seconds > DOUBT_SECONDS * history.slack
    ]
    legs = {leg["uuid"]: leg for leg in evidence.legs}
    troubles += [
        f"{call['leg']} never ended: {call['status']}, the switch {_told(legs.get(call['leg']))}"
        for call in evidence.calls
        if call["ended_at"] is None
    ]
    worst = max(lasted.values(), default=0.0)
    return Found("in-doubt attempts settled", f"{len(lasted)} in doubt, longest {worst:.0f} s", troubles)


def live_state_level(history: History, evidence: Evidence) -> Found:
    troubles = []
    for one in history.levellings:
        if one.seconds is None or one.seconds > LEVEL_SECONDS * history.slack:
            when = "never" if one.seconds is None else f"after {one.seconds:.1f} s"
            troubles.append(f"after {one.after}: level {when}; {'; '.join(one.differences[:3])}")
    if not history.levellings:
        troubles.append("never looked at")
    worst = max((one.seconds or 0.0 for one in history.levellings), default=0.0)
    return Found(
        "live state equal to the switch's", f"{len(history.levellings)} looks, longest {worst:.1f} s", troubles
    )


def boards_wrong(history: History, evidence: Evidence) -> Found:
    """A board that says it is live shows no call that is long over, and misses none that has long been answered."""
    span = {leg["uuid"]: leg for leg in evidence.legs if leg["kind"] == "customer"}
    troubles, stale = list(history.boards_differ), 0
    behind = BOARD_BEHIND_SECONDS * history.slack
    long = [
        (leg, record["answered_at"], record["ended_at"] or float("inf"))
        for leg, record in span.items()
        if record["answered_at"] is not None
        and (record["ended_at"] is None or record["ended_at"] - record["answered_at"] > behind)
    ]
    for sample in history.samples:
        if sample.silent_for > STALE_SECONDS or sample.trouble:
            stale += 1
            continue
        for leg, state in sample.calls.items():
            ended = span[leg]["ended_at"] if leg in span else None
            if state == "ended" or ended is None:
                continue  # it says so; only the record waits for the dialer
            if state == "initiated" and sample.at - span[leg]["invited_at"] <= DOUBT_SECONDS * history.slack:
                continue  # in doubt, which has a limit of its own
            if sample.at - ended > behind:
                troubles.append(f"{sample.board} shows {leg}, over for {sample.at - ended:.0f} s")
        for leg, answered, ended in long:
            if answered + behind < sample.at < ended and leg not in sample.calls:
                troubles.append(f"{sample.board} misses {leg}, answered {sample.at - answered:.0f} s ago")
    if not history.samples:
        troubles.append("never looked at")
    figure = f"{history.boards} boards, {len(history.samples)} looks, {stale} of them stale and saying so"
    return Found("boards wrong and not saying so", figure, troubles)


def stops(history: History, evidence: Evidence) -> Found:
    """Nobody of a campaign is called from a second after its pause was answered until somebody starts it again, and a
    number not from a second after its entry on."""
    campaign = {call["leg"]: call["campaign_id"] for call in evidence.calls}
    customers = [leg for leg in evidence.legs if leg["kind"] == "customer"]
    by_campaign, by_number = collections.defaultdict(list), collections.defaultdict(list)
    for leg in customers:
        by_campaign[campaign.get(leg["uuid"], "")].append(leg["invited_at"])
        by_number[leg["number"]].append(leg["invited_at"])
    troubles, windows, late = [], 0, 0.0
    for target, begin, end in paused(history.commands.values()):
        windows += 1
        for at in by_campaign[target]:
            if begin < at < end:
                late = max(late, at - begin)
                if at > begin + STOP_SECONDS * history.slack:
                    troubles.append(f"campaign {target}: an INVITE {at - begin:.1f} s after its pause was answered")
    for stop in history.stops:
        for at in by_number[stop.target]:
            if at > stop.at:
                late = max(late, at - stop.at)
                if at > stop.at + STOP_SECONDS * history.slack:
                    troubles.append(f"{_short(stop.target)}: an INVITE {at - stop.at:.1f} s after it was forbidden")
    figure = f"{windows} pauses, {len(history.stops)} numbers forbidden, latest INVITE after {late:.2f} s"
    return Found("INVITEs after a stop", figure, troubles)


def paused(commands: Iterable[Command]) -> list[tuple[str, float, float]]:
    """(campaign, from, until) in which nobody may be called: from the answer to a pause until the next start is asked
    for. A start that was under way at the pause may come after it: then nothing can be said."""
    found = []
    control = [one for one in commands if one.kind == "campaign" and one.wish in {"pause", "start", "stop"}]
    for pause in control:
        if pause.wish == "start" or pause.status != "applied" or pause.answered_at is None:
            continue
        starts = [
            one.said_at for one in control
            if one.wish == "start" and one.target == pause.target
            and (one.answered_at is None or one.answered_at > pause.said_at)
        ]  # fmt: skip
        end = min(starts, default=float("inf"))
        if end > pause.answered_at:
            found.append((pause.target, pause.answered_at, end))
    return found


def _told(leg: dict[str, Any] | None) -> str:
    """What the switch's own log says of a leg."""
    if leg is None:
        return "has no such leg"
    if leg["ended_at"] is not None:
        return f"ended it ({leg['hangup_cause']}, {leg['disposition']})"
    joined = leg["bridges"] and leg["bridges"][-1]["until"] is None
    return "has it joined" if joined else "has it answered" if leg["answered_at"] is not None else "has it ringing"


def _short(value: str) -> str:
    """Enough to find it by, and no number."""
    return f"…{value[-4:]}" if value.startswith("+") else value


CHECKS: tuple[Callable[[History, Evidence], Found], ...] = (
    dialled_twice, commands_lost, old_tokens, calls_dropped, doubts_settled, live_state_level, boards_wrong, stops,
)  # fmt: skip


def check(history: History, evidence: Evidence) -> list[Found]:
    return [one(history, evidence) for one in CHECKS]
