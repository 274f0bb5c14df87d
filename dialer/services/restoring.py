"""After the database was restored from a backup: what it says is of an earlier time, and nobody may be dialled by it.

Numbers dialled since the backup look as if they had not been, open attempts may be long over, and queued work is of a
time that the record no longer knows. `settle` brings the record to where a person can decide; nothing is dialled by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import DateTimeField, F, Value

from dialer import agent_states as machine
from dialer import outbox
from dialer.models import (
    FINISHED_CONTACTS,
    Agent,
    AgentLeg,
    Callback,
    CallLog,
    CampaignStatus,
    Contact,
    DialerCampaign,
    Order,
    SideLeg,
)
from dialer.services import agents, call_moves, calls, dialing, offers
from dialer.services.acting import Act, acting
from events import nodes, streams

# Whoever was dialled since the backup is not due before this.
REST = dt.timedelta(days=1)
# In Redis, of the record and not of the switch: worth nothing beside an older record. Live legs, the journal and the
# claims of orders are the switch's and stay.
OF_THE_RECORD = (
    *("dialer_queue", "default", "unacked", "unacked_index"),
    *("dialer:touched", "dialer:due", "dialer:tick_pending", outbox.NEWEST),
    *(streams.FACTS, streams.CHANGES, streams.SNAPSHOT, streams.FRAMES, "lease:floor"),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was done, or would be: names of campaigns paused; how many of each of the rest."""

    campaigns: list[str]
    calls_ended: int
    calls_going_on: int
    legs_ended: int
    agents_offline: int
    orders_dropped: int
    dialled_since: int


def is_older_than_redis() -> bool:
    """Whether Redis has seen orders that this database has never given a number: it was restored, and nobody has run
    `manage.py after_restore`. Raises DatabaseError, RedisError."""
    newest = streams.shared().get(outbox.NEWEST)
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM dialer_order_id_seq")
        return newest is not None and int(newest) > int(cursor.fetchone()[0])


def settle(exists: Callable[[str], bool], dialled: Iterable[str] = ()) -> Settled:
    """In one transaction. exists: whether the switch has a leg; raises when it cannot be asked. dialled: numbers
    (E.164) that are known to have been dialled since the backup.

    Raises lease.LeaseLost while a dialer worker is running.
    """
    with acting("after_restore") as act:
        paused = _pause()
        ended, going_on = _calls(act, exists)
        legs = _legs(act, exists)
        offline = _agents(act)
        offers.withdraw_unfit(act)
        pending = Order.objects.filter(status__in=[Order.Status.PENDING, Order.Status.SENT], created_at__lt=act.now)
        dropped = pending.update(status=Order.Status.EXPIRED, settled_at=act.now, reply="the database was restored")
        since = _dialled(act, dialled)
    return Settled(paused, ended, going_on, legs, offline, dropped, since)


def forget() -> None:
    """Empty what Redis knows of the later record, and let the floor begin a new epoch. Raises RedisError."""
    streams.shared().delete(*OF_THE_RECORD, *map(streams.orders_of, nodes.names()))


def _pause() -> list[str]:
    dialing_now = [CampaignStatus.ACTIVE, CampaignStatus.SCHEDULED]
    paused = list(DialerCampaign.objects.select_for_update().filter(status__in=dialing_now).order_by("name"))
    for campaign in paused:
        dialing.set_status(campaign, CampaignStatus.PAUSED)
    return [campaign.name for campaign in paused]


def _calls(act: Act, exists: Callable[[str], bool]) -> tuple[int, int]:
    """(ended, going on). An attempt that the switch does not have was made, as far as anybody knows: the contact has
    been called."""
    ended = going_on = 0
    for leg in list(CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", flat=True)):
        if exists(leg):
            going_on += 1
        elif (call := calls.locked(leg)) is not None:
            calls.ended(act, call, "LOST", act.now, reached=True)
            ended += 1
    return ended, going_on


def _legs(act: Act, exists: Callable[[str], bool]) -> int:
    """Softphones' legs, supervisors' and consulted ones that the switch does not have."""
    gone = 0
    for softphone in list(AgentLeg.objects.select_related("agent").filter(ended_at=None)):
        if not exists(str(softphone.leg_uuid)):
            agents.leg_ended(act, softphone, "LOST")
            gone += 1
    for leg in list(SideLeg.objects.filter(ended_at=None).values_list("leg_uuid", flat=True)):
        if not exists(str(leg)):
            call_moves.side_ended(act, str(leg), "LOST")
            gone += 1
    return gone


def _agents(act: Act) -> int:
    """Everybody without a call signs in anew: who is really there, the record does not know."""
    offline = 0
    for agent in list(Agent.objects.select_for_update().exclude(status=machine.Status.OFFLINE).order_by("pk")):
        if agents.open_call(agent) is None:
            wish = machine.SetState(machine.Status.OFFLINE)
            refused = agents.apply(act, agent, wish, engagement=machine.Engagement.NONE)
            offline += refused is None
    return offline


def _dialled(act: Act, numbers: Iterable[str]) -> int:
    """An attempt more for each open contact with one of these numbers, in whatever list, and a day's rest."""
    due, dialled = act.now + REST, set(numbers)
    # An appointment comes before any rest: it rests too, and becomes anyone's as long after its time as before.
    early = Callback.objects.filter(contact__number__in=dialled, status=Callback.Status.OPEN, at__lt=due)
    early.update(at=due, anyone_at=F("anyone_at") + (Value(due, DateTimeField()) - F("at")))
    open_ones = Contact.objects.filter(number__in=dialled).exclude(status__in=FINISHED_CONTACTS)
    # Behind a gate it would be free as soon as its campaign is started (freeing).
    return open_ones.update(attempts=F("attempts") + 1, next_attempt_at=due, blocked_by="", updated_at=act.now)
