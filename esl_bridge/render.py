"""Orders as command lines: the one place where text for the switch is put together. Pure.

FreeSWITCH's command line has no quoting that can be trusted, so nothing is escaped here: every value is checked against
the patterns of dialer/orders.py again, checked for what only this installation knows (allowed prefixes, templates), and
whatever does not fit is refused. What comes out is exactly one line of printable ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import msgspec

from dialer import orders

# A blind transfer or an agent call goes to an extension of this house. What is longer is a telephone number, and
# numbers are dialled by customer orders only, where the allowed prefixes are checked.
MAX_EXTENSION_DIGITS: Final = 6
# The longest line we can render is below 900 characters; FreeSWITCH reads commands byte by byte, so short ones matter.
MAX_LINE_CHARACTERS: Final = 2_000

# The digit that the eavesdrop application understands, pressed on the supervisor's leg while it listens to the
# *agent's* leg: 0 = heard by nobody, 2 = by the leg listened to (whisper to the agent), 3 = by both sides.
EAVESDROP_DIGITS: Final = {"listen": "0", "whisper": "2", "barge": "3"}

# Whoever leads a bridge takes the other leg along when it holds and then hangs up or is parked: a customer whose own
# telephone can hold would end the agent's leg. With an extension for that the agent's parks (park_after_bridge comes
# first), and who would not park is hung up as ever.
SPARES_THE_AGENT: Final = {"hold_hangup_xfer_exten": "hangup:inline"}

_TEMPLATE = re.compile(r"[A-Za-z0-9_./@:;=,|+~$\[\]-]*\Z")
# One leg: its own variables in brackets, perhaps, and one destination. `,` `|` and `:_:` would call several for one
# attempt, all under one uuid.
_ONE_LEG = re.compile(r"(?!.*:_:)(?:\[[^\[\]|]*\])?[^\[\],|]+\Z")
_DIRECTORY = re.compile(r"/[A-Za-z0-9_./-]*\Z")
# Music for who waits: a stream of the switch's own, a tone, or a file. No space, quote, `!` or `::`, which
# uuid_broadcast takes for an application to run.
_MUSIC = re.compile(
    r"local_stream://[A-Za-z0-9_-]{1,40}\Z"
    r"|tone_stream://%\([0-9]+,[0-9]+(,[0-9]+){1,4}\)(;loops=-?[0-9]+)?\Z"
    r"|/[A-Za-z0-9_./-]{1,200}\.(wav|mp3|ogg|opus|gsm|PCMU|PCMA)\Z"
)
_LINE = re.compile(r"[ -~]+\Z")


class Refused(ValueError):
    """The order is not carried out; the message says which rule, without any number in it."""


@dataclass(frozen=True)
class DialPlan:
    """What this installation allows. `customer` and `agent`: dial strings with {number} and {extension}; `hold_music`:
    what a parked customer hears, '' for nothing."""

    customer: str
    agent: str
    allowed_prefixes: Sequence[str]
    recordings_dir: str
    messages_dir: str = "/var/lib/freeswitch/messages"
    hold_music: str = ""


@dataclass(frozen=True)
class Command:
    """`line`: the argument of `bgapi`, or of `api` when `direct` (a question that is answered at once)."""

    line: str
    direct: bool = False


def render(order: orders.AnyOrder, plan: DialPlan) -> Command:
    """Exactly one command for one order. Raises Refused."""
    try:
        order = orders.validated(order)
    except (msgspec.ValidationError, msgspec.DecodeError, TypeError, UnicodeError) as error:
        raise Refused(f"not a valid order: {error}") from None
    command = _render(order, plan)
    if not _LINE.match(command.line) or len(command.line) > MAX_LINE_CHARACTERS:
        raise Refused("the command would not be one line of printable ASCII")
    return command


def follow_up(order: orders.AnyOrder) -> Command | None:
    """What is said once the order's own command has succeeded: the mode of an eavesdropping supervisor."""
    if isinstance(order, orders.Eavesdrop) and order.mode != "listen":  # as it begins
        return Command(_mode(order.leg, order.mode))
    return None


def music(leg: str, plan: DialPlan) -> Command | None:
    """What a leg that has parked is played until it is joined to somebody, which ends it; None: silence. Raises
    Refused. A file that the switch does not have is silence too."""
    if not plan.hold_music:
        return None
    if not _MUSIC.match(plan.hold_music) or ".." in plan.hold_music.split("/"):
        raise Refused("HOLD_MUSIC must be local_stream://NAME, tone_stream://%(…) or an absolute path to a sound file")
    return Command(f"uuid_broadcast {leg} {plan.hold_music} aleg", direct=True)


def seconds_allowed(order: orders.AnyOrder) -> int:
    """How long the switch itself may take over it, in seconds: the ringing time of a call, else next to nothing."""
    match order:
        case orders.OriginateCustomer() | orders.OriginateAgent() | orders.Eavesdrop() | orders.CallExtension():
            return order.timeout
        case _:
            return 0


def stoppable(order: orders.AnyOrder) -> tuple[str, ...]:
    """Whose stop forbids it: the campaign's and the number's (dialer/stops.py)."""
    return (order.campaign_id, order.number) if isinstance(order, orders.OriginateCustomer) else ()


def unless_joined(order: orders.AnyOrder) -> bool:
    """Whether the order is not to be carried out once its leg is joined to another."""
    return isinstance(order, orders.Bridge | orders.Hangup | orders.PlayMessage) and order.unless_joined


def module_needed(order: orders.AnyOrder) -> str:
    """The switch's module without which the order would end its leg, as an unknown application does; '' for none."""
    return orders.MACHINE_MODULE if isinstance(order, orders.DetectMachine) else ""


def is_originate(order: orders.AnyOrder) -> bool:
    return parks_when_answered(order) or isinstance(order, orders.Eavesdrop)


def parks_when_answered(order: orders.AnyOrder) -> bool:
    return isinstance(order, orders.OriginateCustomer | orders.OriginateAgent | orders.CallExtension)


def legs_moved(order: orders.AnyOrder) -> tuple[str, ...]:
    """The legs that the order sends somewhere else; they must have arrived where they were sent before."""
    match order:
        case orders.Bridge():
            return order.leg, order.peer
        case orders.Transfer() | orders.Park() | orders.Hold() | orders.PlayMessage():
            return (order.leg,)
        case _:
            return ()


def _render(order: orders.AnyOrder, plan: DialPlan) -> Command:
    match order:
        case orders.OriginateCustomer():
            return Command(_originate_customer(order, plan))
        case orders.OriginateAgent():
            return Command(_originate_agent(order, plan))
        case orders.Eavesdrop():
            return Command(_eavesdrop(order, plan))
        case orders.ListenMode():
            return Command(_mode(order.leg, order.mode))
        case orders.CallExtension():
            return Command(_call_extension(order, plan))
        case orders.Bridge():
            if order.leg == order.peer:
                raise Refused("a leg cannot be bridged to itself")
            return Command(f"uuid_bridge {order.leg} {order.peer}")
        case orders.Hold():
            return Command(f"uuid_hold {order.leg}" if order.on else f"uuid_hold off {order.leg}")
        case orders.Mute():
            return Command(f"uuid_audio {order.leg} start read mute -1" if order.on else f"uuid_audio {order.leg} stop")
        case orders.Park():
            return Command(f"uuid_park {order.leg}")
        case orders.Transfer():
            return Command(f"uuid_transfer {order.leg} {_extension(order.extension)} XML default")
        case orders.Hangup():
            return Command(f"uuid_kill {order.leg} {order.cause}")
        case orders.Record():
            file = _sound(order.name, plan.recordings_dir, "RECORDINGS_DIR")
            return Command(f"uuid_record {order.leg} {order.action} {file}")
        case orders.PlayMessage():
            file = _sound(order.name, plan.messages_dir, "MESSAGES_DIR")
            return Command(f"uuid_transfer {order.leg} 'playback:{file},hangup:NORMAL_CLEARING' inline")
        case orders.DetectMachine():
            # Not the command `avmd UUID start`: it says +OK and hears nothing (FreeSWITCH 1.10.12 gives its session no
            # settings, and so no detector).
            return Command(f"uuid_broadcast {order.leg} avmd_start:: aleg")
        case orders.Probe():
            return Command(f"uuid_exists {order.leg}", direct=True)
        case _ as unreachable:
            assert_never(unreachable)


def _originate_customer(order: orders.OriginateCustomer, plan: DialPlan) -> str:
    # A lone plus would be every number.
    prefixes = [prefix for prefix in plan.allowed_prefixes if len(prefix) > 1]
    if not prefixes:
        raise Refused("DIAL_ALLOWED_PREFIXES is empty, so no customer may be dialled")
    if not order.number.startswith(tuple(prefixes)):
        raise Refused("the number begins with none of DIAL_ALLOWED_PREFIXES")
    variables = {
        "origination_uuid": order.leg,
        "origination_caller_id_number": order.caller_id_number,
        "origination_caller_id_name": _quoted(order.caller_id_name),
        "originate_timeout": str(order.timeout),
        # Without it the call counts as answered at the first ringing tone that the carrier sends as media.
        "ignore_early_media": "true",
        "hangup_after_bridge": "true",
        **SPARES_THE_AGENT,
        # A recording that is begun again goes on in the same file instead of writing over it.
        "RECORD_APPEND": "true",
        "orch_role": "customer",
        "orch_call": order.call_id,
        "orch_agent": order.agent_id,
        "orch_campaign": order.campaign_id,
    }
    return _originate(variables, _filled(plan.customer, "{number}", order.number), "&park()")


def _originate_agent(order: orders.OriginateAgent, plan: DialPlan) -> str:
    variables = {
        "origination_uuid": order.leg,
        "origination_caller_id_name": _quoted(order.caller_id_name),
        "originate_timeout": str(order.timeout),
        "ignore_early_media": "true",
        # The agent's leg outlives each customer: it parks again and waits for the next.
        "park_after_bridge": "true",
        "hangup_after_bridge": "false",
        "orch_role": "agent",
        "orch_agent": order.agent_id,
    }
    return _originate(variables, _filled(plan.agent, "{extension}", _extension(order.extension)), "&park()")


def _eavesdrop(order: orders.Eavesdrop, plan: DialPlan) -> str:
    if order.leg == order.target:
        raise Refused("a leg cannot listen to itself")
    variables = {
        "origination_uuid": order.leg,
        "originate_timeout": str(order.timeout),
        "ignore_early_media": "true",
        "eavesdrop_enable_dtmf": "true",
        # Should it be joined to the customer later (take over): it does not outlive the call.
        "hangup_after_bridge": "true",
        "orch_role": "supervisor",
        "orch_agent": order.supervisor,
    }
    address = _filled(plan.agent, "{extension}", _extension(order.extension))
    return _originate(variables, address, f"&eavesdrop({order.target})")


def _mode(leg: str, mode: str) -> str:
    return f"uuid_recv_dtmf {leg} {EAVESDROP_DIGITS[mode]}"


def _call_extension(order: orders.CallExtension, plan: DialPlan) -> str:
    variables = {
        "origination_uuid": order.leg,
        "origination_caller_id_name": _quoted(order.caller_id_name),
        "originate_timeout": str(order.timeout),
        "ignore_early_media": "true",
        "hangup_after_bridge": "true",
        **SPARES_THE_AGENT,
        "orch_role": order.role,
        "orch_agent": order.who,
    }
    address = _filled(plan.agent, "{extension}", _extension(order.extension))
    return _originate(variables, address, "&park()")


def _originate(variables: dict[str, str], address: str, application: str) -> str:
    # An empty value would only be dropped by the switch.
    said = ",".join(f"{name}={value}" for name, value in variables.items() if value)
    # Looked for in the whole of it, before anything is read: in a campaign's id, too, it would be several originates.
    if ":_:" in said:
        raise Refused("an id has :_: in it, which to the switch is the end of one call and the beginning of another")
    return f"originate {{{said}}}{address} {application}"


def _quoted(name: str) -> str:
    """A caller name in single quotes, which keep its spaces together; the pattern leaves no quote inside."""
    return f"'{name.strip()}'" if name.strip() else ""


def _extension(extension: str) -> str:
    if len(extension) > MAX_EXTENSION_DIGITS:
        raise Refused(f"an extension of more than {MAX_EXTENSION_DIGITS} digits is a telephone number")
    return extension


def _filled(template: str, placeholder: str, value: str) -> str:
    before_and_after = template.split(placeholder)
    if len(before_and_after) < 2:
        raise Refused(f"the dial string in the settings lacks {placeholder}")
    if not all(_TEMPLATE.match(part) for part in before_and_after):
        raise Refused("the dial string in the settings has a character that is not allowed")
    address = value.join(before_and_after)
    if not _ONE_LEG.match(address):
        raise Refused("the dial string in the settings names more than one destination")
    return address


def _sound(name: str, folder: str, setting: str) -> str:
    directory = folder.rstrip("/")
    if not _DIRECTORY.match(directory) or ".." in directory.split("/"):
        raise Refused(f"{setting} must be an absolute path of letters, digits and _ . - only")
    return f"{directory}/{name}.wav"
