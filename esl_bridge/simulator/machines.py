"""Answering machines and mod_avmd, which hears their beep: its application, its command, its variables, its event."""

from __future__ import annotations

from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.protocol import Value

GREETING = 3.0
"""Seconds from a machine's answer to its beep (the numbering plan: a tone of 3 s, then the beep)."""
SUBCLASS = "avmd::beep"
USAGE = "-USAGE: <uuid> < start | stop | set [inbound|outbound|default] | load [inbound|outbound] | reload | show >\n\n"


def avmd(switch: Switch, argument: str) -> str:
    """`avmd <uuid> start|stop`. As a command that is not there where the module is not loaded. What it starts hears
    nothing, as in FreeSWITCH 1.10.12: only the application gives its session detectors."""
    if not switch.config.machine_detection:
        return "-ERR avmd Command not found!\n"
    uuid, _, action = argument.strip().partition(" ")
    leg = switch.legs.get(uuid)
    if leg is None:
        return f"-ERR, no FreeSWITCH session for uuid [{uuid}]!\n{USAGE}"
    action = action.strip().lower()
    if action == "stop":
        if leg.avmd is None:
            return f"+ERR, avmd has not yet been started on\n [{uuid}] [{leg.name}]\n\n"
        leg.avmd = None
        return f"+OK\n [{uuid}] [{leg.name}] stopped\n\n"
    if action != "start":
        return f"-ERR, avmd command: bad syntax!\n{USAGE}"
    if leg.avmd is not None:
        return f"-ERR, avmd for FreeSWITCH session [{uuid}]\n already started\n\n"
    leg.avmd = "deaf"
    return f"+OK\n [{uuid}] [{leg.name}] started!\n\n"


def listen(switch: Switch, leg: Leg) -> None:
    """The application `avmd_start`."""
    if leg.avmd is not None:
        return
    leg.avmd = "hears"
    switch.emit("MEDIA_BUG_START", leg, first={"Media-Bug-Function": "avmd", "Media-Bug-Target": "N/A"})
    if leg.fate is not None and leg.fate.name == "machine" and leg.answered:
        passed = (switch.now_us() - leg.times.answered) / 1_000_000 * switch.config.speed
        if passed < GREETING:
            switch.later(leg, GREETING - passed, _beep, switch, leg)


def _beep(switch: Switch, leg: Leg) -> None:
    if leg.hangup_cause or leg.avmd != "hears":
        return
    leg.set("avmd_total_time", "[2820]")
    leg.set("avmd_detect", "TRUE")
    headers: dict[str, Value] = {
        "Event-Subclass": SUBCLASS,
        "Unique-ID": leg.uuid,
        "Call-command": "avmd",
        "Beep-Status": "DETECTED",
        "Frequency": "997.218380",
        "Frequency-variance": "0.000049",
        "Amplitude": "14346.310289",
        "Amplitude-variance": "5649.829783",
        "Detection-time": "2820010",
        "Detector-resolution": "2",
        "Detector-offset": "1",
        "Detector-index": "2",
    }
    event = switch.make("CUSTOM", first=headers, subclass=SUBCLASS)
    switch.fire(event)
    if leg.peer is None:
        # Said by the module, and once more by the leg that is parked (with the channel's own headers, left out here).
        switch.fire(event)
