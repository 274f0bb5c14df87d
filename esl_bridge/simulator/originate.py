"""`originate`: inviting the far end, and what happens until the application runs."""

from __future__ import annotations

import math
import time
import uuid as uuids
from collections.abc import Callable
from functools import partial

from esl_bridge.simulator import applications, hangup, sip
from esl_bridge.simulator.behaviour import (
    DEAD_GATEWAY,
    Fate,
    Ring,
    Unreachable,
    agent_fate,
    customer_fate,
)
from esl_bridge.simulator.core import TICK, Switch
from esl_bridge.simulator.dialstring import OUT_OF_ORDER, Request, parse
from esl_bridge.simulator.legs import SERVER, Leg, Profile
from esl_bridge.simulator.protocol import Value
from esl_bridge.simulator.tables import RECV_BYE, SEND_CANCEL

GATEWAYS = ("carrier", "deadcarrier")

Done = Callable[[str], None]


def originate(switch: Switch, argument: str, done: Done) -> None:
    """Run an originate command; `done` gets its answer, perhaps much later."""
    request = parse(argument)
    if isinstance(request, str):
        done(request)
        return
    leg = invite(switch, request, done)
    if leg is not None:
        leg.on_answer = lambda answered: _succeed_soon(switch, answered, request)


def invite(switch: Switch, request: Request, done: Done, parent: Leg | None = None) -> Leg | None:
    """Create a leg and send its INVITE, or answer `done` with the reason why not."""
    kind, _, rest = request.url.partition("/")
    gateway = user = ""
    fate: Fate | None = None
    if kind == "user":
        user, _, domain = rest.partition("@")
        domain = domain or switch.config.domain
        contact: dict[str, Value] = {
            "API-Command": "sofia_contact",
            "API-Command-Argument": f"*/{user}@{domain}",
        }
        missing = switch.registrations.missing(user)
        reached = Unreachable.NOT_REGISTERED if missing else agent_fate(user, switch.config)
        if reached is not Unreachable.UNKNOWN:
            switch.emit("API", first=contact)
        if isinstance(reached, Unreachable):
            done(f"-ERR {reached.value}\n")
            return None
        fate, number = reached, user
    elif kind == "sofia" and "/" in rest:
        profile, _, number = rest.partition("/")
        if profile == "gateway":
            gateway, _, number = number.partition("/")
        else:
            gateway, number = "carrier", number.partition("@")[0]
    elif kind == "error":
        done(f"-ERR {rest.upper()}\n")
        return None
    else:
        switch.loop.call_later(TICK, done, "-ERR CHAN_NOT_IMPLEMENTED\n")
        return None

    uuid = request.text("origination_uuid") or str(uuids.uuid4())
    if uuid in switch.legs or not switch.admit():
        switch.loop.call_later(TICK, done, OUT_OF_ORDER)
        return None
    if gateway and gateway not in GATEWAYS:
        _stillborn(switch, uuid)
        done("-ERR INVALID_GATEWAY\n")
        return None
    nth = switch.log.nth(number)
    if fate is None:
        if gateway == "deadcarrier":
            fate = DEAD_GATEWAY
        else:
            fate = customer_fate(number, switch.config.seed, nth, switch.config.mix)
    leg = _leg(switch, request, uuid, number, user, parent)
    leg.fate = fate
    leg.on_outcome = partial(_record, switch, leg, done)
    sip.invited(leg, request.variables, gateway, user)
    switch.add(leg)
    switch.log.invite(leg, nth, time.time())
    _announce(switch, leg, parent)
    _unfold(switch, leg, fate, request, dead=gateway == "deadcarrier")
    return leg


def _record(switch: Switch, leg: Leg, done: Done, answer: str) -> None:
    switch.log.result(leg, answer.split()[0] if answer.startswith("+OK") else answer.strip())
    done(answer)


def _leg(switch: Switch, request: Request, uuid: str, number: str, user: str, parent: Leg | None) -> Leg:
    now = switch.now_us()
    cid_number = request.text("origination_caller_id_number")
    cid_name = request.text("origination_caller_id_name")
    if parent is not None:
        cid_name = cid_name or parent.profile.cid_name
        cid_number = cid_number or parent.profile.cid_number
    cid_number = cid_number or "0000000000"
    profile = Profile(
        cid_name=cid_name,
        cid_number=cid_number,
        orig_name=cid_name,
        orig_number=cid_number,
        callee_name="Outbound Call",
        callee_number=number,
        destination=number,
        created=now,
    )
    domain = request.url.partition("@")[2] or switch.config.domain
    leg = Leg(
        uuid=uuid,
        name=f"sofia/internal/{user}@{SERVER}:{sip.PHONE_PORT}" if user else f"sofia/external/{number}",
        number=number,
        is_agent=bool(user),
        profile=profile,
        rng=switch.rng_for(uuid),
        session_id=switch.sessions_since_startup,
        presence_id=f"{user}@{domain}" if user else "",
        call_uuid=uuid,
    )
    leg.times.created = now
    return leg


def _announce(switch: Switch, leg: Leg, parent: Leg | None) -> None:
    if parent is not None:
        _descend(leg, parent)
    switch.emit("CHANNEL_OUTGOING", leg)
    if parent is not None:
        leg.call_uuid = parent.uuid
    switch.state(leg, "CS_INIT", 1)
    leg.state_number = 2
    switch.emit("CHANNEL_CREATE", leg)
    switch.emit("CHANNEL_ORIGINATE", leg)
    switch.state(leg, "CS_ROUTING", 2)
    leg.state_number = 7
    switch.presence(
        leg,
        "progressing",
        ("src/switch_core_state_machine.c", "check_presence", 521),
        "CS_ROUTING",
    )
    switch.state(leg, "CS_CONSUME_MEDIA", 7)


def _descend(leg: Leg, parent: Leg) -> None:
    """What a leg made by `bridge` inherits from the leg that bridges."""
    profile, p = leg.profile, parent.profile
    profile.dialplan, profile.rdnis, profile.network_addr = p.dialplan, p.rdnis, SERVER
    profile.orig_name, profile.orig_number = p.orig_name, p.orig_number
    leg.profile_changed()
    leg.meet(parent, "originator", with_times=False)
    before = list(leg.variables.items())
    at = [name for name, _ in before].index("sip_destination_url") + 1
    inherited: list[tuple[str, Value]] = [
        ("max_forwards", "69"),
        ("originator_codec", "PCMU@8000h@20i"),
        ("originator", parent.uuid),
        ("signal_bond", parent.uuid),
        ("switch_m_sdp", parent.variables.get("switch_r_sdp", "")),
        ("call_uuid", parent.uuid),
    ]
    before = [item for item in before if item[0] not in ("call_uuid", "video_media_flow")]
    at -= 2
    variables = dict(before[:at] + inherited + before[at:])
    leg.variables.clear()
    for name, value in variables.items():
        leg.set(name, value)
        if name == "originate_early_media":
            leg.set("originating_leg_uuid", parent.uuid)
        elif name == "audio_media_flow":
            leg.set("video_media_flow", "inactive")


def _unfold(switch: Switch, leg: Leg, fate: Fate, request: Request, *, dead: bool) -> None:
    """Plan what the far end does, and our own patience."""
    if fate.ring is Ring.RINGING:
        switch.later(leg, TICK, _progress, switch, leg)
    elif fate.ring is Ring.EARLY_MEDIA:
        ignored = str(request.text("ignore_early_media")).lower() in ("true", "yes", "1")
        switch.later(leg, TICK, _early_media, switch, leg, ignored)
    if fate.refusal is not None:
        # Never before the events of this call's creation have been sent.
        delay = max(fate.refuse_after, 0.0)
        if delay:
            switch.later(leg, delay + TICK, _refused, switch, leg, dead)
        else:
            leg.timers.append(switch.loop.call_later(0, _refused, switch, leg, dead))
        return
    if fate.answer_after is not None:
        switch.later(leg, TICK + fate.answer_after, _answer, switch, leg)
    # FreeSWITCH counts whole seconds of the clock: 4 s may fire after 3.3 s.
    wait = request.timeout
    if switch.config.speed == 1.0:
        now = time.time()
        wait = math.floor(now) + request.timeout - now
    switch.later(leg, wait, _give_up, switch, leg)


def _refused(switch: Switch, leg: Leg, dead: bool) -> None:
    if leg.fate is not None and leg.fate.refusal is not None:
        hangup.refuse(switch, leg, leg.fate.refusal, dead=dead)


def _progress(switch: Switch, leg: Leg) -> None:
    leg.profile.callee_name = leg.number
    leg.profile.network_addr = SERVER
    leg.times.progress = switch.now_us()
    leg.profile_changed()
    sip.ringing(leg)
    switch.emit("CHANNEL_PROGRESS", leg)
    switch.callstate(leg, "RINGING")


def _codecs(switch: Switch, leg: Leg) -> None:
    leg.has_codec = True
    read: dict[str, Value] = {
        "channel-read-codec-name": "PCMU",
        "channel-read-codec-rate": "8000",
        "channel-read-codec-bit-rate": "64000",
    }
    # The real one repeats two names of the channel's own block and spells the third differently.
    write: dict[str, Value] = {
        "Channel-Write-Codec-Name": "PCMU",
        "Channel-Write-Codec-Rate": "8000",
        "Channel-Write-codec-bit-rate": "64000",
    }
    switch.emit("CODEC", leg, last=read, fired_at="CODEC read")
    switch.emit("CODEC", leg, last=write, fired_at="CODEC write")


def _early_media(switch: Switch, leg: Leg, ignored: bool) -> None:
    leg.profile.callee_name = leg.number
    leg.profile.network_addr = SERVER
    sip.ringing(leg)
    _codecs(switch, leg)
    sip.media(leg)
    leg.times.progress = leg.times.progress_media = switch.now_us()
    leg.profile_changed()
    leg.answer_state = "early"
    switch.emit("CHANNEL_PROGRESS_MEDIA", leg)
    switch.callstate(leg, "EARLY")
    if not ignored:
        _proceed(leg)


def _answer(switch: Switch, leg: Leg) -> None:
    fate = leg.fate
    if not leg.has_codec:
        _codecs(switch, leg)
    leg.answer_state = "answered"
    leg.times.answered = switch.now_us()
    leg.profile_changed()
    if "switch_r_sdp" not in leg.variables:
        sip.media(leg)
    switch.log.answered(leg, time.time())
    switch.emit("CHANNEL_ANSWER", leg)
    switch.presence(
        leg,
        "active",
        ("src/switch_channel.c", "switch_channel_perform_mark_answered", 3904),
        "answered",
    )
    switch.callstate(leg, "ACTIVE")
    if fate is not None:
        stays = fate.patience if fate.patience is not None else fate.hangup_after
        if stays is not None:
            leg.going = switch.later(leg, stays, far_end_hangs_up, switch, leg)
    _proceed(leg)


def far_end_hangs_up(switch: Switch, leg: Leg) -> None:
    """The customer or agent puts the telephone down."""
    hangup.hangup(switch, leg, "NORMAL_CLEARING", RECV_BYE)


def _give_up(switch: Switch, leg: Leg) -> None:
    if leg.on_answer is not None:
        hangup.hangup(switch, leg, "NO_ANSWER", SEND_CANCEL)


def _proceed(leg: Leg) -> None:
    go_on, leg.on_answer = leg.on_answer, None
    if go_on is not None:
        go_on(leg)


def _succeed_soon(switch: Switch, leg: Leg, request: Request) -> None:
    switch.later(leg, TICK, _succeed, switch, leg, request)


def _succeed(switch: Switch, leg: Leg, request: Request) -> None:
    """The originate is over: flip the caller id, answer the command, run the application."""
    if leg.presence_id:
        switch.emit("CHANNEL_OUTGOING", leg)
    sip.originated(leg)
    leg.flip_caller_id()
    leg.hit_dialplan = True
    switch.emit("CALL_UPDATE", leg, first={"Direction": "RECV"}, fired_at="CALL_UPDATE flip")
    outcome, leg.on_outcome = leg.on_outcome, None
    if outcome is not None:
        outcome(f"+OK {leg.uuid}\n")
    switch.state(leg, "CS_EXECUTE", 4)
    applications.run_destination(switch, leg, request.destination, request.dialplan)


def _stillborn(switch: Switch, uuid: str) -> None:
    """An unknown gateway: CHANNEL_DESTROY and CHANNEL_STATE of a leg that was never created."""
    state: dict[str, Value] = {
        "Channel-State": "CS_NONE",
        "Channel-Call-State": "DOWN",
        "Channel-State-Number": "0",
        "Channel-Name": "N/A",
        "Unique-ID": uuid,
        "Call-Direction": "outbound",
        "Presence-Call-Direction": "outbound",
        "Channel-HIT-Dialplan": "false",
        "Channel-Call-UUID": uuid,
        "Answer-State": "ringing",
    }
    variables: dict[str, Value] = {
        "variable_direction": "outbound",
        "variable_is_outbound": "true",
        "variable_uuid": uuid,
        "variable_call_uuid": uuid,
        "variable_session_id": str(switch.sessions_since_startup),
    }
    switch.fire(switch.make("CHANNEL_DESTROY", first=state, last=variables))
    switch.fire(switch.make("CHANNEL_STATE", first={**state, "Channel-State": "CS_DESTROY"}))
