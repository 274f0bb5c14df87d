"""Pacing policies: what they learn, what they pay, what they must never do."""

import dataclasses
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer import limits
from dialer.pacing import Ceilings, Observation, Power, Progressive, WindowCount, price, risk, standard
from dialer.pacing.answer_rate import AnswerRate
from dialer.pacing.durations import HORIZON, Durations, Releases, RingTimes, normal_cdf
from dialer.pacing.predictive import Predictive

PROFILE = standard()


def windows(lost: int, answered: int) -> tuple[WindowCount, ...]:
    return tuple(WindowCount(w.name, answered, lost, w.cap, w.aim, w.least) for w in PROFILE.windows)


def floor(**change: object) -> Observation:
    """Thirty agents in full swing, all is well."""
    seen = Observation(
        at=1000.0,
        assigned=30,
        idle=4,
        talking=[10.0 * n for n in range(20)],
        wrapping=[2.0 * n for n in range(6)],
        ringing={0: [1] * 20},
        windows=windows(5, 1000),
    )
    return dataclasses.replace(seen, **change)


def taught(rate: float = 0.25, *, seconds: int = 1000, a_second: int = 3, **options: object) -> Predictive:
    """A policy that has watched calls answered at `rate` until `seconds`."""
    policy, chance = Predictive(**options), random.Random(5)
    answers: list[tuple[float, float]] = []
    for second in range(seconds):
        for answer in sorted(a for a in answers if a[0] < second):
            policy.answered(*answer)
        answers = [a for a in answers if a[0] >= second]
        policy.placed(second, a_second)
        for _ in range(a_second):
            if chance.random() < rate:
                ring = min(24.0, chance.lognormvariate(1.95, 0.5))
                answers.append((second + ring, ring))
    for _ in range(300):
        policy.talked(seconds, chance.lognormvariate(4.47, 0.8))
        policy.wrapped(seconds, chance.lognormvariate(2.58, 0.5))
    return policy


# The answer rate


def test_the_answer_rate_is_right_while_the_first_calls_still_ring():
    """Answers per placed call would say 0 here, and answers per ended call 1."""
    rate, rings = AnswerRate(RingTimes()), RingTimes()
    for second in range(9):
        rate.placed(second, 100)
    expected = sum(100 * 0.4 * rings.by[9 - placed] for placed in range(9))
    for _ in range(round(expected)):
        rate.answered(9.0, 7.0)
    assert rate.slow_rate == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("true", [0.05, 0.15, 0.25, 0.40, 0.70])
def test_a_steady_answer_rate_is_found(true):
    found, deviation = taught(true).rate.estimate(1000)
    assert abs(found - true) < 4 * deviation + 0.01


def test_a_rise_is_believed_within_a_minute_and_a_fall_after_it_shows():
    policy = taught(0.10)
    for second in range(1000, 1060):
        policy.placed(second, 3)
        policy.answered(second + 0.5, 8.0)
        policy.answered(second + 0.6, 8.0)
    assert policy.rate.estimate(1060)[0] > 0.45
    for second in range(1060, 1300):
        policy.placed(second, 3)
    assert policy.rate.estimate(1300)[0] < 0.10


def test_a_cold_start_plans_with_more_answers_than_there_may_be():
    policy = Predictive()
    policy.placed(0, 10)
    assert policy.rate.estimate(5)[0] >= 0.55
    assert policy.rate.is_cold(5)
    assert not taught().rate.is_cold(1000)


def test_after_a_long_pause_it_is_cold_again():
    policy = taught()
    policy.placed(3000, 5)
    assert policy.rate.estimate(3010)[0] >= 0.55


def test_strata_that_answer_differently_are_told_apart_and_shrunk():
    rate = AnswerRate(RingTimes())
    for second in range(2000):
        rate.placed(second, 1, "first")
        rate.placed(second, 1, "third")
        if second % 2 == 0:
            rate.answered(second + 0.5, 8.0, "first")
        if second % 10 == 0:
            rate.answered(second + 0.6, 8.0, "third")
    first, third = (rate.strata.weight(stratum, rate.slow_rate) for stratum in ("first", "third"))
    assert first == pytest.approx(0.5 / 0.3, rel=0.15)
    assert third == pytest.approx(0.1 / 0.3, rel=0.3)
    assert rate.strata.weight("never seen", rate.slow_rate) == 1.0


# Durations


def test_the_normal_distribution_is_right_to_a_millionth():
    known = {0.0: 0.5, 1.0: 0.841344746, -1.0: 0.158655254, 2.5: 0.993790335, -6.0: 9.865876e-10}
    assert normal_cdf(np.array(list(known))) == pytest.approx(list(known.values()), abs=1e-6)


def test_durations_start_with_the_prior_and_end_with_what_was_seen():
    talk = Durations(120, 1.0)
    assert talk.cdf()[60] == pytest.approx(talk.prior[60])
    for _ in range(600):
        talk.add(300)
    cdf = talk.cdf()
    assert cdf[150] < 0.02
    assert cdf[600] > 0.98
    assert np.all(np.diff(cdf) >= -1e-12)


def test_who_is_longer_in_wrap_up_is_sooner_free_and_all_chances_are_chances():
    releases = Releases(Durations(120, 1.0), Durations(15, 0.8))
    chances = releases.chances([0.0, 60.0, 5000.0], [0.0, 15.0])
    assert chances.shape == (5, len(HORIZON))
    assert np.all((chances >= 0) & (chances <= 1))
    assert np.all(np.diff(chances, axis=1) >= -1e-9)
    assert chances[4, 5] > chances[3, 5] > chances[0, 5]


# The risk


def test_exact_and_normal_risks_agree_for_a_large_team():
    ahead = taught()._look_ahead(floor(assigned=60, talking=[3.0 * n for n in range(50)], ringing={0: [3] * 22}))
    exact, normal = risk.exact_risks(ahead, 12), risk.marginal_risks(ahead, 12)
    assert exact == pytest.approx(normal, abs=0.03)
    assert np.all(np.diff(exact) >= -1e-9)


def test_the_exact_risk_of_two_calls_and_one_agent_is_that_both_are_answered():
    policy = taught()
    ahead = policy._look_ahead(floor(assigned=1, idle=1, talking=[], wrapping=[], ringing={}))
    first, second = risk.exact_risks(ahead, 2)
    assert first == pytest.approx(0, abs=1e-9)
    assert second == pytest.approx(ahead.rate, rel=0.02)


# The price


def test_losses_lower_the_price_and_quiet_raises_it():
    policy_price = price.Price(0.03)
    before = policy_price.now(windows(10, 1000), 100)
    for _ in range(5):
        policy_price.lost()
    after = policy_price.now(windows(25, 1000), 100)
    assert after < before
    for _ in range(2000):
        policy_price.answered()
    assert policy_price.now(windows(25, 3000), 100) > after


@given(st.lists(st.booleans(), max_size=300), st.integers(0, 100), st.integers(0, 5000), st.floats(0, 1e4))
def test_the_price_stays_within_its_bounds(facts, lost, answered, pace):
    policy_price = price.Price(0.03)
    for was_lost in facts:
        policy_price.lost() if was_lost else policy_price.answered()
    assert price.LOWEST <= policy_price.now(windows(lost, answered), pace) <= price.HIGHEST


def test_the_bank_is_that_of_the_tightest_window():
    month, half_hour = WindowCount("30 d", 10_000, 0, 0.03, 0.027), WindowCount("30 min", 100, 4, 0.04, 0.027)
    assert price.bank((month, half_hour)) == pytest.approx(-1.3)


# The guards


def test_more_is_placed_than_agents_are_idle_and_the_line_says_why():
    seen = floor(idle=3, ringing={0: [1] * 5})
    decision = taught().decide(seen)
    assert decision.place > seen.base == 0
    assert decision.mode == "predictive"
    assert decision.reason == "price"
    for part in ("placed ", "agents free within 12 s against", "risk of the", "> price", "bank +"):
        assert part in decision.summary


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"age": 3.5}, "stale_state", "last known 4 s ago"),
        ({"assigned": 2}, "progressive_base", "fewer than 3 agents"),
        ({"winding_down": True}, "progressive_base", "the shift or the list ends"),
    ],
)
@pytest.mark.parametrize("policy", [Predictive, lambda: Power(3)])
def test_in_doubt_it_dials_progressively_and_says_why(policy, change, reason, says):
    decision = policy().decide(floor(idle=2, ringing={0: [1]}, **change))
    assert (decision.place, decision.mode, decision.reason) == (1, "progressive", reason)
    assert says in decision.summary


def test_without_a_message_asset_nothing_is_dialled_ahead():
    silent = dataclasses.replace(PROFILE, message_asset=False)
    for policy in (Power(3, silent), taught(profile=silent)):
        decision = policy.decide(floor(idle=2, ringing={}))
        assert (decision.place, decision.mode) == (2, "progressive")
        assert "no message asset" in decision.summary


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"link_ok": False}, "stale_state"),
        ({"closed_gate": "schedule", "closed": "opens at 08:00"}, "calling_window"),
        ({"closed_gate": "status", "closed": "the campaign is paused"}, "not_active"),
        ({"assigned": 0, "idle": 0}, "no_agents"),
    ],
)
@pytest.mark.parametrize("policy", [Predictive, lambda: Power(3), Progressive])
def test_behind_a_closed_gate_nothing_is_placed(policy, change, reason):
    decision = policy().decide(floor(**change))
    assert (decision.place, decision.reason) == (0, reason)


def test_when_one_more_loss_would_break_a_cap_the_price_is_the_lowest():
    decision = taught().decide(floor(windows=windows(30, 1000)))
    assert decision.reason == "cap_guard"
    assert decision.inputs["price"] == price.LOWEST
    assert taught().decide(floor(windows=windows(10, 1000))).inputs["price"] > price.LOWEST


def test_a_handful_of_losses_in_half_an_hour_does_not_stop_a_small_team_but_the_day_does():
    day, half_hour = WindowCount("24 h", 1000, 5, 0.03, 0.0255), WindowCount("30 min", 100, 5, 0.033, 0.021, 6)
    assert taught().decide(floor(windows=(day, half_hour))).mode == "predictive"
    assert taught().decide(floor(windows=(day, half_hour))).reason != "cap_guard"
    for windows_now in ((day, dataclasses.replace(half_hour, lost=6)), (dataclasses.replace(day, lost=30), half_hour)):
        assert taught().decide(floor(windows=windows_now)).reason == "cap_guard"


def test_strict_over_the_cap_is_progressive_until_the_bank_is_positive():
    policy = taught(profile=standard(strict=True))
    assert policy.decide(floor(windows=windows(40, 1000))).reason == "strict_cap"
    again = policy.decide(floor(windows=windows(40, 1400)))
    assert (again.reason, again.mode) == ("strict_cap", "progressive")
    assert policy.decide(floor(windows=windows(40, 2000))).mode == "predictive"


def test_power_places_its_ratio_less_what_rings_and_keeps_the_cap():
    assert Power(2.5).decide(floor(idle=3, ringing={0: [2]})).place == 5
    assert Power(2.5).decide(floor(idle=3, ringing={0: [9]})).place == 0
    assert Power(2.5).decide(floor(idle=3, ringing={0: [2]}, windows=windows(30, 1000))).place == 1
    for ratio in (0.5, 11):
        with pytest.raises(ValueError, match="ratio"):
            Power(ratio)


@pytest.mark.parametrize(
    ("ceilings", "reason"),
    [
        (Ceilings(lines=1), "trunks"),
        (Ceilings(per_agent=1), "trunks"),
        (Ceilings(per_second=1), "rate_limit"),
        (Ceilings(per_hour=1), "rate_limit"),
        (Ceilings(contacts=1), "list_empty"),
    ],
)
def test_the_limit_that_binds_is_the_reason(ceilings, reason):
    for policy in (Progressive(), Power(3), taught()):
        decision = policy.decide(floor(idle=9, ringing={}, ceilings=ceilings))
        assert (decision.place, decision.reason) == (1, reason)


some = st.one_of(st.none(), st.integers(-5, 60))
ages = st.lists(st.floats(0, 4000), max_size=40)
taught_once = taught()


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        floor,
        assigned=st.integers(0, 60), idle=st.integers(0, 60), talking=ages, wrapping=ages,
        ringing=st.dictionaries(st.integers(0, 3), st.lists(st.integers(0, 9), max_size=70), max_size=3),
        waiting=st.integers(0, 30), age=st.floats(0, 5), winding_down=st.booleans(),
        windows=st.builds(windows, st.integers(0, 50), st.integers(50, 2000)),
        ceilings=st.builds(
            Ceilings, lines=some, per_second=some, per_hour=some, contacts=some, per_agent=some
        ),
    )
)  # fmt: skip
def test_no_policy_ever_places_more_than_a_limit_allows(seen):
    for policy in (Progressive(), Power(4), taught_once):
        decision = policy.decide(seen)
        assert 0 <= decision.place <= limits.MAX_PLACED_PER_DECISION
        for field in dataclasses.fields(Ceilings):
            ceiling = getattr(seen.ceilings, field.name)
            assert ceiling is None or decision.place <= max(0, ceiling)
        if decision.mode == "progressive":
            assert decision.place <= seen.base
        assert decision.summary and len(decision.summary) <= 300


@pytest.mark.parametrize("agents", [10, 300])
def test_the_cost_of_one_decision_is_printed(agents, capsys):
    policy, chance = taught(), np.random.default_rng(1)
    seen = floor(
        assigned=agents,
        talking=chance.uniform(0, 300, agents * 8 // 10),
        wrapping=chance.uniform(0, 30, agents // 10),
        ringing={0: [max(1, agents // 15)] * 24},
    )
    policy.decide(seen)
    start = time.perf_counter()
    for _ in range(50):
        policy.decide(seen)
    with capsys.disabled():
        print(f"\n{agents} agents: one predictive decision takes {1000 * (time.perf_counter() - start) / 50:.2f} ms")
