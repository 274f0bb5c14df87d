"""From the socket: framed and typed, and into the stream."""

from __future__ import annotations

import importlib.util
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
# Of each reader; the best counts, since whatever else the machine does only takes away.
ROUNDS = 3
# As the bridge's own batches.
PAIRS = 400


def measure() -> list[Row]:
    lines = material.events(EVENTS)
    with TemporaryDirectory(prefix="bench-") as folder:
        json_file, plain_file = Path(folder, "json"), Path(folder, "plain")
        json_file.write_bytes(material.framed(lines))
        plain_file.write_bytes(material.framed([_plain(line) for line in lines], "plain"))
        best: dict[str, float] = {}
        anchors = ["greenswitch"] + ["genesis"] * (importlib.util.find_spec("genesis") is not None)
        with feeding(json_file) as json_port, feeding(plain_file) as plain_port:
            for _ in range(ROUNDS):
                for name in ("ours", *anchors, "to_stream"):
                    streams.connect().flushdb()
                    rate = EVENTS / _read(name, json_port if name in ("ours", "to_stream") else plain_port)
                    best[name] = max(best.get(name, 0.0), rate)
                best["pairs"] = max(best.get("pairs", 0.0), EVENTS / _pairs(lines))
    size = f"{sum(map(len, lines)) / len(lines) / 1000:.1f} kB each"
    rows = [
        Row("events framed and typed from one socket", best["ours"], "events/s", "greenswitch", best["greenswitch"],
            floor=5.0, note=size)
    ]  # fmt: skip
    if "genesis" in best:
        name = "events framed and typed, beside genesis"
        rows.append(Row(name, best["ours"], "events/s", "genesis", best["genesis"], note=size))
    pairs = "pairs pipelined by a bare client"
    rows.append(
        Row("events from socket to stream (XADD + PUBLISH)", best["to_stream"], "events/s", pairs, best["pairs"],
            floor=0.6, note=size)
    )  # fmt: skip
    return rows


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


def _read(name: str, port: int) -> float:
    command = [sys.executable, "-m", "tests.bench.speed.readers", name, str(port), str(EVENTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-500:]}")
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
