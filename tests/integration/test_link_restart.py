"""A floor full of calls when the switch, the network or the bridge goes away: no ghost, nobody stuck, nobody twice.

`LEGS=200 make test T=tests/integration/test_link_restart.py` is the full size, with every way to go away; with no LEGS
a small floor meets one of them. The judge is the simulator's own list of legs.
"""

import json
import os
import time
import uuid
from collections import Counter

import pytest
from celery import current_app
from django.db.models import Q

from dialer.models import Agent, AgentLeg, AppliedCommand, CallLog, DialerCampaign
from events import facts, streams
from events.models import FreeSwitchEvent
from tests.conftest import wait_until
from tests.contract.client import Client, Gone
from tests.fakes.floor import make_working_floor
from tests.fakes.processes import Processes, legs_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.full,
    pytest.mark.timeout(600),
]
FULL = "LEGS" in os.environ
LEGS = int(os.environ.get("LEGS", "8"))
AGENTS = LEGS // 2
# Of ten customers, how many talk; the others ring. Of those who talk, one in five waits apart, parked.
TALKING = AGENTS * 6 // 10
PARKED = max(1, TALKING // 5)
# Agents who begin together: customers answer at once, and a hundred of them in one moment would be left waiting.
WAVE = 10
# Called afterwards, which shows that everybody works again.
SPARE = max(4, AGENTS // 4)
# Longest from the end of the trouble to agreement with the switch, and to a floor that works.
AGREED_SECONDS, WORKS_SECONDS = 60, 120

ENDING = {
    "back at once as another process": "api simulator crash",
    "back after 10 s as another process": "api simulator crash 10",
    "an orderly restart": "api fsctl shutdown restart",
}

CUT = {"the network is cut": "api simulator cut 0", "the network is cut for 10 s": "api simulator cut 10"}
DOWN = "the bridge is killed while calls change"
TROUBLES = [*ENDING, *CUT, DOWN] if FULL else ["back at once as another process"]


class Floor:
    def __init__(self, run: Processes) -> None:
        self.run = run
        self.first = [f"+121255{9 if n < TALKING else 3}{n:04d}" for n in range(AGENTS)]
        spare = [f"+1212552{n:04d}" for n in range(5_000, 5_000 + SPARE)]
        limits = {"max_retry_attempts": 0, "ring_timeout_seconds": 280}
        self.campaign = make_working_floor([*self.first, *spare], AGENTS, **limits)
        for n, agent in enumerate(Agent.objects.order_by("pk")):
            agent.extension = str(1_200 + n)
            agent.save()

    def say(self, command: str) -> None:
        with Client("127.0.0.1", self.run.switch_port, "ClueCon") as client:
            client.login().send(command)
            try:
                client.reply()
            except (Gone, OSError, AssertionError):
                return

    def switch_legs(self) -> set[str]:
        """What the switch has, by its own word."""
        with Client("127.0.0.1", self.run.switch_port, "ClueCon") as client:
            return {leg["uuid"] for leg in json.loads(client.login().api("simulator legs")) if not leg["ended_at"]}

    def fill(self) -> None:
        calls = CallLog.objects.filter(to_number__in=self.first)
        # On a busy machine somebody may have been answered too late and has gone: the others do.
        rings = calls.filter(to_number__startswith="+1212553", ended_at=None)
        settled = calls.filter(Q(bridged_at__isnull=False) | Q(ended_at__isnull=False))
        agents = list(Agent.objects.order_by("pk"))
        for start in range(0, AGENTS, WAVE):
            wave = agents[start : start + WAVE]
            for agent in wave:
                command = {"actor": "test", "agent_id": agent.agent_id, "state": "available"}
                current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})
            called = start + len(wave)
            wait_until(lambda called=called: settled.count() + rings.count() >= called, f"{called} calls", 60)
        DialerCampaign.objects.update(status="paused")
        self.open = list(calls.filter(ended_at=None).values_list("pk", flat=True))
        self.talking = calls.filter(ended_at=None, bridged_at__isnull=False).count()
        assert self.talking >= 0.8 * TALKING and rings.count() >= 0.8 * (AGENTS - TALKING), "too few to lose"
        commands = []
        for call in calls.filter(bridged_at__isnull=False, ended_at=None).order_by("pk")[:PARKED]:
            command = {"command_id": str(uuid.uuid4()), "actor": "ann", "kind": "call_control", "action": "park"}
            current_app.send_task(
                "dialer.tasks.handle_command", kwargs={"command": command | {"call_id": str(call.call_id)}}
            )
            commands.append(command["command_id"])
        parked = AppliedCommand.objects.filter(command_id__in=commands, confirmation="confirmed")
        wait_until(lambda: parked.count() == PARKED, "some wait apart", 60)
        wait_until(lambda: len(self.switch_legs()) == AGENTS + len(self.open), "a leg for each")

    def ghosts(self) -> set[str]:
        """On our record open, and not on the switch."""
        ours = set(CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", flat=True))
        ours |= {str(leg) for leg in AgentLeg.objects.filter(ended_at=None).values_list("leg_uuid", flat=True)}
        return ours - self.switch_legs()

    def stuck(self) -> list[str]:
        """Agents who are busy with a call that is not there."""
        engaged = set(CallLog.objects.filter(ended_at=None).values_list("agent_id", flat=True))
        busy = Agent.objects.filter(status__in=["on_call", "busy"]).exclude(pk__in=engaged)
        return list(busy.values_list("agent_id", flat=True))

    def told(self, kind: type[facts.Fact]) -> list[facts.Fact]:
        """What the bridge has reported, as it was stored; in its order."""
        rows = FreeSwitchEvent.objects.filter(event_type__startswith="CUSTOM orchestrator::")
        found = [fact for row in rows for fact in facts.facts_of(row.event_data) if isinstance(fact, kind)]
        return sorted(found, key=lambda fact: fact.at)

    def back(self) -> facts.Fact:
        """Once the link is up again: when, and what else is told of it."""
        wait_until(lambda: len(self.told(facts.LinkReported)) >= 3, "the link is back", 60, every=0.2)
        up, down, again = self.told(facts.LinkReported)
        assert (up.up, down.up, again.up) == (True, False, True)
        return again

    def works(self) -> None:
        """Everybody is available with an open softphone; then the rest of the list is called, and everybody again."""

        def all_free() -> bool:
            return Agent.objects.filter(status="available", softphone="open").count() == AGENTS and not self.ghosts()

        wait_until(all_free, "every agent can be given calls", WORKS_SECONDS, every=0.2)
        DialerCampaign.objects.update(status="active")
        ended = CallLog.objects.filter(ended_at__isnull=False)
        wait_until(lambda: ended.count() == AGENTS + SPARE, "the rest of the list is called", WORKS_SECONDS, every=0.2)
        wait_until(all_free, "every agent is free after it", WORKS_SECONDS, every=0.2)
        assert self.stuck() == []
        assert set(ended.exclude(to_number__in=self.first).values_list("status", flat=True)) == {"completed"}

    def dialled_once(self) -> None:
        customers = Counter(leg["number"] for leg in legs_of(self.run.invites) if leg["kind"] == "customer")
        assert {number for number, times in customers.items() if times > 1} == set()

    def outcomes(self) -> Counter[tuple[str, str]]:
        calls = CallLog.objects.filter(pk__in=self.open)
        return Counter(calls.values_list("status", "disconnect_reason"))


@pytest.fixture
def floor(tmp_path):
    with Processes(tmp_path) as run:
        floor = Floor(run)
        run.backend("--speed", "2")
        floor.fill()
        yield floor
        # Whatever happened, nothing of the bridge is dead while it says that it is connected.
        status = json.loads(streams.shared().get(streams.HEARTBEAT_PREFIX + "bridge"))
        assert (status["link"], status["parts_dead"], status["parts_failed"]) == ("up", [], 0)


def switch_ends(floor: Floor, trouble: str) -> None:
    """All its calls go with it."""
    before = time.time()
    floor.say(ENDING[trouble])
    back = floor.back().at / 1e6
    first = CallLog.objects.filter(pk__in=floor.open)
    wait_until(lambda: not first.filter(ended_at=None).exists(), "every call has ended", AGREED_SECONDS, every=0.1)
    agreed = max(first.values_list("ended_at", flat=True)).timestamp() - back
    noticed = floor.told(facts.LinkReported)[1].at / 1e6 - before
    floor.works()
    print(
        f"{trouble}, {LEGS} legs: noticed after {noticed:.2f} s, all calls ended {agreed:.1f} s after the link"
        f" was back, all agents have worked again {time.time() - back:.0f} s after it; {dict(floor.outcomes())}"
    )
    talked = first.filter(bridged_at__isnull=False)
    assert talked.count() == floor.talking
    assert set(talked.values_list("status", flat=True)) == {"completed"}
    assert not first.filter(bridged_at=None, status__in=["completed", "no_answer", "busy"]).exists(), "made up"
    assert set(first.values_list("disconnect_reason", flat=True)) <= {"SYSTEM_SHUTDOWN", "LOST"}


def network_is_cut(floor: Floor, trouble: str) -> None:
    """And comes back with the same legs: nothing has changed."""
    legs = floor.switch_legs()
    states = dict(Agent.objects.values_list("pk", "status"))
    floor.say(CUT[trouble])
    back = floor.back()
    wait_until(lambda: floor.told(facts.SyncFinished)[-1].at > back.at, "compared anew", 60, every=0.2)
    assert floor.switch_legs() == legs
    assert set(CallLog.objects.filter(ended_at=None).values_list("pk", flat=True)) == set(floor.open)
    assert dict(Agent.objects.values_list("pk", "status")) == states
    assert floor.ghosts() == set() and floor.stuck() == []
    for leg in CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", flat=True):
        floor.say(f"api uuid_kill {leg}")
    floor.works()


def bridge_is_down(floor: Floor, trouble: str) -> None:
    """Half of those who talk hang up, those who wait apart too, and a part of the softphones: nobody hears of it."""
    floor.run.kill("bridge")
    talking = list(CallLog.objects.filter(bridged_at__isnull=False, ended_at=None).order_by("pk"))
    gone = talking[: PARKED + TALKING // 2]
    for call in gone:
        floor.say(f"api simulator customer_hangup {call.freeswitch_uuid}")
    for agent in Agent.objects.order_by("-pk")[: AGENTS // 10]:
        floor.say(f"api simulator agent_hangup {agent.extension}")
    floor.run.manage("bridge", "run_esl_bridge")
    still = CallLog.objects.filter(pk__in=[call.pk for call in gone], ended_at=None)
    wait_until(lambda: not still.exists(), "those calls have ended", AGREED_SECONDS, every=0.1)
    wait_until(lambda: not floor.ghosts(), "no ghost", AGREED_SECONDS, every=0.2)
    for leg in CallLog.objects.filter(ended_at=None).values_list("freeswitch_uuid", flat=True):
        floor.say(f"api uuid_kill {leg}")
    floor.works()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_floor_full_of_calls_loses_its_switch_and_nobody_is_stuck_lost_or_called_twice(floor, trouble):
    if trouble in ENDING:
        switch_ends(floor, trouble)
    elif trouble in CUT:
        network_is_cut(floor, trouble)
    else:
        bridge_is_down(floor, trouble)
    floor.dialled_once()
