"""The fragments of the agent's panel, and what the agent's own JSON socket may say."""

import pytest

from console import protocol, render
from console.encodings import Json, Panel
from console.floor_state import FloorState, apply_frame
from console.hub import Entry
from console.kpis import compute
from console.rows import AgentRow, CallRow, Listener
from console.scopes import Scope

MARIA = (Listener(user="maria", mode="whisper"),)


class Hub:
    """As much of the hub as an encoding asks for."""

    def __init__(self) -> None:
        agent = AgentRow(id="a", name="Ann", extension="901", status="on_call", call_id="c", listeners=MARIA)
        call = CallRow(id="c", agent_id="a", contact="Grace", state="bridged", listeners=MARIA)
        self.state = FloorState("1.1", 1, 1, {"a": agent}, {"c": call}, kpis=compute((), (), (), {}, 0))

    def snapshot_text(self, key, make):
        return make()


def said(hub: Hub) -> str:
    """Everything that the agent's two sockets say of the floor and of one frame."""
    scope = Scope(agent="a")
    texts = [Json().snapshot(hub, scope), Panel().snapshot(hub, scope)]
    frame = protocol.Frame(epoch="1.1", seq=2, at=2, calls=tuple(hub.state.calls.values()))
    entry = Entry(protocol.encode(frame), frame, apply_frame(hub.state, frame))
    return "".join([*texts, Json().frame(hub, entry, scope), Panel().frame(hub, entry, scope)])


def test_an_agent_is_told_who_listens(settings):
    settings.MONITORING_VISIBLE_TO_AGENTS = True
    assert said(Hub()).count("maria") >= 4


def test_an_agent_is_told_nothing_of_listeners_where_the_setting_says_so(settings):
    settings.MONITORING_VISIBLE_TO_AGENTS = False
    assert "maria" not in said(Hub())


def test_a_supervisor_is_always_told_who_listens(settings):
    settings.MONITORING_VISIBLE_TO_AGENTS = False
    assert "maria" in Json().snapshot(Hub(), Scope())


@pytest.mark.parametrize(
    ("message", "status", "settled", "words"),
    [
        (protocol.Ack(id="1", command_id="2", queue_position=3), "queued", False, "queued, 2 ahead"),
        (protocol.Result(id="1", command_id="2", status="applied"), "applied", True, "applied"),
        (protocol.Result(id="1", command_id="2", status="applied", awaits=True), "asked", False, "has been asked"),
        (protocol.Result(id="1", command_id="2", status="rejected", reason="no"), "rejected", True, "refused: no"),
        (protocol.Confirmed(id="1", command_id="2", status="confirmed"), "confirmed", True, "confirmed by the switch"),
        (protocol.Confirmed(id="1", command_id="2", status="failed", reason="busy"), "failed", True, "refused: busy"),
        (protocol.Error(id="1", code="stale_command", message="too late"), "error", True, "too late"),
    ],
)
def test_a_command_is_followed_in_one_line_of_the_log(message, status, settled, words):
    line = render.command_line(message, "hold")
    assert line.startswith('<li id="cmd-1"') and "hx-swap-oob" not in line
    assert f'data-status="{status}"' in line and words in line
    assert ('data-settled="1"' in line) == settled


def test_an_answer_to_a_ping_comes_by_itself():
    assert render.command_line(protocol.Pong(server_time=5), "") == '<i id="pong" hidden data-at="5"></i>'


def test_the_panel_shows_the_customer_of_the_open_call_then_of_the_wrap_up_and_then_none():
    hub = Hub()
    record = lambda: Panel().snapshot(hub, Scope(agent="a")).split('data-record="')[1].split('"')[0]  # noqa: E731
    assert record() == "c"
    last = protocol.LastCall(id="c")
    hub.state.calls.clear()
    wrap_up = AgentRow(id="a", name="Ann", extension="901", status="busy", reason="wrap_up", last_call=last)
    hub.state.agents["a"] = wrap_up
    assert record() == "c"
    hub.state.agents["a"] = AgentRow(id="a", name="Ann", extension="901", status="available", last_call=last)
    assert record() == ""


def test_a_leg_that_is_no_call_of_ours_has_no_record():
    hub = Hub()
    hub.state.calls["c"] = CallRow(id="c", source="leg", agent_id="a", state="bridged")
    assert 'data-record=""' in Panel().snapshot(hub, Scope(agent="a"))
