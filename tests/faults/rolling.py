"""A rolling restart while calls go on: every process is followed by a new one, web processes in pairs.

`make rolling`. The judge is the simulated switch's own log: no customer's leg ended by us, no number dialled twice, no
softphone called again. It prints how long boards were without frames and the switch without orders, at the longest.
Exit 1 when a check is broken.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench import product

# As docs/operations.md says: who only shows first, who decides last; the link to the switch by itself.
ORDER = ("web", "floor", "default", "ingest", "bridge", "dialer")
# A process that has not stopped by then would be killed by whoever minds it (docker-compose.yml).
STOPS_WITHIN = 30.0
READY_WITHIN = 120.0
# Until the floor is busy, and between two processes.
CALM_SECONDS = 4.0
SENT_BY_US = frozenset({"send_bye", "send_cancel"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2, help="how often every process is restarted")
    parser.add_argument("--plain", action="store_true", help="stop each process before the next one is started")
    parser.add_argument("--logs", type=Path, default=Path("var/rolling"), help="the processes' logs")
    options = parser.parse_args()
    with product.floor(options.logs) as folder:
        for old in folder.glob("*.*"):
            old.unlink()
        return _run(options, folder)


class Watcher(threading.Thread):
    """A board that comes back to another web process whenever its own goes; remembers when frames came."""

    def __init__(self, secret: str, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self.secret, self.ports = secret, ports
        self.frames: list[float] = []
        self.codes: Counter[int | None] = Counter()
        self.stop = threading.Event()
        self.trouble = ""

    def run(self) -> None:
        from websockets.exceptions import ConnectionClosed

        place = 0
        while not self.stop.is_set():
            try:
                self._watch(self.ports[place % len(self.ports)])
            except ConnectionClosed as closed:
                self.codes[closed.rcvd.code if closed.rcvd else None] += 1
            except (OSError, TimeoutError) as error:
                self.trouble = repr(error)
            except Exception as error:  # noqa: BLE001 - told at the end: a gap in seq is one of them
                self.trouble = repr(error)
                return
            place += 1

    def _watch(self, port: int) -> None:
        from console import protocol
        from tests.fakes.console import Socket

        url = f"ws://127.0.0.1:{port}/ws/v1/floor/"
        with Socket(url, additional_headers={"Authorization": f"Bearer {self.secret}"}) as board:
            while not self.stop.is_set():
                if isinstance(board.next(10), protocol.Frame | protocol.Snapshot):
                    self.frames.append(time.monotonic())


class Roll:
    """The processes by part, and how one is followed by the next."""

    def __init__(self, run: Any, *, plain: bool) -> None:
        from tests.fakes.processes import free_port

        self.run, self.plain = run, plain
        self.ports = [free_port(), free_port()]
        self.names = {part: part for part in ORDER if part != "web"} | {"web": ""}
        self.problems: list[str] = []
        self.taken: dict[str, list[float]] = {}
        self._n = 0

    def start_all(self) -> None:
        for part in ("bridge", "ingest", "floor", "default", "dialer"):
            self._start(part, part)
        for n, port in enumerate(self.ports):
            self._web(f"web-{n}", port)

    def follow(self, part: str) -> None:
        """A new process of this part, and the old one told to stop."""
        if part == "web":
            for n, port in enumerate(self.ports):
                self._stop(f"web-{n}")
                self._web(f"web-{n}", port)
                _wait(lambda port=port: _answers(port), f"web process {n}")
            return
        self._n += 1
        old, new = self.names[part], f"{part}-{self._n}"
        began = time.monotonic()
        if self.plain:
            self._stop(old)
            self._start(part, new)
        else:
            self._start(part, new)
            time.sleep(CALM_SECONDS)  # It has loaded, and stands by.
            began = time.monotonic()
            self._stop(old)
        _wait(lambda: _works(part, began), f"{part} at work again")
        self.names[part] = new
        self.taken.setdefault(part, []).append(time.monotonic() - began)

    def _start(self, part: str, name: str) -> None:
        commands = {"bridge": "run_esl_bridge", "ingest": "run_event_ingest", "floor": "run_floor_publisher"}
        if part in commands:
            self.run.manage(name, commands[part])
        elif part == "default":
            self.run.worker("default", 2, name=name)
        else:
            self.run.worker("dialer_queue", name=name)

    def _web(self, name: str, port: int) -> None:
        self.run.start(name, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "orchestrator.asgi:application")

    def _stop(self, name: str) -> None:
        process = self.run.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOPS_WITHIN)
        except Exception:  # noqa: BLE001 - subprocess.TimeoutExpired; told at the end
            code = "killed"
            process.kill()
        if code != 0:
            self.problems.append(f"{name} ended with {code}")


def _answers(port: int) -> bool:
    from tests.fakes.console_web import answers

    return answers(port)


def _works(part: str, since: float) -> bool:
    """A heartbeat younger than the change."""
    from console.health import assess, read_beat
    from events import streams

    beat = read_beat(streams.shared().get(f"{streams.HEARTBEAT_PREFIX}{part}"))
    if beat is None or time.time() - float(beat["at"]) > time.monotonic() - since:
        return False
    return assess({part: beat}, time.time())[part].ok


def _wait(condition: Any, what: str) -> None:
    end = time.monotonic() + READY_WITHIN
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def _run(options: argparse.Namespace, folder: Path) -> int:
    from console.models import ApiToken
    from dialer.models import CallLog
    from tests.fakes.console import make_user
    from tests.fakes.floor import ask_all_to_work, make_working_floor
    from tests.fakes.processes import Processes

    numbers = [f"+1646{2_000_000 + n}" for n in range(20_000)]
    campaign = make_working_floor(numbers, options.agents, max_retry_attempts=0, ring_timeout_seconds=20)
    _, secret = ApiToken.issue(make_user("watcher", supervisor=True))
    last = 1000 + options.agents
    with Processes(folder) as run:
        roll = Roll(run, plain=options.plain)
        run.simulator(
            "--agents", f"1001-{last}", "--seed", "7", "--answer-rate", "0.5", "--ring-mean", "3", "--talk-mean", "15",
            "--patience-mean", "60", "--machine-rate", "0",
        )  # fmt: skip
        roll.start_all()
        _wait(lambda: all(_answers(port) for port in roll.ports), "web processes")
        ask_all_to_work(campaign)
        _wait(lambda: CallLog.objects.filter(bridged_at__isnull=False).count() >= options.agents, "a busy floor")
        watcher = Watcher(secret, roll.ports)
        watcher.start()
        time.sleep(CALM_SECONDS)
        began, live = time.time(), []
        for _ in range(options.rounds):
            for part in ORDER:
                live.append(CallLog.objects.filter(ended_at=None, bridged_at__isnull=False).count())
                roll.follow(part)
                time.sleep(CALM_SECONDS)
        ended = time.time()
        watcher.stop.set()
        watcher.join(15)
        legs = _legs(run.invites)
        late = _late(CallLog.objects.filter(initiated_at__isnull=False), legs)
        dropped = CallLog.objects.filter(orders__kind="hangup").count()
    return _judge(options, legs, watcher, roll, (began, ended), live, late, dropped)


def _legs(log: Path) -> list[dict[str, Any]]:
    last: dict[str, dict[str, Any]] = {}
    for line in log.read_text().splitlines():
        leg = json.loads(line)
        last[leg["uuid"]] = leg
    return list(last.values())


def _late(calls: Any, legs: list[dict[str, Any]]) -> list[str]:
    """Attempts of the record that the switch never saw, other than the newest."""
    known = {leg["uuid"] for leg in legs}
    old = calls.exclude(status="initiated").values_list("freeswitch_uuid", flat=True)
    return [leg for leg in old if leg not in known]


def _judge(
    options: argparse.Namespace,
    legs: list[dict[str, Any]],
    watcher: Watcher,
    roll: Roll,
    span: tuple[float, float],
    live: list[int],
    unknown: list[str],
    dropped: int,
) -> int:
    customers = [leg for leg in legs if leg["kind"] == "customer"]
    softphones = [leg for leg in legs if leg["kind"] == "agent"]
    twice = [number for number, n in Counter(leg["number"] for leg in customers).items() if n > 1]
    by_us = [
        leg for leg in customers
        if leg["ended_at"] and leg["answered_at"] and leg["disposition"] in SENT_BY_US
    ]  # fmt: skip
    waits = [leg["bridges"][0]["at"] - leg["answered_at"] for leg in customers if leg["answered_at"] and leg["bridges"]]
    never = [leg for leg in customers if leg["ended_at"] and leg["answered_at"] and not leg["bridges"]]
    invited = sorted(leg["invited_at"] for leg in customers if span[0] <= leg["invited_at"] <= span[1])
    problems = [*roll.problems]
    for words, found in (
        ("numbers dialled twice", twice),
        ("customers' legs ended by us", by_us),
        ("customers who answered and met nobody", never),
        ("hangups ordered", [dropped] if dropped else []),
        ("attempts that the switch never saw", unknown),
        ("softphones called again", softphones[options.agents :]),
        ("boards in trouble", [watcher.trouble] if watcher.trouble else []),
        ("sockets closed with another code than 1012", [code for code in watcher.codes if code != 1012]),
    ):
        if found:
            problems.append(f"{len(found)} {words}: {found[:3]}")
    said = {
        "processes restarted": options.rounds * (len(ORDER) + 1),
        "talking while each was restarted (fewest)": min(live),
        "calls placed meanwhile": len(invited),
        "longest without frames (s)": round(max(b - a for a, b in pairwise(watcher.frames)), 2),
        "longest without orders (s)": round(max(b - a for a, b in pairwise(invited)), 2),
        "longest wait of a customer (s)": round(max(waits), 2),
        "until at work again (s)": {part: [round(s, 1) for s in found] for part, found in roll.taken.items()},
        "sockets ended": dict(watcher.codes),
    }
    for words, value in said.items():
        print(f"{words}: {value}")
    for problem in problems:
        print(f"BROKEN: {problem}")
    print("nothing was lost" if not problems else f"{len(problems)} checks are broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
