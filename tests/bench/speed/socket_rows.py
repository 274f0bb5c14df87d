"""From the socket: framed and typed, and into the stream."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from django.conf import settings

from events import streams
from tests.bench.speed import material
from tests.bench.speed.rows import Row

EVENTS = 6_000
# Of each reader, one after the other.
ROUNDS = 5
# As the bridge's own batches.
PAIRS = 400


def measure() -> list[Row]:
    lines = material.events(EVENTS)
    with TemporaryDirectory(prefix="bench-") as folder:
        json_file, plain_file = Path(folder, "json"), Path(folder, "plain")
        json_file.write_bytes(material.framed(lines))
        plain_file.write_bytes(material.framed([_plain(line) for line in lines], "plain"))
        rates: dict[str, list[float]] = {}
        with feeding(json_file) as json_port, feeding(plain_file) as plain_port:
            for _ in range(ROUNDS):
                for name, (command, plain) in _readers().items():
                    streams.connect().flushdb()
                    rates.setdefault(name, []).append(EVENTS / _read(command, plain_port if plain else json_port))
                rates.setdefault("pairs", []).append(EVENTS / _pairs(lines))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    note = f"{sum(map(len, lines)) / len(lines) / 1000:.1f} kB each; medians of {ROUNDS}"
    rows = [
        Row("events framed and typed from one socket", rate["ours"], "events/s", "greenswitch", rate["greenswitch"],
            floor=5.0, note=note)
    ]  # fmt: skip
    for name in ("genesis", "modesl"):
        if name in rate:
            row = f"events framed and typed, beside {name}"
            rows.append(Row(row, rate["ours"], "events/s", name, rate[name], note=note))
    pairs = "pairs pipelined by a bare client"
    rows.append(
        Row("events from socket to stream (XADD + PUBLISH)", rate["to_stream"], "events/s", pairs, rate["pairs"],
            floor=0.6, note=note)
    )  # fmt: skip
    return rows


def _readers() -> dict[str, tuple[list[str], bool]]:
    """By name: the command but for port and events, and whether it reads the plain format. genesis and modesl where
    they are installed: GENESIS_PYTHON is an interpreter that has genesis, NODE_PATH a folder that holds modesl."""
    ours = [sys.executable, "-m", "tests.bench.speed.readers"]
    found = {"ours": ([*ours, "ours"], False), "greenswitch": ([*ours, "greenswitch"], True)}
    if "GENESIS_PYTHON" in os.environ:
        found["genesis"] = ([os.environ["GENESIS_PYTHON"], *ours[1:], "genesis"], True)
    if "NODE_PATH" in os.environ and Path(os.environ["NODE_PATH"], "modesl").exists():
        found["modesl"] = (["node", "tests/bench/speed/modesl_reader.js"], False)
    return {**found, "to_stream": ([*ours, "to_stream"], False)}


@contextmanager
def feeding(file: Path) -> Iterator[int]:
    """A feeder of `file`; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.speed.feeder", str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _read(command: list[str], port: int) -> float:
    done = subprocess.run([*command, str(port), str(EVENTS)], capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        raise SystemExit(f"{command} failed: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])


def _plain(line: bytes) -> bytes:
    """The same event in the switch's plain form, which the anchors read."""
    event = orjson.loads(line)
    body = event.pop("_body", "")
    headers = "".join(f"{name}: {urllib.parse.quote(_text(value))}\n" for name, value in event.items())
    return (headers + "\n" + body).encode()


def _text(value: object) -> str:
    return "ARRAY::" + "|:".join(map(str, value)) if isinstance(value, list) else str(value)


def _pairs(lines: list[bytes]) -> float:
    """Seconds a bare client takes to append and publish the same events, already in memory."""
    client = streams.connect()
    client.flushdb()
    begun = time.perf_counter()
    for start in range(0, len(lines), PAIRS):
        pipe = client.pipeline(transaction=False)
        for line in lines[start : start + PAIRS]:
            pipe.xadd(streams.JOURNAL, {streams.JOURNAL_FIELD: line})
            pipe.publish(settings.FREESWITCH_EVENT_CHANNEL, line)
        pipe.execute()
    return time.perf_counter() - begun
