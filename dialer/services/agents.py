"""The only writer of agent state. Every change leaves a row in AgentState: who, why, before, after."""

import datetime as dt
import logging
import uuid
from collections.abc import Collection

from django.db.models import Exists, OuterRef, QuerySet

from dialer import agent_states as machine
from dialer import announce, dispositions, orders, outbox, preview, rules
from dialer.compiled import any_of, compiled, update_row
from dialer.limits import (
    PROBE_EVERY,
    SOFTPHONE_CHANGES,
    SOFTPHONE_RETRY_SECONDS,
    SOFTPHONE_STEADY,
    SOFTPHONE_TRIES,
    UNREGISTERED_WAIT,
)
from dialer.models import (
    Agent,
    AgentLeg,
    AgentSkill,
    AgentState,
    CallLog,
    ContactReservation,
    Order,
    ReasonCode,
    Registered,
    RequiredSkill,
    Softphone,
)
from dialer.services import agent_days, ahead, closing, pacers, wake
from dialer.services.acting import Act

log = logging.getLogger(__name__)
# What this module writes of an agent; people edit the rest in the admin.
LIVE_FIELDS = (
    "status", "status_reason", "status_since", "pending_status", "pending_reason", "idle_since", "wrap_up_until",
    "softphone", "softphone_failures", "softphone_retry_at", "registered", "registered_since", "registration",
    "over_at", "last_call", "panel_since", "panel_lost_at", "version", "updated_at",
)  # fmt: skip


_LOCKED = compiled(lambda pks: Agent.objects.select_for_update().filter(any_of("pk", pks)).order_by("pk"))
_BY_NAME = compiled(lambda agent_id: Agent.objects.select_for_update().filter(agent_id=agent_id))
_OPEN_CALL = compiled(lambda agent: CallLog.objects.filter(agent=agent, ended_at=None).order_by("pk")[:1])
_OPEN_LEG = compiled(lambda agent: AgentLeg.objects.filter(agent=agent, ended_at=None).order_by("pk")[:1])
_LIMIT = compiled(
    lambda status, code: ReasonCode.objects.filter(
        status=status, code=code, limit_seconds__isnull=False
    ).values_list("limit_seconds", flat=True)
)  # fmt: skip


def locked(pk: int) -> Agent:
    agent = ahead.take("agent", pk)
    if agent is ahead.NOT_READ or agent is None:
        agent = _LOCKED.first([pk])
    if agent is None:
        raise Agent.DoesNotExist(f"agent {pk} is gone")
    return ahead.again(agent)


def read_ahead(pks: Collection[int]) -> None:
    if pks:
        ahead.keep("agent", pks, {agent.pk: agent for agent in _LOCKED(list(pks))})


def locked_by_name(agent_id: str) -> Agent | None:
    return _BY_NAME.first(agent_id)


def state_of(agent: Agent) -> machine.State:
    pending = machine.Status(agent.pending_status) if agent.pending_status else None
    return machine.State(machine.Status(agent.status), agent.status_reason, pending, agent.pending_reason)


def open_call(agent: Agent) -> CallLog | None:
    """The call that is reserved for the agent or that they talk on."""
    return _OPEN_CALL.first(agent.pk)


def engagement_of(agent: Agent) -> machine.Engagement:
    call = open_call(agent)
    if call is None:
        return machine.Engagement.NONE
    return machine.Engagement.TALKING if call.bridged_at else machine.Engagement.RESERVED


def open_leg(agent: Agent) -> AgentLeg | None:
    return _OPEN_LEG.first(agent.pk)


def owes(agent: Agent) -> bool:
    """Whether the call the agent wraps up must be disposed of before anything else."""
    call = agent.last_call if state_of(agent).in_wrap_up else None
    return call is not None and rules.wrap_up(call.campaign).owes(disposed=call.disposed_at is not None)


def apply(
    act: Act,
    agent: Agent,
    event: machine.Input,
    *,
    call: CallLog | None = None,
    engagement: machine.Engagement | None = None,
    owes: bool = False,
) -> machine.Refused | None:
    """Move a locked agent by one input and do what follows from it; Refused when the machine refuses. owes: as in
    agent_states.step."""
    before = state_of(agent)
    held = engagement_of(agent) if engagement is None else engagement
    after = machine.step(before, held, event, active=agent.is_active, owes=owes)
    if isinstance(after, machine.Refused):
        return after
    if after == before:
        return None
    if before.in_wrap_up and not after.in_wrap_up:
        pacers.wrapped(agent, agent.status_since, act.now)
    moved = (after.status, after.reason) != (before.status, before.reason)
    if moved:
        _count_time(act, agent, before, call, talked=isinstance(event, machine.Released) and event.talked)
        agent.status, agent.status_reason, agent.status_since = after.status, after.reason, act.now
        agent.wrap_up_until = None
        if after.in_wrap_up and isinstance(event, machine.Released):
            agent.wrap_up_until = act.now + dt.timedelta(seconds=event.wrap_up)
        if isinstance(event, machine.Connected):
            agent.last_call = call
        if isinstance(event, machine.SetState) and after.status is machine.Status.AVAILABLE and not before.in_wrap_up:
            # They come to work: with a panel or without one is seen anew.
            agent.panel_since = agent.panel_lost_at = None
        agent.over_at = _over_at(after, act.now, agent, call)
        if after.status is machine.Status.AVAILABLE:
            agent.idle_since = act.now
            agent.softphone_failures = 0
            agent.softphone_retry_at = None
        elif after.status is not machine.Status.ON_CALL:
            agent.idle_since = None
    agent.pending_status, agent.pending_reason = after.pending or "", after.pending_reason
    save(agent)
    closing.create(
        AgentState(
            agent=agent,
            state=agent.status,
            timestamp=act.now,
            call=call,
            reason=after.reason or type(event).__name__,
            metadata={
                "event": type(event).__name__,
                "by": act.by,
                "command_id": act.command_id,
                "before": {"status": before.status, "reason": before.reason, "pending": before.pending or ""},
                "after": {"status": after.status, "reason": after.reason, "pending": after.pending or ""},
            },
        )
    )
    if moved:
        _follow(act, agent, after)
    return None


def _count_time(act: Act, agent: Agent, before: machine.State, call: CallLog | None, *, talked: bool) -> None:
    """The state that ends now belongs to the agent's day; and the call, if one ends with it."""
    handled = talked and call is not None
    agent_days.state_ended(
        agent.pk,
        before,
        agent.status_since or agent.created_at,
        act.now,
        hold_ms=call.hold_ms if call is not None and before.status is machine.Status.ON_CALL else 0,
        handled=int(handled),
        contacts=int(handled and call is not None and not call.machine),
    )


def _over_at(state: machine.State, now: dt.datetime, agent: Agent, call: CallLog | None) -> dt.datetime | None:
    """When a state that begins now will have lasted longer than it may. call: the one it begins with, if any."""
    if not state.reason:
        return None
    if state.in_wrap_up and agent.last_call_id is not None:
        last = call if call is not None and call.pk == agent.last_call_id else agent.last_call
        limit = rules.wrap_up(last.campaign).over_at(now)
        if limit is not None and last.disposed_at is None:
            return limit
    seconds = _LIMIT.first(state.status.value, state.reason)
    return None if seconds is None else now + dt.timedelta(seconds=seconds)


def _follow(act: Act, agent: Agent, state: machine.State) -> None:
    """The softphone's leg follows the state: called for work, kept through a break, let go when offline."""
    if state.status is machine.Status.AVAILABLE:
        ensure_leg(act, agent)
        wake.dialer()
    elif state.status is machine.Status.OFFLINE:
        leg = open_leg(agent)
        if leg is not None:
            hang_up(act, leg)


def save(agent: Agent) -> None:
    agent.version += 1
    update_row(agent, LIVE_FIELDS)
    ahead.changed("agent", agent.pk, agent)
    announce.changed("agent", agent.pk)


def ensure_leg(act: Act, agent: Agent) -> None:
    """Call the softphone of an agent who works and has no leg, unless it was tried too recently."""
    if not agent.is_active:
        return
    leg = open_leg(agent)
    if leg is not None:
        if agent.softphone == Softphone.LOST:
            _doubted_still(act, agent, leg)
        return
    if agent.softphone_retry_at is not None and agent.softphone_retry_at > act.now:
        return
    if _is_away(act, agent):
        return
    leg = AgentLeg.objects.create(agent=agent, leg_uuid=uuid.uuid4())
    order = orders.OriginateAgent(
        **outbox.header(), leg=str(leg.leg_uuid), extension=agent.extension, agent_id=agent.agent_id
    )
    outbox.add(order, token=act.token, agent_id=agent.pk)
    agent.softphone = Softphone.RINGING
    save(agent)


def _is_away(act: Act, agent: Agent) -> bool:
    """The softphone is not registered, unless the news of its return has been lost."""
    since = agent.registered_since
    return agent.registered == Registered.NO and since is not None and act.now - since < UNREGISTERED_WAIT


def doubt_leg(act: Act, agent: Agent) -> None:
    """A softphone that has registered anew, or is registered no more, since its leg was opened may have died without a
    word, and customers would be joined to silence: nobody is any more. A new registration has the leg hung up, and the
    softphone called again; a lost one ends nothing, and counts for UNREGISTERED_WAIT."""
    leg, since = open_leg(agent), agent.registered_since
    if agent.status == machine.Status.OFFLINE or since is None:
        return
    if leg is None or leg.opened_at is None or leg.opened_at >= since:
        return
    agent.softphone = Softphone.LOST
    save(agent)
    _doubted_still(act, agent, leg)


def _doubted_still(act: Act, agent: Agent, leg: AgentLeg) -> None:
    if agent.registered == Registered.YES:
        lately = Order.objects.filter(leg_uuid=leg.leg_uuid, kind="hangup", created_at__gt=act.now - PROBE_EVERY)
        if not lately.exists():
            hang_up(act, leg)
    elif not _is_away(act, agent):
        agent.softphone = Softphone.OPEN
        save(agent)
        wake.dialer()


def hang_up(act: Act, leg: AgentLeg) -> None:
    outbox.add(orders.Hangup(**outbox.header(), leg=str(leg.leg_uuid)), token=act.token, agent_id=leg.agent_id)


def leg_opened(act: Act, leg: AgentLeg) -> None:
    """The softphone answered: the agent can be given calls, or is let go when they left meanwhile."""
    agent = locked(leg.agent_id)
    told_again = leg.opened_at is not None
    if not told_again:
        leg.opened_at = act.now
        leg.save(update_fields=["opened_at"])
    if agent.status == machine.Status.OFFLINE:
        hang_up(act, leg)
    if agent.softphone != Softphone.OPEN and not told_again:  # else it is doubted, see doubt_leg
        agent.softphone = Softphone.OPEN
        agent.softphone_retry_at = None
        save(agent)
    wake.dialer()


def leg_ended(act: Act, leg: AgentLeg, cause: str) -> None:
    """The softphone's leg is gone. A working agent's softphone is called again, a few times; then they are on a
    break."""
    if leg.ended_at is not None:
        return
    leg.ended_at, leg.hangup_cause = act.now, cause
    leg.save(update_fields=["ended_at", "hangup_cause"])
    agent = locked(leg.agent_id)
    if agent.status == machine.Status.OFFLINE:
        agent.softphone = Softphone.NONE
        save(agent)
        return
    # One that answers and drops the call at once is no better than one that does not answer; unless we hung up, see
    # doubt_leg.
    dropped = leg.opened_at is not None and act.now - leg.opened_at < SOFTPHONE_STEADY
    failed = leg.opened_at is None or (dropped and agent.softphone != Softphone.LOST)
    agent.softphone = Softphone.LOST
    agent.softphone_failures = agent.softphone_failures + 1 if failed else 0
    tries = agent.softphone_failures
    wait = SOFTPHONE_RETRY_SECONDS[min(tries, len(SOFTPHONE_RETRY_SECONDS) - 1)]
    agent.softphone_retry_at = act.now + dt.timedelta(seconds=wait)
    save(agent)
    if tries >= SOFTPHONE_TRIES and agent.status == machine.Status.AVAILABLE:
        log.warning(
            "%s: softphone %s unreachable %d times (%s); set to break", agent.agent_id, agent.extension, tries, cause
        )
        apply(act, agent, machine.SoftphoneLost(), engagement=machine.Engagement.NONE)


def registration_changed(act: Act, extension: str, *, registered: bool, registration: str) -> None:
    """The switch has a registration of this softphone, or has it no more. One that is back is called at once. During a
    conversation nothing else follows; calls.release comes back to it.

    registration: the SIP Call-ID under which it registered. After a restart of the softphone, or with a second one, the
    end of another registration than the last is no news.
    """
    agent = Agent.objects.select_for_update().filter(extension=extension).first()
    if agent is None or is_old_news(agent.registered, agent.registration, registered, registration):
        return
    now = Registered.YES if registered else Registered.NO
    first = registered and agent.registered == Registered.UNKNOWN
    another = registered and bool(agent.registration and registration) and not _hung_up_lately(act, agent)
    agent.registration = registration[:200] if registered else ""
    if agent.registered != now and registered:
        agent.softphone_failures, agent.softphone_retry_at = 0, None
    if agent.registered != now or another:
        # One that is heard of for the first time has been there before.
        agent.registered, agent.registered_since = now, None if first else act.now
    save(agent)
    call = open_call(agent)
    if call is None or call.answered_at is None:
        doubt_leg(act, agent)
    if registered and agent.status == machine.Status.AVAILABLE:
        ensure_leg(act, agent)


def _hung_up_lately(act: Act, agent: Agent) -> bool:
    """Whether the softphone's leg was hung up a while ago: once more, another Call-ID is no sign of a restart."""
    recent = Order.objects.filter(agent=agent, call=None, kind="hangup", created_at__gt=act.now - SOFTPHONE_CHANGES)
    return recent.exists()


def is_old_news(known: str, known_registration: str, registered: bool, registration: str) -> bool:
    """Whether what the switch says of a registration changes nothing; softphones say it again every minute."""
    if registered:
        return known == Registered.YES and known_registration == registration[:200]
    return known == Registered.NO or bool(
        known_registration and registration and known_registration != registration[:200]
    )


def due_wrap_ups(act: Act) -> int:
    """End each wrap-up whose time is used up, as its campaign says; returns how many were looked at."""
    with_call = Agent.objects.select_for_update(of=("self",)).select_related("last_call__campaign")
    due = list(with_call.defer("last_call__cdr_data").filter(wrap_up_until__lte=act.now))
    for agent in due:
        call = agent.last_call
        following = dispositions.at_wrap_up_end(
            rules.wrap_up(call.campaign if call else None),
            disposed=call is None or call.disposed_at is not None,
            began=agent.status_since or act.now,
            now=act.now,
        )
        match following:
            case dispositions.End():
                apply(act, agent, machine.WrapUpOver(), engagement=machine.Engagement.NONE)
            case dispositions.Stay(until=until):
                agent.wrap_up_until = until
                save(agent)
            case dispositions.ToBreak(reason=reason):
                apply(act, agent, machine.WrapUpExceeded(reason), engagement=machine.Engagement.NONE)
    return len(due)


def due_limits(act: Act) -> int:
    """Set offline who has stayed longer in a state than its reason allows, where the reason says so; returns how
    many."""
    strict = ReasonCode.objects.filter(status=OuterRef("status"), code=OuterRef("status_reason"), over_action="offline")
    over = Agent.objects.select_for_update().filter(Exists(strict), over_at__lte=act.now)
    due = list(over.exclude(status_reason=machine.WRAP_UP))
    for agent in due:
        apply(act, agent, machine.LimitOver())
    return len(due)


def due_softphones(act: Act) -> None:
    """Call the softphones of available agents that have no leg and whose waiting time is over."""
    waiting = Agent.objects.select_for_update(of=("self",)).filter(
        status=machine.Status.AVAILABLE, is_active=True
    ).exclude(softphone__in=[Softphone.OPEN, Softphone.RINGING])  # fmt: skip
    for agent in waiting:
        ensure_leg(act, agent)


def why_not_idle(agent: Agent) -> str:
    """Why the agent cannot take a call now, or ''."""
    return preview.not_idle(
        active=agent.is_active,
        status=agent.status,
        reason=agent.status_reason,
        softphone=agent.softphone,
        pending=agent.pending_status,
        has_call=open_call(agent) is not None,
    )


def lacking(campaign: int | OuterRef | None, agent: str = "pk") -> Exists:
    """A condition: a skill that the campaign requires is missing, or its level. agent: the field that is the agent."""
    able = AgentSkill.objects.filter(
        agent=OuterRef(OuterRef(agent)), skill=OuterRef("skill"), level__gte=OuterRef("least_level")
    )
    return Exists(RequiredSkill.objects.filter(~Exists(able), campaign=campaign))


def skilled(campaign_pk: int | None) -> QuerySet[Agent]:
    """Agents who have every skill the campaign requires, at its level."""
    return Agent.objects.filter(~lacking(campaign_pk))


def idle(campaign_pk: int | None) -> QuerySet[Agent]:
    """Agents of a campaign who can be given a call now and have the skills it requires, longest idle first."""
    offered = ContactReservation.State.OFFERED
    return (
        skilled(campaign_pk)
        .filter(
            ~Exists(CallLog.objects.filter(agent=OuterRef("pk"), ended_at=None)),
            ~Exists(ContactReservation.objects.filter(agent=OuterRef("pk"), state=offered)),
            campaigns=campaign_pk,
            status=machine.Status.AVAILABLE,
            is_active=True,
            softphone=Softphone.OPEN,
            pending_status="",
        )
        .order_by("idle_since", "pk")
    )
