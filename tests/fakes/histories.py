"""What a switch tells of a few calls, captured or made up: events of several legs, in the order they happened."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.fakes import captures
from tests.fakes.events import ROLES

# The switch's clock goes in steps of 20 ms, and several things happen in one of them.
TICK_US = 20_000
BEGUN_US = 1_700_000_000_000_000
CAPTURED = ("02_answered_bridged_agent_hangs_up", "03_no_answer", "07_hold_unhold", "08_blind_transfer", "10_recording")


class Teller:
    """Makes events of one process of a switch; `told`: as lines of JSON, in order."""

    def __init__(self, core: str, begun_us: int = BEGUN_US) -> None:
        self.core, self.now = core, begun_us
        self.told: list[bytes] = []
        self._times: dict[str, dict[str, int]] = {}
        self._who: dict[str, dict[str, str]] = {}

    def wait(self, ticks: int) -> None:
        self.now += ticks * TICK_US

    def begin(self, leg: str, role: str, call: str = "", agent: str = "", number: str = "") -> None:
        self._who[leg] = {"orch_role": role, "orch_call": call, "orch_agent": agent}
        self._times[leg] = {"Created": self.now}
        self.tell("CHANNEL_CREATE", leg, Caller_Destination_Number=number)

    def mark(self, name: str, leg: str) -> None:
        """PROGRESS or ANSWER: the time stays with the leg."""
        self._times[leg].setdefault({"PROGRESS": "Progress", "ANSWER": "Answered"}[name], self.now)
        self.tell(f"CHANNEL_{name}", leg)

    def join(self, name: str, first: str, second: str) -> None:
        """BRIDGE or UNBRIDGE: said once, on the A leg."""
        if name == "BRIDGE":
            for leg in (first, second):
                self._times[leg]["Bridged"] = self.now
        self.tell(f"CHANNEL_{name}", first, Bridge_A_Unique_ID=first, Bridge_B_Unique_ID=second)

    def end(self, leg: str, cause: str) -> None:
        self.tell("CHANNEL_HANGUP", leg, Hangup_Cause=cause)
        self._times[leg]["Hangup"] = self.now
        for name in ("CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"):
            self.tell(name, leg, Hangup_Cause=cause, variable_sip_hangup_disposition="recv_bye")

    def tell(self, name: str, leg: str, **headers: str) -> None:
        event: dict[str, Any] = {
            "Event-Name": name, "Core-UUID": self.core, "Event-Sequence": str(len(self.told) + 1),
            "Event-Date-Timestamp": str(self.now), "Unique-ID": leg,
        }  # fmt: skip
        event |= {f"Caller-Channel-{time}-Time": str(at) for time, at in self._times.get(leg, {}).items()}
        event |= {f"variable_{key}": value for key, value in self._who.get(leg, {}).items() if value}
        event |= {
            key if key.startswith("variable_") else key.replace("_", "-"): value for key, value in headers.items()
        }
        self.told.append(orjson.dumps(event))


def captured(name: str) -> tuple[bytes, ...]:
    return tuple(captures.with_roles(line, ROLES) for line in captures.lines(name))


@st.composite
def histories(draw: st.DrawFn) -> tuple[bytes, ...]:
    """One or two calls with agents' open legs, told by one process of the switch."""
    teller = Teller(f"core-{draw(st.integers(1, 10**6))}", BEGUN_US + draw(st.integers(0, 10)) * 60_000_000)
    agents = [f"agent-{n}-{draw(st.integers(0, 10**6))}" for n in range(2)]
    for agent in agents:
        teller.begin(agent, "agent", agent=agent)
        teller.mark("ANSWER", agent)
    for _ in range(draw(st.integers(1, 2))):
        _call(draw, teller, f"call-{draw(st.integers(0, 10**9))}", agents)
    if draw(st.booleans()):
        for agent in agents:
            teller.end(agent, "NORMAL_CLEARING")
    return tuple(teller.told)


def _call(draw: st.DrawFn, teller: Teller, call: str, agents: Sequence[str]) -> None:
    def passes(name: str) -> bool:
        teller.wait(draw(st.integers(0, 3)))
        return draw(st.booleans(), label=name)

    teller.begin(call, "customer", call=call, number="+12125550100")
    if passes("rings"):
        teller.mark("PROGRESS", call)
        teller.wait(draw(st.integers(0, 2)))
        teller.tell("CHANNEL_PROGRESS_MEDIA", call, Caller_Channel_Progress_Media_Time=str(teller.now))
    if passes("is not answered"):
        teller.end(call, draw(st.sampled_from(["USER_BUSY", "NO_ANSWER", "NORMAL_TEMPORARY_FAILURE"])))
        return
    teller.mark("ANSWER", call)
    teller.tell("CHANNEL_PARK", call)
    for agent in agents[: draw(st.integers(0, 2))]:
        teller.wait(1)
        teller.join("BRIDGE", call, agent)
        if passes("is recorded"):
            teller.tell("RECORD_START", call, Record_File_Path=f"/r/{call}.wav")
        for _ in range(draw(st.integers(0, 2))):
            teller.wait(1)
            teller.tell("CHANNEL_HOLD", call)
            teller.wait(draw(st.integers(1, 3)))
            teller.tell("CHANNEL_UNHOLD", call)
        if passes("is recorded no more"):
            teller.tell("RECORD_STOP", call, Record_File_Path=f"/r/{call}.wav")
        teller.wait(1)
        teller.join("UNBRIDGE", call, agent)
        teller.tell("CHANNEL_PARK", agent)
    if passes("ends"):
        teller.end(call, draw(st.sampled_from(["NORMAL_CLEARING", "ALLOTTED_TIMEOUT"])))
