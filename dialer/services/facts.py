"""What the switch says, handed on by the ingest in order, each fact at least once.

Facts are applied several to a transaction: a commit, its announcements and the questions that all of them ask cost as
much as the facts themselves. A customer who has answered waits for the commit, so a transaction takes no more than
AT_ONCE, and ends after CHUNK_SECONDS.
"""

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Sequence

from django.db import InterfaceError, OperationalError

from dialer import hangup_causes, orders, outbox
from dialer.compiled import any_of, compiled, update_row
from dialer.lease import LeaseLost
from dialer.models import AgentLeg, CallLog, Order
from dialer.services import agents, ahead, call_moves, call_orders, calls, doubts, holds, live_legs, side_legs, sifting
from dialer.services.acting import Act, acting
from events import facts as f
from events import trail

log = logging.getLogger(__name__)

AT_ONCE = 40
CHUNK_SECONDS = 0.05
_detection_missed = False
# A time of the switch further off than this is a broken clock's, not a call's.
LONGEST_SECONDS = 86_400.0
_REPORTED = {
    "done": Order.Status.DONE,
    "failed": Order.Status.FAILED,
    "refused": Order.Status.REFUSED,
    "expired": Order.Status.EXPIRED,
    "in_doubt": Order.Status.IN_DOUBT,
}
_NOT_DONE = frozenset({"failed", "refused", "expired"})


_ORDERS = compiled(
    lambda order_ids: Order.objects.select_for_update().filter(any_of("order_id", order_ids)).order_by("pk")
)
_AGENT_LEG = compiled(
    lambda leg: AgentLeg.objects.select_for_update(of=("self",)).select_related("agent").filter(leg_uuid=leg)
)


def apply_all(facts: Sequence[f.AnyFact]) -> int:
    """Apply facts in order; one that cannot be applied is logged and stops no other. Returns how many asked for
    something.

    Raises LeaseLost, OperationalError, InterfaceError: then nothing after the last commit has been applied.
    """
    done = asked = 0
    while done < len(facts):
        chunk = facts[done : done + AT_ONCE]
        try:
            with acting("switch") as act:
                taken, due = _apply_some(act, chunk)
        except (LeaseLost, OperationalError, InterfaceError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it must stop no other fact
            # One of them is poison, and took the others' work with it: again, one by one.
            taken, due = len(chunk), sum(_alone(fact) for fact in chunk)
        done, asked = done + taken, asked + due
    return asked


def _alone(fact: f.AnyFact) -> int:
    try:
        with trail.about(leg=fact.leg), acting("switch") as act:
            return _apply_some(act, [fact])[1]
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("%s of leg %s could not be applied", type(fact).__name__, fact.leg)
        return 1


def _apply_some(act: Act, facts: Sequence[f.AnyFact]) -> tuple[int, int]:
    """Apply as many as fit into one transaction, at least one. Returns how many are done with, and how many of these
    asked for something."""
    until = time.monotonic() + CHUNK_SECONDS
    left = sifting.sift(facts, act.now)
    _read_ahead(left)
    for count, fact in enumerate(left):
        if count and time.monotonic() > until:
            # What was marked beyond this one is marked again with the rest, which changes nothing.
            return next(place for place, one in enumerate(facts) if one is fact), count
        with trail.about(leg=fact.leg):
            apply(act, fact)
    return len(facts), len(left)


def _read_ahead(facts: Sequence[f.AnyFact]) -> None:
    """What they will ask for one by one."""
    reports = [fact for fact in facts if isinstance(fact, f.OrderReported)]
    if reports:
        wanted = [fact.order_id for fact in reports]
        ahead.keep("order", wanted, _orders(wanted))
    refused = {fact.leg for fact in reports if fact.status in _NOT_DONE}
    ending = refused | {fact.leg for fact in facts if isinstance(fact, f.LegEnded)}
    moving = ending | {fact.leg for fact in facts if isinstance(fact, f.LegBridged)}
    legs = refused | {fact.leg for fact in facts if isinstance(fact, sifting.ABOUT_LEGS)}
    if legs:
        calls.read_ahead(legs, ending, moving)


def _orders(order_ids: Sequence[str]) -> dict[str, Order]:
    """By order_id, locked."""
    return {str(order.order_id): order for order in _ORDERS([uuid.UUID(one) for one in order_ids])}


def missed(act: Act) -> int:
    """Apply what the live state of our open legs says and the database does not know: facts whose task was lost.

    A fact that is still on its way changes nothing when it comes. Legs that are gone are asked for by doubts.settle.
    Returns how many legs were behind.
    """
    open_calls = CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", "answered_at", "bridged_at")
    behind = {leg: (answered is None, bridged is None) for leg, answered, bridged in open_calls}
    for leg in AgentLeg.objects.filter(ended_at=None, opened_at=None).values_list("leg_uuid", flat=True):
        behind[str(leg)] = (True, False)
    count = 0
    for leg, (unanswered, unbridged) in behind.items():
        state = live_legs.one(leg) if unanswered or unbridged else None
        if state is None or state.answered_at is None:
            continue
        facts: list[f.AnyFact] = []
        if unanswered:
            facts.append(f.LegAnswered(leg=leg, at=state.answered_at * 1000))
        if unbridged and state.peer:
            facts.append(f.LegBridged(leg=leg, at=(state.bridged_at or 0) * 1000, peer=state.peer))
        for fact in facts:
            apply(act, fact)
        count += bool(facts)
    return count


def known(us: int, now: dt.datetime) -> dt.datetime | None:
    """The switch's microseconds as a time; None when it did not say, or says what no call can last or no clock
    shows."""
    seconds = us / 1_000_000
    if not us or abs(seconds - now.timestamp()) > LONGEST_SECONDS:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def moment(us: int, now: dt.datetime) -> dt.datetime:
    return known(us, now) or now


def apply(act: Act, fact: f.AnyFact) -> None:
    """Do what one fact asks for; facts about legs that are not ours ask for nothing."""
    match fact:
        case f.LegCreated():
            call_moves.side_created(act, fact.leg)
        case f.LegAnswered():
            if (call := calls.locked(fact.leg)) is not None:
                calls.answered(act, call, moment(fact.at, act.now))
            elif (leg := _agent_leg(fact.leg)) is not None:
                (agents.leg_opened if leg.ended_at is None else agents.hang_up)(act, leg)
            elif (side := side_legs.of_the_past(fact.leg)) is not None:
                side_legs.hang_up(act, side)
            else:
                call_moves.side_answered(act, fact.leg)
        case f.LegBridged():
            if not _with_call(fact, lambda call: _bridged(act, call, fact)):
                call_moves.side_bridged(act, fact.leg, fact.peer)
        case f.LegParked():
            if not _with_call(fact, lambda call: call_moves.customer_parked(act, call)):
                call_moves.agent_parked(act, fact.leg)
        case f.LegHeld() | f.LegUnheld():
            on, at = isinstance(fact, f.LegHeld), moment(fact.at, act.now)
            holds.held(act, fact.leg, on=on, at=at)
        case f.LegEnded():
            if (call := calls.locked(fact.leg)) is not None:
                at = moment(fact.at, act.now)
                answered_at = known(fact.answered_at, act.now)
                calls.ended(act, call, fact.cause, at, answered_at=answered_at, reached=True, machine=fact.machine)
            elif (leg := _agent_leg(fact.leg)) is not None:
                agents.leg_ended(act, leg, fact.cause)
                call_moves.agent_leg_ended(act, fact.leg)
            else:
                call_moves.side_ended(act, fact.leg, fact.cause)
        case f.SoftphoneRegistration():
            agents.registration_changed(act, fact.user, registered=fact.registered, registration=fact.registration)
        case f.RecordingStarted(path=path):
            _with_call(fact, lambda call: calls.recording(act, call, path, stored=False))
        case f.RecordingStopped(path=path):
            _with_call(fact, lambda call: calls.recording(act, call, path, stored=True))
        case f.MachineHeard():
            _with_call(fact, lambda call: calls.machine_heard(act, call))
        case f.OrderReported():
            _order_reported(act, fact)
        case _:
            pass


def _with_call(fact: f.AnyFact, do: Callable[[CallLog], None]) -> bool:
    """False when the leg is no customer's."""
    call = calls.locked(fact.leg)
    if call is not None:
        do(call)
    return call is not None


def _bridged(act: Act, call: CallLog, fact: f.LegBridged) -> None:
    """For the first time, or again because somebody has moved the call."""
    if call.bridged_at is None:
        calls.bridged(act, call, fact.peer, moment(fact.at, act.now))
    else:
        call_moves.customer_bridged(act, call, fact.peer)


def _agent_leg(leg_uuid: str) -> AgentLeg | None:
    return _AGENT_LEG.first(uuid.UUID(leg_uuid)) if orders.is_uuid(leg_uuid) else None


def _order_reported(act: Act, fact: f.OrderReported) -> None:
    order = ahead.take("order", fact.order_id)
    if order is ahead.NOT_READ:
        order = _orders([fact.order_id]).get(fact.order_id)
    if order is None:
        return
    status = _REPORTED.get(fact.status)
    if status is not None and order.status in sifting.OPEN_ORDER and status != order.status:
        order.status, order.reply = status, fact.reply[:500]
        if status not in sifting.OPEN_ORDER:
            order.settled_at = act.now
        update_row(order, ("status", "reply", "settled_at"))
    match order.kind:
        case "originate_customer" if fact.status != "done":
            _customer_order(act, order, fact)
        case "originate_agent" if fact.status != "done":
            _agent_order(act, order, fact)
        case "bridge" | "play_message" if fact.reply == orders.JOINED:
            pass  # The call has its agent already; LegBridged says so.
        case "bridge" if fact.status != "done":
            if (call := calls.locked(_leg_of(order))) is not None:
                calls.bridge_failed(act, call, in_doubt=fact.status == "in_doubt")
        case "play_message" if fact.status in {"failed", "refused", "expired", "in_doubt"}:
            if (call := calls.locked(_leg_of(order))) is not None:
                calls.not_let_go(act, call)
        case "transfer" | "play_message" if fact.status == "done":
            if (call := calls.locked(_leg_of(order))) is not None:
                calls.transferred(act, call)
        case "record":
            _record_order(act, order, fact)
        case "detect_machine" if fact.status == "failed":
            _no_detection(fact.reply)
        case "probe" if fact.leg_exists is not None:
            doubts.probed(act, str(order.leg_uuid), exists=fact.leg_exists)
    call_orders.order_reported(act, order, fact)


def _leg_of(order: Order) -> str:
    return str(order.leg_uuid)


def _record_order(act: Act, order: Order, fact: f.OrderReported) -> None:
    """Whether the recording is paused is what the switch says of our order, not that we gave it."""
    action = order.payload.get("action") if isinstance(order.payload, dict) else None
    if fact.status != "done":
        log.warning("recording of leg %s: %s was not done (%s)", order.leg_uuid, action, fact.reply or fact.status)
    elif action in {"mask", "unmask"} and (call := calls.locked(_leg_of(order))) is not None:
        calls.recording_masked(act, call, masked=action == "mask")


def _no_detection(reply: str) -> None:
    """Said once by each worker: the calls go on as if people had answered them."""
    global _detection_missed
    if not _detection_missed and reply == orders.NO_DETECTION:
        _detection_missed = True
        log.warning(
            "the switch cannot hear answering machines (%s): load it there, or set the campaigns' machine action to "
            "off; until then every answer is treated as a person's",
            reply,
        )


def _customer_order(act: Act, order: Order, fact: f.OrderReported) -> None:
    call = calls.locked(_leg_of(order))
    if call is None or call.ended_at is not None:
        return
    if fact.status in {"refused", "expired"}:
        calls.ended(act, call, fact.status.upper(), act.now, reached=False)
    elif fact.status == "failed" and fact.leg_exists is False:
        # No such channel: a refusal before any (throttle, gateway), or one that has ended; its own end, if any, is on
        # its way and says the same cause.
        calls.ended(act, call, hangup_causes.cause_in_reply(fact.reply), act.now)
    elif fact.status == "in_doubt" or (fact.status == "failed" and fact.leg_exists is None):
        doubts.doubt(act, call)


def _agent_order(act: Act, order: Order, fact: f.OrderReported) -> None:
    leg = _agent_leg(_leg_of(order))
    if leg is None or leg.ended_at is not None or leg.opened_at is not None:
        return
    if fact.status in {"refused", "expired"} or (fact.status == "failed" and fact.leg_exists is False):
        agents.leg_ended(act, leg, hangup_causes.cause_in_reply(fact.reply))
    elif fact.status == "in_doubt" or (fact.status == "failed" and fact.leg_exists is None):
        outbox.add(orders.Probe(**outbox.header(), leg=str(leg.leg_uuid)), token=act.token, agent_id=leg.agent_id)
