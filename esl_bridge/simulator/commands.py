"""The api commands. Each takes the switch, its argument text and a `done` for its answer."""

from __future__ import annotations

import re
import time
import uuid as uuids
from collections.abc import Callable

from esl_bridge.simulator import applications, bridging, hangup, machines, media
from esl_bridge.simulator.behaviour import Unreachable, agent_fate
from esl_bridge.simulator.core import VERSION, Switch
from esl_bridge.simulator.legs import Leg
from esl_bridge.simulator.originate import originate
from esl_bridge.simulator.protocol import separate, unquote
from esl_bridge.simulator.show import contact, show, sofia, status
from esl_bridge.simulator.tables import known_cause

Done = Callable[[str], None]
NO_CHANNEL = "-ERR No such channel!\n"


def run(switch: Switch, name: str, argument: str, done: Done) -> None:
    """Run an api command; `done` gets the answer now or later."""
    if name == "originate":
        originate(switch, argument, done)
        return
    command = SIMPLE.get(name)
    if command is not None:
        done(command(switch, argument))
    elif (on_leg := ON_LEG.get(name)) is not None:
        done(_on_leg(switch, argument, *on_leg))
    else:
        done(f"-ERR {name} Command not found!\n")


def _on_leg(
    switch: Switch,
    argument: str,
    action: Callable[[Switch, Leg, str], str],
    unknown: str,
    usage: str,
) -> str:
    uuid, _, rest = argument.strip().partition(" ")
    if not uuid:
        return usage
    leg = switch.legs.get(uuid)
    return unknown if leg is None else action(switch, leg, rest.strip())


# Commands about one leg: the uuid comes first, an unknown one has its own answer.


def _kill(switch: Switch, leg: Leg, rest: str) -> str:
    cause = rest.upper()
    hangup.hangup(switch, leg, cause if known_cause(cause) else "NORMAL_CLEARING")
    return "+OK\n"


def _getvar(switch: Switch, leg: Leg, rest: str) -> str:
    value = leg.variables.get(rest)
    if value is None:
        return "_undef_"
    return value if isinstance(value, str) else "ARRAY::" + "|:".join(value)


def _setvar(switch: Switch, leg: Leg, rest: str) -> str:
    name, _, value = rest.partition(" ")
    if not name:
        return "-USAGE: <uuid> <var> [value]\n"
    leg.set(name, value)
    return "+OK\n"


def _setvar_multi(switch: Switch, leg: Leg, rest: str) -> str:
    for part in rest.split(";"):
        name, _, value = part.partition("=")
        leg.set(name.strip(), value)
    return "+OK\n"


def _dump(switch: Switch, leg: Leg, rest: str) -> str:
    fmt = rest.lower()
    event = switch.make("CHANNEL_DATA", leg)
    if fmt == "plain":
        return event.bracketed()
    # Whatever else is not known is url-encoded text, as without a format.
    return event.serialise(fmt if fmt in ("json", "xml") else "plain").decode("utf-8", "surrogateescape")


def _park(switch: Switch, leg: Leg, rest: str) -> str:
    bridging.uuid_park(switch, leg)
    return "+OK\n"


def _transfer(switch: Switch, leg: Leg, rest: str) -> str:
    words = [unquote(word) for word in separate(rest)]
    which = words.pop(0).lower() if words and words[0].startswith("-") else ""
    if not words:
        return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
    extension = words[0]
    dialplan = words[1] if len(words) > 1 else ""
    context = words[2] if len(words) > 2 else ""
    if which == "-both":
        bridging.transfer_both(switch, leg, extension, dialplan)
    elif which == "-bleg":
        if leg.peer is not None:
            bridging.transfer(switch, leg.peer, extension, dialplan, context)
    else:
        switch.soon(bridging.transfer, switch, leg, extension, dialplan, context)
    return "+OK\n"


def _broadcast(switch: Switch, leg: Leg, rest: str) -> str:
    words = separate(rest)
    if not words:
        return "-USAGE: <uuid> <path> [aleg|bleg|both]\n"
    which = words[1] if len(words) > 1 else ""
    media.broadcast(switch, leg, unquote(words[0]), which, applications.execute)
    return "+OK Message sent\n"


def _break(switch: Switch, leg: Leg, rest: str) -> str:
    media.stop_playing(switch, leg, "break")
    return "+OK\n"


def _send_dtmf(switch: Switch, leg: Leg, rest: str) -> str:
    return f"+OK {leg.uuid} sent DTMF {rest}.\n"


def _recv_dtmf(switch: Switch, leg: Leg, rest: str) -> str:
    switch.soon(media.receive_dtmf, switch, leg, rest)
    return f"+OK {leg.uuid} received DTMF {rest}.\n"


def _audio(switch: Switch, leg: Leg, rest: str) -> str:
    words = rest.split()
    if not words or words[0] not in ("start", "stop"):
        return "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n"
    media.mute(switch, leg, words[0] == "start")
    return "+OK\n"


def _record(switch: Switch, leg: Leg, rest: str) -> str:
    words = separate(rest)
    if len(words) < 2:
        return RECORD_USAGE
    action, path = words[0].lower(), unquote(words[1])
    limit = float(words[2]) if len(words) > 2 and words[2].isdigit() else 0.0
    if action == "start":
        good, bad = media.record(switch, leg, path, limit), "Cannot record session!"
    elif action == "stop":
        good, bad = media.stop_record(switch, leg, path), "Cannot stop record session!"
    elif action in ("mask", "unmask"):
        good, bad = path in leg.recordings, f"Cannot {action} recording session!"
    else:
        return RECORD_USAGE
    return "+OK Success\n" if good else f"-ERR {bad}\n"


def _answer(switch: Switch, leg: Leg, rest: str) -> str:
    return "+OK\n"


RECORD_USAGE = "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"

ON_LEG: dict[str, tuple[Callable[[Switch, Leg, str], str], str, str]] = {
    "uuid_kill": (_kill, NO_CHANNEL, "-USAGE: <uuid> [cause]\n"),
    "uuid_getvar": (_getvar, NO_CHANNEL, "-USAGE: <uuid> <var>\n"),
    "uuid_setvar": (_setvar, NO_CHANNEL, "-USAGE: <uuid> <var> [value]\n"),
    "uuid_setvar_multi": (_setvar_multi, NO_CHANNEL, "-USAGE: <uuid> <var>=<value>;...\n"),
    "uuid_dump": (_dump, NO_CHANNEL, "-USAGE: <uuid> [format]\n"),
    "uuid_park": (_park, NO_CHANNEL, "-USAGE: <uuid>\n"),
    "uuid_transfer": (
        _transfer,
        NO_CHANNEL,
        "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n",
    ),
    "uuid_broadcast": (_broadcast, NO_CHANNEL, "-USAGE: <uuid> <path> [aleg|bleg|both]\n"),
    "uuid_break": (_break, NO_CHANNEL, "-USAGE: <uuid> [all]\n"),
    "uuid_send_dtmf": (_send_dtmf, NO_CHANNEL, "-USAGE: <uuid> <dtmf_data>\n"),
    "uuid_recv_dtmf": (_recv_dtmf, NO_CHANNEL, "-USAGE: <uuid> <dtmf_data>\n"),
    "uuid_audio": (
        _audio,
        NO_CHANNEL,
        "-USAGE: <uuid> [start [read|write] [mute|level <level>]|stop]\n",
    ),
    "uuid_record": (_record, "-ERR Cannot locate session!\n", RECORD_USAGE),
    "uuid_answer": (_answer, NO_CHANNEL, "-USAGE: <uuid>\n"),
    "uuid_buglist": (
        lambda switch, leg, rest: "<media-bugs>\n</media-bugs>\n",
        NO_CHANNEL,
        "-USAGE: <uuid>\n",
    ),
}


# Commands of other shapes.


def _bridge(switch: Switch, argument: str) -> str:
    words = argument.split()
    if len(words) != 2:
        return "-USAGE: <uuid> <other_uuid>\n"
    legs = [switch.legs.get(word) for word in words]
    a, b = legs
    # It is enough that one has media; what becomes of the other is not looked at.
    if a is None or b is None or a is b or a.hangup_cause or not (a.has_codec or b.has_codec):
        return "-ERR Invalid uuid\n"
    bridging.uuid_bridge(switch, a, b)
    return f"+OK {b.uuid}\n"


def _hold(switch: Switch, argument: str) -> str:
    words = argument.split()
    if not words:
        return "-USAGE: [off|toggle] <uuid> [<display>]\n"
    mode = words[0].lower() if words[0].lower() in ("off", "toggle") else ""
    rest = words[1:] if mode else words
    leg = switch.legs.get(rest[0]) if rest else None
    # An unknown uuid is answered with success as well.
    if leg is not None and not leg.hangup_cause:
        if mode == "off" or (mode == "toggle" and leg.held):
            media.unhold(switch, leg)
        else:
            media.hold(switch, leg)
    return "+OK Success\n"


def _exists(switch: Switch, argument: str) -> str:
    return "true" if argument.strip() in switch.legs else "false"


def _hupall(switch: Switch, argument: str) -> str:
    words = argument.split()
    cause = words[0].upper() if words else "MANAGER_REQUEST"
    if not known_cause(cause):
        cause = "MANAGER_REQUEST"
    for leg in list(switch.legs.values()):
        if len(words) < 3 or leg.var(words[1]) == words[2]:
            hangup.hangup(switch, leg, cause)
    return f"+OK hangup all channels with cause {cause}\n"


def _sched_hangup(switch: Switch, argument: str) -> str:
    match = re.match(r"(@)?(\+?)(\d+)\s+(\S+)(?:\s+(\S+))?", argument)
    if match is None:
        return "-USAGE: [+]<time> <uuid> [<cause>]\n"
    leg = switch.legs.get(match.group(4))
    if leg is None:
        return NO_CHANNEL
    delay = float(match.group(3)) if match.group(2) else float(match.group(3)) - time.time()
    cause = (match.group(5) or "ALLOTTED_TIMEOUT").upper()
    switch.later(leg, max(0.0, delay), _hangup_on_schedule, switch, leg, cause)
    return "+OK\n"


def _hangup_on_schedule(switch: Switch, leg: Leg, cause: str) -> None:
    hangup.hangup(switch, leg, cause)


MODULES = {"mod_commands", "mod_dptools", "mod_event_socket", "mod_sofia", "mod_dialplan_xml", "mod_local_stream"}


def _module_exists(switch: Switch, argument: str) -> str:
    there = MODULES | ({"mod_avmd"} if switch.config.machine_detection else set())
    return "true" if argument.strip() in there else "false"


def _version(switch: Switch, argument: str) -> str:
    if argument.strip() == "short":
        return f"{VERSION}\n"
    return f"FreeSWITCH Version {VERSION}~64bit ( 64bit)\n"


def _global_getvar(switch: Switch, argument: str) -> str:
    name = argument.strip()
    if not name:
        return "".join(f"{key}={value}\n" for key, value in switch.globals.items())
    # The real one keeps the identity of its run among its variables; it changes with every restart.
    return switch.core_uuid if name == "core_uuid" else switch.globals.get(name, "")


def _global_setvar(switch: Switch, argument: str) -> str:
    name, equals, value = argument.strip().partition("=")
    if not equals:
        return "-USAGE: <var>=<value> [=<value2>]\n"
    switch.globals[name] = value
    return "+OK\n"


def _sofia_contact(switch: Switch, argument: str) -> str:
    user = argument.strip().rpartition("/")[2].partition("@")[0]
    fate = agent_fate(user, switch.config)
    unknown = isinstance(fate, Unreachable) or switch.registrations.missing(user)
    return "error/user_not_registered" if unknown else contact(user)


def _reloadxml(switch: Switch, argument: str) -> str:
    switch.emit("RELOADXML")
    return "+OK [Success]\n"


FSCTL_USAGE = (
    "USAGE: fsctl [api_expansion [on|off]|recover|send_sighup|hupall|pause [inbound|outbound]|"
    "resume [inbound|outbound]|shutdown [cancel|elegant|asap|now|restart]|sps|sps_peak_reset|"
    "sync_clock|sync_clock_when_idle|reclaim_mem|max_sessions|min_dtmf_duration [num]|"
    "max_dtmf_duration [num]|default_dtmf_duration [num]|min_idle_cpu|loglevel [level]|"
    "debug_level [level]]\n"
)


def _fsctl(switch: Switch, argument: str) -> str:
    words = argument.split()
    number = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    match words[0].lower() if words else "":
        case "sps":
            if number:
                switch.sessions_per_second = number
            return f"+OK sessions per second: {switch.sessions_per_second}\n"
        case "max_sessions":
            if number:
                switch.max_sessions = number
            return f"+OK max sessions: {switch.max_sessions}\n"
        case "last_sps":
            return f"+OK last sessions per second: {switch.last_rate}\n"
        case "sps_peak_reset":
            switch.peak_rate = 0
            return "+OK max sessions per second counter reset\n"
        case "pause":
            switch.paused = True
            return "+OK\n"
        case "resume":
            switch.paused = False
            return "+OK\n"
        case "pause_check":
            return "true" if switch.paused else "false"
        case "shutdown_check":
            return "true" if switch.shutdown_pending else "false"
        case "hupall":
            _hupall(switch, words[1] if len(words) > 1 else "")
            return "+OK\n"
        case "crash":
            return "+OK\n"
    return f"-ERR Invalid command\n{FSCTL_USAGE}"


SIMPLE: dict[str, Callable[[Switch, str], str]] = {
    "uuid_bridge": _bridge,
    "uuid_hold": _hold,
    "uuid_exists": _exists,
    "avmd": machines.avmd,
    "hupall": _hupall,
    "sched_hangup": _sched_hangup,
    "status": lambda switch, argument: status(switch),
    "uptime": lambda switch, argument: f"{int(time.time() - switch.started)}\n",
    "version": _version,
    "module_exists": _module_exists,
    "hostname": lambda switch, argument: switch.config.hostname,
    "switchname": lambda switch, argument: switch.config.switchname,
    "show": show,
    "sofia": sofia,
    "sofia_contact": _sofia_contact,
    "create_uuid": lambda switch, argument: str(uuids.uuid4()),
    "strepoch": lambda switch, argument: str(int(time.time())),
    "strftime": lambda switch, argument: time.strftime(argument.strip() or "%Y-%m-%d %T"),
    "global_getvar": _global_getvar,
    "global_setvar": _global_setvar,
    "reloadxml": _reloadxml,
    "reloadacl": lambda switch, argument: "+OK acl reloaded\n",
    "fsctl": _fsctl,
    "echo": lambda switch, argument: argument,
    "msleep": lambda switch, argument: "+OK\n",
}
