"""A floor on which everything happens for real but the switch, and a board that watches it (verify_action)."""

import datetime as dt
import json
import time
import uuid
from typing import Any

from django.utils import timezone

from console import protocol, round_trips
from console.campaign_counts import COUNTS_MS
from console.floor import read_everything
from console.floor_state import FloorState, apply_frame
from console.intents import task_of
from console.projection import Projection
from console.protocol import Intent, SetAgentState
from dialer import inbox, tasks
from dialer.models import Agent, AgentLeg, CallLog, ContactReservation, DialerCampaign, Order
from dialer.services import agents
from dialer.services.acting import acting
from dialer.services.audit import Source
from events import call_state, live, streams
from events import facts as f
from events.intake import Outcome
from tests.fakes.floor import make_agents, make_campaign, now_us, place, reason_code, tell

# What a worker says of a command it does not know. It has then changed nothing, which is verified like all else.
UNKNOWN = ("this is no command", "is no action on a call", "is not one of")


class Stage:
    """A campaign with two working agents, the board of somebody who watches, and the hands that change things."""

    def __init__(self) -> None:
        self.redis = streams.shared()
        self.legs: dict[str, call_state.LegState] = {}
        self.steps = 0
        # The bridge's word, without which nothing is dialled.
        beat = f'{{"at": {time.time() + 60}, "link": "up", "lag_ms": 0}}'
        for name in ("bridge", "ingest"):
            self.redis.set(streams.HEARTBEAT_PREFIX + name, beat)
        reason_code("break", "lunch")
        self.agents = make_agents(2)
        self.campaign = make_campaign(
            self.agents, contacts=6, wrap_up_seconds=30, allow_manual_dial=True, record_calls=True
        )
        for agent in self.agents:
            tasks.handle_agent_state({"actor": "sup", "agent_id": agent.agent_id, "state": "available"})
            self.softphone_answers(agent)
        self.agent = self.agents[0]
        self.watch()

    # --- the board ---

    def watch(self) -> None:
        """Begin to watch: a snapshot, and all announcements from here on."""
        newest = self.redis.xrevrange(streams.CHANGES, count=1)
        self.position = newest[0][0] if newest else b"0-0"
        self.at = int(time.time() * 1000)
        self.projection = self.newcomer()
        self.floor = FloorState.of(protocol.read_snapshot(protocol.text(self.projection.floor.snapshot())))

    def newcomer(self) -> Projection:
        found = Projection()
        for kind, rows in read_everything(self.redis).items():
            assert found.replace(kind, rows, 0) == []
        found.set_round_trips(round_trips.read(self.redis.hgetall(streams.ROUND_TRIPS), time.time())[0])
        found.start_epoch("1.1", self.at)
        return found

    def verify(self, *, changes: bool = True) -> None:
        """What was announced since the last time, as one frame, against everything read anew."""
        before = self.floor.snapshot()
        for _, entries in self.redis.xread({streams.CHANGES: self.position}, count=10_000) or ():
            for entry_id, fields in entries:
                self.position = entry_id
                change = json.loads(fields[streams.CHANGES_FIELD.encode()])
                self.projection.change(change["kind"], change["id"], change["data"])
        self.projection.set_round_trips(round_trips.read(self.redis.hgetall(streams.ROUND_TRIPS), time.time())[0])
        self.at += COUNTS_MS
        apply_frame(self.floor, protocol.read_frame(protocol.text(self.projection.frame(self.at))))
        after, fresh = self.floor.snapshot(), self.newcomer().floor.snapshot()
        for name in ("agents", "calls", "campaigns", "alerts", "kpis"):
            assert getattr(after, name) == getattr(fresh, name), name
        if changes:
            names = ("agents", "calls", "campaigns", "alerts")
            assert any(getattr(before, name) != getattr(after, name) for name in names), "nothing has changed"
        self.steps += 1

    # --- the switch ---

    def tell(self, *told: f.AnyFact) -> None:
        """As the ingest: fold, write the live legs, announce; then hand on to the dialer."""
        for fact in told:
            state, _ = call_state.fold(self.legs.get(fact.leg), fact)
            if fact.leg and state is not None:
                self.legs[fact.leg] = state
                live.write(self.redis, Outcome(last=f"{now_us()}-0", changed={fact.leg: state}))
        tell(f.to_json(fact) for fact in told)

    def softphone_answers(self, agent: Agent) -> str:
        leg = str(AgentLeg.objects.get(agent=agent, ended_at=None).leg_uuid)
        self.tell(
            f.LegCreated(leg=leg, at=now_us(), role="agent", agent_id=agent.agent_id),
            f.LegAnswered(leg=leg, at=now_us()),
        )
        return leg

    def dialled(self) -> CallLog:
        return place(self.campaign)[0]

    def ringing(self) -> CallLog:
        call = self.dialled()
        leg = call.freeswitch_uuid
        created = f.LegCreated(leg=leg, at=now_us(), role="customer", call_id=leg, direction="outbound")
        self.tell(created, f.LegRinging(leg=leg, at=now_us()))
        return call

    def answered(self) -> CallLog:
        call = self.ringing()
        self.tell(f.LegAnswered(leg=call.freeswitch_uuid, at=now_us()))
        call.refresh_from_db()
        return call

    def bridge(self, call: CallLog) -> None:
        call.refresh_from_db()
        ours, peer = call.freeswitch_uuid, str(call.agent_leg.leg_uuid)
        self.tell(f.LegBridged(leg=ours, peer=peer, at=now_us()), f.LegBridged(leg=peer, peer=ours, at=now_us()))

    def talking(self) -> CallLog:
        """A call joined to its agent, who is `self.agent` from now on."""
        call = self.answered()
        self.bridge(call)
        call.refresh_from_db()
        self.agent = call.agent
        return call

    def end(self, call: CallLog, cause: str = "NORMAL_CLEARING") -> None:
        leg, peer = call.freeswitch_uuid, str(call.agent_leg.leg_uuid) if call.agent_leg else ""
        if call.bridged_at and peer:
            self.tell(f.LegUnbridged(leg=peer, peer=leg, at=now_us()))
        self.tell(f.LegEnded(leg=leg, at=now_us(), cause=cause, complete=True))

    def wrapping_up(self) -> CallLog:
        call = self.talking()
        self.end(call)
        call.refresh_from_db()
        return call

    def report(self, order: Order, status: str = "done") -> None:
        report = f.OrderReported(
            leg=str(order.leg_uuid or ""), at=now_us(), order_id=str(order.order_id), kind=order.kind, status=status
        )
        self.tell(report)

    def offered(self) -> ContactReservation:
        """A contact before an agent, who is `self.agent` from now on."""
        DialerCampaign.objects.filter(pk=self.campaign.pk).update(mode="preview")
        tasks.execute_dial(str(self.campaign.campaign_id))
        found = ContactReservation.objects.filter(state="offered").select_related("agent").first()
        self.agent = found.agent
        return found

    def rest(self) -> None:
        """Every wrap-up is over."""
        with acting("test", now=timezone.now() + dt.timedelta(seconds=31)) as act:
            agents.due_wrap_ups(act)

    # --- people ---

    def ask(self, intent: Intent) -> dict[str, Any]:
        """Carry a command out as the worker does, and verify it; then whatever it has ordered of the switch, too."""
        name, command = task_of(intent, str(uuid.uuid4()), "sup", time.time(), Source())
        earlier = set(Order.objects.values_list("pk", flat=True))
        answer = (tasks.handle_agent_state if name == inbox.AGENT_STATE else tasks.handle_command)(command)
        known = not any(words in answer["reason"] for words in UNKNOWN)
        assert answer["status"] == "applied" or not known, answer
        self.verify(changes=False)
        for order in Order.objects.exclude(pk__in=earlier).exclude(kind__in=["originate_customer", "originate_agent"]):
            self.report(order)
            self.verify(changes=False)
        return answer

    def own(self, state: str, **more: Any) -> dict[str, Any]:
        return self.ask(SetAgentState(id="x", agent_id=self.agent.agent_id, state=state, **more))


def newest(kind: str) -> Order:
    return Order.objects.filter(kind=kind).order_by("-pk")[0]
