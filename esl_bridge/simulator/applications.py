"""What a leg can be made to do: park, eavesdrop, bridge, playback, hold, record, key presses."""

from __future__ import annotations

import re
import uuid as uuids
from functools import partial

from esl_bridge.simulator import bridging, dialstring, hangup, machines, media, originate, sip
from esl_bridge.simulator.core import TICK, Switch
from esl_bridge.simulator.legs import Application, Leg
from esl_bridge.simulator.protocol import Value

INSTANT = frozenset({"set", "export", "unset", "answer", "ring_ready", "log", "info", "push", "avmd_start"})
IDLING = frozenset({"echo", "conference", "sleep", "record_session", "gentones"})


def run_destination(switch: Switch, leg: Leg, destination: str, dialplan: str) -> None:
    """What an originate names after the call url: `&app(args)` or an extension."""
    leg.touch("call_uuid")
    match = re.fullmatch(r"&(\w+)(?:\((.*)\))?", destination, re.DOTALL)
    if match is not None:
        run(switch, leg, match.group(1), match.group(2) or "")
    elif dialplan.lower() == "inline":
        run_inline(switch, leg, destination)
    else:
        run_extension(switch, leg, destination)


def run_inline(switch: Switch, leg: Leg, text: str) -> None:
    """An inline dialplan: `app:args,app:args`. What follows a playback comes when that has ended; what follows anything
    else that takes its time never comes."""
    steps = re.split(r"(?<!\\),", text.strip("'"))
    for number, step in enumerate(steps, 1):
        name, _, data = step.partition(":")
        if leg.gone or leg.hangup_cause:
            return
        run(switch, leg, name.strip(), data, ",".join(steps[number:]))
        if name.strip() not in INSTANT:
            return


def run_extension(switch: Switch, leg: Leg, extension: str) -> None:
    """The dialplan: an agent's extension is bridged to, `park` parks, anything else has no route."""
    if extension == "park":
        run(switch, leg, "park", "")
    elif extension.isdigit():
        leg.set("DP_MATCH", [extension, extension])
        leg.touch("call_uuid")
        run(switch, leg, "set", "hangup_after_bridge=true")
        run(switch, leg, "set", "ringback=tone_stream://%(2000,4000,440,480)")
        run(switch, leg, "bridge", f"user/{extension}@{switch.config.domain}")
    else:
        hangup.hangup(switch, leg, "NO_ROUTE_DESTINATION")


def run(switch: Switch, leg: Leg, name: str, data: str, then: str = "") -> None:
    """Execute one application on a leg, and after a playback what follows in its inline dialplan."""
    known = name in INSTANT | IDLING | {"park", "eavesdrop", "bridge", "playback", "hangup"}
    if not known or (name == "avmd_start" and not switch.config.machine_detection):
        # The originate has already answered +OK.
        hangup.hangup(switch, leg, "DESTINATION_OUT_OF_ORDER")
        return
    application = Application(name, data, str(uuids.uuid4()))
    leg.application = application
    leg.unset("current_application_response")
    leg.put(current_application=name, current_application_data=data)
    leg.last_app, leg.last_arg = name, data
    switch.emit("CHANNEL_EXECUTE", leg, last=hangup.execute_headers(application))
    leg.touch("current_application")
    if name in INSTANT:
        _instantly(switch, leg, application)
    elif name == "park":
        leg.parked = True
        switch.emit("CHANNEL_PARK", leg)
    elif name == "eavesdrop":
        _eavesdrop(switch, leg, data.strip())
    elif name == "bridge":
        _bridge(switch, leg, data)
    elif name == "hangup":
        hangup.hangup(switch, leg, data.strip().upper() or "NORMAL_CLEARING")
    elif name == "playback":
        media.play_and_end(switch, leg, data, partial(run_inline, switch, leg, then) if then else None)


def _instantly(switch: Switch, leg: Leg, application: Application) -> None:
    if application.name in ("set", "export", "push"):
        variable, _, value = application.data.partition("=")
        _assign(leg, variable.removeprefix("nolocal:"), value, push=application.name == "push")
    elif application.name == "unset":
        leg.unset(application.data)
    elif application.name == "avmd_start":
        machines.listen(switch, leg)
    leg.application = None
    switch.emit("CHANNEL_EXECUTE_COMPLETE", leg, last=hangup.execute_headers(application, done=True))


def _assign(leg: Leg, variable: str, value: str, *, push: bool) -> None:
    before = leg.variables.get(variable)
    if push and before is not None:
        leg.replace(variable, [*([before] if isinstance(before, str) else before), value])
    else:
        leg.set(variable, value)


def execute(switch: Switch, leg: Leg, name: str, data: str) -> None:
    """`sendmsg` with call-command execute: an application on top of what the leg is doing."""
    command = media.command(switch, name, data, loops=0)
    below, parked = leg.application, leg.parked
    run(switch, leg, name, data)
    if name in INSTANT:
        leg.application, leg.parked = below, parked
        media.private_command(switch, leg, command)


def _eavesdrop(switch: Switch, leg: Leg, target: str) -> None:
    spied = switch.legs.get(target)
    if spied is None or spied.hangup_cause:
        hangup.leave_application(switch, leg)
        hangup.hangup(switch, leg, "NORMAL_CLEARING")
        return
    leg.eavesdropping = True
    leg.spied = spied
    spied.spies.append(leg)
    codec: dict[str, Value] = {
        "channel-read-codec-name": "L16",
        "channel-read-codec-rate": "8000",
        "channel-read-codec-bit-rate": "128000",
    }
    leg.touch("read_codec", "read_rate")
    leg.replace("read_codec", "L16")
    switch.emit("CODEC", leg, last=codec, fired_at="CODEC eavesdrop")
    switch.emit(
        "MEDIA_BUG_START",
        spied,
        first={"Media-Bug-Function": "eavesdrop", "Media-Bug-Target": spied.uuid},
    )
    name, number = spied.profile.cid_name, spied.profile.cid_number
    leg.put(last_sent_callee_id_name=name or number, last_sent_callee_id_number=number)
    switch.emit(
        "CALL_UPDATE",
        leg,
        first={
            "Direction": "SEND",
            "Sent-Callee-ID-Name": name or number,
            "Sent-Callee-ID-Number": number,
        },
    )


def _bridge(switch: Switch, leg: Leg, url: str) -> None:
    switch.callstate(leg, "RING_WAIT")
    request = dialstring.parse(f"{url.split(',')[0]} &bridge")
    if isinstance(request, str):
        _bridge_failed(switch, leg, request)
        return
    request.variables.setdefault("ignore_early_media", leg.var("ignore_early_media"))
    child = originate.invite(switch, request, partial(_bridge_failed, switch, leg), parent=leg)
    if child is not None:
        leg.child = child
        switch.later(leg, 2 * TICK, _ringback, switch, leg, True)
        child.on_answer = partial(_bridge_answered, switch, leg)


def _ringback(switch: Switch, leg: Leg, on: bool) -> None:
    """A leg hears ringing while its bridge is called: it is read as L16 meanwhile."""
    leg.eavesdropping = on
    codec: dict[str, Value] = {
        "channel-read-codec-name": "L16" if on else "PCMU",
        "channel-read-codec-rate": "8000",
        "channel-read-codec-bit-rate": "128000" if on else "64000",
    }
    switch.emit("CODEC", leg, last=codec, fired_at="CODEC eavesdrop")


def _bridge_answered(switch: Switch, leg: Leg, child: Leg) -> None:
    child.on_outcome = None
    leg.child = None
    switch.log.result(child, "+OK")
    if leg.gone or leg.hangup_cause:
        hangup.hangup(switch, child, "ORIGINATOR_CANCEL")
        return
    leg.profile.callee_name = leg.profile.callee_number = child.number
    leg.profile_changed()
    _ringback(switch, leg, False)
    leg.meet(child, "originatee", with_times=True)
    child.meet(leg, "originator", with_times=False)
    switch.callstate(leg, "ACTIVE")
    if child.presence_id:
        switch.emit("CHANNEL_OUTGOING", child)
    sip.originated(child)
    leg.put(
        dialed_user=child.number,
        dialed_domain=switch.config.domain,
        originated_legs=[f"{child.uuid};Outbound Call;{child.number}"] * 2,
        switch_m_sdp=child.variables.get("switch_r_sdp", ""),
        video_media_flow="inactive",
        text_media_flow="inactive",
    )
    leg.touch("audio_media_flow", "read_codec", "read_rate")
    leg.put(
        originate_causes=[f"{child.uuid};NONE"] * 2,
        originate_disposition="SUCCESS",
        DIALSTATUS="SUCCESS",
        signal_bond=child.uuid,
    )
    bridging.join(switch, leg, child)


def _bridge_failed(switch: Switch, leg: Leg, answer: str) -> None:
    leg.child = None
    if leg.gone or leg.hangup_cause:
        return
    cause = answer.removeprefix("-ERR ").strip()
    leg.put(originate_disposition=cause, DIALSTATUS=cause)
    switch.callstate(leg, "ACTIVE")
    hangup.leave_application(switch, leg)
    hangup.hangup(switch, leg, cause)


def bridged(switch: Switch, leg: Leg) -> None:
    """A leg got somebody to talk to: an impatient customer now stays for the talk."""
    fate = leg.fate
    if fate is None or fate.patience is None or fate.hangup_after is None or leg.going is None:
        return
    leg.going.cancel()
    leg.going = switch.later(leg, fate.hangup_after, originate.far_end_hangs_up, switch, leg)
