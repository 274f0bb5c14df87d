"""Text from leads, callers and people is data: whatever it says, the fragments stay the fragments."""

import json
from html.parser import HTMLParser

import pytest

from console import protocol, render, words
from console.floor_state import FloorState, apply_frame
from console.projection import Projection
from console.protocol import Frame, read_frame, text
from console.rows import AgentRow, Gone, Health
from tests.fakes.hostile import FEW as HOSTILE
from tests.fakes.rows import agent, call, campaign, leg


class Shape(HTMLParser):
    """Tags and ids, without their text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text += data


def floor(name: str) -> Projection:
    projection = Projection()
    projection.change(
        "agent", "a1", agent("a1", name=name, reason=name, call_id="c1", pending={"status": name, "reason": name})
    )
    projection.change("campaign", "k1", campaign("k1", name=name, decision={"at": 1, "summary": name, "reason": name}))
    projection.change("call", "c1", call("c1", contact=name, number=name))
    projection.change("leg", "c1", leg("c1", "bridged", cause=name))
    projection.start_epoch("1.1", 0)
    return projection


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_changes_no_tag_of_panel_or_command(name):
    harmless, hostile = floor("harmless"), floor(name)

    def answer(p: Projection) -> str:
        said = name if p is hostile else "harmless"
        return render.command_line(protocol.Result(id="1", command_id="2", status="rejected", reason=said), said)

    for make in (
        lambda p: render.panel_snapshot(p.floor, "a1"),
        answer,
    ):
        shape, normal = Shape(make(hostile)), Shape(make(harmless))
        assert shape.tags == normal.tags
        assert shape.attributes == normal.attributes
        assert [key for key in shape.ids if "cmd" not in key] == [key for key in normal.ids if "cmd" not in key]


def test_hostile_text_is_shown_as_it_was_written():
    assert HOSTILE[0] in Shape(render.panel_snapshot(floor(HOSTILE[0]).floor, "a1")).text


def applied(projection: Projection, at: int = 1):
    before = FloorState.of(projection.floor.snapshot())
    frame = read_frame(text(projection.frame(at)))
    delta = apply_frame(before, frame)
    return before, delta


def test_an_empty_frame_is_only_the_age():
    projection = floor("x")
    projection.frame(1)
    state, delta = applied(projection, 5_000)
    html = render.panel_frame(state, delta, "a1")
    assert html.startswith('<i id="beat"') and 'data-at="5000"' in html


def test_the_panel_moves_only_for_its_own_agent():
    projection = floor("x")
    projection.frame(1)
    projection.change("agent", "a2", agent("a2"))
    state, delta = applied(projection, 2)
    assert 'id="me"' not in render.panel_frame(state, delta, "a1")
    projection.change("agent", "a1", agent("a1", 1, status="break"))
    state, delta = applied(projection, 3)
    assert 'id="me"' in render.panel_frame(state, delta, "a1")


def test_the_panel_is_made_anew_for_troubles_and_not_for_every_heartbeat():
    projection = floor("x")
    projection.set_health({"dialer": Health(ok=True, detail="running", at=1)}, None)
    projection.frame(1)
    projection.set_health({"dialer": Health(ok=True, detail="12 tasks waiting", at=2, backlog=12)}, None)
    state, delta = applied(projection, 2)
    assert delta.frame.kpis is not None
    assert 'id="me"' not in render.panel_frame(state, delta, "a1")
    projection.set_health({"dialer": Health(ok=False, detail="not running")}, None)
    state, delta = applied(projection, 3)
    assert 'id="me"' in render.panel_frame(state, delta, "a1")


def test_every_state_has_a_word_and_an_icon():
    for status in ("available", "busy", "break", "offline", "on_call"):
        row = AgentRow(id="a", name="A", extension="1", status=status)
        view = words.agent(row, FloorState())
        assert view.word and view.icon and view.tone
    assert (
        words.agent(AgentRow(id="a", name="A", extension="1", status="busy", reason="wrap_up"), FloorState()).word
        == "Wrap-up"
    )


def test_a_broken_way_from_the_switch_is_told_with_every_beat():
    projection = floor("x")
    projection.set_health({"bridge": Health(ok=False, detail="link down"), "default": Health(ok=False)}, None)
    state, delta = applied(projection)
    assert 'data-broken="Switch link: link down"' in render.panel_frame(state, delta, "a1")


def test_an_empty_floor_renders():
    assert "is not on the floor yet" in render.panel_snapshot(FloorState(), "a1")
    frame = Frame(epoch="", seq=1, at=1, gone=Gone(agents=("a1",)))
    state = FloorState()
    assert render.panel_frame(state, apply_frame(state, frame), "a1")


def test_page_configuration_is_json():
    base = (words.__file__.rsplit("/", 2)[0]) + "/templates/console/base.html"
    with open(base, encoding="utf-8") as file:
        line = next(line for line in file if "htmx-config" in line)
    config = json.loads(line.split("content='")[1].split("'>")[0])
    assert config["allowEval"] is False and config["includeIndicatorStyles"] is False
