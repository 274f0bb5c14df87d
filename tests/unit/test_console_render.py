"""Text from leads, callers and people is data: whatever it says, the fragments stay the fragments."""

import json
from html.parser import HTMLParser

import pytest

from console import protocol, render, words
from console.floor_state import FloorState, apply_frame
from console.projection import Projection
from console.protocol import Frame, read_frame, text
from console.rows import AgentRow, CallRow, CampaignRow, Decision, Gone, Health
from tests.unit.test_console_floor import agent, call, campaign, leg

HOSTILE = [
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "' onmouseover='window.hacked=1",
    "</time></li></ul><h1>owned</h1>",
    "<i id=beat data-at=0>",
    '<div hx-get="/admin/" hx-trigger="load">',
    '<div hx-swap-oob="innerHTML:body">gone</div>',
    "{{ 7|add:7 }}{% load static %}",
    "{0.__class__}",
    "\u202eevil\u202c",
    "javascript:alert(1)",
    "a\x00b\r\nSet-Cookie: x=1",
    "&lt;script&gt;",
    "=cmd|' /C calc'!A0",
    "😀" * 50,
    "x" * 5000,
]


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
def test_hostile_text_changes_no_tag_of_board_panel_or_command(name):
    harmless, hostile = floor("harmless"), floor(name)

    def answer(p: Projection) -> str:
        said = name if p is hostile else "harmless"
        return render.command_line(protocol.Result(id="1", command_id="2", status="rejected", reason=said), said)

    for make in (
        lambda p: render.board_snapshot(p.floor),
        lambda p: render.panel_snapshot(p.floor, "a1"),
        answer,
    ):
        shape, normal = Shape(make(hostile)), Shape(make(harmless))
        assert shape.tags == normal.tags
        assert shape.attributes == normal.attributes
        assert [key for key in shape.ids if "cmd" not in key] == [key for key in normal.ids if "cmd" not in key]


def test_hostile_text_is_shown_as_it_was_written():
    assert HOSTILE[0] in Shape(render.board_snapshot(floor(HOSTILE[0]).floor)).text


def test_hostile_keys_make_harmless_ids():
    key = '"><script>'
    html = render.board_snapshot(FloorState(calls={key: CallRow(id=key, contact="x")}))
    assert "<script" not in html.lower()


def test_ids_of_a_board_are_unique():
    projection = floor("x")
    for n in range(40):
        projection.change("agent", f"n{n}", agent(f"n{n}"))
    projection.start_epoch("1.2", 1)
    ids = Shape(render.board_snapshot(projection.floor)).ids
    assert len(ids) == len(set(ids))


def applied(projection: Projection, at: int = 1):
    before = FloorState.of(projection.floor.snapshot())
    frame = read_frame(text(projection.frame(at)))
    delta = apply_frame(before, frame)
    return before, delta


def test_a_frame_carries_only_what_changed_and_the_age():
    projection = floor("x")
    projection.change("agent", "a2", agent("a2"))
    state, delta = applied(projection)
    ids = Shape(render.board_frame(state, delta)).ids
    assert words.dom_id("agent", "a2") in ids
    assert words.dom_id("agent", "a1") not in ids
    assert "beat" in ids and "health" not in ids


def test_an_empty_frame_is_only_the_age():
    projection = floor("x")
    projection.frame(1)
    state, delta = applied(projection, 5_000)
    assert render.board_frame(state, delta).startswith('<i id="beat"')
    assert 'data-at="5000"' in render.board_frame(state, delta)
    assert render.panel_frame(state, delta, "a1").startswith('<i id="beat"')


def test_a_call_that_changes_changes_its_agents_card_too():
    projection = floor("x")
    projection.change("call", "c1", call("c1", 1, contact="New Name"))
    state, delta = applied(projection)
    assert words.dom_id("agent", "a1") in Shape(render.board_frame(state, delta)).ids


def test_rows_that_leave_are_deleted():
    projection = floor("x")
    projection.change("call", "c1", call("c1", 1, ended_at=5))
    projection.change("leg", "c1", leg("c1", "ended"))
    state, delta = applied(projection)
    assert f'<i id="{words.dom_id("call", "c1")}" hx-swap-oob="delete"></i>' in render.board_frame(state, delta)


def test_the_panel_moves_only_for_its_own_agent():
    projection = floor("x")
    projection.frame(1)
    projection.change("agent", "a2", agent("a2"))
    state, delta = applied(projection, 2)
    assert 'id="me"' not in render.panel_frame(state, delta, "a1")
    projection.change("agent", "a1", agent("a1", 1, status="break"))
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
    for html in (render.board_frame(state, delta), render.panel_frame(state, delta, "a1")):
        assert 'data-broken="Switch link: link down"' in html


def test_an_unknown_campaign_status_is_shown_as_it_is():
    row = CampaignRow(id="k", name="K", status="in_review", decision=Decision(at=None))
    assert words.campaign(row).word == "In Review"
    assert render.campaign_line(row)


def test_an_empty_floor_renders():
    assert "No agents yet" in render.board_snapshot(FloorState())
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
