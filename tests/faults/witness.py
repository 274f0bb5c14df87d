"""What is seen from outside while the floor works: attempts in doubt, and whether the live state is the switch's."""

from __future__ import annotations

import collections
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.faults.history import Doubt, History, Levelling
from tests.faults.switch import Truth

DOUBTS_SECONDS = 1.0
LOOK_SECONDS = 0.3
# A change is given this long on its way from the switch to where it is looked at.
ON_ITS_WAY_SECONDS = 3.0
# After a fault the live state is the switch's own within this.
LEVEL_SECONDS = 10.0


def state_of(record: Mapping[str, Any]) -> str:
    """How the switch itself has a leg: bridged, answered or calling."""
    if record["bridges"] and record["bridges"][-1]["until"] is None:
        return "bridged"
    return "answered" if record["answered_at"] is not None else "calling"


def state_in_live(leg: Mapping[str, Any]) -> str:
    """The same of a leg of live:legs. One on hold is joined all the same."""
    state = str(leg.get("state"))
    return {"initiated": "calling", "alerting": "calling", "held": "bridged"}.get(state, state)


@dataclass
class Look:
    """One moment. legs: of the switch, by uuid. live: of live:legs. calls: open CallLogs. softphones: open AgentLegs.
    talking: softphones' legs of agents who are `on_call`. asked: of calls and softphones those that the switch has not
    been heard of: whether there is such a leg is not known yet, and settled by asking."""

    at: float
    legs: dict[str, tuple[str, str]]
    """uuid -> (kind, state)"""
    live: dict[str, str] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    softphones: set[str] = field(default_factory=set)
    talking: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)


def differences(looks: list[Look]) -> list[str]:
    """How the last look's live state and records differ from what the switch has said for ON_ITS_WAY_SECONDS. Pure."""
    now = looks[-1]
    recent = [look for look in looks if look.at >= now.at - ON_ITS_WAY_SECONDS]
    seen = {leg for look in recent for leg in look.legs}
    steady = {
        leg: kind_state for leg, kind_state in now.legs.items() if all(x.legs.get(leg) == kind_state for x in recent)
    }
    found = []
    for leg, (kind, state) in steady.items():
        if now.live.get(leg) != state:
            found.append(f"live:legs has {kind} {leg} as {now.live.get(leg)}, the switch as {state}")
        known = now.calls if kind == "customer" else now.softphones
        if leg not in known:
            found.append(f"no open record of {kind} {leg}")
        # An agent is on a call from the moment in which the joining is ordered: before the switch has made it.
        if kind == "agent" and all((state == "bridged") != (leg in x.talking) for x in recent):
            found.append(f"softphone {leg} is {state}, its agent {'is' if leg in now.talking else 'is not'} on a call")
    found += [f"live:legs has {leg}, the switch has not" for leg in now.live if leg not in seen]
    told = set.intersection(*((look.calls | look.softphones) - look.asked for look in recent))
    found += [f"an open record of {leg}, the switch has no such leg" for leg in told - seen]
    return found


class Witness:
    """`with Witness(...)`: looks from a thread of its own. In the database as anybody may."""

    def __init__(self, history: History, truth: Truth, redis_url: str) -> None:
        self.history, self._truth = history, truth
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness")

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        from django.db import DatabaseError, InterfaceError, connections

        while not self._stop.wait(DOUBTS_SECONDS):
            try:
                self._look_for_doubts()
            except (DatabaseError, InterfaceError):
                connections.close_all()
        connections.close_all()

    def _look_for_doubts(self) -> None:
        from dialer.models import CallLog

        now = time.time()
        doubts = CallLog.objects.filter(ended_at=None, in_doubt_since__isnull=False)
        for leg, since in doubts.values_list("freeswitch_uuid", "in_doubt_since"):
            seen = self.history.doubts.setdefault(leg, Doubt(leg, since.timestamp(), now))
            seen.last_seen = now

    def look(self) -> Look:
        from dialer.models import AgentLeg, CallLog

        live = {key.decode(): state_in_live(json.loads(raw)) for key, raw in self._redis.hgetall("live:legs").items()}
        calls = dict(CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", "status"))
        open_legs = AgentLeg.objects.filter(ended_at=None).values_list("leg_uuid", "agent__status", "opened_at")
        softphones = {str(leg): (status, opened) for leg, status, opened in open_legs}
        talking = {leg for leg, (status, _) in softphones.items() if status == "on_call"}
        asked = {leg for leg, status in calls.items() if status == "initiated"}
        asked |= {leg for leg, (_, opened) in softphones.items() if opened is None}
        legs = {record["uuid"]: (record["kind"], state_of(record)) for record in self._truth.live()}
        return Look(time.time(), legs, live, set(calls), set(softphones), talking, asked)

    def level(self, after: str, check: Callable[[], None], seconds: float = LEVEL_SECONDS) -> Levelling:
        """Look until the live state is the switch's own, and write down how long that took."""
        from django.db import DatabaseError, InterfaceError, connections

        began, looks, differ = time.time(), collections.deque[Look](maxlen=60), ["not looked at"]
        while time.time() - began <= seconds + 30:
            check()
            try:
                looks.append(self.look())
                full = looks[-1].at - looks[0].at >= ON_ITS_WAY_SECONDS
                differ = differences(list(looks))
                if full and not differ:
                    break
            except (DatabaseError, InterfaceError, redis.RedisError):
                connections.close_all()
            time.sleep(LOOK_SECONDS)
        # The first looks only make what is on its way known: that time is not the product's.
        took = max(0.0, time.time() - began - ON_ITS_WAY_SECONDS)
        found = Levelling(after, took if not differ else None, differ[:10])
        self.history.levellings.append(found)
        return found
