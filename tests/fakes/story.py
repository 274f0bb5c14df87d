"""A call with all that can be known of it: the events of a real FreeSWITCH, orders, commands, states, dispositions."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dialer.models import (
    Agent,
    AgentLeg,
    AgentState,
    AppliedCommand,
    CallLog,
    DialerCampaign,
    Disposition,
    DispositionChange,
    Order,
    PacingDecision,
)
from events import facts
from events.models import FreeSwitchEvent
from tests.fakes.events import AGENT, BRIDGED, CALL

HOSTILE = "<script>alert(1)</script>'\"&<img src=x onerror=alert(2)>\u202e{{ 7|add:7 }}=cmd|' /C calc'!A0"


def store(lines: Sequence[bytes | Mapping[str, Any]]) -> list[FreeSwitchEvent]:
    """Switch events as the ingest stores them."""
    events = [orjson.loads(line) if isinstance(line, bytes) else dict(line) for line in lines]
    return FreeSwitchEvent.objects.bulk_create(
        FreeSwitchEvent(
            event_type=facts.event_name(event),
            channel_uuid=facts.text(event, "Unique-ID"),
            timestamp=at(event),
            freeswitch_timestamp=at(event),
            event_data=event,
            core_uuid=facts.text(event, "Core-UUID"),
            event_sequence=facts.number(event, "Event-Sequence"),
        )
        for event in events
    )


def at(event: Mapping[str, Any]) -> dt.datetime:
    return dt.datetime.fromtimestamp(facts.happened_at(event) / 1_000_000, dt.UTC)


def told_call(agent: Agent, campaign: DialerCampaign, *, hostile: str = "", **fields: Any) -> CallLog:
    """The call of capture 02: placed, answered, joined to the agent, who hangs up; then disposed of."""
    store(BRIDGED)
    times = {event["Event-Name"] + event["Unique-ID"]: at(event) for event in map(orjson.loads, BRIDGED) if
             "Unique-ID" in event}  # fmt: skip
    started = min(times.values())
    contact = campaign.target_list.contacts.first() if campaign.target_list else None
    if contact is not None and hostile:
        contact.name, contact.custom_fields = hostile[:200], {hostile: hostile}
        contact.save()
    leg = AgentLeg.objects.create(agent=agent, leg_uuid=AGENT, opened_at=started)
    decision = PacingDecision.objects.create(
        campaign=campaign, decided_at=started, last_at=started, binding_reason="price", placed=1,
        summary=(hostile or "placed 1: because")[:300],
    )  # fmt: skip
    ended = times["CHANNEL_HANGUP" + CALL]
    known = {
        "call_id": CALL,
        "freeswitch_uuid": CALL,
        "to_number": contact.number if contact else "+12125550100",
        "agent": agent,
        "agent_leg": leg,
        "campaign": campaign,
        "contact": contact,
        "decision": decision,
        "status": "completed",
        "outcome": "conversation",
        "disconnect_reason": hostile[:64] or "NORMAL_CLEARING",
        "initiated_at": started,
        "answered_at": times["CHANNEL_ANSWER" + CALL],
        "bridged_at": times["CHANNEL_BRIDGE" + CALL],
        "ended_at": ended,
        "talk_time_seconds": 3,
        "duration_seconds": 4,
    }
    call = CallLog.objects.create(**(known | fields))
    command = uuid.uuid4()
    AppliedCommand.objects.create(
        command_id=command, kind="call_control", actor=hostile[:150] or "sup", target=CALL, applied_at=started,
        payload={"action": hostile or "hold"}, status="rejected", reason=(hostile or "not yet")[:300],
    )  # fmt: skip
    Order.objects.create(
        order_id=uuid.uuid4(), kind="bridge", payload={"leg": CALL, "peer": AGENT}, leg_uuid=CALL, call=call,
        agent=agent, status="failed", reply=(hostile or "-ERR no such channel")[:500], created_at=call.answered_at,
    )  # fmt: skip
    wrap_up = {"agent": agent, "call": call}
    AgentState.objects.create(state="on_call", timestamp=call.bridged_at, metadata={"by": hostile}, **wrap_up)
    AgentState.objects.create(state="busy", reason="wrap_up", timestamp=ended, **wrap_up)
    AgentState.objects.create(
        agent=agent, state="available", timestamp=ended + dt.timedelta(seconds=7), reason=hostile[:100]
    )
    given = Disposition.objects.create(code="sale", label=(hostile or "Sale")[:80], is_contact=True)
    for n, note in enumerate(("first", hostile or "as agreed")):
        DispositionChange.objects.create(
            call=call, disposition=given, notes=note, by=hostile[:150] or "ann", at=ended + dt.timedelta(seconds=n)
        )
    CallLog.objects.filter(pk=call.pk).update(
        disposition=given, disposed_at=ended, disposed_by=hostile[:150] or "ann", disposition_notes=hostile
    )
    call.refresh_from_db()
    return call
