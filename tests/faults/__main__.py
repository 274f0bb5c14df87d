"""`make faults`: `python -m tests.faults --seed 1 --runs 5 --minutes 4.5`, or `--only "worker bridge"`.

Each run has a seed, a PostgreSQL and a Redis of its own, the product's processes and the simulated switch, whose own
log of INVITEs and legs is the judge. Exit 1 when a check is broken; the seed that is printed brings the same faults.

`--counts network=3,power=3`: the machine of both servers vanishes, as tests/faults/machine.py says.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.faults import servers
from tests.faults.floor import Size
from tests.faults.machine import Machine
from tests.faults.nemesis import FULL, KINDS, Broken


def main() -> int:
    options = _options()
    # A request to end is an orderly end: nothing that was started stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.runs > 1:
        return _many(options)
    return _one(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = Size()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1, help="with the seeds that follow; the counts are shared out")
    parser.add_argument("--minutes", type=float, default=size.minutes, help="of faults, in each run")
    parser.add_argument("--agents", type=int, default=size.agents)
    parser.add_argument("--campaigns", type=int, default=size.campaigns)
    parser.add_argument("--boards", type=int, default=size.boards)
    parser.add_argument("--panels", type=int, default=size.panels)
    parser.add_argument("--calls", type=float, default=size.calls_per_second, help="a second, of all campaigns")
    parser.add_argument("--commands", type=float, default=size.commands_per_second, help="a second")
    parser.add_argument("--talk", type=float, default=size.talk, help="mean, seconds")
    parser.add_argument("--only", default="", help=f"some of: {' '.join(KINDS)}")
    parser.add_argument("--counts", default="", help="instead of the full ones over all runs, e.g. worker=5,redis=2")
    parser.add_argument("--folder", type=Path, default=Path("var/faults"), help="data and logs, emptied first")
    options = parser.parse_args()
    unknown = set(options.only.split()) - set(KINDS)
    if unknown:
        parser.error(f"no such faults: {' '.join(sorted(unknown))}; there are {' '.join(KINDS)}")
    counts = dict(FULL)
    if options.counts:
        counts = {name: int(n) for name, _, n in (part.partition("=") for part in options.counts.split(","))}
    if options.only:
        counts = {name: n for name, n in counts.items() if name in options.only.split()}
    options.counts = counts
    return options


def _many(options: argparse.Namespace) -> int:
    """Each run in a process of its own: one Django, one pair of servers."""
    failed = []
    for n in range(options.runs):
        share = {name: math.ceil(count / options.runs) for name, count in options.counts.items()}
        command = [
            sys.executable, "-m", "tests.faults", "--seed", str(options.seed + n), "--minutes", str(options.minutes),
            "--agents", str(options.agents), "--campaigns", str(options.campaigns), "--boards", str(options.boards),
            "--panels", str(options.panels), "--calls", str(options.calls), "--commands", str(options.commands),
            "--talk", str(options.talk), "--folder", str(options.folder),
            "--counts", ",".join(f"{name}={count}" for name, count in share.items()),
        ]  # fmt: skip
        if _run(command) != 0:
            failed.append(options.seed + n)
    print(f"{options.runs - len(failed)} of {options.runs} runs hold" + (f"; seeds {failed} do not" if failed else ""))
    return int(bool(failed))


def _run(command: list[str]) -> int:
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except BaseException:
        # subprocess.run would kill it, and all that it has started would stay behind.
        process.terminate()
        process.wait()
        raise


def _one(options: argparse.Namespace) -> int:
    size = Size(
        agents=options.agents, campaigns=options.campaigns, boards=options.boards, panels=options.panels,
        calls_per_second=options.calls, minutes=options.minutes, commands_per_second=options.commands,
        talk=options.talk,
    )  # fmt: skip
    folder = options.folder.resolve() / str(options.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"seed {options.seed}, logs in {folder}", flush=True)
    with servers.of_a_run(folder) as own, ExitStack() as stack:
        from tests.faults import checker, report
        from tests.faults.run import Place, run

        place = Place(folder, own.environment, Broken(own.redis.break_for, own.postgres.break_for, own.frozen))
        if options.counts.get("network") or options.counts.get("power"):
            machine = stack.enter_context(Machine(own))
            place = Place(
                folder, machine.environment, replace(place.broken, network=machine.network, power=machine.power)
            )
        history, evidence = run(place, size, [options.seed], options.counts)
        holds = report.say(history, evidence, checker.check(history, evidence), size, [options.seed])
        kept = report.keep(history, folder, options.seed)
    if not holds:
        print(f"  again: python -m tests.faults --seed {options.seed} …; what happened is in {kept}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
