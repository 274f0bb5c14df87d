"""Figures of abandoned calls, as the rules define them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import figures


def test_the_published_worked_example_of_the_uk_rate():
    rate = figures.uk_drop_rate(29, 9, 7)
    assert rate.abandoned == pytest.approx(16.3125)
    assert rate.calls == pytest.approx(25.3125)
    assert rate.share == pytest.approx(0.6444, abs=0.00005)


def test_the_us_rate_counts_abandoned_calls_among_the_answered():
    assert str(figures.us_drop_rate(3, 120)) == "2.50 % (3 of 120), 30 d"


def test_nothing_answered_is_a_dash():
    assert str(figures.us_drop_rate(0, 0)) == "– (0 of 0), 30 d"
    assert figures.uk_drop_rate(0, 0, 0).share is None


def test_the_budget_says_how_many_more():
    assert str(figures.drop_budget(8, 500)) == "7 more before 3 %"
    assert str(figures.drop_budget(3, 100)) == "0 more before 3 %"
    assert str(figures.drop_budget(4, 100)) == "over 3 %: 34 answered calls without a loss to be under it again"


@given(st.integers(0, 5000), st.integers(0, 100_000), st.sampled_from([0.01, 0.03, 0.05]))
def test_the_budget_is_the_most_that_keeps_the_cap(abandoned, answered, cap):
    budget = figures.drop_budget(abandoned, answered, cap)
    assert abandoned + budget.left <= cap * answered + 1e-6
    assert abandoned + budget.left + 1 > cap * answered - 1e-6
    if budget.left < 0:
        assert abandoned <= cap * (answered + budget.recovers_after) + 1e-6


@pytest.mark.parametrize("wrong", [(-1, 0), (2, 1)])
def test_impossible_counts_are_refused(wrong):
    with pytest.raises(ValueError):
        figures.us_drop_rate(*wrong)
    with pytest.raises(ValueError):
        figures.uk_drop_rate(-1, 0)
    with pytest.raises(ValueError):
        figures.drop_budget(1, 1, 0)
