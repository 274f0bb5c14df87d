"""Boards that are dropped without a word come back to the floor as it is: the load program, small and counted."""

import argparse

import pytest

from tests.bench.board import Feed, floor_of
from tests.conftest import wait_until
from tests.fakes.console import publishing
from tests.faults.boards import crowd, wrong

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
]
ROUNDS, EVENTS = 5, 60


def test_dropped_boards_resume_with_every_frame_or_a_snapshot_and_end_up_as_a_fresh_one(door):
    options = argparse.Namespace(agents=10, calls=10, clients=20, drop=0.25, seed=5)
    feed = Feed(floor_of(options.agents, options.calls), 400)
    with feed, crowd(options, door.web.web_port, away=[0.0, 0.1]) as ask:

        def rounds() -> None:
            for _ in range(ROUNDS):
                ask("drop")
                told = feed.told
                wait_until(lambda told=told: feed.told >= told + EVENTS, "more events")
                wait_until(lambda: ask("figures")["current"] == options.clients, "everyone back")

        feed.flowing.set()
        with publishing(lease_seconds=1.0):
            wait_until(lambda: ask("figures")["current"] == options.clients, "everyone there")
            rounds()
        with publishing(lease_seconds=1.0):  # a new epoch for all
            rounds()
            feed.flowing.clear()
            found = ask("end")
    counts = found["counts"]
    assert (found["troubles"], found["differ"], wrong(found["calls"])) == ([], 0, 0)
    assert counts["resumed by frames"] >= ROUNDS and counts["snapshots later"] >= ROUNDS
    assert sum(count for name, count in counts.items() if name.startswith("dropped")) == 2 * ROUNDS * 5
