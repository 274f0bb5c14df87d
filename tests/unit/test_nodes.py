"""Several FreeSWITCH nodes: where a softphone is, and what their bridges say together."""

import json

import pytest

from esl_bridge import resync
from events import nodes

TWO = "main=10.0.0.5:8021/1000-1999, east=[fd00::6]:8022/2000-2499+2600-2699"
LEG, OTHER, OLD = (f"4c024dda-2909-493a-a447-15a6414fc25{n}" for n in range(3))


@pytest.fixture
def two(settings):
    settings.FREESWITCH_NODES = nodes.parse(TWO)


def test_the_setting_names_each_node_with_its_softphones(two):
    assert nodes.names() == ("main", "east") and nodes.several()
    found = {
        extension: nodes.of_extension(extension) for extension in ("1001", "2000", "2499", "2500", "2600", "x", "")
    }
    assert found == {
        "1001": "main", "2000": "east", "2499": "east", "2500": "main", "2600": "east", "x": "main", "": "main",
    }  # fmt: skip
    assert nodes.parse(TWO)[1][:3] == ("east", "fd00::6", 8022)


def test_without_the_setting_there_is_one(settings):
    settings.FREESWITCH_NODES, settings.FREESWITCH_NODE = (), "here"
    assert nodes.names() == ("here",) and not nodes.several() and nodes.of_extension("2000") == "here"


@pytest.mark.parametrize(
    "text",
    [
        "main", "main=10.0.0.5:8021", "main=10.0.0.5/1-2", "Main=h:1/1-2", "a=h:1/1-2,a=h:2/3-4", "a=h:1/1-5,b=h:2/5-9",
        "a=h:1/9-1", "a=h:1/1-2 b=h:2/3-4",
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_right_is_refused(text):
    with pytest.raises(ValueError):
        nodes.parse(text)


def test_the_floor_is_well_only_with_every_bridge_and_says_which_one_is_missing():
    up = {"at": 100.0, "link": "up", "reason": "", "queue": 2, "events": 10, "lag_ms": 5}
    away = {"at": 99.0, "link": "down", "reason": "refused", "queue": 1, "events": 5, "lag_ms": None}
    both = nodes.together({"main": up, "east": {**up, "lag_ms": 9}}, 101.0)
    assert (both["link"], both["down"], both["events"], both["lag_ms"]) == ("up", [], 20, 9)
    assert both["compared"]
    assert not nodes.together({"main": up, "east": {**up, "compared": False}}, 101.0)["compared"]
    one = nodes.together({"main": up, "east": away}, 101.0)
    assert (one["link"], one["down"], one["reason"], one["at"]) == ("down", ["east"], "east: refused", 100.0)
    dead = nodes.together({"main": up, "east": {**up, "at": 50.0}, "west": None}, 101.0)
    assert dead["reason"] == "east: not running; west: not running"
    assert nodes.together({"main": None, "east": None}, 101.0) is None
    assert nodes.together({"main": {**up, "at": 10.0}, "east": None}, 101.0)["at"] == 10.0, "silent, and known to be"


def test_a_bridge_compares_its_own_legs_only():
    entries = {
        LEG.encode(): json.dumps({"state": "answered", "node": "main"}).encode(),
        OTHER.encode(): json.dumps({"state": "answered", "node": "east"}).encode(),
        OLD.encode(): json.dumps({"state": "answered"}).encode(),
    }
    assert resync.live_legs(entries, "main") == {LEG}
    assert resync.live_legs(entries, "east") == {OTHER}
    assert resync.live_legs(entries) == {LEG, OTHER, OLD}
