"""What more of a process brings: workers that store, web processes, nodes with a bridge each. Reported, without floors:
the machine's cores decide."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from events import streams
from events.models import EventBatch
from tests.bench.speed import material, path_rows
from tests.bench.speed.ingest_rows import empty, journalled
from tests.bench.speed.path_rows import until
from tests.bench.speed.rows import Row
from tests.bench.speed.socket_rows import feeding
from tests.fakes import events as fakes
from tests.fakes.processes import Processes

# What is read fits into a bridge's buffer, however slow Redis is.
STORED, READ = 12_000, 6_000
ROUNDS = 2


def measure() -> list[Row]:
    stored: dict[int, list[float]] = {1: [], 2: []}
    read: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for many in (1, 2):
            with TemporaryDirectory(prefix="bench-") as folder:
                stored[many].append(STORED / _stored(Path(folder), many))
                read[many].append(READ / _read(Path(folder), many))
    boards = {}
    for webs in (1, 2):
        with TemporaryDirectory(prefix="bench-") as folder:
            boards[webs] = path_rows.run(Path(folder), webs=webs, boards=2 * path_rows.BOARDS, rounds=1)
    p99 = {webs: found["rounds"][0]["p99"] for webs, found in boards.items()}
    cpu = "; ".join(f"{webs}: {path_rows.words(found['cpu'])}" for webs, found in boards.items())
    return [
        Row("events stored by 2 default workers", statistics.median(stored[2]), "events/s", "by 1",
            statistics.median(stored[1]), note=f"{STORED} events that wait; PostgreSQL on the same cores"),
        Row("events into one journal from 2 nodes", statistics.median(read[2]), "events/s", "from 1",
            statistics.median(read[1]), note="a reader with a writer for each, one Redis"),
        Row(f"switch event to {2 * path_rows.BOARDS} boards of 2 web processes, p99", p99[2], "ms", "of 1", p99[1],
            note=f"of a core by number of web processes: {cpu}"),
    ]  # fmt: skip


def _stored(folder: Path, workers: int) -> float:
    """Seconds in which so many worker processes store what waits."""
    journalled(material.events(STORED))
    one = fakes.ingest()
    fakes.drain(one)
    fakes.record(one)
    one.lease.release()
    waiting = EventBatch.objects.exclude(status=EventBatch.Status.COMPLETED)
    with Processes(folder) as run:
        run.worker("default", workers)
        until(lambda: EventBatch.objects.filter(status=EventBatch.Status.COMPLETED).exists(), "the workers")
        begun, left = time.monotonic(), waiting.count() / EventBatch.objects.count()
        until(lambda: not waiting.exists(), "the batches", 120)
        took = (time.monotonic() - begun) / left
    empty()
    return took


def _read(folder: Path, nodes: int) -> float:
    """Seconds in which so many bridges' readers and writers bring what all their switches say into one journal."""
    streams.connect().flushdb()
    file = folder / "json"
    file.write_bytes(material.framed(material.events(READ // nodes)))
    with ExitStack() as stack:
        ports = [stack.enter_context(feeding(file)) for _ in range(nodes)]
        command = [sys.executable, "-m", "tests.bench.speed.readers", "to_stream"]
        readers = [
            subprocess.Popen([*command, str(port), str(READ // nodes)], stdout=subprocess.PIPE, text=True)
            for port in ports
        ]
        # They begin within milliseconds of each other: the slower one is what it took.
        return max(float(reader.communicate(timeout=120)[0].split()[-1]) for reader in readers)
