"""What may be done with a live call in its present situation. Pure: a situation in, '' or a reason for people out.

One thing at a time moves the legs of a call (an *operation*): it is ordered, the switch carries it out, and what the
switch then says ends it. Until then the call may only be hung up; and a consultation that still rings may be cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

# What a command begins, and the steps that follow: *_JOIN has ordered the bridge that the step before waited for.
PARK: Final = "park"
UNPARK: Final = "unpark"
TRANSFER: Final = "transfer"
TAKE_OVER: Final = "take_over"
TAKE_OVER_JOIN: Final = "take_over_join"
CONSULT: Final = "consult"
CONSULT_JOIN: Final = "consult_join"
CONSULT_COMPLETE: Final = "consult_complete"
# Back to the customer: after consult_cancel, or because the consulted left or never came.
RETURN: Final = "return"
RETURN_JOIN: Final = "return_join"
WORDS: Final = {
    PARK: "being parked",
    UNPARK: "being taken out of the park",
    TRANSFER: "being transferred",
    TAKE_OVER: "being taken over",
    TAKE_OVER_JOIN: "being taken over",
    CONSULT: "waiting for the consulted extension",
    CONSULT_JOIN: "being joined for the consultation",
    CONSULT_COMPLETE: "being handed to the consulted",
    RETURN: "going back to the customer",
    RETURN_JOIN: "going back to the customer",
}
MODES: Final = ("listen", "whisper", "barge")
MOVES: Final = frozenset({"park", "unpark", "transfer", "take_over", "consult", "consult_complete", "consult_cancel"})
ACTIONS: Final = (
    "hangup", "hold", "unhold", "mute", "unmute", "park", "unpark", "transfer", "consult", "consult_complete",
    "consult_cancel", "record_start", "record_stop", "record_pause", "record_resume", *MODES, "stop_listening",
    "take_over",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Situation:
    """A call that has not ended. talked: it was joined to an agent once. agent: one still holds it. consult: the leg
    of the consulted extension."""

    answered: bool = True
    talked: bool = True
    agent: bool = True
    taken_over: bool = False
    parked: bool = False
    held: bool = False
    muted: bool = False
    consult: Literal["", "ringing", "talking"] = ""
    recording: Literal["off", "on", "paused"] = "off"
    operation: str = ""


def refusal(action: str, call: Situation) -> str:
    """Why the action may not be ordered now; '' when it may."""
    if action not in ACTIONS:
        return f"{action[:30]!r} is no action on a call"
    if action in {"hangup", "stop_listening"}:
        return ""
    if not call.answered:
        return "this call has not been answered yet"
    if action.startswith("record_"):
        return _recording(action, call)
    if action in MOVES and call.operation:
        if not (action == "consult_cancel" and call.operation == CONSULT):
            return f"this call is {WORDS.get(call.operation, 'being moved')}; wait for the switch"
    if action == "transfer":
        return "end the consultation first" if call.consult else ""
    if action in {"hold", "unhold"}:
        return _hold(action, call)
    if not call.talked:
        return "nobody is talking on this call yet"
    if not call.agent:
        return "no agent is on this call any more"
    return _with_agent(action, call)


def _recording(action: str, call: Situation) -> str:
    if action == "record_start":
        return "" if call.recording == "off" else "this call is being recorded already"
    if action == "record_stop":
        return ""
    if call.recording == "off":
        return "this call is not being recorded"
    paused = action == "record_pause"
    if (call.recording == "paused") == paused:
        return "the recording is paused already" if paused else "the recording is not paused"
    return ""


def _hold(action: str, call: Situation) -> str:
    if not call.talked or not (call.agent or call.taken_over):
        return "nobody is talking on this call"
    if action == "unhold":
        return "" if call.held else "this call is not on hold"
    if call.held:
        return "this call is on hold already"
    return "the customer waits already" if call.parked or call.consult else ""


def _with_agent(action: str, call: Situation) -> str:
    match action:
        case "mute":
            return "the agent is muted already" if call.muted else ""
        case "unmute":
            return "" if call.muted else "the agent is not muted"
        case "park":
            if call.consult:
                return "the customer waits already, for the consultation"
            return "this call is parked already" if call.parked else ""
        case "unpark":
            if call.consult:
                return "end the consultation first"
            return "" if call.parked else "this call is not parked"
        case "consult":
            return "an extension is being consulted already" if call.consult else ""
        case "consult_complete":
            if not call.consult:
                return "nobody is being consulted"
            return "" if call.consult == "talking" else "the consulted extension has not answered yet"
        case "consult_cancel":
            return "" if call.consult else "nobody is being consulted"
        case "take_over":
            return "end the consultation first" if call.consult else ""
        case _:
            return ""
