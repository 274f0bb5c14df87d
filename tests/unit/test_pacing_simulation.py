"""The simulation: its counts add up, a seed repeats a run, and the modes keep their promises in it."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from dialer.pacing import Decision, Power, Progressive
from dialer.pacing.observation import Indifferent
from dialer.pacing.predictive import Predictive
from dialer.pacing_simulation import HALF_HOUR, Scenario, simulate, worst_half_hour

STEADY = ((0.0, 0.25),)


class Once(Indifferent):
    """Places this many calls in the first second and no more."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def decide(self, seen):
        calls, self.calls = self.calls, 0
        return Decision(calls, "price", "", {}, "test")


def test_two_answers_for_one_agent_are_one_conversation_and_one_abandoned_call():
    result = simulate(Once(2), Scenario(1, ((0.0, 1.0),), hours=0.1), seed=3)
    assert (result.dialled, result.answered, result.abandoned) == (2, 2, 1)
    assert result.waits == [0.0]


@pytest.mark.parametrize("make", [Progressive, lambda: Power(3), Predictive])
def test_the_counts_add_up(make):
    result = simulate(make(), Scenario(12, STEADY, hours=1), seed=4)
    open_calls = result.answered - result.abandoned - len(result.waits)
    assert 0 <= open_calls <= 12
    assert sum(piece.answered for piece in result.slices) == result.answered
    assert sum(piece.abandoned for piece in result.slices) == result.abandoned
    assert sum(piece.busy_seconds for piece in result.slices) == pytest.approx(result.busy_seconds)
    assert 0 < result.utilisation < 1
    assert max(result.waits) <= 2.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rate", [0.05, 0.4, 1.0])
def test_progressive_abandons_nobody(rate, seed):
    scenario = Scenario(3 + 9 * seed, ((0.0, rate),), talk=45, hours=1, decide_when_free=seed % 2 == 0)
    assert simulate(Progressive(), scenario, seed).abandoned == 0


def test_a_seed_repeats_a_run_to_the_last_digit_and_another_does_not():
    runs = [simulate(Predictive(), Scenario(10, STEADY, hours=0.5), seed).as_dict() for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.slow
def test_predictive_uses_the_agents_better_than_progressive_and_stays_under_the_cap():
    """Four hours, 30 agents: the bench measures, this keeps it from breaking unseen."""
    ours = simulate(Predictive(), Scenario(30, STEADY), seed=11)
    plain = simulate(Progressive(), Scenario(30, STEADY), seed=11)
    assert ours.utilisation > 0.88 > 0.7 > plain.utilisation
    assert ours.abandon_rate is not None and ours.abandon_rate <= 0.03


@pytest.mark.slow
def test_a_jump_of_the_answer_rate_stays_under_the_cap():
    result = simulate(Predictive(), Scenario(30, ((0.0, 0.10), (3600.0, 0.50)), hours=3), seed=12)
    assert result.abandon_rate is not None and result.abandon_rate <= 0.03


def test_a_cold_start_of_300_agents_abandons_nobody_in_the_first_30_seconds():
    result = simulate(Predictive(), Scenario(300, ((0.0, 0.40),), hours=0.02), seed=13)
    assert result.first_abandon is None or result.first_abandon > 30


def test_the_worst_half_hour_lies_within_the_run():
    assert worst_half_hour([1.0], [1.0], HALF_HOUR - 1) is None
    assert worst_half_hour([10.0, 20.0, 30.0, 40.0], [], HALF_HOUR) == 0.0
    assert worst_half_hour([10.0, 20.0, 30.0, 40.0], [22.0], HALF_HOUR) == 0.25
    assert worst_half_hour([10.0, 20.0, 3000.0, 3010.0], [22.0, 3012.0], 3600.0) == 0.5


@pytest.mark.parametrize("wrong", [{"agents": 0}, {"rates": ()}, {"rates": ((0.0, 1.5),)}, {"hours": 0}, {"talk": 0}])
def test_a_scenario_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        Scenario(**{"agents": 3, "rates": STEADY, **wrong})


def command(*args: str) -> str:
    out = StringIO()
    call_command("simulate_pacing", "--agents", "8", "--hours", "0.6", *args, stdout=out)
    return out.getvalue()


def test_the_command_prints_every_mode_and_repeats_itself():
    first = command("--seed", "5")
    assert [line.split()[0] for line in first.splitlines()[2:]] == ["progressive", "power", "predictive"]
    assert first == command("--seed", "5") != command("--seed", "6")


def test_the_command_speaks_json_for_the_modes_asked_for():
    found = json.loads(command("--json", "--mode", "progressive"))
    assert list(found["modes"]) == ["progressive"]
    assert found["modes"]["progressive"]["abandoned"] == 0


@pytest.mark.parametrize(
    "wrong",
    [("--agents", "0"), ("--answer-rate", "2"), ("--cap", "0"), ("--ratio", "0"), ("--hours", "25"), ("--talk", "-1")],
)
def test_the_command_says_what_is_wrong(wrong):
    with pytest.raises(CommandError):
        command(*wrong)
