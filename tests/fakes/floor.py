"""A hand-made floor for dialer tests, and a switch's side of it: facts told in the order a real one tells them."""

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from celery import current_app
from django.utils import timezone

from dialer import rule_forms, tasks
from dialer.models import (
    Agent,
    AgentLeg,
    CallLog,
    CampaignStatus,
    ComplianceProfile,
    Contact,
    DialerCampaign,
    DialerTargetList,
    Order,
    ReasonCode,
)
from dialer.services import dialing, hearing, observing
from dialer.services.acting import acting
from events import facts as f
from events import streams

UP = observing.Link(True)


def now_us() -> int:
    return int(timezone.now().timestamp() * 1_000_000)


def make_agents(count: int, first: int = 101) -> list[Agent]:
    return [
        Agent.objects.create(agent_id=f"agent_{n}", name=f"Agent {n}", extension=str(900 + n))
        for n in range(first, first + count)
    ]


def any_hour(**fields: Any) -> ComplianceProfile:
    """Tests run at night, too: a profile without calling hours."""
    hours = {day: [["00:00", "24:00"]] for day in rule_forms.DAYS}
    name = f"any hour {sorted(fields.items())}"[:120]
    found = ComplianceProfile.objects.filter(name=name).first()
    return found or ComplianceProfile.objects.create(name=name, calling_hours=hours, **fields)


def make_campaign(agents: list[Agent], contacts: int = 10, name: str = "Spring", **fields: Any) -> DialerCampaign:
    contact_list = DialerTargetList.objects.create(name=f"List of {name}", total_contacts=contacts)
    Contact.objects.bulk_create(
        Contact(
            target_list=contact_list,
            number=f"+1212555{fields.get('offset', 0) + n:04d}",
            name=f"Contact {n}",
            next_attempt_at=timezone.now() - dt.timedelta(minutes=1),
        )
        for n in range(contacts)
    )
    fields.pop("offset", None)
    fields.setdefault("profile", any_hour())
    defaults = {"status": CampaignStatus.ACTIVE, "wrap_up_seconds": 10, "retry_delay_minutes": 30}
    campaign = DialerCampaign.objects.create(name=name, target_list=contact_list, **{**defaults, **fields})
    campaign.assigned_agents.set(agents)
    return campaign


def make_working_floor(numbers: Sequence[str], agents: int, **fields: Any) -> DialerCampaign:
    """For the product's own processes: a campaign that calls these numbers, in their order, as fast as agents get free.
    agent_1 and so on have the extensions 1001 and so on, which a switch of the test numbering plan knows."""
    contact_list = DialerTargetList.objects.create(name="Working", total_contacts=len(numbers))
    due = timezone.now() - dt.timedelta(minutes=1)
    Contact.objects.bulk_create(
        Contact(target_list=contact_list, number=number, name=f"Customer {n}", next_attempt_at=due, priority=-n)
        for n, number in enumerate(numbers)
    )
    pace = {"profile": any_hour(), "wrap_up_seconds": 1, "calls_per_agent_per_hour": 3600}
    campaign = DialerCampaign.objects.create(
        name="Spring", target_list=contact_list, status=CampaignStatus.ACTIVE, **{**pace, **fields}
    )
    campaign.assigned_agents.set(
        Agent.objects.create(agent_id=f"agent_{n}", name=f"Agent {n}", extension=str(1000 + n))
        for n in range(1, agents + 1)
    )
    return campaign


def ask_all_to_work(campaign: DialerCampaign) -> None:
    """Put it on the queue, for a worker that may start later."""
    for agent in campaign.assigned_agents.all():
        command = {"actor": "test", "agent_id": agent.agent_id, "state": "available"}
        current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})


def reason_code(status: str, code: str) -> ReasonCode:
    """A reason that people may give for a state."""
    return ReasonCode.objects.get_or_create(status=status, code=code, defaults={"label": code.capitalize()})[0]


def set_state(agent: Agent, state: str, reason: str = "", **more: Any) -> dict[str, Any]:
    """What the worker does for a `set_agent_state` of a supervisor, with a reason that is set up."""
    if reason and reason != "wrap_up":
        reason_code(state, reason)
    command = {"command_id": str(uuid.uuid4()), "actor": "supervisor", "agent_id": agent.agent_id, "state": state}
    answer = tasks.handle_agent_state({**command, "reason": reason, **more})
    agent.refresh_from_db()
    return answer


def tell(facts: Iterable[dict[str, Any]]) -> int:
    """Have them wait, as the ingest does, and applied, as any task does; returns how many asked for something."""
    for fact in facts:
        streams.shared().xadd(streams.FACTS, {streams.FACTS_FIELD: json.dumps(fact)})
    return hearing.catch_up()


class Switch:
    """Tells the dialer facts, as the ingest does, and reads its orders."""

    def tell(self, *facts: f.AnyFact) -> None:
        tell(f.to_json(fact) for fact in facts)

    def orders(self, kind: str) -> list[Order]:
        return list(Order.objects.filter(kind=kind).order_by("id"))

    def open_softphones(self) -> None:
        """Every softphone that is being called answers."""
        for leg in AgentLeg.objects.filter(ended_at=None, opened_at=None):
            self.tell(f.LegAnswered(leg=str(leg.leg_uuid), at=now_us()))

    def ring(self, call: CallLog) -> None:
        leg = call.freeswitch_uuid
        self.tell(f.LegCreated(leg=leg, at=now_us(), role="customer"), f.LegRinging(leg=leg, at=now_us()))

    def answer(self, call: CallLog) -> None:
        self.tell(f.LegAnswered(leg=call.freeswitch_uuid, at=now_us()))

    def bridge(self, call: CallLog) -> None:
        """Both legs learn of it, as the ingest tells it."""
        call.refresh_from_db()
        assert call.agent_leg is not None, "no bridge was ordered"
        ours, peer = call.freeswitch_uuid, str(call.agent_leg.leg_uuid)
        self.tell(f.LegBridged(leg=ours, peer=peer, at=now_us()), f.LegBridged(leg=peer, peer=ours, at=now_us()))

    def end(self, call: CallLog, cause: str = "NORMAL_CLEARING", **more: Any) -> None:
        self.tell(f.LegEnded(leg=call.freeswitch_uuid, at=now_us(), cause=cause, complete=True, **more))

    def report(self, order: Order, status: str, **more: Any) -> None:
        self.tell(
            f.OrderReported(
                leg=str(order.leg_uuid),
                at=now_us(),
                order_id=str(order.order_id),
                kind=order.kind,
                status=status,
                **more,
            )
        )


def place(campaign: DialerCampaign, count: int = 1, now: dt.datetime | None = None) -> list[CallLog]:
    """Place at most so many calls, whatever the link's heartbeats say."""
    with acting("test", now=now) as act:
        fresh = DialerCampaign.objects.select_for_update(of=("self",)).select_related("profile").get(pk=campaign.pk)
        floor, decision = dialing.decide(act, fresh, UP)
        decision = replace(decision, place=min(count, decision.place))
        return dialing.place_calls(act, fresh, floor, decision) if decision.place else []
