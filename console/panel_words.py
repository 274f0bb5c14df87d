"""What an agent's panel says: their state, softphone, call and day, and which actions a call allows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console import words
from console.rows import AgentRow, AgentToday, CallRow, Listener, Ratio
from dialer.figures import DEFINITIONS, NOTHING, percent

Shown = tuple[str, str, str]  # word, icon, CSS tone

LISTENING: Final = {"listen": "listens", "whisper": "whispers to you", "barge": "talks with both of you"}
RECORDINGS: Final[dict[str, Shown]] = {
    "off": ("off", "off", "quiet"),
    "on": ("on", "ready", "trouble"),
    "paused": ("paused", "pause", "break"),
}
# Definitions of the day's figures; what runs now is not in them yet.
_SO_FAR: Final = "Today (UTC), up to the beginning of the present state."
COUNTED: Final = {
    "contacts": "Calls on which you talked with a person.",
    "talk": "Time joined to customers.",
}


def softphone(row: AgentRow, call: CallRow | None) -> Shown:
    if row.softphone == "lost":
        return "lost", "alert", "trouble"
    if row.registered == "no" and row.softphone != "open":
        return "not registered", "alert", "quiet" if row.status == "offline" else "trouble"
    if row.softphone == "ringing":
        return "ringing: answer it", "ring", "break"
    if row.softphone == "open":
        return ("in call", "call", "oncall") if joined(call) else ("connected", "phone", "available")
    return ("registered", "phone", "quiet") if row.registered == "yes" else ("not called", "off", "quiet")


def joined(call: CallRow | None) -> bool:
    """Whether the agent and the customer are, or were, put through to each other."""
    return call is not None and (call.state in ("bridged", "held") or call.parked or bool(call.consulting))


def phone_trouble(row: AgentRow) -> str:
    """The one sentence for the banner, or ''. A softphone that is not needed now is no trouble."""
    if row.status == "offline":
        return ""
    if row.softphone == "lost":
        return "Softphone lost: no call reaches you. It is called again by itself."
    if row.registered == "no" and row.softphone != "open":
        return "Softphone not registered: no call reaches you. Start it, or sign in on it."
    return ""


# --- the call ---


def call_state(call: CallRow) -> Shown:
    if call.consulting:
        return "Customer waits", "pause", "break"
    if call.parked:
        return "Parked", "pause", "break"
    if call.waiting_since is not None:
        return "Waiting", "wait", "available"
    return words.CALL_STATES[call.state]


@dataclass(frozen=True, slots=True)
class Button:
    """`why` says why it cannot be done now; empty: it can. `key`: with Shift, the hot key. `ask`: what the hot key asks
    before it acts."""

    id: str
    label: str
    action: str
    icon: str
    key: str
    why: str = ""
    ask: str = ""
    danger: bool = False


def buttons(call: CallRow, who: str) -> list[Button]:
    """Always the same places in the same order, so that nothing moves under the hand."""
    held = call.state == "held" and not call.consulting and not call.parked
    busy = _engaged(call)
    moving = _moving(call)
    apart = busy or ("" if call.state in ("bridged", "held") else "you are not joined to the customer")
    return [
        Button("my-hold", "Take off hold", "unhold", "call", "H", moving)
        if held
        else Button("my-hold", "Hold", "hold", "pause", "H", apart),
        Button("my-mute", "Unmute", "unmute", "mic", "M")
        if call.muted
        else Button("my-mute", "Mute", "mute", "mute", "M", "" if joined(call) else apart),
        Button("my-park", "Take out of park", "unpark", "call", "P", moving)
        if call.parked and not call.consulting
        else Button("my-park", "Park", "park", "park", "P", apart),
        _record(call),
        Button("my-hangup", "Hang up", "hangup", "hangup", "E", ask=f"Hang up {who}?", danger=True),
    ]


def _moving(call: CallRow) -> str:
    return f"the switch has been asked: {words.plain(call.operation)}" if call.operation else ""


def _engaged(call: CallRow) -> str:
    if call.consulting:
        return f"you speak with {call.consulting}" if call.consult_answered else f"{call.consulting} is being called"
    return "the customer is parked" if call.parked else _moving(call)


def _record(call: CallRow) -> Button:
    match call.recording:
        case "on":
            return Button("my-record", "Pause recording", "record_pause", "pause", "R")
        case "paused":
            return Button("my-record", "Resume recording", "record_resume", "ready", "R")
        case _:
            return Button("my-record", "Pause recording", "record_pause", "pause", "R", "this call is not recorded")


def no_transfer(call: CallRow | None) -> str:
    """Why the call can be neither transferred nor a colleague asked now, or ''."""
    if call is None:
        return "there is no call"
    if engaged := _engaged(call):
        return engaged
    return "" if call.state in ("bridged", "held") else "you are not joined to the customer"


def not_yet_joined(call: CallRow | None) -> str:
    """Why customer and colleague cannot be joined now, or ''."""
    return "" if call is None or call.consult_answered else f"{call.consulting} has not answered yet"


def consulting(call: CallRow) -> str:
    """What is going on with the colleague, in a sentence; '' without one."""
    if not call.consulting:
        return ""
    if call.consult_answered:
        return f"You speak with {call.consulting}; the customer waits."
    return f"Calling {call.consulting}; the customer waits."


def listening(listeners: Sequence[Listener]) -> str:
    return "; ".join(f"{one.user} {LISTENING[one.mode]}" for one in listeners)


# --- the day ---


@dataclass(frozen=True, slots=True)
class DayFigure:
    """`parts`: numerator and denominator in words, or ''."""

    key: str
    label: str
    value: str
    definition: str
    parts: str = ""


def day(today: AgentToday) -> list[DayFigure]:
    talk, handle, occupancy = today.talk_seconds, today.handle_time, today.occupancy

    def figure(key: str, label: str, value: str, parts: str = "") -> DayFigure:
        return DayFigure(key, label, value, f"{COUNTED.get(key) or _defined(key)} {_SO_FAR}", parts)

    return [
        figure("contacts", "Contacts", str(today.contacts)),
        figure("talk", "Talk", duration(talk)),
        figure(
            "average_handle_time",
            "AHT",
            NOTHING if handle is None or handle.value is None else duration(round(handle.value)),
            _parts(handle, "in", "call"),
        ),
        figure(
            "occupancy",
            "Occupancy",
            percent(None if occupancy is None else occupancy.value, 0),
            _parts(occupancy, "of", ""),
        ),
    ]


def _defined(key: str) -> str:
    """The industry's definition, as on the board and in exports."""
    found = DEFINITIONS[key]
    return f"{found.name}: {found.formula}."


def _parts(ratio: Ratio | None, between: str, counted: str) -> str:
    if ratio is None:
        return "Nothing to divide yet."
    below = (
        f"{ratio.denominator} {counted}{'' if ratio.denominator == 1 else 's'}"
        if counted
        else duration(ratio.denominator)
    )
    return f"{duration(ratio.numerator)} {between} {below}."


def duration(seconds: int) -> str:
    """m:ss, or h:mm:ss."""
    minutes, rest = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
