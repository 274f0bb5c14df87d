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


class Listener(Value, frozen=True, kw_only=True):
    """A supervisor whose softphone listens to a call, as the switch has confirmed."""

    user: str
    mode: Literal["listen", "whisper", "barge"] = "listen"
    since: int | None = None


class Note(Value, frozen=True, kw_only=True):
    """A supervisor's message to an agent, shown until the agent has read it."""

    id: str
    sender: str
    text: str
    at: int


class Ratio(Value, frozen=True, kw_only=True):
    """A figure with where it comes from. `value` is null when the denominator is 0: unknown is not 0 %.

    What each figure means, and its unit: docs/figures.md. The value of a figure per hour or in seconds is its
    numerator / denominator in that unit.
    """

    numerator: int
    denominator: int
    window: str
    value: float | None


class AgentToday(Value, frozen=True, kw_only=True):
    """An agent's day so far, up to the beginning of the present state: what runs now is not in it yet.

    Definitions and sources: dialer/figures/definitions.py.
    """

    handled: Annotated[int, Meta(description="calls joined to the agent, and over")] = 0
    contacts: Annotated[int, Meta(description="calls talked with a person")] = 0
    talk_seconds: Annotated[int, Meta(description="without hold")] = 0
    hold_seconds: int = 0
    wrap_up_seconds: int = 0
    idle_seconds: int = 0
    break_seconds: int = 0
    busy_seconds: Annotated[int, Meta(description="busy with other work than wrap-up")] = 0
    handle_time: Annotated[Ratio | None, Meta(description="seconds per call: talk, hold and wrap-up")] = None
    occupancy: Annotated[Ratio | None, Meta(description="of talk, hold, wrap-up and idle time, the busy part")] = None


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
    team: Annotated[str, Meta(description="the team's code; empty: none")] = ""
    team_name: str = ""
    campaign_id: Annotated[str | None, Meta(description="of the call or preview at hand")] = None
    today: AgentToday = AgentToday()
    round_trip_ms: Annotated[
        int | None, Meta(description="panel to server and back; null: no panel, or not measured")
    ] = None
    listeners: Annotated[tuple[Listener, ...], Meta(description="supervisors on the agent's call")] = ()
    note: Annotated[Note | None, Meta(description="the oldest message the agent has not read")] = None
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
    ringing_since: Annotated[int | None, Meta(description="when the customer's phone began to ring")] = None
    answered_at: int | None = None
    bridged_at: int | None = None
    waiting_since: Annotated[
        int | None, Meta(description="a customer has answered and is not joined to an agent, since then")
    ] = None
    peer: Annotated[str, Meta(description="uuid of the leg it is bridged to")] = ""
    cause: Annotated[str, Meta(description="hangup cause, once known")] = ""
    recording: Annotated[Recording, Meta(description="as the switch has confirmed")] = "off"
    team: Annotated[str, Meta(description="of the agent")] = ""
    agent_state: Annotated[LegState | None, Meta(description="of the agent's leg; null: none")] = None
    muted: Annotated[bool, Meta(description="the customer does not hear the agent")] = False
    muted_since: Annotated[int | None, Meta(description="when the switch reported it; null: not muted")] = None
    parked: Annotated[bool, Meta(description="the customer waits apart from the agent")] = False
    consulting: Annotated[str, Meta(description="extension the agent speaks with while the customer waits")] = ""
    consult_answered: Annotated[bool, Meta(description="the agent speaks with `consulting`; false: it rings")] = False
    taken_over_by: Annotated[str, Meta(description="the supervisor who talks in the agent's place")] = ""
    operation: Annotated[
        str, Meta(description="what moves its legs and is not confirmed yet, e.g. park, take_over; empty: nothing")
    ] = ""
    listeners: tuple[Listener, ...] = ()
    decision_id: Annotated[int | None, Meta(description="the stored decision that placed it")] = None
    version: int = 0


class Today(Value, frozen=True, kw_only=True):
    """Counts of the current UTC day."""

    attempts: int = 0
    answered: Annotated[int, Meta(description="by machines too")] = 0
    people: Annotated[int, Meta(description="answered by a person")] = 0
    connected: Annotated[int, Meta(description="joined to an agent")] = 0
    contacts: Annotated[int, Meta(description="joined to an agent, and a person")] = 0
    abandoned: Annotated[int, Meta(description="answered by a person, but no agent within 2 s")] = 0
    busy: int = 0
    no_answer: int = 0
    failed: int = 0
    talk_seconds: int = 0
    wait_ms: Annotated[int, Meta(description="from answer to agent, of all joined")] = 0
    waits: Annotated[
        tuple[int, ...],
        Meta(
            description="joined calls by how long they waited: up to 50, 100, 150, 200, 300, 400, 500, 750, 1000, "
            "1500, 2000, 3000, 5000, 10000, 30000 ms, and longer"
        ),
    ] = ()


class Decision(Value, frozen=True, kw_only=True):
    """The dialer's last answer to "how many calls now, and why"."""

    at: Annotated[int | None, Meta(description="when it was first given; it is the answer since then")]
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


class CampaignAgents(Value, frozen=True, kw_only=True):
    """A campaign's agents by what they do now; those of several campaigns count in each."""

    idle: Annotated[int, Meta(description="can be given a call now: softphone connected, nothing at hand")] = 0
    reserved: Annotated[int, Meta(description="available, with a call that rings for them or a preview")] = 0
    unready: Annotated[int, Meta(description="available; softphone not connected, or another state follows")] = 0
    nearly_free: Annotated[int, Meta(description="of those in wrap-up, whose time is over within 20 s")] = 0
    talking: int = 0
    wrap_up: int = 0
    on_break: int = 0
    busy: int = 0
    offline: int = 0


class Lines(Value, frozen=True, kw_only=True):
    """A campaign's calls by stage."""

    dialling: int = 0
    ringing: int = 0
    live: Annotated[int, Meta(description="joined to an agent, on hold among them")] = 0
    waiting: Annotated[int, Meta(description="answered, not joined to an agent")] = 0


class ContactCounts(Value, frozen=True, kw_only=True):
    """A campaign's contacts by whether they may be called now, as last counted."""

    at: int | None = None
    ready: Annotated[int, Meta(description="estimated from a sample")] = 0
    later: Annotated[int, Meta(description="their next attempt is due later")] = 0
    blocked: Annotated[dict[str, int], Meta(description="by gate")] = msgspec.field(default_factory=dict)
    more: Annotated[bool, Meta(description="there are more: counting stops at 10,000")] = False


class Limits(Value, frozen=True, kw_only=True):
    """What bounds a campaign's dialling; changed by `campaign_control set_limits`."""

    max_lines: int = 0
    calls_per_second: Annotated[int | None, Meta(description="null: only the system's limit")] = None
    power_ratio: float = 2.0
    ring_timeout: Annotated[int, Meta(description="s")] = 25


class Forecast(Value, frozen=True, kw_only=True):
    """When the list will be used up, at the pace of the last hour."""

    per_hour: Annotated[float, Meta(description="contacts done with per hour")]
    ends_at: int


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
    agents_now: CampaignAgents = CampaignAgents()
    lines: Lines = Lines()
    contacts: ContactCounts = ContactCounts()
    limits: Limits = Limits()
    answer_rate: Annotated[Ratio | None, Meta(description="answered of attempts, today")] = None
    contact_rate: Annotated[Ratio | None, Meta(description="talked with a person, of attempts, today")] = None
    contact_rate_per_contact: Annotated[
        Ratio | None, Meta(description="contacts talked with, of those called, since the campaign began")
    ] = None
    abandon_rate: Annotated[Ratio | None, Meta(description="abandoned of answered by a person, today")] = None
    forecast: Annotated[Forecast | None, Meta(description="null: no pace, or no list")] = None
    version: int = 0


class AlertRow(Value, frozen=True, kw_only=True):
    """Something that has passed a threshold and has not come back. Raised once; it leaves when it is resolved."""

    id: str
    threshold: Annotated[str, Meta(description="name of the threshold")]
    level: Literal["warning", "critical"]
    subject_kind: Literal["agent", "call", "campaign", "floor"]
    subject_id: str = ""
    campaign_id: str | None = None
    team: str = ""
    text: Annotated[str, Meta(description="what is wrong with what, in words")]
    raised_at: int
    state: Literal["raised", "acknowledged", "snoozed"] = "raised"
    owner: Annotated[str, Meta(description="who has acknowledged or snoozed it")] = ""
    snoozed_until: int | None = None
    version: int = 0


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
    at: Annotated[int | None, Meta(description="when it was last heard")] = None
    backlog: Annotated[int | None, Meta(description="what waits there: tasks, events or orders")] = None
    delay_ms: Annotated[int | None, Meta(description="how long what it does now has waited")] = None


class WaitTimes(Value, frozen=True, kw_only=True):
    """How long answered customers waited for an agent: steps that so many did not exceed (see Today.waits)."""

    calls: Annotated[int, Meta(description="joined to an agent")]
    p50_ms: int | None
    p95_ms: int | None
    window: str


class Kpis(Value, frozen=True, kw_only=True):
    """The floor in figures."""

    agents: AgentCounts = AgentCounts()
    calls: CallCounts = CallCounts()
    waiting: Waiting = Waiting()
    today: Today = Today()
    answer_rate: Annotated[Ratio, Meta(description="answered of attempts")]
    abandon_rate: Annotated[Ratio, Meta(description="abandoned of answered by a person")]
    contact_rate: Annotated[Ratio | None, Meta(description="talked with a person, of attempts")] = None
    service_level: Annotated[Ratio | None, Meta(description="joined to an agent within 2 s, of those offered")] = None
    speed_of_answer: Annotated[Ratio | None, Meta(description="mean wait of the joined: ms / calls, in s")] = None
    wait: WaitTimes | None = None
    occupancy: Annotated[Ratio | None, Meta(description="of talk, hold, wrap-up and idle time, the busy part")] = None
    utilisation: Annotated[Ratio | None, Meta(description="of the time logged in, the part for calls or idle")] = None
    handle_time: Annotated[Ratio | None, Meta(description="seconds per call: talk, hold and wrap-up")] = None
    calls_per_agent_hour: Annotated[Ratio | None, Meta(description="calls handled / seconds logged in, per hour")] = (
        None
    )
    behind_ms: Annotated[int | None, Meta(description="how far behind the switch; null when it is silent")] = None
    health: Annotated[
        dict[str, Health], Meta(description="database, redis, bridge, ingest, floor, dialer, default, orders")
    ] = msgspec.field(default_factory=dict)


class Gone(Value, frozen=True, kw_only=True):
    """Ids of rows that have left the board (or the part of it that was subscribed)."""

    agents: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
