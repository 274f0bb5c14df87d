"""Orders to the switch, in the imperative. Pure values: the dialer decides them, esl_bridge/render.py alone turns them
into command lines. Every field that reaches the switch is validated here by pattern, so nothing else can be said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"
Uuid = Annotated[str, msgspec.Meta(pattern=_UUID)]
E164 = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}\Z")]
Extension = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2,12}\Z")]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}\Z")]
HangupCause = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9_]{2,40}\Z")]
# Letters, digits, space and a few signs that mean nothing to FreeSWITCH's parser; sanitised by `caller_name`.
CallerName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 ._-]{0,40}\Z")]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=300)]


# Why an order with `unless_joined` was refused: the switch had joined its leg to another one by then.
JOINED = "the leg is joined to another"
# What a DetectMachine needs, and why one failed: the switch has nothing to hear with.
MACHINE_MODULE = "mod_avmd"
NO_DETECTION = f"{MACHINE_MODULE} is not loaded"


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """`order_id` is the Job-UUID of its bgapi. `expires_at`: seconds since the epoch; read later, it is not
    executed."""

    order_id: Uuid
    expires_at: float


class OriginateCustomer(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="originate_customer"):
    """Call `number` through settings.ORIGINATE_CUSTOMER as leg `leg` and park it when answered."""

    leg: Uuid
    number: E164
    call_id: Uuid
    campaign_id: Identifier = ""
    agent_id: Identifier = ""
    caller_id_number: E164
    caller_id_name: CallerName = ""
    timeout: Seconds = 30


class OriginateAgent(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="originate_agent"):
    """Call an agent's softphone once and hold the leg open, parked."""

    leg: Uuid
    extension: Extension
    agent_id: Identifier
    caller_id_name: CallerName = ""
    timeout: Seconds = 20


class Eavesdrop(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="eavesdrop"):
    """Call a supervisor's softphone as leg `leg` and let it listen to `target` (whisper, barge: by digit, see mode)."""

    leg: Uuid
    extension: Extension
    target: Uuid
    supervisor: Identifier = ""
    mode: Literal["listen", "whisper", "barge"] = "listen"
    timeout: Seconds = 20


class ListenMode(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="listen_mode"):
    """Let the supervisor's leg `leg`, which listens already, be heard by nobody, by the agent, or by both."""

    leg: Uuid
    mode: Literal["listen", "whisper", "barge"]


class CallExtension(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="call_extension"):
    """Call an extension of this house as leg `leg` and park it when answered: the softphone of the supervisor who takes
    a call over, or a colleague who is consulted. `who`: the supervisor."""

    leg: Uuid
    extension: Extension
    role: Literal["supervisor", "consulted"]
    who: Identifier = ""
    caller_id_name: CallerName = ""
    timeout: Seconds = 20


class Bridge(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="bridge"):
    leg: Uuid
    peer: Uuid
    unless_joined: bool = False


class Hold(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hold"):
    """`leg`: the one that puts on hold; whoever it is bridged to hears the music."""

    leg: Uuid
    on: bool = True


class Mute(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mute"):
    """What `leg` says is heard by nobody (`on`), or again. It stays so over bridges, until it is taken back."""

    leg: Uuid
    on: bool = True


class Park(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="park"):
    leg: Uuid


class Transfer(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="transfer"):
    """Blind transfer of `leg` to an extension."""

    leg: Uuid
    extension: Extension


class Hangup(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="hangup"):
    leg: Uuid
    cause: HangupCause = "NORMAL_CLEARING"
    unless_joined: bool = False


class Record(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="record"):
    """`name`: our own uuid; the bridge puts settings.RECORDINGS_DIR before it and .wav behind."""

    leg: Uuid
    action: Literal["start", "stop", "mask", "unmask"]
    name: Uuid


class PlayMessage(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="play_message"):
    """Play a recorded message to `leg` and hang up. `name`: the message's own uuid; the bridge puts
    settings.MESSAGES_DIR before it and .wav behind."""

    leg: Uuid
    name: Uuid
    unless_joined: bool = False


class DetectMachine(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="detect_machine"):
    """Listen for an answering machine's beep on an answered leg; heard, it comes as MachineHeard. Needs mod_avmd."""

    leg: Uuid


class Probe(Order, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="probe"):
    """Ask `uuid_exists`; the answer comes as OrderReported(done, leg_exists=...). Settles attempts in doubt."""

    leg: Uuid


AnyOrder = (
    OriginateCustomer | OriginateAgent | Eavesdrop | ListenMode | CallExtension | Bridge | Hold | Mute | Park | Transfer
    | Hangup | Record | PlayMessage | DetectMachine | Probe
)  # fmt: skip

_decoder: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)
_encoder = msgspec.json.Encoder()


def is_uuid(leg: str) -> bool:
    """Whether a leg is named as ours are. The switch's other users name theirs as they like."""
    return re.match(_UUID, leg) is not None


def kind_of(order: AnyOrder) -> str:
    """The order's name on the wire, e.g. `originate_customer`."""
    return str(order.__struct_config__.tag)


def encode(order: AnyOrder) -> bytes:
    """JSON, validated: msgspec checks patterns on decoding only, so an order proves itself before it leaves."""
    raw = _encoder.encode(order)
    _decoder.decode(raw)
    return raw


def decode(raw: bytes | str) -> AnyOrder:
    """Raises msgspec.ValidationError (with the field's path) for anything that is not exactly one order."""
    return _decoder.decode(raw)


def validated(order: AnyOrder) -> AnyOrder:
    """The order itself when every field is allowed; raises msgspec.ValidationError otherwise."""
    return _decoder.decode(_encoder.encode(order))


def from_payload(payload: Mapping[str, Any]) -> AnyOrder:
    order: AnyOrder = msgspec.convert(payload, AnyOrder)
    return order


def wire(payload: Mapping[str, Any]) -> bytes:
    """The JSON of an outbox row; raises msgspec.ValidationError as `encode` does."""
    return _encoder.encode(from_payload(payload))


def caller_name(text: str) -> str:
    """Any text as an allowed caller name: other characters become spaces, at most 40."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else " " for c in text)
    return " ".join(kept.split())[:40]
