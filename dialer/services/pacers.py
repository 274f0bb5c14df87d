"""The pacing policies of the campaigns, in the memory of the sequential worker.

What a predictive policy has learnt is only what facts made it. Facts are told after their commit; a worker that has
just taken over, or a campaign whose mode has changed, is told the last half hour again from PostgreSQL.
"""

import datetime as dt
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from django.db import transaction

from dialer import limits, pacing
from dialer.models import DIALS_AHEAD, Agent, AgentState, AgentStatus, CallLog, DialerCampaign, DialingMode, Message
from dialer.pacing.profile import Profile
from dialer.services import closing, drops
from dialer.services.observing import dials_ahead, stratum_of

log = logging.getLogger(__name__)
MEMORY = dt.timedelta(minutes=30)
# Of calls told again: more change no estimate.
MEMORY_CALLS = 20_000


@dataclass(slots=True)
class Pacer:
    """A campaign's policy. placed: (second, calls) of the last hour, for the agents' hourly limit. last: no fact and
    no question is told an earlier time than this, whatever the clock does."""

    key: tuple[object, ...]
    policy: pacing.Policy
    profile: Profile
    placed: deque[tuple[float, int]]
    last: float = 0.0

    def at(self, moment: float) -> float:
        self.last = max(self.last, moment)
        return self.last

    def within_hour(self, now: float) -> int:
        while self.placed and self.placed[0][0] <= now - limits.RATE_WINDOW.total_seconds():
            self.placed.popleft()
        return sum(calls for _, calls in self.placed)


_pacers: dict[int, Pacer] = {}


def decide(campaign: DialerCampaign, seen: pacing.Observation, now: dt.datetime) -> pacing.Decision:
    """What the campaign's mode places now on this floor."""
    if not dials_ahead(campaign):
        _pacers.pop(campaign.pk, None)
        decision = pacing.Progressive().decide(seen)
        if campaign.mode in DIALS_AHEAD:
            decision.inputs["requested"] = str(campaign.mode)
        return decision
    pacer = _of(campaign, now)
    at = pacer.at(seen.at)
    hourly = campaign.calls_per_agent_per_hour * seen.assigned - pacer.within_hour(at)
    ceilings = replace(seen.ceilings, per_hour=hourly)
    windows = drops.windows(campaign.pk, now, pacer.profile) if seen.assigned else ()
    decision = pacer.policy.decide(replace(seen, at=at, ceilings=ceilings, windows=windows))
    if decision.mode != campaign.mode:
        decision.inputs.setdefault("requested", str(campaign.mode))
    return decision


def forget() -> None:
    """As a new worker: all is told again from PostgreSQL when it is asked for."""
    _pacers.clear()


# --- Facts, told once committed -------------------------------------------------------------------------------------


def placed(campaign: int | None, now: dt.datetime, attempts: list[int]) -> None:
    """Calls placed together. attempts: the attempt number of each."""

    def tell(pacer: Pacer, at: float) -> None:
        pacer.placed.append((at, len(attempts)))
        for stratum in {stratum_of(n) for n in attempts}:
            pacer.policy.placed(at, sum(stratum_of(n) == stratum for n in attempts), stratum)

    _after_commit(campaign, now, tell)


def answered(call: CallLog, now: dt.datetime) -> None:
    assert call.answered_at is not None
    ring, stratum = (call.answered_at - call.initiated_at).total_seconds(), stratum_of(call.attempt_number)
    _after_commit(call.campaign_id, now, lambda pacer, at: pacer.policy.answered(at, max(0.0, ring), stratum))


def lost(call: CallLog, now: dt.datetime) -> None:
    _after_commit(call.campaign_id, now, lambda pacer, at: pacer.policy.lost(at))


def talked(call: CallLog, now: dt.datetime) -> None:
    if call.bridged_at is None or call.ended_at is None:
        return
    seconds = (call.ended_at - call.bridged_at).total_seconds()
    _after_commit(call.campaign_id, now, lambda pacer, at: pacer.policy.talked(at, max(0.1, seconds)))


def wrapped(agent: Agent, since: dt.datetime, now: dt.datetime) -> None:
    """An agent ended the wrap-up that began at `since`: it is counted for the campaign of the call they wrapped up."""
    if not _pacers or agent.last_call is None:
        return
    seconds = max(0.1, (now - since).total_seconds())
    _after_commit(agent.last_call.campaign_id, now, lambda pacer, at: pacer.policy.wrapped(at, seconds))


def _after_commit(campaign: int | None, now: dt.datetime, tell: Callable[[Pacer, float], None]) -> None:
    pacer = _pacers.get(campaign) if campaign is not None else None
    if pacer is None:
        return
    # A pacer made anew meanwhile has read the committed rows itself.
    transaction.on_commit(
        lambda: tell(pacer, pacer.at(now.timestamp())) if _pacers.get(campaign or 0) is pacer else None, robust=True
    )


# --- Made, and told again --------------------------------------------------------------------------------------------


def _of(campaign: DialerCampaign, now: dt.datetime) -> Pacer:
    profile = drops.profile_of(campaign)
    key = (campaign.mode, campaign.power_ratio, profile, campaign.ring_timeout_seconds)
    pacer = _pacers.get(campaign.pk)
    if pacer is None or pacer.key != key:
        pacer = Pacer(key, _policy(campaign, profile), profile, deque())
        _tell_again(pacer, campaign, now)
        _pacers[campaign.pk] = pacer
    recorded = _is_recorded(campaign.message)
    if pacer.profile.message_asset != recorded:
        pacer.profile = pacer.policy.profile = replace(pacer.profile, message_asset=recorded)  # type: ignore[attr-defined]
    return pacer


def _is_recorded(message: Message | None) -> bool:
    return message is not None and message.is_recorded


def _policy(campaign: DialerCampaign, profile: Profile) -> pacing.Policy:
    if campaign.mode == DialingMode.POWER:
        return pacing.Power(float(campaign.power_ratio), profile)
    # It brings numpy, which every process that knows agents would load.
    from dialer.pacing.predictive import Predictive

    wrap = max(1.0, float(campaign.wrap_up_seconds))
    return Predictive(profile, wrap_mean=wrap, ring_timeout=float(campaign.ring_timeout_seconds))


def _tell_again(pacer: Pacer, campaign: DialerCampaign, now: dt.datetime) -> None:
    facts = sorted(_facts(pacer.policy, campaign, now), key=lambda fact: fact[0])
    for at, tell in facts:
        tell(pacer.at(at))
    hour = CallLog.objects.filter(campaign=campaign, initiated_at__gt=now - limits.RATE_WINDOW)
    rows = hour.order_by("initiated_at").values_list("initiated_at", flat=True)
    pacer.placed.extend((at.timestamp(), 1) for at in rows)
    if facts:
        log.info("campaign %s: %d facts of the last half hour told again", campaign.pk, len(facts))


def _facts(
    policy: pacing.Policy, campaign: DialerCampaign, now: dt.datetime
) -> Iterator[tuple[float, Callable[[float], None]]]:
    since = now - MEMORY
    calls = CallLog.objects.filter(campaign=campaign, initiated_at__gt=since).order_by("-initiated_at").values_list(
        "initiated_at", "answered_at", "bridged_at", "ended_at", "abandoned", "attempt_number"
    )[:MEMORY_CALLS]  # fmt: skip
    for initiated, answered_at, bridged, ended, abandoned, attempt in calls:
        stratum = stratum_of(attempt)
        yield initiated.timestamp(), lambda at, s=stratum: policy.placed(at, 1, s)  # type: ignore[misc]
        if answered_at is not None:
            ring = max(0.0, (answered_at - initiated).total_seconds())
            yield answered_at.timestamp(), lambda at, r=ring, s=stratum: policy.answered(at, r, s)  # type: ignore[misc]
        if abandoned and answered_at is not None:
            yield (answered_at + limits.ANSWER_GRACE).timestamp(), policy.lost
        if bridged is not None and ended is not None:
            seconds = max(0.1, (ended - bridged).total_seconds())
            yield ended.timestamp(), lambda at, s=seconds: policy.talked(at, s)  # type: ignore[misc]
    yield from _wraps(policy, campaign, since)


def _wraps(
    policy: pacing.Policy, campaign: DialerCampaign, since: dt.datetime
) -> Iterator[tuple[float, Callable[[float], None]]]:
    closing.write()
    rows = AgentState.objects.filter(agent__campaigns=campaign, timestamp__gt=since).order_by("agent", "id")
    before: tuple[int, str, str, dt.datetime] | None = None
    for agent, state, reason, at in rows.values_list("agent", "state", "reason", "timestamp"):
        if before is not None and before[0] == agent and before[1:3] == (AgentStatus.BUSY, "wrap_up"):
            seconds = max(0.1, (at - before[3]).total_seconds())
            yield at.timestamp(), lambda when, s=seconds: policy.wrapped(when, s)  # type: ignore[misc]
        before = (agent, state, reason, at)
