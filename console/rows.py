"""What the live board protocol says about agents, calls, campaigns and figures. Pure.

Closed types: a row with a field that is not here is refused.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

AgentStatus = Literal["available", "busy", "break", "offline", "on_call"]
Registered = Literal["unknown", "yes", "no"]
Softphone = Literal["none", "ringing", "open", "lost"]
Recording = Literal["off", "on", "paused"]
LegState = Literal["initiated", "alerting", "answered", "bridged", "held", "ended"]
LEG_STATES: Final[tuple[LegState, ...]] = ("initiated", "alerting", "answered", "bridged", "held", "ended")


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Part of a message."""


class Pending(Value, frozen=True, kw_only=True):
    """The agent's next state, taken when the present call is over; it can be cancelled."""

    status: str
    reason: str = ""


class Preview(Value, frozen=True, kw_only=True):
    """A contact before an agent, who may dial, skip or reschedule it until `expires_at`."""

    id: str
    campaign_id: str
    contact: str = ""
    number: Annotated[str, Meta(description="masked")] = ""
    offered_at: int
    expires_at: int
    at_end: Annotated[Literal["return", "dial"], Meta(description="what happens when nothing is done")] = "return"


class LastCall(Value, frozen=True, kw_only=True):
    """The call an agent talks or talked on last, and its disposition; shown during it, in wrap-up and after."""

    id: str
    campaign_id: str | None = None
    contact: str = ""
    number: Annotated[str, Meta(description="masked")] = ""
    disposition: Annotated[str, Meta(description="its code; empty: not disposed of")] = ""
    label: Annotated[str, Meta(description="of the disposition")] = ""
    required: Annotated[bool, Meta(description="wrap-up lasts until it is disposed of")] = False


class AgentRow(Value, frozen=True, kw_only=True):
    """An agent now."""

    id: str
    name: str
    extension: str
    active: bool = True
    status: AgentStatus
    reason: Annotated[str, Meta(description="reason code, e.g. lunch, wrap_up")] = ""
    since: Annotated[int | None, Meta(description="when this state began")] = None
    pending: Pending | None = None
    softphone: Annotated[Softphone, Meta(description="the softphone's held-open leg")] = "none"
    campaigns: tuple[str, ...] = ()
    call_id: Annotated[str | None, Meta(description="open call reserved for or talking to this agent")] = None
    preview: Annotated[Preview | None, Meta(description="the contact before this agent")] = None
    wrap_up_until: int | None = None
    over_at: Annotated[int | None, Meta(description="when this state has lasted longer than it may")] = None
    registered: Annotated[Registered, Meta(description="the softphone, with the switch")] = "unknown"
    last_call: LastCall | None = None
    calls_today: int = 0
    version: Annotated[int, Meta(description="grows with each committed change")] = 0


class CallRow(Value, frozen=True, kw_only=True):
    """A live call: the call record joined with what the switch says of its customer leg.

    A leg that belongs to no call of ours (for example an inbound call) shows with `source: leg`.
    """

    id: Annotated[str, Meta(description="the call's id, which is also the customer leg's uuid")]
    source: Literal["call", "leg"] = "call"
    campaign_id: str | None = None
    agent_id: str | None = None
    number: Annotated[str, Meta(description="masked")] = ""
    contact: str = ""
    attempt: int = 1
    direction: str = "outbound"
    status: Annotated[str, Meta(description="status of the call record")] = ""
    state: LegState = "initiated"
    since: Annotated[int | None, Meta(description="when `state` began")] = None
    started: int | None = None
    answered_at: int | None = None
    bridged_at: int | None = None
    waiting_since: Annotated[
        int | None, Meta(description="a customer has answered and is not joined to an agent, since then")
    ] = None
    peer: Annotated[str, Meta(description="uuid of the leg it is bridged to")] = ""
    cause: Annotated[str, Meta(description="hangup cause, once known")] = ""
    recording: Annotated[Recording, Meta(description="as the switch has confirmed")] = "off"
    version: int = 0


class Today(Value, frozen=True, kw_only=True):
    """Counts of the current UTC day."""

    attempts: int = 0
    answered: int = 0
    connected: Annotated[int, Meta(description="joined to an agent")] = 0
    abandoned: Annotated[int, Meta(description="answered, but no agent within 2 s")] = 0
    busy: int = 0
    no_answer: int = 0
    failed: int = 0
    talk_seconds: int = 0


class Decision(Value, frozen=True, kw_only=True):
    """The dialer's last answer to "how many calls now, and why"."""

    at: int | None
    placed: int = 0
    reason: Annotated[str, Meta(description="the limit that bound")] = ""
    summary: Annotated[str, Meta(description="the decision as one line")] = ""


class Drops(Value, frozen=True, kw_only=True):
    """Abandoned calls of a campaign against its cap."""

    abandoned: int
    answered: Annotated[int, Meta(description="by a person, the abandoned among them")]
    window: Annotated[str, Meta(description="e.g. 30 d")]
    cap: Annotated[float, Meta(description="share of the answered that may be abandoned")]
    left: Annotated[int, Meta(description="that may still be abandoned; negative over the cap")]


class CampaignRow(Value, frozen=True, kw_only=True):
    """A campaign now."""

    id: str
    name: str
    status: str
    mode: Annotated[str, Meta(description="preview, progressive, power, predictive or manual")] = "progressive"
    manual_dial: Annotated[bool, Meta(description="its agents may dial numbers by hand now")] = False
    agents: Annotated[int, Meta(description="assigned")] = 0
    max_lines: int = 0
    contacts_total: int = 0
    contacts_left: int = 0
    today: Today = Today()
    decision: Decision | None = None
    drops: Annotated[Drops | None, Meta(description="null while nobody has answered")] = None
    version: int = 0


class Ratio(Value, frozen=True, kw_only=True):
    """A figure with where it comes from. `value` is null when the denominator is 0: unknown is not 0 %."""

    numerator: int
    denominator: int
    window: str
    value: float | None


class AgentCounts(Value, frozen=True, kw_only=True):
    """Agents by state; wrap-up (busy with reason wrap_up) is counted apart from busy."""

    total: int = 0
    available: int = 0
    on_call: int = 0
    wrap_up: int = 0
    busy: int = 0
    on_break: int = 0
    offline: int = 0


class CallCounts(Value, frozen=True, kw_only=True):
    """Live calls by state."""

    total: int = 0
    initiated: int = 0
    alerting: int = 0
    answered: int = 0
    bridged: int = 0
    held: int = 0
    ended: Annotated[int, Meta(description="hung up, not yet settled by the dialer")] = 0


class Waiting(Value, frozen=True, kw_only=True):
    """Customers who have answered and are not joined to an agent."""

    count: int = 0
    oldest_since: int | None = None


class Health(Value, frozen=True, kw_only=True):
    """One part of the system, in words."""

    ok: bool
    detail: str = ""


class Kpis(Value, frozen=True, kw_only=True):
    """The floor in figures."""

    agents: AgentCounts = AgentCounts()
    calls: CallCounts = CallCounts()
    waiting: Waiting = Waiting()
    today: Today = Today()
    answer_rate: Annotated[Ratio, Meta(description="answered of attempts")]
    abandon_rate: Annotated[Ratio, Meta(description="abandoned of answered")]
    behind_ms: Annotated[int | None, Meta(description="how far behind the switch; null when it is silent")] = None
    health: Annotated[
        dict[str, Health], Meta(description="database, redis, bridge, ingest, floor, dialer, default")
    ] = msgspec.field(default_factory=dict)


class Gone(Value, frozen=True, kw_only=True):
    """Ids of rows that have left the board (or the part of it that was subscribed)."""

    agents: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
