"""Joining two legs and taking them apart again: uuid_bridge, uuid_park, uuid_transfer, bridge."""

from __future__ import annotations

import time
import uuid as uuids

from esl_bridge.simulator import applications, hangup, media
from esl_bridge.simulator.core import TICK, Switch
from esl_bridge.simulator.legs import SERVER, Leg

CHECK_PRESENCE = ("src/switch_core_state_machine.c", "check_presence", 521)
PATIENCE = 1000
"""Ticks a leg waits for the one it is to be bridged to: 20 s."""


def uuid_bridge(switch: Switch, a: Leg, b: Leg) -> None:
    """Start joining two legs; CHANNEL_BRIDGE follows two ticks later, as on the real one."""
    if any(leg.answered and leg.on_outcome is not None for leg in (a, b)):
        # Answered, but its originate has not returned yet: it will in a tick.
        switch.after(TICK, uuid_bridge, switch, a, b)
        return
    if not a.hit_dialplan:
        a.flip_caller_id()
        a.hit_dialplan = True
        switch.emit("CALL_UPDATE", a, first={"Direction": "RECV"}, fired_at="CALL_UPDATE flip")
    if not a.has_codec:
        # The leg that has media is the one that waits for the other.
        a, b = b, a
    for leg in (a, b):
        if leg.peer is not None:
            _leave_bridge(switch, leg, keep=(a, b))
    if _waits(a):
        # It goes on waiting for the leg it was ordered to before; this one is left where it is.
        switch.soon(_reset, switch, b)
        return
    a.joining, b.joining = b, None
    for leg, other in ((a, b), (b, a)):
        _new_profile(switch, leg, f"uuid_br:{other.uuid}")
    a.profile.logical_direction = "inbound"
    # Each sees the other as it was before; A's Other-Leg is "inbound", B's has no times.
    a.meet(b, "originatee", with_times=True)
    b.meet(a, "originator", with_times=False)
    originals = {leg: (leg.profile.cid_name, leg.profile.cid_number) for leg in (a, b)}
    a.profile.callee_name, a.profile.callee_number = b.profile.callee_name, b.profile.callee_number
    b.profile.cid_name, b.profile.cid_number = originals[a]
    b.hit_dialplan = False
    for leg in (a, b):
        leg.profile_changed()
    a.set("uuid_bridge", b.uuid)
    for leg, other in ((a, b), (b, a)):
        cid_name, cid_number = originals[leg]
        leg.put(
            bridge_channel=other.name,
            bridge_uuid=other.uuid,
            signal_bond=other.uuid,
            original_destination_number=leg.profile.destination,
            original_caller_id_name=cid_name,
            original_caller_id_number=cid_number,
        )
        _history(leg)
    switch.soon(_reset, switch, b)
    switch.after(TICK, _softly, switch, a, b)


def _reset(switch: Switch, leg: Leg) -> None:
    if leg.gone or leg.hangup_cause:
        return
    leg.state_number = 8
    hangup.leave_application(switch, leg)
    switch.state(leg, "CS_HIBERNATE", 8)
    switch.state(leg, "CS_RESET", 9)


def _softly(switch: Switch, a: Leg, b: Leg) -> None:
    if a.joining is not b or a.gone or a.hangup_cause:
        return  # nobody tells the B leg: it stays in CS_RESET
    _reset(switch, a)
    switch.state(a, "CS_SOFT_EXECUTE", 3)
    if b.gone:
        a.joining = None
        if a.var_true("park_after_bridge"):
            park_state(switch, a)
        else:
            hangup.hangup(switch, a, "DESTINATION_OUT_OF_ORDER")
        return
    _await(switch, a, b, PATIENCE)


def _await(switch: Switch, a: Leg, b: Leg, left: int) -> None:
    """The A leg looks every tick whether the B leg is ready.

    If it never is, both are hung up, whoever the B leg talks to meanwhile.
    """
    if a.joining is not b or a.gone or a.hangup_cause:
        return
    if b.gone or b.hangup_cause:
        a.joining = None
        hangup.hangup(switch, a, "ORIGINATOR_CANCEL")
        return
    if b.state == "CS_RESET":
        switch.state(b, "CS_SOFT_EXECUTE", 3)
    elif b.state == "CS_SOFT_EXECUTE" and b.peer is None and b.joining is None:
        _meet(switch, a, b)
        return
    elif left <= 0:
        a.joining = None
        for leg in (a, b):
            hangup.hangup(switch, leg, "DESTINATION_OUT_OF_ORDER")
        return
    switch.after(TICK, _await, switch, a, b, left - 1)


def _waits(leg: Leg) -> bool:
    """Whether a leg hangs in the loop of `_await`, deaf to every order but a hangup."""
    return leg.joining is not None and leg.state == "CS_SOFT_EXECUTE"


def _meet(switch: Switch, a: Leg, b: Leg) -> None:
    a.unset("uuid_bridge")
    outcome = None
    if not b.answered and b.on_outcome is not None:
        # Ordered before its answer: its originate fails, and without media so does the bridge.
        outcome, b.on_outcome, b.on_answer = b.on_outcome, None, None
    if not b.has_codec:
        a.joining = None
        hangup.hangup(switch, b, "DESTINATION_OUT_OF_ORDER")
        hangup.hangup(switch, a, "ORIGINATOR_CANCEL")
    else:
        data = {"Application": "uuid_bridge", "Application-Data": b.uuid}
        switch.emit("CHANNEL_EXECUTE", a, last=dict(data), fired_at="CHANNEL_EXECUTE bridge a")
        b.touch("call_uuid")
        data["Application-Data"] = a.uuid
        switch.emit("CHANNEL_EXECUTE", b, last=dict(data), fired_at="CHANNEL_EXECUTE bridge b")
        join(switch, a, b)
    if outcome is not None:
        outcome("-ERR ORIGINATOR_CANCEL\n")


def join(switch: Switch, a: Leg, b: Leg) -> None:
    """The bridge is up: CHANNEL_BRIDGE on the A leg, CALL_UPDATE on both."""
    now = switch.now_us()
    clock = time.time()
    for leg, other, role in ((a, b, "a"), (b, a, "b")):
        leg.peer = other
        leg.joining = None
        leg.drops_peer = False
        leg.bridge_role = role
        leg.times.bridged = now
        leg.profile_changed()
        switch.log.bridged(leg, other, clock)
        applications.bridged(switch, leg)
    bridge = {"Bridge-A-Unique-ID": a.uuid, "Bridge-B-Unique-ID": b.uuid}
    switch.emit("CHANNEL_BRIDGE", a, first=dict(bridge))
    b.call_uuid = a.uuid
    b.replace("call_uuid", a.uuid)
    switch.state(b, "CS_EXCHANGE_MEDIA", 5)
    for leg, other in ((a, b), (b, a)):
        sent = a.profile.cid_number if leg is b else _called(a, b)
        leg.put(bridge_to=other.uuid, last_bridge_to=other.uuid)
        leg.put(bridge_channel=other.name, bridge_uuid=other.uuid, signal_bond=other.uuid)
        leg.put(last_sent_callee_id_name=sent, last_sent_callee_id_number=sent)
        switch.emit(
            "CALL_UPDATE",
            leg,
            first={
                "Direction": "SEND",
                "Sent-Callee-ID-Name": sent,
                "Sent-Callee-ID-Number": sent,
                "Bridged-To": other.uuid,
            },
        )


def _called(a: Leg, b: Leg) -> str:
    """The number A is told it talks to: dialled by `bridge`, or presented to B before uuid_bridge."""
    return b.number if a.state == "CS_EXECUTE" else b.profile.callee_number


def separate_legs(switch: Switch, a: Leg, b: Leg) -> None:
    """Forget that two legs were bridged. Says nothing but that a hold is over."""
    clock = time.time()
    for leg in (a, b):
        media.moved(switch, leg)
        leg.peer = None
        leg.bridge_role = ""
        switch.log.unbridged(leg, clock)


def unbridge_event(switch: Switch, a: Leg, b: Leg) -> None:
    """CHANNEL_UNBRIDGE, on the A leg only."""
    a.unset("bridge_to")
    if a.hangup_cause or b.hangup_cause:
        a.set("bridge_hangup_cause", b.hangup_cause or "NORMAL_CLEARING")
    switch.emit(
        "CHANNEL_UNBRIDGE",
        a,
        first={"Bridge-A-Unique-ID": a.uuid, "Bridge-B-Unique-ID": b.uuid},
    )


def after_bridge(switch: Switch, leg: Leg, other: Leg) -> None:
    """What a leg left alone does: park_after_bridge parks it, otherwise it is hung up."""
    if leg.gone or leg.hangup_cause:
        return
    leg.unset("bridge_to")
    if leg.call_uuid != leg.uuid:
        leg.call_uuid = leg.uuid
        leg.set("call_uuid", leg.uuid)
    if leg.var_true("park_after_bridge") and not other.drops_peer:
        park_state(switch, leg)
        return
    if leg.state == "CS_SOFT_EXECUTE" and leg.var_true("hangup_after_bridge"):
        hangup.hangup(switch, leg, other.hangup_cause or "NORMAL_CLEARING")
        return
    if leg.state == "CS_SOFT_EXECUTE":
        switch.state(leg, "CS_EXECUTE", 4)
        leg.touch("call_uuid")
    elif leg.application is not None:
        hangup.leave_application(switch, leg)
    hangup.hangup(switch, leg, "NORMAL_CLEARING")


def park_state(switch: Switch, leg: Leg) -> None:
    """Park a leg without an application, as switch_ivr_park_session does."""
    if leg.parked:
        return
    switch.state(leg, "CS_PARK", 6)
    leg.parked = True
    switch.emit("CHANNEL_PARK", leg)


def drops(leg: Leg) -> bool:
    """Whether the other leg is hung up when this one parks or ends: whoever leads a bridge and holds takes it along."""
    return leg.held and leg.bridge_role == "a" and not leg.var("hold_hangup_xfer_exten")


def uuid_park(switch: Switch, leg: Leg) -> None:
    """Park a leg, leaving its bridge if it has one."""
    if _waits(leg):
        return
    if leg.peer is not None:
        leg.drops_peer = drops(leg)
        _leave_bridge(switch, leg, keep=(leg,))
    leg.joining = None
    hangup.leave_application(switch, leg) if not leg.parked else None
    park_state(switch, leg)


def _leave_bridge(switch: Switch, leg: Leg, keep: tuple[Leg, ...]) -> None:
    """Break a leg's bridge; the other side goes its way unless it is to be kept."""
    peer = leg.peer
    if peer is None:
        return
    a, b = (leg, peer) if leg.bridge_role == "a" else (peer, leg)
    separate_legs(switch, a, b)
    parks_first = peer not in keep and _parks_first(peer, b, leg)
    if parks_first:
        after_bridge(switch, peer, leg)
    unbridge_event(switch, a, b)
    if leg.call_uuid != leg.uuid:
        leg.call_uuid = leg.uuid
        leg.set("call_uuid", leg.uuid)
    leg.unset("bridge_to")
    if peer not in keep and not parks_first:
        after_bridge(switch, peer, leg)


def _parks_first(peer: Leg, b: Leg, leg: Leg) -> bool:
    """The A leg tells of the end of a bridge when the B leg has gone its way."""
    return peer is b and peer.var_true("park_after_bridge") and not leg.drops_peer


def transfer(switch: Switch, leg: Leg, extension: str, dialplan: str, context: str) -> None:
    """`uuid_transfer`: the leg leaves what it does and runs an extension or an inline dialplan."""
    if _waits(leg):
        return
    leg.joining = None
    _new_profile(switch, leg, f"bl_xfer:{extension}/{context or 'default'}/{dialplan or 'XML'}")
    _readdress(leg, extension, dialplan)
    peer = leg.peer
    if peer is None:
        leg.state_number = 2
        hangup.leave_application(switch, leg)
        leg.set("max_forwards", "70")
        _history(leg)
        _route(switch, leg, extension, dialplan)
        return
    a, b = (leg, peer) if leg.bridge_role == "a" else (peer, leg)
    separate_legs(switch, a, b)
    leg.unset("bridge_to")
    survives = peer.var_true("park_after_bridge")
    if not survives:
        peer.unset("bridge_to", "signal_bond")
        hangup.begin(switch, peer, "NORMAL_CLEARING")
        hangup.report(switch, peer)
    leg.state_number = 2
    leg.set("max_forwards", "70")
    _history(leg)
    leg.unset("signal_bond")
    parks_first = _parks_first(peer, b, leg)
    if parks_first:
        after_bridge(switch, peer, leg)
    unbridge_event(switch, a, b)
    if not survives:
        hangup.destroy(switch, peer, transferred=True)
    elif not parks_first:
        after_bridge(switch, peer, leg)
    if leg.call_uuid != leg.uuid:
        leg.call_uuid = leg.uuid
        leg.set("call_uuid", leg.uuid)
    _route(switch, leg, extension, dialplan)


def transfer_both(switch: Switch, leg: Leg, extension: str, dialplan: str) -> None:
    """`uuid_transfer -both`: both legs of a bridge run the same extension."""
    peer = leg.peer
    if peer is None:
        transfer(switch, leg, extension, dialplan, "")
        return
    a, b = (leg, peer) if leg.bridge_role == "a" else (peer, leg)
    for one in (a, b):
        _new_profile(switch, one, f"bl_xfer:{extension}/default/{dialplan or 'XML'}")
        _readdress(one, extension, dialplan)
        one.put(max_forwards="70")
        _history(one)
    separate_legs(switch, a, b)
    a.unset("signal_bond")
    a.state_number = 2
    unbridge_event(switch, a, b)
    _route(switch, a, extension, dialplan)
    b.unset("bridge_to", "signal_bond")
    if b.call_uuid != b.uuid:
        b.call_uuid = b.uuid
        b.set("call_uuid", b.uuid)
    switch.state(b, "CS_ROUTING", 2)
    b.hit_dialplan = True
    _routed(b, dialplan)
    b.flip_caller_id()
    switch.emit("CALL_UPDATE", b, first={"Direction": "RECV"}, fired_at="CALL_UPDATE flip")
    b.state_number = 4
    switch.presence(b, "active", CHECK_PRESENCE, "CS_ROUTING")
    switch.state(b, "CS_EXECUTE", 4)
    _execute(switch, b, extension, dialplan)


def _route(switch: Switch, leg: Leg, extension: str, dialplan: str) -> None:
    leg.hit_dialplan = True
    switch.state(leg, "CS_ROUTING", 2)
    _routed(leg, dialplan)
    switch.state(leg, "CS_EXECUTE", 4)
    leg.touch("call_uuid")
    _execute(switch, leg, extension, dialplan)


def _execute(switch: Switch, leg: Leg, extension: str, dialplan: str) -> None:
    if dialplan.lower() == "inline":
        applications.run_inline(switch, leg, extension)
    else:
        applications.run_extension(switch, leg, extension)


def _readdress(leg: Leg, extension: str, dialplan: str) -> None:
    """A transferred leg has a new destination and knows no other leg."""
    p = leg.profile
    p.rdnis, p.destination, p.dialplan = p.destination, extension, dialplan or "XML"
    leg.other_profile = None
    leg.times.bridged = 0
    leg.profile_changed()


def _routed(leg: Leg, dialplan: str) -> None:
    """After routing, an inline dialplan's text is no destination any more."""
    p = leg.profile
    if dialplan.lower() == "inline":
        p.destination, p.rdnis = p.rdnis, ""
        leg.profile_changed()


def _new_profile(switch: Switch, leg: Leg, what: str) -> None:
    now = switch.now_us()
    leg.profile.transfer_source = f"{now // 1_000_000}:{uuids.uuid4()}:{what}"
    leg.profile.index += 1
    leg.profile.created = now
    leg.profile.network_addr = leg.profile.network_addr or SERVER


def _history(leg: Leg) -> None:
    """variable_transfer_history grows into an array, variable_transfer_source is the last."""
    source = leg.profile.transfer_source
    before = leg.variables.get("transfer_history")
    if before is None:
        leg.set("transfer_history", source)
    else:
        earlier = [before] if isinstance(before, str) else before
        leg.replace("transfer_history", [*earlier, source])
    leg.set("transfer_source", source)
