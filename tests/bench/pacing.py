"""`python -m tests.bench.pacing [--quick] [--seed N]`: every pacing policy over the same floors, as one table.

Exit code 0 only if our predictive mode meets the acceptance line of docs/pacing.md on these seeds, which are fresh
unless `--seed` repeats a run.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dialer.pacing import Policy, Progressive
from dialer.pacing.predictive import Predictive
from dialer.pacing_simulation import Result, Scenario, simulate
from tests.bench import peers

SCENARIOS: dict[str, Callable[[int], Scenario]] = {
    "p .15": lambda agents: Scenario(agents, ((0, 0.15),)),
    "p .25": lambda agents: Scenario(agents, ((0, 0.25),)),
    "p .40": lambda agents: Scenario(agents, ((0, 0.40),)),
    "p .25 T 45": lambda agents: Scenario(agents, ((0, 0.25),), talk=45),
    "p .20->.45": lambda agents: Scenario(agents, ((0, 0.20), (7200, 0.45))),
}
MAIN = "p .25"
OURS, PROGRESSIVE = "predictive (ours)", "progressive"
POLICIES: dict[str, Callable[[], Policy]] = {
    PROGRESSIVE: Progressive,
    "power 3": lambda: peers.Power(3),
    "VICIdial RATIO 2": lambda: peers.Vicidial(2.0),
    "VICIdial ADAPT_HARD_LIMIT": lambda: peers.Vicidial(adapt=True),
    "Issabel, overcommit": peers.Issabel,
}
STATIC = "best static ratio, hindsight"
STATIC_TRIES = 8
# Required utilisation, % at agents; caps in %.
REQUIRED = {10: 82.0, 30: 90.0, 100: 95.5, 300: 98.0}
CAP, WORST_CAP = 3.0, 4.0
# Runs of ours in the scenario whose utilisation is required: a small team's differs by 1 % from seed to seed.
RUNS, QUICK_RUNS = {10: 12, 30: 6, 100: 3, 300: 2}, {10: 5, 30: 1, 100: 1, 300: 1}


@dataclass(frozen=True, slots=True)
class Run:
    policy: str
    scenario: str
    agents: int
    seed: int
    result: Result

    @property
    def utilisation(self) -> float:
        return 100 * self.result.utilisation

    @property
    def abandoned(self) -> float:
        return 100 * (self.result.abandon_rate or 0.0)

    @property
    def worst(self) -> float:
        return 100 * (self.result.worst_half_hour or 0.0)

    def __str__(self) -> str:
        return f"{self.policy}, {self.scenario}, {self.agents} agents, seed {self.seed}"


class Bench:
    def __init__(self, seed: int, quick: bool) -> None:
        self.seed, self.quick = seed, quick
        self.runs: list[Run] = []
        self.broken: list[str] = []

    def run(self, policy: str, make: Callable[[], Policy], name: str, scenario: Scenario, number: int = 0) -> Run:
        """Each run has a seed of its own, the same for every policy."""
        seed = self.seed * 1000 + number
        done = Run(policy, name, scenario.agents, seed, simulate(make(), scenario, seed))
        self.runs.append(done)
        if sys.stderr.isatty():
            print(f"\r\033[K{done}", end="", file=sys.stderr, flush=True)
        return done

    def require(self, met: bool, what: str) -> None:
        if not met:
            self.broken.append(what)

    def ours(self) -> None:
        for agents, runs in (QUICK_RUNS if self.quick else RUNS).items():
            for name, scenario in SCENARIOS.items():
                if self.quick and name != MAIN and agents > 30:
                    continue
                for number in range(runs if name == MAIN else 1):
                    run = self.run(OURS, Predictive, name, scenario(agents), number)
                    self.require(run.abandoned <= CAP, f"{run}: {run.abandoned:.2f} % abandoned")
                    if agents >= 30:
                        self.require(run.worst <= WORST_CAP, f"{run}: {run.worst:.2f} % in the worst 30 min")
            mean = _mean([r.utilisation for r in self.runs if r.agents == agents and r.scenario == MAIN])
            required = REQUIRED[agents]
            self.require(mean >= required, f"{agents} agents: utilisation {mean:.2f} % < {required} %")

    def special(self) -> Iterator[str]:
        """The two floors that are required of ours alone."""
        for number in range(1 if self.quick else 4):
            jump = Scenario(30, ((0, 0.10), (7200, 0.50)))
            run = self.run(OURS, Predictive, "p .10->.50", jump, number)
            self.require(run.abandoned <= CAP, f"{run}: {run.abandoned:.2f} % abandoned")
            yield f"p .10->.50, 30 agents, seed {run.seed}: {run.abandoned:.2f} % abandoned (at most {CAP} %)"
        for number in range(3 if self.quick else 10):
            run = self.run(OURS, Predictive, "cold", Scenario(300, ((0, 0.40),), hours=0.05), number)
            first = run.result.first_abandon
            self.require(first is None or first > 30, f"{run}: first abandon after {first or 0:.1f} s")
            when = "none in 3 min" if first is None else f"after {first:.1f} s"
            yield f"cold start, p .40, 300 agents, seed {run.seed}: first abandon {when} (not within 30 s)"

    def others(self) -> None:
        for agents in (10, 30) if self.quick else REQUIRED:
            for name, scenario in SCENARIOS.items():
                for policy, make in POLICIES.items():
                    run = self.run(policy, make, name, scenario(agents))
                    if policy == PROGRESSIVE:
                        self.require(run.result.abandoned == 0, f"{run}: {run.result.abandoned} abandoned")
                if not self.quick:
                    self.static(agents, name, scenario(agents))

    def static(self, agents: int, name: str, scenario: Scenario) -> None:
        """The largest ratio that stayed under the cap, found by halving what more of it abandons more."""
        low, high, best = 0.5, 5.0, None
        for _ in range(STATIC_TRIES):
            ratio = (low + high) / 2
            result = simulate(peers.StaticRatio(ratio), scenario, self.seed * 1000)
            run = Run(STATIC, name, agents, self.seed * 1000, result)
            if run.abandoned <= CAP:
                low, best = ratio, run
            else:
                high = ratio
        if best is not None:
            self.runs.append(best)

    def table(self) -> str:
        """Means over the scenarios, each scenario with the same weight."""
        sizes = sorted({run.agents for run in self.runs})
        head = "".join(f"| {f'{agents} agents':>24} " for agents in sizes)
        lines = [
            f"| {'utilisation % (abandoned %; worst 30 min %)':<43} {head}|",
            f"|{'-' * 45}|{'|'.join(['-' * 26] * len(sizes))}|",
        ]
        for policy in (*POLICIES, STATIC, OURS):
            cells = "".join(f"| {self.cell(policy, agents):>24} " for agents in sizes)
            lines.append(f"| {policy:<43} {cells}|")
        return "\n".join(lines)

    def cell(self, policy: str, agents: int) -> str:
        by_scenario = [
            [r for r in self.runs if (r.policy, r.agents, r.scenario) == (policy, agents, name)] for name in SCENARIOS
        ]
        seen = [runs for runs in by_scenario if runs]
        if not seen:
            return "–"
        utilisation = _mean([_mean([r.utilisation for r in runs]) for runs in seen])
        abandoned = _mean([_mean([r.abandoned for r in runs]) for runs in seen])
        worst = max(r.worst for runs in seen for r in runs)
        some = "*" if len(seen) < len(SCENARIOS) else ""
        return f"{utilisation:.1f} ({abandoned:.2f}; {worst:.1f}){some}"

    def required(self) -> str:
        lines = []
        for agents, required in REQUIRED.items():
            runs = [r for r in self.runs if (r.policy, r.agents, r.scenario) == (OURS, agents, MAIN)]
            means = f"{_mean([r.utilisation for r in runs]):6.2f} % (at least {required} %)"
            most = max(r.abandoned for r in runs)
            worst = max(r.worst for r in runs)
            lines.append(
                f"{agents:>4} agents, {len(runs):>2} runs: utilisation {means}, "
                f"most abandoned {most:.2f} %, worst 30 min {worst:.2f} %"
            )
        return "\n".join(lines)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pacing", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeat the run that printed this seed")
    parser.add_argument("--quick", action="store_true", help="fewer runs and sizes: about 80 s")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"seed {seed} ({'quick, ' if options.quick else ''}4 simulated hours a run; repeat with --seed {seed})")
    start = time.monotonic()
    bench = Bench(seed, options.quick)
    bench.ours()
    special = list(bench.special())
    bench.others()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(bench.table())
    print(
        "Mean of the scenarios "
        + ", ".join(SCENARIOS)
        + "; worst 30 min: the worst of all runs. * not all scenarios were run.\n"
    )
    print(f"Required of ours at {MAIN}, T 120:\n{bench.required()}", *special, sep="\n")
    print(f"{len(bench.runs)} runs in {time.monotonic() - start:.0f} s")
    for what in bench.broken:
        print(f"NOT MET: {what}")
    print("not accepted" if bench.broken else "accepted")
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
