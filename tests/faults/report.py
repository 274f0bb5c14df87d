"""A run in words and figures."""

from __future__ import annotations

import collections
import math
from pathlib import Path

from tests.faults.checker import Found
from tests.faults.floor import Size
from tests.faults.history import Evidence, History

SHOWN = 12
# After a fault a process begins, connects, compares itself with the switch.
REST = 3.0


def whole_seconds(history: History) -> set[int]:
    """Those (since 1970) in which no fault goes on, nor has ended just before: the floor is at work again."""
    seconds = set(range(math.ceil(history.began_at), math.floor(history.ended_at)))
    for fault in history.faults:
        seconds -= set(range(math.floor(fault.at), math.ceil((fault.until or fault.at) + REST)))
    return seconds


def say(history: History, evidence: Evidence, found: list[Found], size: Size, seeds: list[int]) -> bool:
    """Print it; whether all checks hold."""
    seconds = max(1.0, history.ended_at - history.began_at)
    # Of these seconds alone: calls go on before the first fault, and while the floor is brought to rest after the last.
    customers = [
        leg
        for leg in evidence.legs
        if leg["kind"] == "customer" and history.began_at <= leg["invited_at"] <= history.ended_at
    ]
    joined = sum(bool(leg["bridges"]) for leg in customers)
    print(
        f"seed {', '.join(map(str, seeds))}: {size.agents} agents, {size.campaigns} campaigns, {size.boards} boards, "
        f"{seconds:.0f} s; reached {len(customers) / seconds:.1f} calls/s, {joined} joined, "
        f"{len(history.commands) / seconds:.1f} commands/s"
    )
    whole = whole_seconds(history)
    at_work = sum(int(leg["invited_at"]) in whole for leg in customers)
    print(f"  in the {len(whole)} seconds that began {REST:.0f} s or more after a fault, before the next: "
          f"{at_work / max(1, len(whole)):.1f} calls/s")  # fmt: skip
    kinds = collections.Counter(fault.kind for fault in history.faults)
    between = sum(fault.between_commit_and_send for fault in history.faults)
    taken = sum(fault.detail == "taken over" for fault in history.faults)
    print(f"  faults: {', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items()))}; {between} of them between "
          f"commit and send, {taken} frozen holders followed by another")  # fmt: skip
    for one in found:
        mark = "holds " if not one.troubles else "BROKEN"
        print(f"  {mark} {len(one.troubles):3d} {one.name} ({one.figure})")
        for trouble in one.troubles[:SHOWN]:
            print(f"           {trouble}")
    return not any(one.troubles for one in found)


def keep(history: History, folder: Path, seed: int) -> Path:
    """The history of a failed run, for whoever looks into it."""
    path = folder / f"history-{seed}.json"
    history.write(path)
    return path
