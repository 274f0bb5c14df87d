"""The numbering plan and the fates of other numbers."""

from __future__ import annotations

import statistics

import pytest

from esl_bridge.simulator.behaviour import (
    BUSY,
    NO_ROUTE,
    Fate,
    Ring,
    Unreachable,
    agent_fate,
    customer_fate,
)
from esl_bridge.simulator.config import Config, Mix

MIX = Mix()


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("01234", "machine"),
        ("11234", "early media"),
        ("21234", "answer"),
        ("31234", "no answer"),
        ("41234", "busy"),
        ("51234", "rejected"),
        ("61234", "invalid"),
        ("71234", "slow answer"),
        ("81234", "temporary failure"),
        ("91234", "patient answer"),
    ],
)
def test_the_fifth_digit_from_the_end_decides(number: str, name: str) -> None:
    for written in (number, f"21255{number}", f"121255{number}", f"+121255{number}"):
        fate = customer_fate(written, 1, 1, MIX)
        assert fate.name == name
        assert fate == customer_fate(written, 99, 7, MIX)


def test_early_media_is_no_ringing() -> None:
    assert customer_fate("11234", 1, 1, MIX).ring is Ring.EARLY_MEDIA
    assert customer_fate("41234", 1, 1, MIX).ring is Ring.NOTHING


@pytest.mark.parametrize("number", ["123", "", "abc", "1234"])
def test_a_number_too_short_has_no_route(number: str) -> None:
    assert customer_fate(number, 1, 1, MIX).refusal is NO_ROUTE


def test_other_numbers_have_a_fate_by_seed_number_and_attempt() -> None:
    def fates(seed: int, nth: int) -> list[Fate]:
        return [customer_fate(f"+44207946{n:04d}", seed, nth, MIX) for n in range(50)]

    assert fates(1, 1) == fates(1, 1)
    assert fates(1, 1) != fates(2, 1)
    assert fates(1, 1) != fates(1, 2)


def test_the_rates_are_met() -> None:
    mix = Mix(answer_rate=0.5, machine_rate=0.1, busy_rate=0.1, rejected_rate=0.05, invalid_rate=0.05)
    fates = [customer_fate(f"+3312345{n:05d}", 1, 1, mix) for n in range(4000)]
    share = {name: sum(f.name == name for f in fates) / len(fates) for name in {f.name for f in fates}}
    assert share["live"] == pytest.approx(0.5, abs=0.03)
    assert share["busy"] == pytest.approx(0.1, abs=0.02)
    assert share["no answer"] == pytest.approx(0.2, abs=0.03)
    rings = [f.answer_after for f in fates if f.name == "live" and f.answer_after is not None]
    assert statistics.mean(rings) == pytest.approx(mix.ring_mean, rel=0.1)


def test_changing_one_rate_leaves_the_times_of_the_others_alone() -> None:
    few, many = Mix(answer_rate=0.3), Mix(answer_rate=0.5)
    for n in range(200):
        number = f"+3312345{n:05d}"
        before, after = customer_fate(number, 1, 1, few), customer_fate(number, 1, 1, many)
        if before.name == after.name == "live":
            assert before == after


@pytest.mark.parametrize("rates", [{"answer_rate": 0.9, "busy_rate": 0.2}, {"busy_rate": -0.1}, {"talk_mean": 0.0}])
def test_impossible_mixes_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Mix(**rates)


def test_agents_follow_the_table() -> None:
    config = Config(agents=((2000, 2010),))

    def name(extension: str) -> str:
        fate = agent_fate(extension, config)
        return fate.value if isinstance(fate, Unreachable) else fate.name

    assert [name(e) for e in ("1001", "1040", "1049", "2005")] == ["agent"] * 4
    assert name("1041") == "no answer"
    assert name("1047") == "slow agent"
    assert name("1048") == "short agent"
    assert name("1046") == "rejected"
    assert name("1050") == "USER_NOT_REGISTERED"
    assert [name(e) for e in ("1051", "9999", "abc", "2011")] == ["SUBSCRIBER_ABSENT"] * 4
    busy = agent_fate("1044", config)
    assert isinstance(busy, Fate) and busy.refusal is BUSY
