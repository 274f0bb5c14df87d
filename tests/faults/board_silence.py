"""How soon the board says that something has stopped: `python -m tests.faults.board_silence`.

Every process real, with a simulated switch. Each part in turn is killed or frozen and comes back; measured with one
open board: seconds until the protocol says so (a part's health, or no frame for as long as the pages allow), and until
it is well again. Exit 1 when one was later than its named limit. Beside servers of its own, as tests/faults/boards.py.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import product

# For what comes on top of a limit: a round of the publisher's look, a frame, a busy machine.
MARGIN = 2.0
BACK_SECONDS = 60.0


@dataclass(frozen=True)
class Trouble:
    """`limit`: seconds until the board says it. `said`: by a part's health of this name, '' for silence itself."""

    name: str
    limit: float
    said: str
    begin: Callable[[Any], None]
    end: Callable[[Any], None]


def troubles() -> list[Trouble]:
    from console.health import SILENT_SECONDS
    from console.words import STALE_MS

    def killed(name: str, start: Callable[[Any], Any]) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        return (lambda run: run.kill(name)), (lambda run: start(run))

    def frozen(name: str) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        def send(which: signal.Signals) -> Callable[[Any], None]:
            return lambda run: os.killpg(run.running[name].pid, which)

        return send(signal.SIGSTOP), send(signal.SIGCONT)

    def redis(which: signal.Signals) -> Callable[[Any], None]:
        from events import streams

        pid = streams.connect().info("server")["process_id"]
        return lambda run: os.kill(pid, which)

    bridge = killed("bridge", lambda run: run.manage("bridge", "run_esl_bridge"))
    ingest = killed("ingest", lambda run: run.manage("ingest", "run_event_ingest"))
    publisher = killed("floor", lambda run: run.manage("floor", "run_floor_publisher"))
    silence = STALE_MS / 1000
    return [
        Trouble("bridge killed", SILENT_SECONDS, "bridge", *bridge),
        Trouble("bridge frozen", SILENT_SECONDS, "bridge", *frozen("bridge")),
        Trouble("ingest killed", SILENT_SECONDS, "ingest", *ingest),
        Trouble("ingest frozen", SILENT_SECONDS, "ingest", *frozen("ingest")),
        Trouble(
            "dialer worker killed", SILENT_SECONDS, "dialer",
            *killed("dialer_queue", lambda run: run.worker("dialer_queue")),
        ),
        Trouble(
            "default worker killed", SILENT_SECONDS, "default", *killed("default", lambda run: run.worker("default", 2))
        ),
        Trouble("publisher killed", silence, "", *publisher),
        Trouble("publisher frozen", silence, "", *frozen("floor")),
        Trouble("web process frozen", silence, "", *frozen("web")),
        Trouble("Redis frozen", silence, "", redis(signal.SIGSTOP), redis(signal.SIGCONT)),
    ]  # fmt: skip


def main() -> int:
    with product.floor() as folder:
        return _run(folder)


def _run(folder: Path) -> int:
    from console.models import ApiToken
    from dialer.models import DialerCampaign
    from tests.bench.speed.fanout_rows import answering
    from tests.fakes.console import Socket, make_user
    from tests.fakes.floor import make_working_floor
    from tests.fakes.processes import Processes

    make_working_floor(["+12125550100"], 1)
    DialerCampaign.objects.update(status="paused")  # nothing is dialled: it is the silence that is looked at
    _, secret = ApiToken.issue(make_user("sup", supervisor=True))
    late = 0
    with Processes(folder) as run:
        run.backend()
        run.manage("floor", "run_floor_publisher")
        run.web()
        answering(run.web_port)
        url, header = f"ws://127.0.0.1:{run.web_port}/ws/v1/floor/", {"Authorization": f"Bearer {secret}"}
        with Socket(url, additional_headers=header) as board:
            board.until_floor(_well, BACK_SECONDS)
            for one in troubles():
                after, back = _seen(one, run, board)
                late += after > one.limit + MARGIN
                print(f"{one.name}: said after {after:.1f} s (limit {one.limit:g}), well again after {back:.1f} s",
                      flush=True)  # fmt: skip
    return int(bool(late))


def _well(floor: Any) -> bool:
    return bool(floor.kpis and all(part.ok for part in floor.kpis.health.values()))


def _seen(one: Trouble, run: Any, board: Any) -> tuple[float, float]:
    began = time.monotonic()
    one.begin(run)
    if one.said:
        board.until_floor(lambda floor: not floor.kpis.health[one.said].ok, BACK_SECONDS)
        after = time.monotonic() - began
    else:
        after = _silent(board, one.limit) - began
    one.end(run)
    again = time.monotonic()
    epoch, seq = board.floor.epoch, board.floor.seq
    board.until_floor(lambda floor: (floor.epoch, floor.seq) != (epoch, seq) and _well(floor), BACK_SECONDS)
    return after, time.monotonic() - again


def _silent(board: Any, seconds: float) -> float:
    """When the last frame is so old that a page says so (monotonic)."""
    until = time.monotonic() + BACK_SECONDS
    while time.monotonic() < until:
        try:
            board.next(seconds)
        except TimeoutError:
            return time.monotonic()
    raise SystemExit("frames still come")


if __name__ == "__main__":
    sys.exit(main())
