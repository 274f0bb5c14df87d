"""Typed, past-tense facts about legs, orders and the link, and the one door through which switch events become facts.

Pure. FreeSWITCH's header names are known here, and in rows.py for the columns of a stored event (source: events
captured from FreeSWITCH 1.10.12, tests/data/esl).
An event is a flat mapping of header name to string (or list of strings for multi-value variables), as in
`event json`. Times are microseconds since the epoch (FreeSWITCH's own), 0 = not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Event = Mapping[str, Any]
Role = Literal["customer", "agent", "supervisor", "consulted", "other"]
ROLES: dict[str, Role] = {
    "customer": "customer", "agent": "agent", "supervisor": "supervisor", "consulted": "consulted",
}  # fmt: skip

# Subclasses of CUSTOM events that the bridge writes itself.
ORDER_REPORT = "orchestrator::order"
LINK_REPORT = "orchestrator::link"
LEG_REPORT = "orchestrator::leg"
SYNC_REPORT = "orchestrator::sync"

# That of mod_avmd, when it has heard a machine's beep.
MACHINE_BEEP = "avmd::beep"
# mod_sofia's words about SIP registrations -> whether the user is registered then.
_REGISTERED = ("to-user", "from-user", "user", "username")
REGISTRATIONS = {"sofia::register": True, "sofia::unregister": False, "sofia::expire": False}

# Variables we set on every leg we originate; they come back in its verbose events.
VARIABLE_ROLE = "orch_role"
VARIABLE_CALL = "orch_call"
VARIABLE_AGENT = "orch_agent"
VARIABLE_CAMPAIGN = "orch_campaign"


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Something that happened. `leg`: the channel's uuid ('' for facts about no leg); `at`: us since the epoch."""

    leg: str = ""
    at: int = 0


class LegCreated(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    role: Role = "other"
    call_id: str = ""
    agent_id: str = ""
    campaign_id: str = ""
    direction: str = ""
    number: str = ""
    caller_name: str = ""
    caller_number: str = ""
    node: str = ""


class LegRinging(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    early_media: bool = False


class LegAnswered(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    pass


class LegBridged(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    peer: str = ""


class LegUnbridged(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    peer: str = ""


class LegHeld(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    pass


class LegUnheld(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    pass


class LegParked(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    pass


class LegEnded(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """`cause`: the hangup cause's name. `complete`: from HANGUP_COMPLETE, the switch's last and fullest word.
    `machine`: its detection, where it runs one, heard an answering machine."""

    cause: str = ""
    sip_status: str = ""
    disposition: str = ""
    created_at: int = 0
    answered_at: int = 0
    bridged_at: int = 0
    complete: bool = False
    machine: bool = False


class RecordingStarted(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    path: str = ""


class RecordingStopped(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    path: str = ""


class MachineHeard(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The beep of an answering machine (mod_avmd, where we have asked it to listen)."""


class DigitPressed(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    digit: str = ""


class JobFinished(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A BACKGROUND_JOB: our orders use their own id as Job-UUID."""

    order_id: str
    ok: bool
    reply: str = ""


class OrderReported(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """What the bridge says of an order it handled. `leg_exists`: uuid_exists asked after a failure, None if not asked.

    status: sent (the switch took it), done, failed (the switch refused: reply), refused (we did: reply says why),
    expired (too old when read), in_doubt (the link died between sending and the reply).
    """

    order_id: str
    kind: str = ""
    status: str = ""
    reply: str = ""
    leg_exists: bool | None = None


class LinkReported(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The bridge's link to its node went up or down."""

    node: str
    up: bool
    core_uuid: str = ""
    reason: str = ""


class SyncFinished(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """The bridge compared `show channels` with the live legs; its corrections came just before as other facts."""

    node: str
    channels: int = 0
    gone: int = 0
    found: int = 0
    changed: int = 0


class SwitchHeartbeat(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    sessions: int = 0
    max_sessions: int = 0
    uptime_ms: int = 0


class SoftphoneRegistration(Fact, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """A SIP user registered (again) with the switch, or is registered no more. `registration`: its SIP Call-ID."""

    user: str
    registered: bool
    registration: str = ""


AnyFact = (
    LegCreated | LegRinging | LegAnswered | LegBridged | LegUnbridged | LegHeld | LegUnheld | LegParked | LegEnded
    | RecordingStarted | RecordingStopped | MachineHeard | DigitPressed | JobFinished | OrderReported | LinkReported
    | SyncFinished | SwitchHeartbeat | SoftphoneRegistration
)  # fmt: skip


class Malformed(ValueError):
    """An event that lacks what its name promises; the message says what."""


def text(event: Event, name: str) -> str:
    """A header as text; the first value of a multi-value one; '' when absent."""
    value = event.get(name, "")
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else str(value)


def number(event: Event, name: str) -> int:
    """A header as a whole number, 0 when absent or not one."""
    value = text(event, name)
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else 0


def event_name(event: Event) -> str:
    """`CHANNEL_ANSWER`, or `CUSTOM sofia::register` for custom ones."""
    name = text(event, "Event-Name")
    return f"CUSTOM {text(event, 'Event-Subclass')}" if name == "CUSTOM" else name


def identity(event: Event) -> tuple[str, int] | None:
    """(Core-UUID, Event-Sequence): what makes two deliveries one event. None when the event carries neither."""
    core, sequence = text(event, "Core-UUID"), number(event, "Event-Sequence")
    return (core, sequence) if core and sequence else None


def happened_at(event: Event) -> int:
    return number(event, "Event-Date-Timestamp")


def is_true(value: str) -> bool:
    return value.strip().lower() in {"true", "1", "yes"}


def _leg(event: Event) -> str:
    leg = text(event, "Unique-ID")
    if not leg:
        raise Malformed(f"{event_name(event)} without Unique-ID")
    return leg


def _created(event: Event) -> LegCreated:
    return LegCreated(
        leg=_leg(event),
        at=number(event, "Caller-Channel-Created-Time") or happened_at(event),
        role=ROLES.get(text(event, f"variable_{VARIABLE_ROLE}"), "other"),
        call_id=text(event, f"variable_{VARIABLE_CALL}"),
        agent_id=text(event, f"variable_{VARIABLE_AGENT}"),
        campaign_id=text(event, f"variable_{VARIABLE_CAMPAIGN}"),
        direction=text(event, "Call-Direction"),
        number=text(event, "Caller-Destination-Number"),
        caller_name=text(event, "Caller-Caller-ID-Name"),
        caller_number=text(event, "Caller-Caller-ID-Number"),
        node=text(event, "Orchestrator-Node"),
    )


def _ended(event: Event, *, complete: bool) -> LegEnded:
    return LegEnded(
        leg=_leg(event),
        at=number(event, "Caller-Channel-Hangup-Time") or happened_at(event),
        cause=text(event, "Hangup-Cause") or text(event, "variable_hangup_cause") or "NONE",
        sip_status=text(event, "variable_sip_term_status") or text(event, "variable_sip_invite_failure_status"),
        disposition=text(event, "variable_sip_hangup_disposition"),
        created_at=number(event, "Caller-Channel-Created-Time"),
        answered_at=number(event, "Caller-Channel-Answered-Time"),
        bridged_at=number(event, "Caller-Channel-Bridged-Time"),
        complete=complete,
        machine=_machine(event),
    )


def _machine(event: Event) -> bool:
    """mod_amd says so in amd_result, mod_avmd by hearing the beep."""
    return text(event, "variable_amd_result").upper() == "MACHINE" or (
        text(event, "variable_avmd_detect").upper() == "TRUE"
    )


def _bridged(event: Event) -> tuple[AnyFact, ...]:
    first, second = text(event, "Bridge-A-Unique-ID") or _leg(event), text(event, "Bridge-B-Unique-ID")
    second = second or text(event, "Other-Leg-Unique-ID")
    at = happened_at(event)
    if not second:
        raise Malformed(f"{event_name(event)} without its other leg")
    kind = LegBridged if text(event, "Event-Name") == "CHANNEL_BRIDGE" else LegUnbridged
    # The switch says it once, on the A leg; both legs learn it.
    return kind(leg=first, at=at, peer=second), kind(leg=second, at=at, peer=first)


def _recording(event: Event, kind: type[RecordingStarted | RecordingStopped]) -> tuple[AnyFact, ...]:
    """The file that our orders name after the call is its recording, and no other: a dialplan, or somebody at the
    switch, may have the leg written into more."""
    path, call = text(event, "Record-File-Path"), text(event, f"variable_{VARIABLE_CALL}")
    if call and path.rpartition("/")[2] != f"{call}.wav":
        return ()
    return (kind(leg=_leg(event), at=happened_at(event), path=path),)


def _custom(event: Event) -> tuple[AnyFact, ...]:
    subclass, at = text(event, "Event-Subclass"), happened_at(event)
    if subclass == ORDER_REPORT:
        exists = text(event, "Leg-Exists")
        return (
            OrderReported(
                leg=text(event, "Unique-ID"),
                at=at,
                order_id=text(event, "Order-ID"),
                kind=text(event, "Order-Kind"),
                status=text(event, "Order-Status"),
                reply=text(event, "Order-Reply"),
                leg_exists=is_true(exists) if exists else None,
            ),
        )
    if subclass == LINK_REPORT:
        return (
            LinkReported(
                at=at,
                node=text(event, "Orchestrator-Node"),
                up=is_true(text(event, "Link-Up")),
                core_uuid=text(event, "Core-UUID"),
                reason=text(event, "Link-Reason"),
            ),
        )
    if subclass == SYNC_REPORT:
        return (
            SyncFinished(
                at=at,
                node=text(event, "Orchestrator-Node"),
                channels=number(event, "Sync-Channels"),
                gone=number(event, "Sync-Gone"),
                found=number(event, "Sync-Found"),
                changed=number(event, "Sync-Changed"),
            ),
        )
    if subclass == MACHINE_BEEP:
        return (MachineHeard(leg=_leg(event), at=at),)
    if subclass == LEG_REPORT:
        return _leg_report(event)
    if subclass in REGISTRATIONS:
        # Who is registered, then who said so; an expiry says `user`. `username` is what was authenticated, "unknown"
        # where the profile asks for no password.
        user = next((name for header in _REGISTERED if (name := text(event, header)) not in {"", "unknown"}), "")
        if not user:
            raise Malformed(f"{event_name(event)} without a user")
        return (
            SoftphoneRegistration(
                at=at, user=user, registered=REGISTRATIONS[subclass], registration=text(event, "call-id")
            ),
        )
    return ()


def _leg_report(event: Event) -> tuple[AnyFact, ...]:
    """The bridge's correction after a comparison: a leg that the switch no longer has, or one we had not heard of.

    `found` carries the channel's own variables (uuid_dump) under the names of channel events, so that the same
    readers serve. Of a leg that we knew, whom we believed it joined to and whether held comes with it, and since when
    we know (ms): what the switch's own times say of before that is not what was missed. Nor is what they say of that
    same millisecond, the finest that a leg's state is kept in: there, a parting that we know would win.
    """
    leg, at = _leg(event), happened_at(event)
    if text(event, "Leg-Status") == "gone":
        return (LegEnded(leg=leg, at=at, cause=text(event, "Hangup-Cause") or "LOST", complete=False),)
    facts: list[AnyFact] = [_created(event)]
    answered = text(event, "Answer-State") == "answered"
    if answered:
        facts.append(LegAnswered(leg=leg, at=number(event, "Caller-Channel-Answered-Time") or at))
    elif ringing := _ringing(event):
        facts.append(ringing)
    known = number(event, "Leg-Known-Since")
    peer, before = joined_to(event), text(event, "Leg-Joined-Before")
    if before and before != peer:
        facts.append(LegUnbridged(leg=leg, at=at, peer=before))
    moved = at
    if peer and peer != before:
        joined = number(event, "Caller-Channel-Bridged-Time")
        moved = joined if joined // 1000 > known else at
        facts.append(LegBridged(leg=leg, at=moved, peer=peer))
    holds, held_before = held(event), is_true(text(event, "Leg-Held-Before"))
    if holds and (not held_before or peer != before):
        # Where it was moved as well, the hold must not seem older than that.
        began = number(event, "Caller-Channel-Last-Hold")
        facts.append(LegHeld(leg=leg, at=began if began // 1000 > known > 0 and peer == before else at))
    elif held_before and holds is False:
        facts.append(LegUnheld(leg=leg, at=moved))
    return tuple(facts)


def _ringing(dump: Event) -> LegRinging | None:
    """Since when a leg rings. Of one that is called the switch says `Answer-State: ringing` from its beginning."""
    told = (("Caller-Channel-Progress-Time", False), ("Caller-Channel-Progress-Media-Time", True))
    times = [(at, early_media) for name, early_media in told if (at := number(dump, name))]
    if not times:
        return None
    at, early_media = min(times)
    return LegRinging(leg=_leg(dump), at=at, early_media=early_media)


def held(dump: Event) -> bool | None:
    """Whether a channel is on hold, by our order or by the telephone's own; None where its state does not tell: what is
    no SIP channel (a loopback) says CHANNEL_HOLD and stays ACTIVE."""
    if text(dump, "Channel-Call-State") == "HELD":
        return True
    return False if text(dump, "Channel-Name").startswith("sofia/") else None


def joined_to(dump: Event) -> str:
    """Whom a channel hears, '' for nobody: by the variable that the switch sets and unsets with their media.
    (`signal_bond` and Other-Leg-Unique-ID outlive the conversation of a leg that parks after it.)"""
    return text(dump, "variable_bridge_to")


def facts_of(event: Event) -> tuple[AnyFact, ...]:
    """The facts in one event, in order; () for events that say nothing the floor or the dialer must know.

    Raises Malformed when the event lacks what its name promises.
    """
    at = happened_at(event)
    match text(event, "Event-Name"):
        case "CHANNEL_CREATE" | "CHANNEL_ORIGINATE":
            return (_created(event),)
        case "CHANNEL_PROGRESS":
            return (LegRinging(leg=_leg(event), at=number(event, "Caller-Channel-Progress-Time") or at),)
        case "CHANNEL_PROGRESS_MEDIA":
            return (
                LegRinging(
                    leg=_leg(event), at=number(event, "Caller-Channel-Progress-Media-Time") or at, early_media=True
                ),
            )
        case "CHANNEL_ANSWER":
            # CREATE may be late or lost: the answer carries the same profile, and folding it twice changes nothing.
            return _created(event), LegAnswered(leg=_leg(event), at=number(event, "Caller-Channel-Answered-Time") or at)
        case "CHANNEL_BRIDGE" | "CHANNEL_UNBRIDGE":
            return _bridged(event)
        case "CHANNEL_HOLD":
            return (LegHeld(leg=_leg(event), at=at),)
        case "CHANNEL_UNHOLD":
            return (LegUnheld(leg=_leg(event), at=at),)
        case "CHANNEL_PARK":
            # Should all that came before have been lost, it carries the same profile as they did.
            return _created(event), LegParked(leg=_leg(event), at=at)
        case "CHANNEL_HANGUP":
            return (_ended(event, complete=False),)
        case "CHANNEL_HANGUP_COMPLETE":
            return _created(event), _ended(event, complete=True)
        case "CHANNEL_DESTROY":
            # The last word, should both hang-up events have been lost. An unknown gateway's DESTROY has no cause of
            # ours.
            return (_ended(event, complete=False),)
        case "RECORD_START":
            return _recording(event, RecordingStarted)
        case "RECORD_STOP":
            return _recording(event, RecordingStopped)
        case "DTMF":
            return (DigitPressed(leg=_leg(event), at=at, digit=text(event, "DTMF-Digit")),)
        case "BACKGROUND_JOB":
            reply = text(event, "_body").strip()
            job = text(event, "Job-UUID")
            if not job:
                raise Malformed("BACKGROUND_JOB without Job-UUID")
            return (JobFinished(at=at, order_id=job, ok=reply.startswith("+OK"), reply=reply),)
        case "HEARTBEAT":
            return (
                SwitchHeartbeat(
                    at=at,
                    sessions=number(event, "Session-Count"),
                    max_sessions=number(event, "Max-Sessions"),
                    uptime_ms=number(event, "Uptime-msec"),
                ),
            )
        case "CUSTOM":
            return _custom(event)
        case "":
            raise Malformed("an event without Event-Name")
        case _:
            return ()


def to_json(fact: AnyFact) -> dict[str, Any]:
    """A fact as plain values, for JSON."""
    result: dict[str, Any] = msgspec.to_builtins(fact)
    return result


def decode(raw: bytes) -> AnyFact:
    """A fact from its JSON; raises msgspec.MsgspecError for anything else."""
    fact: AnyFact = _decoder.decode(raw)
    return fact


_decoder = msgspec.json.Decoder(AnyFact)
