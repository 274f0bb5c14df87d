"""How a leg ends, and what its end does to the leg it was bridged to."""

from __future__ import annotations

from esl_bridge.simulator import bridging, cdr, media, sip
from esl_bridge.simulator.behaviour import Refusal
from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.protocol import Value
from esl_bridge.simulator.tables import RECV_BYE, RECV_REFUSE, SEND_BYE, SEND_CANCEL

_CHECK_PRESENCE = ("src/switch_core_state_machine.c", "check_presence", 521)


def hangup(switch: Switch, leg: Leg, cause: str, disposition: str = "") -> bool:
    """Hang a leg up. Without a disposition we hang up: BYE if it was answered, else CANCEL.

    CHANNEL_HANGUP comes at once, the rest as soon as the running command has been answered.
    """
    if not begin(switch, leg, cause, disposition):
        return False
    switch.soon(_finish, switch, leg)
    return True


def refuse(switch: Switch, leg: Leg, refusal: Refusal, *, dead: bool = False) -> None:
    """The far end refused the INVITE."""
    if leg.hangup_cause or leg.gone:
        return
    if not dead:
        leg.profile.network_addr = leg.profile.network_addr or "127.0.0.1"
        leg.profile_changed()
    sip.refused(leg, refusal.status, refusal.phrase, refusal.cause, dead=dead)
    hangup(switch, leg, refusal.cause, RECV_REFUSE)


def begin(switch: Switch, leg: Leg, cause: str, disposition: str = "") -> bool:
    """Mark a leg as hung up and fire CHANNEL_HANGUP. False if it already was."""
    if leg.gone or leg.hangup_cause:
        return False
    leg.cancel_timers()
    leg.drops_peer = bridging.drops(leg)
    if leg.held:
        media.let_go(switch, leg)
    if not disposition:
        disposition = SEND_BYE if leg.answered else SEND_CANCEL
    leg.hangup_cause = cause
    leg.answer_state = "hangup"
    leg.state_number = 10
    leg.disposition = disposition
    if disposition == RECV_BYE:
        sip.byed(leg)
    if leg.peer is not None and not leg.peer.hangup_cause:
        leg.set("last_bridge_role", "originator" if leg.bridge_role == "a" else "originatee")
    switch.emit("CHANNEL_HANGUP", leg)
    return True


def _finish(switch: Switch, leg: Leg) -> None:
    if leg.gone:
        return
    if leg.child is not None:
        hangup(switch, leg.child, "ORIGINATOR_CANCEL", SEND_CANCEL)
    if leg.peer is not None:
        _finish_bridged(switch, leg, leg.peer)
    else:
        leave_application(switch, leg)
        report(switch, leg)
        destroy(switch, leg)


def _finish_bridged(switch: Switch, leg: Leg, peer: Leg) -> None:
    a, b = (leg, peer) if leg.bridge_role == "a" else (peer, leg)
    media.end_hold(switch, leg)
    media.end_hold(switch, peer)
    bridging.separate_legs(switch, a, b)
    if leg is b:
        report(switch, b)
        if b.disposition == RECV_BYE:
            a.put(
                sip_reason=b.variables.get("sip_reason", ""),
                sip_hangup_phrase="OK",
                last_bridge_hangup_cause=b.hangup_cause,
                last_bridge_proto_specific_hangup_cause="sip:200",
            )
        else:
            a.set("last_bridge_hangup_cause", b.hangup_cause)
        bridging.unbridge_event(switch, a, b)
        destroy(switch, b)
        bridging.after_bridge(switch, a, b)
        return
    survives = b.var_true("park_after_bridge") and not b.hangup_cause and not a.drops_peer
    if not survives and not b.hangup_cause:
        b.unset("bridge_to")
        if leg.disposition == RECV_BYE:
            b.put(
                sip_reason=leg.variables.get("sip_reason", ""),
                sip_hangup_phrase="OK",
            )
        b.set("last_bridge_hangup_cause", leg.hangup_cause)
        if leg.disposition == RECV_BYE:
            b.set("last_bridge_proto_specific_hangup_cause", "sip:200")
        begin(switch, b, "NORMAL_CLEARING")
    if not survives:
        report(switch, b)
    if a.disposition == RECV_BYE:
        sip.said_bye(a)
    if survives:
        bridging.after_bridge(switch, b, a)
    bridging.unbridge_event(switch, a, b)
    if not survives:
        destroy(switch, b)
    leave_application(switch, a)
    report(switch, a)
    destroy(switch, a)


def leave_application(switch: Switch, leg: Leg) -> None:
    """End what a leg was executing: UNPARK, the eavesdropped leg's media bug, EXECUTE_COMPLETE."""
    if leg.disposition == RECV_BYE:
        sip.said_bye(leg)
    if leg.parked:
        leg.parked = False
        media.stop_playing(switch, leg, "done")
        switch.emit("CHANNEL_UNPARK", leg)
    application = leg.application
    if application is None:
        return
    leg.application = None
    if leg.spied is not None:
        stop_spying(switch, leg)
    if application.name == "playback":
        media.end_playback(switch, leg, "break")
    switch.emit("CHANNEL_EXECUTE_COMPLETE", leg, last=execute_headers(application, done=True))


def stop_spying(switch: Switch, leg: Leg) -> None:
    """Take an eavesdropper's ear off the leg it listens to."""
    spied, leg.spied = leg.spied, None
    leg.eavesdropping = False
    if spied is not None and leg in spied.spies:
        spied.spies.remove(leg)
        switch.emit(
            "MEDIA_BUG_STOP",
            spied,
            first={"Media-Bug-Function": "eavesdrop", "Media-Bug-Target": spied.uuid},
        )
    codec: dict[str, Value] = {
        "channel-read-codec-name": "PCMU",
        "channel-read-codec-rate": "8000",
        "channel-read-codec-bit-rate": "64000",
    }
    leg.replace("read_codec", "PCMU")
    leg.touch("read_codec", "read_rate")
    switch.emit("CODEC", leg, last=codec, fired_at="CODEC eavesdrop")


def execute_headers(application: object, *, done: bool = False) -> dict[str, Value]:
    """The headers of CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE."""
    name = getattr(application, "name", "")
    data = getattr(application, "data", "")
    uuid = getattr(application, "uuid", "")
    headers: dict[str, Value] = {"Application": name}
    if data:
        headers["Application-Data"] = data
    if done:
        headers["Application-Response"] = "_none_"
    headers["Application-UUID"] = uuid
    return headers


def report(switch: Switch, leg: Leg) -> None:
    """From CHANNEL_STATE CS_HANGUP to CHANNEL_HANGUP_COMPLETE."""
    switch.state(leg, "CS_HANGUP", 10)
    for path in list(leg.recordings):
        stop_recording(switch, leg, path, "success-silence")
    leg.times.hangup = switch.now_us()
    leg.profile_changed()
    switch.callstate(leg, "HANGUP")
    leg.state_number = 11
    switch.presence(leg, "idle", _CHECK_PRESENCE, "CS_HANGUP")
    switch.state(leg, "CS_REPORTING", 11)
    leg.unset("bridge_to")
    cdr.report(leg)
    switch.emit("CHANNEL_HANGUP_COMPLETE", leg, first={"Hangup-Cause": leg.hangup_cause})


def destroy(switch: Switch, leg: Leg, *, transferred: bool = False) -> None:
    """The last two events, and the answer to an originate still waiting."""
    if leg.on_outcome is not None:
        outcome, leg.on_outcome = leg.on_outcome, None
        outcome(f"-ERR {leg.hangup_cause}\n")
    spies, leg.spies = list(leg.spies), []
    leg.state_number = 12
    if leg.call_uuid != leg.uuid:
        if leg.disposition != RECV_BYE and not transferred:
            leg.set("bridge_hangup_cause", "NORMAL_CLEARING")
        leg.call_uuid = leg.uuid
        leg.set("call_uuid", leg.uuid)
    for _ in spies:
        switch.emit(
            "MEDIA_BUG_STOP",
            leg,
            first={"Media-Bug-Function": "eavesdrop", "Media-Bug-Target": leg.uuid},
        )
    switch.emit("CHANNEL_DESTROY", leg)
    switch.state(leg, "CS_DESTROY", 12)
    switch.remove(leg)
    for spy in spies:
        leave_application(switch, spy)
        hangup(switch, spy, "NORMAL_CLEARING")


def stop_recording(switch: Switch, leg: Leg, path: str, cause: str) -> None:
    """RECORD_STOP and the end of its media bug."""
    recording = leg.recordings.pop(path)
    ms = max(0, (switch.now_us() - recording.started) // 1000)
    leg.put(
        record_file_size=str(44 + ms * 32),
        record_samples=str(ms * 8),
        record_seconds=str(ms // 1000),
        record_ms=str(ms),
        record_completion_cause=cause,
    )
    switch.emit("RECORD_STOP", leg, last={"Record-File-Path": path, "Record-Completion-Cause": cause})
    switch.emit(
        "MEDIA_BUG_STOP",
        leg,
        first={"Media-Bug-Function": "session_record", "Media-Bug-Target": path},
    )
