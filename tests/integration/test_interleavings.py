"""Whatever order facts, answers to orders, people and time come in: the record keeps its invariants.

The switch tells some things twice, some late and some never; people click meanwhile. `INTERLEAVINGS=500 pytest
tests/integration/test_interleavings.py` tries more than the few of every run; a failing seed is in the test's name.
"""

import datetime as dt
import os
import random
import uuid
from collections import Counter

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from dialer import call_operations, demo, tasks
from dialer.models import (
    Agent,
    AgentLeg,
    AgentState,
    AppliedCommand,
    CallLog,
    CampaignDay,
    Contact,
    DialerCampaign,
    Message,
    Order,
    SideLeg,
)
from dialer.services import dialing, pacers
from dialer.services.acting import acting
from events import facts as f
from tests.fakes.dialling import tick
from tests.fakes.floor import UP, Switch, make_agents, make_campaign, now_us, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]

SEEDS = range(int(os.environ.get("INTERLEAVINGS", "5")))
STEPS = 80
CAUSES = ("NORMAL_CLEARING", "USER_BUSY", "NO_ANSWER", "CALL_REJECTED", "ORIGINATOR_CANCEL", "UNALLOCATED_NUMBER")
COUNTED = ("status", "outcome", "ended_at", "answered_at", "bridged_at", "abandoned", "disconnect_reason")


class Floor:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.switch = Switch()
        self.agents = make_agents(4)
        message = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
        mode = self.random.choice(["progressive", "power", "predictive"])
        self.campaign = make_campaign(self.agents, contacts=40, mode=mode, message=message, max_retry_attempts=2)
        self.ended: dict[int, tuple] = {}
        for agent in self.agents:
            set_state(agent, "available")
        self.switch.open_softphones()

    # --- What may happen next ---------------------------------------------------------------------------------------

    def step(self) -> None:
        weights = {
            self.dial: 4, self.customer: 5, self.bridge: 3, self.report: 1, self.person: 1, self.softphone: 3,
            self.time: 2, self.late: 1, self.act: 4, self.side: 3, self.moved: 4,
        }  # fmt: skip
        self.random.choices(list(weights), list(weights.values()))[0]()

    def dial(self) -> None:
        with acting("dialer") as act:
            dialing.dial(act, self.campaign.campaign_id, UP)

    def _a_call(self, **which: object) -> CallLog | None:
        calls = list(CallLog.objects.filter(**which).order_by("pk"))
        return self.random.choice(calls) if calls else None

    def customer(self) -> None:
        if (call := self._a_call(ended_at=None)) is None:
            return
        leg = call.freeswitch_uuid
        told = self.random.choice(["ring", "answer", "answer", "end", "end"])
        if told == "ring":
            self.switch.ring(call)
        elif told == "answer":
            self.switch.answer(call)
        else:
            self.switch.tell(f.LegEnded(leg=leg, at=now_us(), cause=self.random.choice(CAUSES), complete=True))

    def bridge(self) -> None:
        if (call := self._a_call(ended_at=None, agent_leg__isnull=False, agent_leg__ended_at=None)) is not None:
            self.switch.bridge(call)

    def report(self) -> None:
        orders = list(Order.objects.exclude(kind__in=["probe"]).order_by("-pk")[:10])
        if orders:
            order, status = self.random.choice(orders), self.random.choice(["done", "failed", "expired", "in_doubt"])
            self.switch.report(order, status, reply="-ERR NORMAL_TEMPORARY_FAILURE" if status == "failed" else "")

    def person(self) -> None:
        agent = self.random.choice(self.agents)
        match self.random.choice(["available"] * 5 + ["break", "offline", "cancel"]):
            case "cancel":
                set_state(agent, "", cancel_pending=True)
            case state:
                set_state(agent, state)

    def softphone(self) -> None:
        legs = list(AgentLeg.objects.filter(ended_at=None))
        if not legs or self.random.random() < 0.9:
            self.switch.open_softphones()
            return
        leg = self.random.choice(legs)
        self.switch.tell(f.LegEnded(leg=str(leg.leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
        Agent.objects.update(softphone_retry_at=None)

    def act(self) -> None:
        """Somebody asks something of a call that is joined, mostly what moves its legs."""
        if (call := self._a_call(ended_at=None, bridged_at__isnull=False)) is None:
            return
        moves = sorted(call_operations.MOVES) * 3
        command = {
            "command_id": str(uuid.uuid4()), "kind": "call_control", "call_id": str(call.call_id),
            "action": self.random.choice([*moves, *call_operations.ACTIONS]),
            "actor": self.random.choice(["ann", "ben"]), "extension": self.random.choice(["1010", "1011"]),
        }  # fmt: skip
        tasks.handle_command(command)

    def side(self) -> None:
        """A supervisor's or colleague's leg is created, answers, or ends: also after nobody wants it any more."""
        sides = list(SideLeg.objects.filter(ended_at=None).order_by("pk"))
        if not sides:
            return
        leg = str(self.random.choice(sides).leg_uuid)
        told = [f.LegCreated(leg=leg, at=now_us()), f.LegAnswered(leg=leg, at=now_us())]
        if self.random.random() < 0.4:
            told = [f.LegEnded(leg=leg, at=now_us(), cause=self.random.choice(CAUSES))]
        self.switch.tell(*told)

    def moved(self) -> None:
        """The switch has done what moves the legs of a joined call, perhaps not all of it, perhaps twice."""
        if (call := self._a_call(ended_at=None, bridged_at__isnull=False, agent_leg__isnull=False)) is None:
            return
        ours, agent_leg = call.freeswitch_uuid, str(call.agent_leg.leg_uuid)
        bridge = call.orders.filter(kind="bridge").order_by("-id").first()
        told = self.random.choice(["park", "park", "bridge", "bridge", "hold", "stranger"])
        if told == "park":
            for leg in self.random.sample([ours, agent_leg], self.random.choice([1, 2, 2])):
                self.switch.tell(f.LegParked(leg=leg, at=now_us()))
        elif told == "hold":
            self.switch.tell(self.random.choice([f.LegHeld, f.LegUnheld])(leg=agent_leg, at=now_us()))
        elif told == "stranger":
            self.switch.tell(f.LegBridged(leg=ours, peer=str(uuid.uuid4()), at=now_us()))
        elif bridge is not None:
            leg, peer = bridge.payload["leg"], bridge.payload["peer"]
            told_both = [f.LegBridged(leg=leg, peer=peer, at=now_us()), f.LegBridged(leg=peer, peer=leg, at=now_us())]
            self.switch.tell(*self.random.sample(told_both, 2))

    def time(self) -> None:
        """Wrap-ups are over, waiting customers have waited, due times have come."""
        past = timezone.now() - dt.timedelta(seconds=3)
        Agent.objects.filter(wrap_up_until__isnull=False).update(wrap_up_until=past)
        CallLog.objects.filter(answered_at__isnull=False, bridged_at=None, ended_at=None).update(answered_at=past)
        Contact.objects.filter(status="ready").update(next_attempt_at=past, blocked_by="")
        if self.random.random() < 0.2:
            # What was asked of the switch has gone unanswered for long.
            long_past = past - dt.timedelta(minutes=5)
            CallLog.objects.filter(operation_at__isnull=False).update(operation_at=long_past)
            AppliedCommand.objects.filter(confirmation="waiting").update(applied_at=long_past)
        tick()

    def late(self) -> None:
        """Something is told again, or too late."""
        if (call := self._a_call(ended_at__isnull=False)) is not None:
            self.random.choice([self.switch.ring, self.switch.answer, self.switch.end])(call)

    # --- What must always hold --------------------------------------------------------------------------------------

    def check(self) -> None:
        calls = list(CallLog.objects.select_related("agent_leg", "contact"))
        open_calls = [call for call in calls if call.ended_at is None]
        held = Counter(call.agent_leg_id for call in open_calls if call.agent_leg_id and call.agent_id)
        assert all(count == 1 for count in held.values()), "one agent's leg is meant for two customers"
        for call in calls:
            if call.ended_at is not None:
                now = tuple(getattr(call, name) for name in COUNTED)
                assert self.ended.setdefault(call.pk, now) == now, "an ended call has changed"
                assert call.outcome, "an ended call has no outcome"
            if call.bridged_at is not None:
                assert call.answered_at is not None and call.answered_at <= call.bridged_at
        self._check_agents(open_calls)
        self._check_side_legs(calls)
        dialing_contacts = set(Contact.objects.filter(status="dialing").values_list("pk", flat=True))
        assert dialing_contacts == {call.contact_id for call in open_calls}, "a contact is dialled without a call"
        day = CampaignDay.objects.filter(campaign=self.campaign).first()
        if day is not None:
            assert day.attempts == len(calls)
            for name in ("answered", "bridged"):
                counted = sum(getattr(call, f"{name}_at") is not None for call in calls)
                assert getattr(day, {"bridged": "connected"}.get(name, name)) == counted, name
            assert day.abandoned == sum(call.abandoned for call in calls)

    def _check_agents(self, open_calls: list[CallLog]) -> None:
        talking = {call.agent_id for call in open_calls if call.bridged_at is not None and call.agent_id}
        for agent in Agent.objects.all():
            assert (agent.status == "on_call") == (agent.pk in talking), (agent.agent_id, agent.status)
            last = AgentState.objects.filter(agent=agent).first()
            assert last is None or last.state == agent.status, "the history says something else"
            if agent.status == "offline" and agent.pk not in talking:
                assert agent.pending_status == ""

    def _check_side_legs(self, calls: list[CallLog]) -> None:
        by_key = {call.pk: call for call in calls}
        hung_up = set(Order.objects.filter(kind="hangup").values_list("leg_uuid", flat=True))
        for side in SideLeg.objects.filter(ended_at=None):
            call = by_key[side.call_id]
            if side.leg_uuid in hung_up:
                continue
            assert call.ended_at is None, f"{side} was left behind by its call"
            if side.purpose == "listen":
                assert call.agent_id, f"{side} listens to an agent who is done with the call"
            else:
                wanted = side.joined_at is not None or call.operation
                assert wanted, f"{side} rings for nobody"
        for call in calls:
            if call.ended_at is not None or call.agent_id is None:
                assert not (call.parked_at or call.muted or call.agent_waits), "nobody is there to be parked or muted"
                assert call.ended_at is None or not call.operation, "an ended call is being moved"

    def empty(self) -> None:
        for call in CallLog.objects.filter(ended_at=None):
            self.switch.end(call)
        for side in SideLeg.objects.filter(ended_at=None):
            self.switch.tell(f.LegEnded(leg=str(side.leg_uuid), at=now_us(), cause="NORMAL_CLEARING"))
        AppliedCommand.objects.filter(confirmation="waiting").update(applied_at=timezone.now() - dt.timedelta(hours=1))
        self.time()
        tick()


@pytest.fixture(autouse=True)
def _messages(settings, tmp_path):
    settings.MESSAGES_DIR = str(tmp_path)
    pacers.forget()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_order_of_facts_people_and_time_keeps_the_record_right(seed):
    floor = Floor(seed)
    for _ in range(STEPS):
        floor.step()
        floor.check()
    DialerCampaign.objects.update(status="paused")
    floor.empty()
    floor.check()
    assert not Agent.objects.filter(status="on_call").exists()
    assert not Contact.objects.filter(status="dialing").exists()
    assert not SideLeg.objects.filter(ended_at=None).exists()
    assert not AppliedCommand.objects.filter(confirmation="waiting").exists(), "a command without an end"
    assert CallLog.objects.count() > 3, "hardly anything happened"
