"""What boards cost: processor time of the web process and of the floor publisher, by boards and by events."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.board import Feed, floor_of
from tests.bench.speed.fanout_rows import draining, tokens
from tests.bench.speed.path_rows import Cpu, until
from tests.bench.speed.rows import Row

AGENTS = CALLS = 100
BOARDS, EVENTS = (10, 100, 500), (10, 200, 2_000)
# Where the other one grows.
AT_BOARDS, AT_EVENTS = 100, 500
ROUNDS, ROUND_SECONDS, SETTLE_SECONDS = 2, 4.0, 1.5
# A board among 500 costs no more than this many times one among 100; 2,000 events/s no more than 200.
LINEAR, FLAT = 1.5, 2.0


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="bench-") as folder:
        web, floor = _measure(Path(folder))
    few, some, many = (web[boards, AT_EVENTS] for boards in BOARDS)
    each = [(more - few) / (boards - BOARDS[0]) for more, boards in ((some, BOARDS[1]), (many, BOARDS[2]))]
    calm, busy, hectic = (web[AT_BOARDS, events] for events in EVENTS)
    shares = {key: f"{100 * share:.1f} % web, {100 * floor[key]:.1f} % floor" for key, share in web.items()}
    note = "; ".join(f"{boards} boards, {events} events/s: {said}" for (boards, events), said in sorted(shares.items()))
    floors = [floor[AT_BOARDS, events] for events in EVENTS]
    return [
        Row(f"a board's cost among {BOARDS[2]}, at {AT_EVENTS} events/s", 1000 * each[1], "CPU ms/s",
            f"among {BOARDS[1]}", 1000 * each[0], most=LINEAR, note=note),
        Row(f"{AT_BOARDS} boards at {EVENTS[2]} events/s", 1000 * hectic, "CPU ms/s", f"at {EVENTS[1]} events/s",
            1000 * busy, most=FLAT, note=f"at {EVENTS[0]} events/s {1000 * calm:.0f}"),
        Row(f"the floor publisher at {EVENTS[2]} events/s", 1000 * floors[2], "CPU ms/s", f"at {EVENTS[1]} events/s",
            1000 * floors[1], at_most=500, note="it reads every change once, whatever the number of boards"),
    ]  # fmt: skip


def _measure(folder: Path) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Shares of a core of the web process and of the publisher, by (boards, events/s)."""
    from tests.fakes.console_web import answers
    from tests.fakes.processes import Processes

    calls = floor_of(AGENTS, CALLS)
    wanted = list(dict.fromkeys([(n, AT_EVENTS) for n in BOARDS] + [(AT_BOARDS, n) for n in EVENTS]))
    found: dict[str, dict[tuple[int, int], list[float]]] = {"web": {}, "floor": {}}
    feed = Feed(calls, AT_EVENTS)
    with Processes(folder) as run, feed:
        run.manage("floor", "run_floor_publisher")
        run.web()
        until(lambda: answers(run.web_port), "daphne")
        feed.flowing.set()
        for boards, events in wanted * ROUNDS:
            feed.rate = events
            with draining(run.web_port, "/ws/v1/floor/", tokens(boards), boards):
                time.sleep(SETTLE_SECONDS)
                cpu = Cpu({name: run.running[name].pid for name in found})
                time.sleep(ROUND_SECONDS)
                for name, share in cpu.shares().items():
                    found[name].setdefault((boards, events), []).append(share)
    web, floor = ({key: min(shares) for key, shares in of.items()} for of in found.values())
    return web, floor
