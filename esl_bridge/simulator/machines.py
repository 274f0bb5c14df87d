"""Answering machines and mod_avmd, which hears their beep: the `avmd` command, its variable and its event."""

from __future__ import annotations

from esl_bridge.simulator.core import Switch
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.protocol import Value

GREETING = 3.0
"""Seconds from a machine's answer to its beep (the numbering plan: a tone of 3 s, then the beep)."""
SUBCLASS = "avmd::beep"
USAGE = "-USAGE: <uuid> < start | stop | set [inbound|outbound|default] | load [inbound|outbound] | reload | show >\n\n"


def avmd(switch: Switch, argument: str) -> str:
    """`avmd <uuid> start|stop`. As a command that is not there where the module is not loaded."""
    if not switch.config.machine_detection:
        return "-ERR avmd Command not found!\n"
    uuid, _, action = argument.strip().partition(" ")
    leg = switch.legs.get(uuid)
    if leg is None:
        return f"-ERR, no FreeSWITCH session for uuid [{uuid}]!\n{USAGE}"
    action = action.strip().lower()
    if action == "stop":
        leg.heard_by_avmd = False
        return f"+OK\n [{uuid}] [{leg.name}] stopped\n\n"
    if action != "start":
        return f"-ERR, avmd command: bad syntax!\n{USAGE}"
    if leg.heard_by_avmd:
        return f"-ERR, avmd for FreeSWITCH session [{uuid}]\n already started\n\n"
    leg.heard_by_avmd = True
    if leg.fate is not None and leg.fate.name == "machine" and leg.answered:
        passed = (switch.now_us() - leg.times.answered) / 1_000_000 * switch.config.speed
        if passed < GREETING:
            switch.later(leg, GREETING - passed, _beep, switch, leg)
    return f"+OK\n [{uuid}] [{leg.name}] started!\n\n"


def _beep(switch: Switch, leg: Leg) -> None:
    if leg.hangup_cause or not leg.heard_by_avmd:
        return
    leg.set("avmd_detect", "TRUE")
    headers: dict[str, Value] = {
        "Event-Subclass": SUBCLASS,
        "Unique-ID": leg.uuid,
        "Call-command": "avmd",
        "Beep-Status": "DETECTED",
    }
    switch.fire(switch.make("CUSTOM", first=headers, subclass=SUBCLASS))
