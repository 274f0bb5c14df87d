"""Boards that are dropped and come back under load: `python -m tests.faults.boards --seconds 300`.

The real floor publisher and daphne, so many boards of which a share is dropped each second (reset, closed without a
word, vanished with the connection left open), so many switch events a second as the ingest announces them. In the
second part of the time there is always one client that reads nothing; in the third the publisher and the web process
are killed. Exit 1 when a board's final state differs from that of a socket opened then, a resume was answered with a
part, the board says another state of a call than the switch, a client that reads nothing was not closed in time, or
the web process grew.

Beside servers of its own (`python -m orchestrator.stack servers --data var/faults -- python -m tests.faults.boards`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import product

# So many boards of one user: room for those that have vanished and are not given up yet (SOCKETS_PER_USER).
BOARDS_PER_USER = 4
# Seconds from the moment in which a client stops to read until the server has given it up.
CLOSED_WITHIN = 5.0
# What the web process may grow by from the first board on, bytes: its ring holds 32 MB of frames, all of them read.
GROWTH = 200_000_000
EVERYONE_SECONDS = 120.0
# Of the whole time: without and with a client that reads nothing; the rest is for kills.
CALM, STUCK = 0.4, 0.4


@dataclass
class Found:
    """What a run has shown. `phases`: by name, the crowd's figures in it."""

    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    closed_after: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    wrong_calls: int = 0
    events: int = 0

    def troubles(self) -> list[str]:
        found = list(self.end.get("troubles", []))
        found += [f"{self.wrong_calls} calls in another state than the switch's"] * bool(self.wrong_calls)
        late = [one for one in self.closed_after if one > CLOSED_WITHIN]
        found += [f"{len(late)} clients that read nothing were closed after {max(late):.1f} s"] if late else []
        grown = max(self.resident) - self.resident[0] if self.resident else 0
        found += [f"the web process has grown by {grown / 1e6:.0f} MB"] * (grown > GROWTH)
        return found


def main() -> int:
    options = _options()
    with product.floor(options.logs) as folder:
        found = run(options, folder)
    _tell(options, found)
    return int(bool(found.troubles()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--drop", type=float, default=0.1, help="share of the boards, each second")
    parser.add_argument("--events", type=int, default=500, help="a second")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this folder")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> Found:
    from tests.bench.board import Feed, floor_of
    from tests.bench.speed.fanout_rows import answering
    from tests.fakes.console_web import resident
    from tests.fakes.processes import Processes

    calls = floor_of(options.agents, options.calls)
    feed, found = Feed(calls, options.events), Found()
    with Processes(folder) as run, feed:
        run.manage("floor", "run_floor_publisher")
        run.web()
        answering(run.web_port)
        with crowd(options, run.web_port) as ask:
            feed.flowing.set()
            everyone(ask, options.clients)
            ask("figures")

            def phase(name: str, seconds: float) -> None:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    began = time.monotonic()
                    ask("drop")
                    found.resident.append(resident(run.running["web"].pid))
                    time.sleep(max(0.0, began + 1 - time.monotonic()))
                found.phases[name] = ask("figures")

            phase("calm", options.seconds * CALM)
            with reading_nothing(run, found):
                phase("one reads nothing", options.seconds * STUCK)
            last = options.seconds * (1 - CALM - STUCK) / 2
            run.kill("floor")
            run.manage("floor", "run_floor_publisher")
            phase("publisher killed", last)
            run.kill("web")
            run.web()
            answering(run.web_port)
            phase("web process killed", last)
            everyone(ask, options.clients)
            feed.flowing.clear()
            found.end, found.events = ask("end"), feed.told
            found.wrong_calls = wrong(found.end["calls"])
    return found


def everyone(ask: Any, clients: int) -> None:
    """Waits until all boards show the floor as it is. Raises SystemExit."""
    until = time.monotonic() + EVERYONE_SECONDS
    while ask("figures")["current"] < clients:
        if time.monotonic() > until:
            raise SystemExit("not all boards are there")
        time.sleep(0.1)


@contextmanager
def crowd(options: argparse.Namespace, port: int, **more: Any) -> Iterator[Any]:
    """So many boards in a process of their own; yields `ask(word)`."""
    from console.models import ApiToken
    from dialer.models import DialerCampaign
    from tests.fakes.console import make_user

    users = [make_user(f"board-{n}", supervisor=True) for n in range(-(-options.clients // BOARDS_PER_USER) + 1)]
    first = DialerCampaign.objects.order_by("pk").first()
    parts: list[dict[str, Any]] = [{}, {}, {"campaigns": [str(first.campaign_id)]} if first else {}]
    orders = {
        "url": f"ws://127.0.0.1:{port}/ws/v1/floor/", "headers": [f"Bearer {ApiToken.issue(one)[1]}" for one in users],
        "parts": [part for n, part in enumerate(parts) if part not in parts[:n]], "clients": options.clients,
        "share": options.drop, "seed": options.seed, **more,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.board_crowd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    said, told = process.stdout, process.stdin

    def ask(word: str) -> dict[str, Any]:
        told.write(word + "\n")
        told.flush()
        answer: dict[str, Any] = json.loads(said.readline())
        return answer

    try:
        ask(json.dumps(orders))
        yield ask
    finally:
        process.kill()
        process.wait()


@contextmanager
def reading_nothing(run: Any, found: Found) -> Iterator[None]:
    """Always one client that has stopped to read; when the server has given it up, the next one."""
    from console.models import ApiToken
    from tests.fakes.console import make_user

    _, secret = ApiToken.issue(make_user("reads-nothing", supervisor=True))
    stop = threading.Event()

    def one_after_another() -> None:
        while not stop.is_set():
            try:
                after = given_up(run.web_port, secret, stop)
            except (OSError, SystemExit):
                continue  # did not get in: the queue of the listening socket is short
            found.closed_after += [after] if after is not None else []

    thread = threading.Thread(target=one_after_another, name="reads-nothing")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def given_up(port: int, secret: str, stop: threading.Event) -> float | None:
    """Seconds until the server has closed a socket that reads its first messages and then no more; None: stopped."""
    from tests.bench.speed.crowd import connect
    from tests.fakes.console_web import connected

    with connect(port, "/ws/v1/floor/", f"Bearer {secret}") as raw:
        raw.recv(1_000)
        began = time.monotonic()
        while connected(raw, port):
            if stop.wait(0.05):
                return None
        return time.monotonic() - began


def wrong(shown: dict[str, str]) -> int:
    """Calls that the board shows in another state than the live legs, which are the switch's word here."""
    from events import streams

    legs = {key.decode(): json.loads(raw)["state"] for key, raw in streams.connect().hgetall(streams.LIVE_LEGS).items()}
    return sum(shown.get(key) != state for key, state in legs.items())


def _tell(options: argparse.Namespace, found: Found) -> None:
    counts = found.end.get("counts", {})
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped"))
    print(f"{options.clients} boards, {dropped} dropped, {found.events} switch events, seed {options.seed}")
    for name, figures in found.phases.items():
        print(f"{name}: p50 {figures['p50_ms']}, p99 {figures['p99_ms']}, longest {figures['max_ms']} ms from "
              f"publisher to board, {figures['messages']} frames")  # fmt: skip
    print(f"answers and ends: {counts}")
    if found.closed_after:
        print(f"read nothing: {len(found.closed_after)} closed, the last after {max(found.closed_after):.1f} s")
    if found.resident:
        print(f"web process: {found.resident[0] / 1e6:.0f} MB at first, {max(found.resident) / 1e6:.0f} MB at most")
    print(f"{found.end.get('compared')} boards compared with a fresh socket: {found.end.get('differ')} differ; "
          f"{found.wrong_calls} calls wrong")  # fmt: skip
    for trouble in found.troubles():
        print(f"TROUBLE: {trouble}")


if __name__ == "__main__":
    sys.exit(main())
