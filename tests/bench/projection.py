"""What a frame costs the floor publisher: `python -m tests.bench.projection`.

300 agents on 300 calls in 20 campaigns, 1,000 announced changes a second, frames as the publisher makes them, without a
server. Prints milliseconds per frame (change, make, encode) and the share of one core. Exit 1 above the limit.
"""

import argparse
import random
import statistics
import sys
import time
from typing import Any

from console import protocol
from console.projection import Projection

# As console/floor.py has it.
FRAME_SECONDS = 0.15
LIMIT_SHARE = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=300)
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--changes", type=int, default=1_000, help="per second")
    parser.add_argument("--seconds", type=int, default=30, help="of the floor's time")
    options = parser.parse_args()
    projection, chance = Projection(), random.Random(7)
    for n in range(options.campaigns):
        projection.change("campaign", f"k{n}", _campaign(n, 0))
    for n in range(options.agents):
        projection.change("agent", f"a{n}", _agent(n, 0, options.campaigns))
        projection.change("leg", f"s{n}", {"leg": f"s{n}", "role": "agent", "agent_id": f"a{n}", "state": "bridged"})
        projection.change("call", f"c{n}", _call(n, 0, options.campaigns))
        projection.change("leg", f"c{n}", _leg(n, "bridged"))
    at = int(time.time() * 1000)
    projection.start_epoch("1.1", at)
    made: list[float] = []
    taken: list[float] = []
    encoded: list[float] = []
    sizes: list[int] = []
    version, worked = 0, 0.0
    for _ in range(round(options.seconds / FRAME_SECONDS)):
        told = []
        for _ in range(round(options.changes * FRAME_SECONDS)):
            version += 1
            n = chance.randrange(options.agents)
            told.append(
                chance.choice(
                    (
                        ("agent", f"a{n}", _agent(n, version, options.campaigns)),
                        ("call", f"c{n}", _call(n, version, options.campaigns)),
                        ("leg", f"c{n}", _leg(n, chance.choice(("alerting", "answered", "bridged", "held")))),
                        ("campaign", f"k{n % options.campaigns}", _campaign(n % options.campaigns, version)),
                    )
                )
            )
        at += round(FRAME_SECONDS * 1000)
        work = time.process_time()
        begun = time.perf_counter()
        for kind, key, row in told:
            projection.change(kind, key, row)
        changed = time.perf_counter()
        frame = projection.frame(at)
        framed = time.perf_counter()
        sizes.append(len(protocol.encode(frame)))
        done = time.perf_counter()
        worked += time.process_time() - work
        taken.append((changed - begun) * 1000)
        made.append((framed - changed) * 1000)
        encoded.append((done - framed) * 1000)
    whole = [sum(parts) for parts in zip(taken, made, encoded, strict=True)]
    share = worked / (len(whole) * FRAME_SECONDS)
    print(f"{options.agents} agents, {options.agents} calls, {options.changes} changes/s, {len(made)} frames")
    for name, values in (("changes", taken), ("frame", made), ("encode", encoded), ("all", whole)):
        values.sort()
        print(f"{name:8} p50 {statistics.median(values):6.2f} ms, p95 {values[int(len(values) * 0.95)]:6.2f} ms")
    print(f"{statistics.mean(sizes) / 1024:.0f} KiB a frame, {share:.1%} of a core's time (limit {LIMIT_SHARE:.0%})")
    return int(share > LIMIT_SHARE)


def _campaign(n: int, version: int) -> dict[str, Any]:
    today = {"attempts": version, "answered": version // 4, "people": version // 4, "waits": [version] * 16}
    return {"id": f"k{n}", "name": f"Campaign {n}", "status": "active", "today": today, "version": version}


def _agent(n: int, version: int, campaigns: int) -> dict[str, Any]:
    figure = {"numerator": version, "denominator": version + 9, "window": "today (UTC)", "value": 0.5}
    today = {"handled": n, "talk_seconds": version, "idle_seconds": 60, "handle_time": figure, "occupancy": figure}
    return {
        "id": f"a{n}", "name": f"Agent {n}", "extension": str(1000 + n), "status": "on_call", "since": version,
        "softphone": "open", "campaigns": [f"k{n % campaigns}", f"k{(n + 1) % campaigns}"], "call_id": f"c{n}",
        "team": "north", "team_name": "North", "campaign_id": f"k{n % campaigns}", "today": today, "version": version,
    }  # fmt: skip


def _call(n: int, version: int, campaigns: int) -> dict[str, Any]:
    return {
        "id": f"c{n}", "campaign_id": f"k{n % campaigns}", "agent_id": f"a{n}", "number": "+1212***34",
        "contact": f"Contact {n}", "status": "answered", "started": 5, "answered_at": 6, "version": version,
    }  # fmt: skip


def _leg(n: int, state: str) -> dict[str, Any]:
    return {"leg": f"c{n}", "role": "customer", "state": state, "since": 10, "call_id": f"c{n}", "peer": f"s{n}"}


if __name__ == "__main__":
    sys.exit(main())
