"""Call records, agents and contacts end up the same however the switch's events are delivered: twice, again after the
worker or the ingest was killed, the legs in whatever order among each other."""

import datetime as dt
import itertools
import random
from typing import Any

import orjson
import pytest

from dialer.models import Agent, AgentLeg, CallLog
from events import facts
from events.entries import Entry, Window
from events.intake import Legs, take_in
from tests.fakes.floor import Switch, make_agents, make_campaign, now_us, place, set_state, tell
from tests.fakes.histories import Teller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
# Further apart the switch never tells them in another order.
WINDOW_US = 500_000
ENDS = ("busy", "hangs up while waiting", "held, then hangs up")


class World:
    """A campaign with one agent whose softphone is open, and one call placed for them."""

    def __init__(self, number: int) -> None:
        self.agent = make_agents(1, first=1000 + number)[0]
        self.campaign = make_campaign([self.agent], contacts=1, name=f"World {number}", offset=number)
        set_state(self.agent, "available")
        Switch().open_softphones()
        [self.call] = place(self.campaign)
        self.leg = str(AgentLeg.objects.get(agent=self.agent).leg_uuid)
        self.legs, self.window, self.read = Legs(), Window(), 0
        self.begun = now_us()

    def story(self, how: str) -> list[bytes]:
        """What the switch tells, in order."""
        teller, call, leg = Teller(f"core-{self.agent.agent_id}", self.begun), self.call.freeswitch_uuid, self.leg
        teller.begin(leg, "agent", agent=self.agent.agent_id)
        teller.mark("ANSWER", leg)
        teller.begin(call, "customer", call=call, agent=self.agent.agent_id, number=self.call.to_number)
        teller.mark("PROGRESS", call)
        teller.wait(3)
        if how == "busy":
            teller.end(call, "USER_BUSY")
            return teller.told
        teller.mark("ANSWER", call)
        teller.tell("CHANNEL_PARK", call)
        teller.wait(4)
        if how != "hangs up while waiting":
            teller.join("BRIDGE", call, leg)
            teller.wait(50)
            teller.tell("CHANNEL_HOLD", leg)
            teller.wait(50)
            teller.tell("CHANNEL_UNHOLD", leg)
            teller.wait(50)
            teller.join("UNBRIDGE", call, leg)
            teller.tell("CHANNEL_PARK", leg)
        teller.end(call, "NORMAL_CLEARING")
        return teller.told

    def deliver(self, lines: list[bytes]) -> list[dict[str, Any]]:
        """One read of the ingest, and its facts to the dialer."""
        self.read += 1
        outcome = take_in([Entry(f"{self.read}-{n}", line) for n, line in enumerate(lines)], self.legs, self.window)
        assert outcome.malformed == []
        self.legs.keep(outcome.changed.values())
        self.window.add(outcome.identities)
        tell(outcome.for_dialer)
        return outcome.for_dialer

    def seen(self) -> dict[str, Any]:
        """What is left of it, times as seconds after the beginning by the switch's clock."""
        call, agent = CallLog.objects.get(pk=self.call.pk), Agent.objects.get(pk=self.agent.pk)
        begun = dt.datetime.fromtimestamp(self.begun / 1_000_000, dt.UTC)

        def after(moment: dt.datetime | None) -> float | None:
            return None if moment is None else round((moment - begun).total_seconds(), 2)

        return {
            "call": (call.status, call.outcome, call.disconnect_reason, call.abandoned, call.talk_time_seconds),
            "times": (after(call.answered_at), after(call.bridged_at), after(call.ended_at), call.hold_ms),
            "agent": (agent.status, agent.status_reason, agent.pending_status),
            "contact": (call.contact.status, call.contact.attempts, call.contact.last_outcome),
            "days": [
                (day.attempts, day.answered, day.abandoned) for day in self.campaign.days.all()
            ],
            "legs": sorted(leg.state for leg in (self.legs.get(self.leg), self.legs.get(call.freeswitch_uuid)) if leg),
        }  # fmt: skip


def shuffled(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """What happened within half a second: the legs freely among each other; within a leg as told, but for neighbours
    that say nothing of each other."""
    found: list[bytes] = []
    for _, some in itertools.groupby(lines, lambda line: facts.happened_at(orjson.loads(line)) // WINDOW_US):
        found += _shuffled(list(some), chance)
    return found


def _shuffled(lines: list[bytes], chance: random.Random) -> list[bytes]:
    queues: dict[str, list[bytes]] = {}
    for line in lines:
        queues.setdefault(orjson.loads(line)["Unique-ID"], []).append(line)
    for queue in queues.values():
        for n in range(len(queue) - 1):
            names = {orjson.loads(line)["Event-Name"] for line in queue[n : n + 2]}
            if chance.random() < 0.3 and not names & {"CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HOLD"}:
                queue[n], queue[n + 1] = queue[n + 1], queue[n]
    merged = []
    while queues:
        name = chance.choice(list(queues))
        merged.append(queues[name].pop(0))
        if not queues[name]:
            del queues[name]
    return merged


def troubled(world: World, lines: list[bytes], chance: random.Random) -> None:
    """In pieces; some again, some facts again, the ingest started again in between."""
    told: list[dict[str, Any]] = []
    coming = shuffled(lines, chance)
    done: list[bytes] = []
    while coming:
        count = chance.randint(1, 6)
        piece, coming = coming[:count], coming[count:]
        done += piece
        told += world.deliver([*piece, *chance.sample(done, min(len(done), chance.randint(0, 4)))])
        if chance.random() < 0.3:
            world.legs, world.window = Legs({**world.legs.live, **world.legs._ended}), Window()
        if chance.random() < 0.4:
            # A task that a killed worker had in hand comes back.
            begin = chance.randrange(len(told) + 1)
            tell(told[begin : begin + chance.randint(1, 8)])


@pytest.mark.parametrize("how", ENDS)
def test_a_call_ends_up_the_same_however_its_events_are_delivered(how):
    clean = World(0)
    clean.deliver(clean.story(how))
    expected = clean.seen()
    assert CallLog.objects.get(pk=clean.call.pk).ended_at is not None
    for seed in range(3):
        world = World(1 + seed)
        troubled(world, world.story(how), random.Random(seed))
        assert world.seen() == expected, f"seed {seed}"
