"""Whatever stops, the board says so within its named limit, and what it says is not fresh when it is not."""

import json
import threading
import time
from typing import Any

import pytest

from console import floor, health
from console.floor import HEALTH_SECONDS, Publisher
from events import streams
from tests.fakes.console import announce, publishing, wait_published

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]
WELL = {"link": "up", "reason": "", "lag_ms": 20, "depth": 0, "queue": 0, "delay_ms": 0}


class Later:
    """A clock that is set forward: the time passes for the publisher alone."""

    seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


def beat(names: Any, at: float) -> None:
    for name in names:
        streams.shared().set(streams.HEARTBEAT_PREFIX + name, json.dumps({"at": at, **WELL}))


@pytest.mark.parametrize("silent", [name for name in health.BEATS if name != "floor"])
def test_a_part_that_falls_silent_is_named_within_its_limit_and_the_others_are_not(silent):
    clock = Later()
    others = [name for name in health.BEATS if name not in (silent, "floor")]
    beat(health.BEATS, time.time())
    with publishing(clock=clock):
        wait_published(lambda f: f.kpis and all(part.ok for part in f.kpis.health.values()), "all of it well")
        clock.seconds = health.SILENT_SECONDS + HEALTH_SECONDS
        beat(others, clock())
        words = wait_published(lambda f: not f.kpis.health[silent].ok, "the silence").kpis.health
        assert words[silent].detail.startswith("silent for ")
        assert [name for name, part in words.items() if not part.ok] == [silent]


@pytest.mark.parametrize(
    ("part", "seconds", "well"), [("dialer", 10, True), ("dialer", 11, False), ("default", 60, True)]
)
def test_a_dialer_worker_whose_tasks_wait_is_not_well_although_it_lives(part, seconds, well):
    """What `default` does may wait: nothing on the board hangs on it."""
    told = health.assess({part: {"at": 1_000.0, "queue": 12, "delay_ms": seconds * 1_000}}, 1_001.0)[part]
    assert (told.ok, told.detail) == (well, f"12 tasks waiting, for {seconds} s")


def test_a_publisher_that_is_behind_with_the_changes_says_how_much(monkeypatch):
    monkeypatch.setattr(floor, "READ_COUNT", 3)
    clock = Later()
    publisher = Publisher(threading.Event(), clock=clock)
    for n in range(7):
        announce("leg", f"l{n}", None)
    clock.seconds = 9.0
    said = []
    for _ in range(3):
        publisher._read_changes(1)
        publisher._look_around()
        part = publisher.projection.health["floor"]
        said.append((part.ok, part.detail.endswith(" s behind")))
    assert said == [(False, True), (False, True), (True, False)]
