"""A scripted switch at a steady rate: captured calls, so many at a time, each event written when it is due.

`python -m tests.bench.speed.switch RATE CALLS SECONDS`. Prints its port; begins with the first line on stdin, goes on
when its time is up to answer what it is asked, and ends with the second. Prints JSON {"written", "late_ms"}: events,
and how far behind the script the 99th of 100 was written.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from itertools import count

import django

from tests.fakes.esl import FakeSwitch

# A real switch hands its events out in lots, of 20 ms; these are smaller.
LOT_SECONDS = 0.005
_TIME = re.compile(rb'"(Event-Date-Timestamp|Caller-Channel-[A-Za-z]+-Time)":"\d{16}"')
_LEG = re.compile(rb'"Unique-ID":"([^"]+)"')


def script(rate: float, calls: int, begin: float) -> Iterator[tuple[float, bytes]]:
    """(due, event) in order, without end. Each event bears the time when it is due; `calls` are up at a time, each at
    another place of its life, so that the events of one are calls / rate seconds apart."""
    from tests.bench.speed import material

    source = material.calls()
    up: dict[int, tuple[list[bytes], dict[bytes, bytes]]] = {}
    length, place = len(next(source)), 0
    for turn in count():
        for line in range(calls):
            step = turn - line % length  # so the first ones begin one after another
            if step < 0:
                continue
            due = begin + place / rate
            place += 1
            if step % length == 0:
                up[line] = next(source), {}
            lines, times = up[line]
            yield due, _at(lines[step % length], b"%d" % int(due * 1e6), times)


def _at(event: bytes, us: bytes, times: dict[bytes, bytes]) -> bytes:
    """The event as if it had happened now. `times`: when what its call's earlier events told happened."""
    leg = found.group(1) if (found := _LEG.search(event)) else b""

    def stamp(time_of: re.Match[bytes]) -> bytes:
        name = time_of.group(1)
        known = us if name == b"Event-Date-Timestamp" else times.setdefault(leg + name, us)
        return b'"%s":"%s"' % (name, known)

    return _TIME.sub(stamp, event)


def play(switch: FakeSwitch, rate: float, calls: int, seconds: float) -> tuple[int, float]:
    """(events written, the 99th percentile of their lateness in ms)."""
    begin = time.time()
    late: list[float] = []
    for due, event in script(rate, calls, begin):
        if due > begin + seconds:
            break
        while (now := time.time()) < due:
            time.sleep(max(LOT_SECONDS, due - now))
        late.append(now - due)
        for connection in list(switch.connections):
            if connection.subscribed:
                with contextlib.suppress(OSError):
                    connection.event_bytes(event)
    late.sort()
    return len(late), 1000 * late[int(len(late) * 0.99)]


def main(rate: float, calls: int, seconds: float) -> None:
    with FakeSwitch() as switch:
        switch.api = _answer(switch.api)  # type: ignore[method-assign]
        print(switch.port, flush=True)
        sys.stdin.readline()
        written, late = play(switch, rate, calls, seconds)
        print(json.dumps({"written": written, "late_ms": late}), flush=True)
        sys.stdin.readline()


def _answer(ask):  # type: ignore[no-untyped-def]
    """Whatever leg is asked for is there: the script never loses one."""
    return lambda command: "true" if command.startswith("uuid_exists ") else ask(command)


if __name__ == "__main__":
    django.setup()
    main(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
