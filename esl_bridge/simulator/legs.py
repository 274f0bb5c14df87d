"""One leg: its state, its caller profile, its variables, and the blocks its events are made of."""

from __future__ import annotations

import asyncio
import random
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from esl_bridge.simulator.protocol import Block, Event, Value
from esl_bridge.simulator.tables import CALLSTATE_NUMBER

if TYPE_CHECKING:
    from esl_bridge.simulator.behaviour import Fate

SERVER = "127.0.0.1"
"""Address in SIP and SDP headers."""

_CODEC = Block(
    {
        "Channel-Read-Codec-Name": "PCMU",
        "Channel-Read-Codec-Rate": "8000",
        "Channel-Read-Codec-Bit-Rate": "64000",
        "Channel-Write-Codec-Name": "PCMU",
        "Channel-Write-Codec-Rate": "8000",
        "Channel-Write-Codec-Bit-Rate": "64000",
    }
)
_CODEC_EAVESDROP = Block(
    {
        **_CODEC.headers,
        "Channel-Read-Codec-Name": "L16",
        "Channel-Read-Codec-Bit-Rate": "128000",
    }
)


@dataclass(slots=True)
class Times:
    """Moments of a leg in microseconds since 1970; 0 is not yet."""

    created: int = 0
    answered: int = 0
    progress: int = 0
    progress_media: int = 0
    hangup: int = 0
    transfer: int = 0
    bridged: int = 0
    last_hold: int = 0
    hold_accum: int = 0
    hold_since: int = 0


@dataclass(slots=True)
class Profile:
    """The caller profile, as switch_caller_profile: empty fields are not sent."""

    cid_name: str
    cid_number: str
    orig_name: str
    orig_number: str
    callee_name: str
    callee_number: str
    destination: str
    logical_direction: str = "outbound"
    network_addr: str = ""
    source: str = "src/switch_ivr_originate.c"
    transfer_source: str = ""
    context: str = "default"
    dialplan: str = ""
    rdnis: str = ""
    index: int = 1
    created: int = 0

    @property
    def ani(self) -> str:
        return self.orig_number


@dataclass(slots=True)
class Application:
    """The application a leg is executing."""

    name: str
    data: str
    uuid: str


@dataclass(slots=True)
class Recording:
    """A running uuid_record."""

    path: str
    started: int


@dataclass(slots=True, eq=False)
class Playback:
    """A file playing into a leg: hold music, uuid_broadcast, or the playback application."""

    path: str
    loops: int
    """How often; negative until stopped."""
    command: Event | None
    """The COMMAND that asked for it, sent when it is done."""
    uuid: str = field(default_factory=lambda: str(uuids.uuid4()))
    started: int = 0
    running: bool = False
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Leg:
    """One channel. Everything but the event building is plain state, changed by the flow modules."""

    uuid: str
    name: str
    number: str
    is_agent: bool
    profile: Profile
    rng: random.Random
    session_id: int
    fate: Fate | None = None
    presence_id: str = ""
    call_uuid: str = ""
    state: str = "CS_NONE"
    state_number: int = 1
    callstate: str = "DOWN"
    answer_state: str = "ringing"
    hit_dialplan: bool = False
    hangup_cause: str = ""
    disposition: str = ""
    has_codec: bool = False
    eavesdropping: bool = False
    avmd: Literal["hears", "deaf"] | None = None
    times: Times = field(default_factory=Times)
    variables: dict[str, Value] = field(default_factory=dict)
    other_profile: Block | None = None
    other_type: str = ""
    peer: Leg | None = None
    """The leg bridged to, None unless a bridge is up."""
    bridge_role: str = ""
    """`a` or `b` while bridged: events of the bridge come on `a` only."""
    application: Application | None = None
    parked: bool = False
    recordings: dict[str, Recording] = field(default_factory=dict)
    playback: Playback | None = None
    after_playback: list[Callable[[], None]] = field(default_factory=list)
    child: Leg | None = None
    """The leg an application of this one is calling."""
    spies: list[Leg] = field(default_factory=list)
    spied: Leg | None = None
    held: bool = False
    drops_peer: bool = False
    hold_events: list[tuple[int, int]] = field(default_factory=list)
    muted: bool = False
    presence_count: int = 0
    profile_start: int = 0
    last_app: str = ""
    last_arg: str = ""
    gone: bool = False
    given: tuple[str, ...] = ()
    """Names of the variables in the originate command."""
    joining: Leg | None = None
    """The leg this one, as the A leg, was ordered to be bridged to."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    going: asyncio.TimerHandle | None = None
    """The far end's own hangup, planned at the answer."""
    on_answer: Callable[[Leg], None] | None = None
    """What the creator of the leg does when it may go on: at the answer, or at early media."""
    on_outcome: Callable[[str], None] | None = None
    """Called once with `+OK uuid` or `-ERR CAUSE` when the originate that made this leg is decided."""
    _profile_block: Block | None = None
    _variables_block: Block | None = None

    @property
    def answered(self) -> bool:
        return self.times.answered > 0

    def set(self, name: str, value: Value) -> None:
        """Set a variable. FreeSWITCH deletes and appends, so the variable moves to the end."""
        self.variables.pop(name, None)
        if value:
            self.variables[name] = value
        self._variables_block = None

    def put(self, **values: Value) -> None:
        """Set several variables in order."""
        for name, value in values.items():
            self.variables.pop(name, None)
            if value:
                self.variables[name] = value
        self._variables_block = None

    def touch(self, *names: str) -> None:
        """Set variables again to what they are: they move to the end."""
        for name in names:
            if name in self.variables:
                self.variables[name] = self.variables.pop(name)
        self._variables_block = None

    def replace(self, name: str, value: Value) -> None:
        """Change a variable where it stands."""
        self.variables[name] = value
        self._variables_block = None

    def unset(self, *names: str) -> None:
        """Remove variables."""
        for name in names:
            self.variables.pop(name, None)
        self._variables_block = None

    def var(self, name: str) -> str:
        """A variable as text, empty if unset."""
        value = self.variables.get(name, "")
        return value if isinstance(value, str) else value[0]

    def var_true(self, name: str) -> bool:
        """Whether a variable is true by switch_true()."""
        return self.var(name).lower() in ("true", "yes", "on", "enable", "enabled", "active", "t", "1")

    def profile_changed(self) -> None:
        """Call after changing `profile` or `times`."""
        self._profile_block = None

    def blocks(self, *, verbose: bool, hangup_cause: bool = True) -> list[Block]:
        """The channel's part of an event: state, codecs, both profiles and perhaps variables."""
        state: dict[str, Value] = {
            "Channel-State": self.state,
            "Channel-Call-State": self.callstate,
            "Channel-State-Number": str(self.state_number),
            "Channel-Name": self.name,
            "Unique-ID": self.uuid,
            "Call-Direction": "outbound",
            "Presence-Call-Direction": "outbound",
            "Channel-HIT-Dialplan": "true" if self.hit_dialplan else "false",
        }
        if self.presence_id and self.state != "CS_NONE":
            state["Channel-Presence-ID"] = self.presence_id
        state["Channel-Call-UUID"] = self.call_uuid
        state["Answer-State"] = self.answer_state
        if self.hangup_cause and hangup_cause:
            state["Hangup-Cause"] = self.hangup_cause
        blocks = [Block(state)]
        if self.has_codec:
            blocks.append(_CODEC_EAVESDROP if self.eavesdropping else _CODEC)
        if self._profile_block is None:
            self._profile_block = Block(self.profile_headers("Caller"))
        blocks.append(self._profile_block)
        if self.other_profile is not None:
            blocks.append(self.other_profile)
        if verbose:
            blocks.append(self.variables_block())
        return blocks

    def variables_block(self) -> Block:
        """The variables as headers; the same object until one changes."""
        if self._variables_block is None:
            self._variables_block = Block({f"variable_{name}": value for name, value in self.variables.items()})
        return self._variables_block

    def profile_headers(self, prefix: str, *, with_times: bool = True) -> dict[str, Value]:
        """The caller profile under `Caller` or `Other-Leg`."""
        p, t = self.profile, self.times
        optional = {
            "Direction": "outbound",
            "Logical-Direction": p.logical_direction,
            "Dialplan": p.dialplan,
            "Caller-ID-Name": p.cid_name,
            "Caller-ID-Number": p.cid_number,
            "Orig-Caller-ID-Name": p.orig_name,
            "Orig-Caller-ID-Number": p.orig_number,
            "Callee-ID-Name": p.callee_name,
            "Callee-ID-Number": p.callee_number,
            "Network-Addr": p.network_addr,
            "ANI": p.ani,
            "Destination-Number": p.destination,
            "Unique-ID": self.uuid,
            "Source": p.source,
            "Transfer-Source": p.transfer_source if prefix == "Caller" else "",
            "Context": p.context,
            "RDNIS": p.rdnis,
            "Channel-Name": self.name,
            "Profile-Index": str(p.index) if prefix == "Caller" else "",
        }
        headers: dict[str, Value] = {f"{prefix}-{k}": v for k, v in optional.items() if v}
        times = {
            "Profile-Created-Time": p.created,
            "Channel-Created-Time": t.created,
            "Channel-Answered-Time": t.answered,
            "Channel-Progress-Time": t.progress,
            "Channel-Progress-Media-Time": t.progress_media,
            "Channel-Hangup-Time": t.hangup,
            "Channel-Transfer-Time": t.transfer,
            "Channel-Resurrect-Time": 0,
            "Channel-Bridged-Time": t.bridged,
            "Channel-Last-Hold": t.last_hold,
            "Channel-Hold-Accum": t.hold_accum,
        }
        for name, moment in times.items():
            headers[f"{prefix}-{name}"] = str(moment) if with_times else "0"
        headers[f"{prefix}-Screen-Bit"] = "true"
        headers[f"{prefix}-Privacy-Hide-Name"] = "false"
        headers[f"{prefix}-Privacy-Hide-Number"] = "false"
        return headers

    def meet(self, other: Leg, other_type: str, *, with_times: bool) -> None:
        """Remember the other leg's profile as it is now; it is sent with every later event."""
        headers: dict[str, Value] = {"Other-Type": other_type}
        headers.update(other.profile_headers("Other-Leg", with_times=with_times))
        headers["Other-Leg-Logical-Direction"] = "inbound"
        self.other_type = other_type
        self.other_profile = Block(headers)

    def flip_caller_id(self) -> None:
        """What follows a successful originate: caller becomes callee and the other way round."""
        p = self.profile
        if p.cid_name:
            self.set("pre_transfer_caller_id_name", p.cid_name)
        self.put(pre_transfer_caller_id_number=p.cid_number, channel_cid_flipped="yes")
        p.cid_name, p.cid_number, p.callee_name, p.callee_number = (
            p.callee_name,
            p.callee_number,
            p.cid_name,
            p.cid_number,
        )
        self.profile_changed()

    def caller_id(self) -> str:
        """The value of variable_caller_id."""
        p = self.profile
        return f'"{p.cid_name}" <{p.cid_number}>' if p.cid_name else p.cid_number

    def callstate_headers(self, new: str) -> dict[str, Value]:
        """Move to a call state; returns what a CHANNEL_CALLSTATE event says first."""
        old, self.callstate = self.callstate, new
        return {
            "Original-Channel-Call-State": old,
            "Channel-Call-State-Number": str(CALLSTATE_NUMBER[new]),
        }

    def cancel_timers(self) -> None:
        """Forget everything planned for this leg."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
