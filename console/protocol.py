"""The live board's websocket protocol, version 1: every message as a closed type. Pure.

One JSON object a message, its type in the field `type`. Unknown fields are refused in both directions, so the types
below are the whole contract; docs/protocol.md is generated from them (`manage.py write_protocol_docs`).
All times are integer milliseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from console.rows import (
    AgentCounts,
    AgentRow,
    AgentToday,
    AlertRow,
    CallCounts,
    CallRow,
    CampaignAgents,
    CampaignRow,
    ContactCounts,
    Decision,
    Drops,
    Forecast,
    Gone,
    Health,
    Kpis,
    LastCall,
    Limits,
    Lines,
    Listener,
    Note,
    Pending,
    Preview,
    Ratio,
    Today,
    Value,
    Waiting,
    WaitTimes,
)

PROTOCOL_VERSION: Final = 1

# A client's message is a short intent; anything longer is a mistake or an attack.
MESSAGE_BYTES: Final = 64 * 1024
# A person clicks, a program commands: neither needs more than 100 messages a minute on one socket.
MESSAGES_PER_MINUTE: Final = 100
# A selection on the board; each command in it counts against COMMANDS_PER_MINUTE.
BULK_COMMANDS: Final = 200
COMMANDS_PER_MINUTE: Final = 600
# Boards, panels and scripts of one user, per web process.
SOCKETS_PER_USER: Final = 10
# A command older than this by its own stamp was queued while its page was offline: nobody means it any more.
STALE_COMMAND_MS: Final = 5_000
# A client whose machine takes nothing for this long is closed, well within 5 s; it may come back and resume.
SLOW_CLIENT_SECONDS: Final = 3.0
# A client so far behind gets a fresh snapshot instead of every frame: the latest value wins.
FRAMES_BEHIND: Final = 100

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+\Z")]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="chosen by the client; the same id twice has one effect and gets the same answer",
    ),
]
Ms = Annotated[int, Meta(description="ms since 1970 UTC")]

# --- server to client -------------------------------------------------------------------------------------------


class ServerMessage(Value, frozen=True, kw_only=True, tag_field="type"):
    """What the server says."""


class Hello(ServerMessage, frozen=True, kw_only=True, tag="hello"):
    """First message. Answer with `resume` or `subscribe`; without either the whole floor follows after half a
    second."""

    protocol: int = PROTOCOL_VERSION
    server_time: Ms


class Snapshot(ServerMessage, frozen=True, kw_only=True, tag="snapshot"):
    """The whole state at `seq`. It may come at any time (a new epoch, a slow client) and replaces all that is known."""

    epoch: str
    seq: int
    at: Ms
    agents: tuple[AgentRow, ...] = ()
    calls: tuple[CallRow, ...] = ()
    campaigns: tuple[CampaignRow, ...] = ()
    alerts: tuple[AlertRow, ...] = ()
    kpis: Annotated[Kpis | None, Meta(description="null on the agent's socket")] = None


class Frame(ServerMessage, frozen=True, kw_only=True, tag="frame"):
    """What changed since `seq - 1` as whole rows, latest value each. Apply in order; `seq` has no gaps in an epoch.

    An empty frame comes once a second when nothing changes, so silence means trouble.
    """

    epoch: str
    seq: int
    at: Ms
    agents: tuple[AgentRow, ...] = ()
    calls: tuple[CallRow, ...] = ()
    campaigns: tuple[CampaignRow, ...] = ()
    alerts: tuple[AlertRow, ...] = ()
    gone: Gone = Gone()
    kpis: Annotated[Kpis | None, Meta(description="null: unchanged")] = None


class Ack(ServerMessage, frozen=True, kw_only=True, tag="ack"):
    """The command is on the sequential queue. Nothing has happened yet."""

    id: str
    command_id: str
    queue_position: Annotated[int, Meta(description="tasks waiting, this one included; 0: already taken")]


class Result(ServerMessage, frozen=True, kw_only=True, tag="result"):
    """The sequential worker has committed the command, or refused it with a reason."""

    id: str
    command_id: str
    status: Literal["applied", "rejected", "failed"]
    reason: str = ""
    awaits: Annotated[bool, Meta(description="the switch was asked for something: `confirmed` follows")] = False


class Confirmed(ServerMessage, frozen=True, kw_only=True, tag="confirmed"):
    """After `result`, for commands that ask something of the switch: it has done it, or has refused with a reason."""

    id: str
    command_id: str
    status: Literal["confirmed", "failed"]
    reason: str = ""


class Error(ServerMessage, frozen=True, kw_only=True, tag="error"):
    """A message that was not acted on (except `no_answer`). `id` is empty when the message could not be read."""

    id: str = ""
    code: str
    message: str = ""


class Pong(ServerMessage, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    server_time: Ms


# --- client to server -------------------------------------------------------------------------------------------


class ClientMessage(Value, frozen=True, kw_only=True, tag_field="type"):
    """What a client may say."""


Kind = Literal["agents", "calls", "campaigns", "alerts", "kpis"]


class Resume(ClientMessage, frozen=True, kw_only=True, tag="resume"):
    """Go on after `seq` of `epoch`. Answered with every missed frame, or with a snapshot; never with a part.

    `campaigns`, `teams` and `kinds` are those of the subscription that was held, as in `subscribe`; without any of them
    the socket's own holds. An epoch is told for one part of the floor: in another part the answer is a snapshot.
    """

    epoch: Annotated[str, Meta(max_length=64)]
    seq: Annotated[int, Meta(ge=0)]
    campaigns: Annotated[tuple[Id, ...], Meta(max_length=200)] = ()
    teams: Annotated[tuple[Id, ...], Meta(max_length=200, description="codes")] = ()
    kinds: Annotated[tuple[Kind, ...], Meta(max_length=5)] = ()


class Subscribe(ClientMessage, frozen=True, kw_only=True, tag="subscribe"):
    """Only a part of what the user may see: rows of these campaigns and of these teams, and of these kinds; an empty
    list leaves that out of account. Answered with a snapshot. Key figures are those of the part.

    A campaign's own row is of no team: `teams` does not leave it out.
    """

    campaigns: Annotated[tuple[Id, ...], Meta(max_length=200)] = ()
    teams: Annotated[tuple[Id, ...], Meta(max_length=200, description="codes")] = ()
    kinds: Annotated[tuple[Kind, ...], Meta(max_length=5)] = ()


class Command(ClientMessage, frozen=True, kw_only=True):
    """Common to all commands."""

    id: ClientId
    sent_at: Annotated[int | None, Meta(description="when it was asked for; refused when more than 5 s ago")] = None


class SetAgentState(Command, frozen=True, kw_only=True, tag="set_agent_state"):
    """Change an agent's state: now, or after the present call. Agents: only their own. Supervisors: any."""

    agent_id: Id
    state: Annotated[
        Literal["available", "busy", "break", "offline", ""], Meta(description="empty only with cancel_pending")
    ] = ""
    reason: Annotated[str, Meta(max_length=40, pattern=r"^[a-z0-9_-]*\Z")] = ""
    cancel_pending: Annotated[bool, Meta(description="forget the pending next state instead")] = False


CallAction = Literal[
    "hangup",
    "hold",
    "unhold",
    "mute",
    "unmute",
    "park",
    "unpark",
    "transfer",
    "consult",
    "consult_complete",
    "consult_cancel",
    "record_start",
    "record_stop",
    "record_pause",
    "record_resume",
    "listen",
    "whisper",
    "barge",
    "stop_listening",
    "take_over",
]
Mode = Literal["preview", "progressive", "power", "predictive", "manual"]


class CallControl(Command, frozen=True, kw_only=True, tag="call_control"):
    """Act on a live call. Agents: only their own, and never listen, whisper, barge or take over.

    `listen`, `whisper` and `barge` call the supervisor's own softphone, or change how it listens already;
    `stop_listening` hangs it up. `take_over` joins the customer to the supervisor's softphone in the agent's place.
    `park` keeps the customer waiting apart from the agent until `unpark`. `transfer` is blind; `consult` calls an
    extension while the customer waits, `consult_complete` joins the two, `consult_cancel` goes back to the customer.
    """

    call_id: Id
    action: CallAction
    extension: Annotated[
        str,
        Meta(max_length=12, pattern=r"^([0-9]{2,12})?\Z", description="transfer target, or own softphone"),
    ] = ""


class DisposeCall(Command, frozen=True, kw_only=True, tag="dispose_call"):
    """Say what an answered call came to; again within 30 minutes corrects it. Agents: only their own calls."""

    call_id: Id
    code: Annotated[
        str,
        Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+\Z", description="of the campaign's dispositions"),
    ]
    notes: Annotated[str, Meta(max_length=2000)] = ""
    callback_at: Annotated[int | None, Meta(description="ms since 1970 UTC; with a disposition that calls back")] = None
    callback_personal: Annotated[
        bool, Meta(description="the agent's own appointment, anyone's only some time after it is due")
    ] = True


class CampaignControl(Command, frozen=True, kw_only=True, tag="campaign_control"):
    """Start, pause or stop a campaign, or change how it dials from the next decision on. Supervisors only."""

    campaign_id: Id
    action: Literal["start", "pause", "stop", "set_mode", "set_limits"]
    mode: Annotated[Mode | None, Meta(description="only with set_mode")] = None
    max_lines: Annotated[
        Annotated[int, Meta(ge=0, le=10_000)] | None, Meta(description="set_limits; null: as it is")
    ] = None
    calls_per_second: Annotated[
        Annotated[int, Meta(ge=0, le=1_000)] | None,
        Meta(description="set_limits; 0: only the system's limit; null: as it is"),
    ] = None
    power_ratio: Annotated[
        Annotated[float, Meta(ge=1, le=10)] | None, Meta(description="set_limits; null: as it is")
    ] = None


class PreviewControl(Command, frozen=True, kw_only=True, tag="preview_control"):
    """What to do with the contact before an agent. Agents: only their own. Supervisors: any.

    `dial` asks every rule again and is refused with what forbids it; the contact then goes back to the list.
    """

    agent_id: Id
    action: Literal["dial", "skip", "reschedule"]
    preview_id: Annotated[
        str, Meta(max_length=64, description="the preview that is meant: refused when another is open by now")
    ] = ""
    at: Annotated[int | None, Meta(description="reschedule: when, ms since 1970 UTC")] = None
    personal: Annotated[bool, Meta(description="reschedule: with this agent; an hour later with anyone")] = False
    reason: Annotated[str, Meta(max_length=300)] = ""


class ManualDial(Command, frozen=True, kw_only=True, tag="manual_dial"):
    """Dial a number by hand for an idle agent. Every rule holds; what forbids the call is the reason of the refusal.

    Agents: only for themselves. Supervisors: any.
    """

    agent_id: Id
    campaign_id: Id
    number: Annotated[str, Meta(min_length=1, max_length=60, description="as people write it")]


class SendMessage(Command, frozen=True, kw_only=True, tag="send_message"):
    """A message to agents: to these, and to all of these teams and campaigns. Shown on their panels until read."""

    agents: Annotated[tuple[Id, ...], Meta(max_length=500)] = ()
    teams: Annotated[tuple[Id, ...], Meta(max_length=50)] = ()
    campaigns: Annotated[tuple[Id, ...], Meta(max_length=50)] = ()
    text: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*\Z")]


class ReadMessage(Command, frozen=True, kw_only=True, tag="read_message"):
    """The agent has read a message. Agents: only their own."""

    agent_id: Id
    message_id: Id


class AlertControl(Command, frozen=True, kw_only=True, tag="alert_control"):
    """Take an alert on, put it off, or close it. Supervisors only."""

    alert_id: Id
    action: Literal["acknowledge", "snooze", "resolve"]
    minutes: Annotated[int, Meta(ge=1, le=1440, description="only with snooze")] = 15


Intent = (
    SetAgentState
    | CallControl
    | CampaignControl
    | PreviewControl
    | ManualDial
    | DisposeCall
    | SendMessage
    | ReadMessage
    | AlertControl
)


class Bulk(ClientMessage, frozen=True, kw_only=True, tag="bulk"):
    """Several commands in one message. Each has its own id and is answered by itself, as if it had come alone."""

    commands: Annotated[tuple[Intent, ...], Meta(min_length=1, max_length=BULK_COMMANDS)]


class Ping(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Answered with `pong`."""

    round_trip_ms: Annotated[
        Annotated[int, Meta(ge=0, le=600_000)] | None,
        Meta(description="as measured by the last ping; shown on the board for agents"),
    ] = None


FromServer = Hello | Snapshot | Frame | Ack | Result | Confirmed | Error | Pong
FromClient = Resume | Subscribe | Intent | Bulk | Ping

SERVER_MESSAGES: Final = (Hello, Snapshot, Frame, Ack, Result, Confirmed, Error, Pong)
CLIENT_MESSAGES: Final = (
    Resume,
    Subscribe,
    SetAgentState,
    CallControl,
    CampaignControl,
    PreviewControl,
    ManualDial,
    DisposeCall,
    SendMessage,
    ReadMessage,
    AlertControl,
    Bulk,
    Ping,
)
ROWS: Final = (
    AgentRow,
    AgentToday,
    Pending,
    Preview,
    LastCall,
    Note,
    CallRow,
    Listener,
    CampaignRow,
    CampaignAgents,
    Lines,
    ContactCounts,
    Limits,
    Forecast,
    Today,
    Decision,
    Drops,
    AlertRow,
    Kpis,
    AgentCounts,
    CallCounts,
    Waiting,
    WaitTimes,
    Ratio,
    Health,
    Gone,
)

_client: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_server: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)
_frame = msgspec.json.Decoder(Frame)
_snapshot = msgspec.json.Decoder(Snapshot)
_encoder = msgspec.json.Encoder()


class InvalidMessage(ValueError):
    """Not a message of this protocol; the text is fit to be shown to the sender."""


def read_client(text: str | bytes) -> FromClient:
    """A client's message. Raises InvalidMessage."""
    try:
        return _client.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(str(error)[:300]) from None


def read_server(text: str | bytes) -> FromServer:
    """A server's message, for clients and tests. Raises msgspec.DecodeError."""
    return _server.decode(text)


def read_frame(text: str | bytes) -> Frame:
    return _frame.decode(text)


def read_snapshot(text: str | bytes) -> Snapshot:
    return _snapshot.decode(text)


def encode(message: FromServer | FromClient) -> bytes:
    return _encoder.encode(message)


def text(message: FromServer | FromClient) -> str:
    return _encoder.encode(message).decode()
