"""The whole path: a switch writes an event, and so many boards show it; every process real, beside a bare hop."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import psutil
from django.conf import settings

from events import streams
from tests.bench.speed.fanout_rows import tokens
from tests.bench.speed.rows import Row

BOARDS = 200
RATE = 1_000
# Up at a time: with 18 events each, one's are 0.2 s apart, so no state is overtaken by the next within a frame, and
# nobody waits long enough for an agent to raise an alert.
CALLS = 200
AGENTS = 100
ROUNDS, ROUND_SECONDS = 3, 8.0
# Until every one of the calls has begun, and the interpreters are warm.
WARM_SECONDS = 8.0
HOPS_PER_SECOND = 100
# Of a captured call's 18 events, those that change what a board shows of it.
SHOWN = 5 / 18


def measure() -> list[Row]:
    with TemporaryDirectory(prefix="bench-") as folder:
        found = run(Path(folder))
    p50, p99 = (statistics.median(one[name] for one in found["rounds"]) for name in ("p50", "p99"))
    worst = max(one["worst"] for one in found["rounds"])
    note = (
        f"{RATE} events/s, of them {SHOWN * RATE:.0f} change what {BOARDS} boards show; worst {worst} ms; "
        f"{words(found['stages'])}; of a core: {words(found['cpu'])}"
    )
    hop = "bare Redis pub/sub hop"
    return [
        Row(f"switch event to {BOARDS} boards, p50", p50, "ms", hop, found["hop"]["p50"], note=note),
        Row(f"switch event to {BOARDS} boards, p99", p99, "ms", hop, found["hop"]["p99"], at_most=250, note=note),
    ]


def run(folder: Path, *, webs: int = 1, boards: int = BOARDS, rounds: int = ROUNDS) -> dict[str, Any]:
    """{"rounds": [of the boards], "hop", "cpu" by process, of a core, "stages", "switch"}. `webs`: web processes that
    share the boards."""
    from dialer.models import Agent
    from tests.fakes.floor import make_agents
    from tests.fakes.processes import Processes, free_port

    streams.connect().flushdb()
    if not Agent.objects.exists():
        make_agents(AGENTS)
    text = folder / "text"
    text.write_text("x" * 1_000)
    seconds = WARM_SECONDS + rounds * ROUND_SECONDS + 2
    switch = talking("switch", str(RATE), str(CALLS), str(seconds))
    with switch as (port, play), Processes(folder, FREESWITCH_ESL_PORT=port) as processes:
        processes.manage("bridge", "run_esl_bridge")
        processes.manage("ingest", "run_event_ingest")
        processes.manage("floor", "run_floor_publisher")
        ports = [free_port() for _ in range(webs)]
        for n, web_port in enumerate(ports, 1):
            processes.web(web_port, f"web {n}")
        until(lambda: ready(ports), "the processes")
        watching = talking("watchers", ",".join(map(str, ports)), "/ws/v1/floor/", str(boards), lines=tokens(boards))
        hopping = talking("hop", settings.REDIS_URL, str(text), str(HOPS_PER_SECOND), says=False)
        with watching as (_, watch), hopping as (_, hop):
            play("begin", answered=False)
            time.sleep(WARM_SECONDS)
            cpu, told = Cpu({name: one.pid for name, one in processes.running.items()}), []
            for _ in range(rounds):
                watch("begin", answered=False)
                time.sleep(ROUND_SECONDS)
                told.append(watch("end"))
            shares = {name: f"{share:.0%}" for name, share in cpu.shares().items()}
            found = {"rounds": told, "hop": hop("end"), "cpu": shares, "stages": waits(), "switch": play("")}
            watch("stop", answered=False)
    check(found)
    return found


def waits() -> dict[str, str]:
    """From the switch's time of an event to its entry in each stage's stream, "p50/p99 ms", of the last seconds."""
    client, since_ms = streams.connect(), int((time.time() - ROUND_SECONDS) * 1000)
    found: dict[str, list[int]] = {"journal": [], "changes": [], "frames": []}
    for entry, fields in client.xrange(streams.JOURNAL, min=since_ms):
        event = orjson.loads(fields[streams.JOURNAL_FIELD.encode()])
        found["journal"].append(_ms(entry) - int(event["Event-Date-Timestamp"]) // 1000)
    for name, stream, rows in (("changes", streams.CHANGES, _changed), ("frames", streams.FRAMES, _framed)):
        seen = set()
        for entry, fields in client.xrange(stream, min=since_ms):
            for key, since in rows(fields):
                if since > since_ms and (key, since) not in seen:
                    seen.add((key, since))
                    found[name].append(_ms(entry) - since)
    return {name: "/".join(f"{_share(sorted(all_), part)}" for part in (0.5, 0.99)) for name, all_ in found.items()}


def _ms(entry: bytes) -> int:
    return int(entry.split(b"-")[0])


def _changed(fields: dict[bytes, bytes]) -> list[tuple[str, int]]:
    change = orjson.loads(fields[streams.CHANGES_FIELD.encode()])
    return [(change["id"], change["data"]["since"])] if change["kind"] == "leg" else []


def _framed(fields: dict[bytes, bytes]) -> list[tuple[str, int]]:
    return [(row["id"], row["since"]) for row in orjson.loads(fields[b"f"])["calls"]]


def _share(ordered: list[int], part: float) -> int:
    return ordered[int(len(ordered) * part)] if ordered else -1


def words(figures: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures.items())


def check(found: Mapping[str, Any]) -> None:
    """A figure of boards that were not told all of it would be no figure."""
    for one in found["rounds"]:
        if one["changes"] < 0.9 * SHOWN * RATE * ROUND_SECONDS or one["snapshots"] or one["frames"] - one["whole"] > 2:
            raise SystemExit(f"the boards missed something: {found}")


def ready(ports: list[int]) -> bool:
    from tests.fakes.console_web import answers

    client = streams.connect()
    beat = client.get(streams.HEARTBEAT_PREFIX + "bridge")
    return (
        beat is not None
        and json.loads(beat)["link"] == "up"
        and bool(client.exists(streams.SNAPSHOT, streams.HEARTBEAT_PREFIX + "ingest") == 2)
        and all(answers(port) for port in ports)
    )


def until(condition: Any, what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not there after {seconds:g} s: {what}")
        time.sleep(0.1)


@contextmanager
def talking(name: str, *arguments: str, lines: list[str] | None = None, says: bool = True) -> Iterator[tuple[str, Any]]:
    """A helper process: (its first line, `ask(word)` for its JSON). `lines`: for its stdin, before `go`."""
    command = [sys.executable, "-m", f"tests.bench.speed.{name}", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    given, said = process.stdin, process.stdout

    def ask(word: str, *, answered: bool = True) -> dict[str, Any] | None:
        given.write(word + "\n")
        given.flush()
        if not answered:
            return None
        line = said.readline()
        if not line:
            raise SystemExit(f"{name} has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    try:
        if lines is not None:
            given.write("\n".join([*lines, "go"]) + "\n")
            given.flush()
        yield said.readline().strip() if says else "", ask
    finally:
        process.kill()
        process.wait()


class Cpu:
    """What processes and their children use of a core, from its making on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._of = {
            name: [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
            for name, pid in pids.items()
        }
        self._at, self._before = time.monotonic(), self._used()

    def _used(self) -> dict[str, dict[Path, int]]:
        return {name: {file: ns for pid in group for file, ns in on_core(pid)} for name, group in self._of.items()}

    def shares(self) -> dict[str, float]:
        now, seconds = self._used(), time.monotonic() - self._at
        return {
            name: sum(ns - self._before[name].get(file, 0) for file, ns in of.items()) / 1e9 / seconds
            for name, of in now.items()
        }


def on_core(pid: int) -> Iterator[tuple[Path, int]]:
    """Of each thread of a process the nanoseconds that it was on a core. (Elsewhere the kernel tells ticks of 10 ms: as
    much as ninety boards take in a second.)"""
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            yield file, int(file.read_text().split()[0])
        except (OSError, IndexError):
            continue  # it has ended meanwhile
