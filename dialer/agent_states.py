"""The agent state machine. Pure: what an agent is, what is asked or has happened, and what the agent is afterwards.

States: available, busy, break, offline, on_call. Wrap-up is `busy` with reason `wrap_up`. An agent reserved for a call
that still rings stays `available` (and keeps their place as longest idle); `on_call` begins when the switch has joined
the two legs. What is asked for during a call waits as the pending state, visible and cancellable, until after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

WRAP_UP = "wrap_up"
SOFTPHONE_LOST = "softphone_lost"
PANEL_LOST = "panel_lost"
LIMIT_OVER = "limit_over"


class Status(StrEnum):
    AVAILABLE = "available"
    BUSY = "busy"
    BREAK = "break"
    OFFLINE = "offline"
    ON_CALL = "on_call"


class Engagement(StrEnum):
    """How an open call holds the agent: not, reserved for one that rings, or talking."""

    NONE = "none"
    RESERVED = "reserved"
    TALKING = "talking"


@dataclass(frozen=True, slots=True)
class State:
    status: Status
    reason: str = ""
    pending: Status | None = None
    pending_reason: str = ""

    @property
    def in_wrap_up(self) -> bool:
        return self.status is Status.BUSY and self.reason == WRAP_UP


# --- What is asked or has happened ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetState:
    """A person asks for a state."""

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CancelPending:
    """A person takes back what is pending."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The switch joined the agent with a customer."""


@dataclass(frozen=True, slots=True)
class Released:
    """The call is over for the agent. `talked`: they were joined. `wrap_up`: seconds of wrap-up that follow.
    `owes`: they must dispose of the call, so wrap-up follows whatever its seconds."""

    talked: bool
    wrap_up: int
    owes: bool = False


@dataclass(frozen=True, slots=True)
class WrapUpOver:
    """The wrap-up time is used up."""


@dataclass(frozen=True, slots=True)
class Disposed:
    """The call was disposed of, and its campaign ends the wrap-up with that."""


@dataclass(frozen=True, slots=True)
class WrapUpExceeded:
    """The longest wrap-up is used up and the call is not disposed of: a break with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class LimitOver:
    """The reason's time limit is exceeded, and the reason says that this sets the agent offline."""


@dataclass(frozen=True, slots=True)
class SoftphoneLost:
    """The softphone could not be reached several times in a row."""


@dataclass(frozen=True, slots=True)
class PanelLost:
    """The last panel of an agent who works with one has been closed for longer than the grace time."""


Input = (
    SetState | CancelPending | Connected | Released | WrapUpOver | Disposed | WrapUpExceeded | LimitOver
    | SoftphoneLost | PanelLost
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """No change; `reason` is written for the person who asked."""

    reason: str


def _settle(state: State) -> State:
    """What follows when nothing holds the agent any more: the pending state, else available."""
    if state.pending is not None:
        return State(state.pending, state.pending_reason)
    return State(Status.AVAILABLE)


def _asked(state: State, status: Status, reason: str, *, held: bool, active: bool, owes: bool) -> State | Refused:
    """A person asks for a state. held: a call holds the agent."""
    if status is Status.ON_CALL:
        return Refused("on_call is set by a call, not by hand")
    if status is Status.AVAILABLE:
        if not active:
            return Refused("this agent is deactivated; activate them in the admin first")
        if owes:
            return Refused("this call must be disposed of first; choose its disposition")
        # Asking to go on working during a call is asking for nothing to follow it.
        return replace(state, pending=None, pending_reason="") if held else State(Status.AVAILABLE)
    if status is Status.BUSY and reason == WRAP_UP:
        return Refused("wrap-up follows a call; choose another reason")
    if held or owes:
        return replace(state, pending=status, pending_reason=reason)
    return State(status, reason)


def step(
    state: State, engagement: Engagement, event: Input, *, active: bool = True, owes: bool = False
) -> State | Refused:
    """The state after `event`; the same state when the event changes nothing; Refused with a reason when it may not be.

    active: whether the agent may work at all (Agent.is_active). owes: whether the one who asks must dispose of the
    call that is wrapped up before anything else can follow it.
    """
    match event:
        case SetState(status=status, reason=reason):
            held = engagement is not Engagement.NONE or state.status is Status.ON_CALL
            return _asked(state, status, reason, held=held, active=active, owes=owes and state.in_wrap_up)
        case CancelPending():
            if state.pending is None:
                return Refused("nothing is pending")
            return replace(state, pending=None, pending_reason="")
        case Connected():
            return replace(state, status=Status.ON_CALL, reason="")
        case Released(talked=True, wrap_up=seconds, owes=owing) if seconds > 0 or owing:
            return replace(state, status=Status.BUSY, reason=WRAP_UP)
        case Released(talked=talked):
            # A reserved agent was available all along; one who talked without wrap-up goes where they asked to.
            if not talked and state.pending is None:
                return state
            return _settle(state)
        case WrapUpOver() | Disposed():
            return _settle(state) if state.in_wrap_up else state
        case WrapUpExceeded(reason=reason):
            if not state.in_wrap_up:
                return state
            return _settle(state) if state.pending is not None else State(Status.BREAK, reason)
        case LimitOver():
            limited = state.status in {Status.BREAK, Status.BUSY} and not state.in_wrap_up
            return State(Status.OFFLINE, LIMIT_OVER) if limited else state
        case SoftphoneLost():
            return State(Status.BREAK, SOFTPHONE_LOST) if state.status is Status.AVAILABLE else state
        case PanelLost():
            if state.status is not Status.AVAILABLE:
                return state
            if engagement is Engagement.NONE:
                return State(Status.BREAK, PANEL_LOST)
            # Their call rings already; what they asked for themselves comes before this.
            return (
                state if state.pending is not None else replace(state, pending=Status.BREAK, pending_reason=PANEL_LOST)
            )
