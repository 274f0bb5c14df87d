"""Rates and waits as the field defines them: worked examples, and what holds for all counts."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import figures
from dialer.management.commands.write_figures import text

counts = st.integers(0, 100_000)
ROOT = Path(__file__).resolve().parents[2]


def test_worked_examples():
    # 12 agents talk 3 h, hold 15 min, wrap up 45 min and wait 1 h in all, break 30 min, over 100 calls.
    talk, hold, wrap_up, idle, away = 10_800, 900, 2_700, 3_600, 1_800
    assert figures.average_handle_time(talk, hold, wrap_up, 100).value == 144.0
    assert figures.occupancy(talk, hold, wrap_up, idle).value == 0.8
    assert figures.utilisation(talk, hold, wrap_up, idle, away).rounded == 0.9091
    assert figures.calls_per_agent_hour(100, talk + hold + wrap_up + idle + away).rounded == 18.1818
    # 95 of the offered 100 were joined in time.
    assert figures.service_level(95, 5).value == 0.95
    assert figures.average_speed_of_answer(45_000, 100).value == 0.45
    assert figures.answer_rate(30, 120).value == 0.25
    assert figures.contact_rate(24, 120).value == 0.2
    assert figures.contact_rate_per_contact(24, 80).value == 0.3
    assert figures.abandon_rate(3, 120).value == 0.025


def test_nothing_to_divide_by_is_none_and_never_0_or_100_per_cent():
    for rate in (
        figures.answer_rate(0, 0),
        figures.contact_rate(0, 0),
        figures.contact_rate_per_contact(0, 0),
        figures.abandon_rate(0, 0),
        figures.service_level(0, 0),
        figures.average_speed_of_answer(0, 0),
        figures.average_handle_time(0, 0, 0, 0),
        figures.occupancy(0, 0, 0, 0),
        figures.utilisation(0, 0, 0, 0, 0),
        figures.calls_per_agent_hour(0, 0),
    ):
        assert (rate.value, rate.as_row()["value"]) == (None, None)


@given(counts, counts, counts, counts, counts)
def test_shares_of_time_stay_between_0_and_1_and_idleness_only_lowers_occupancy(talk, hold, wrap_up, idle, away):
    occupied = figures.occupancy(talk, hold, wrap_up, idle).value
    used = figures.utilisation(talk, hold, wrap_up, idle, away).value
    assert occupied is None or 0 <= occupied <= 1
    assert used is None or 0 <= used <= 1
    more = figures.occupancy(talk, hold, wrap_up, idle + 60).value
    assert occupied is None or more <= occupied


@given(counts, counts)
def test_service_level_and_abandonment_share_what_was_offered(in_time, abandoned):
    level = figures.service_level(in_time, abandoned)
    lost = figures.abandon_rate(abandoned, in_time + abandoned)
    if level.value is None:
        assert lost.value is None
    else:
        assert level.value + lost.value == pytest.approx(1)


@given(st.lists(st.floats(0, 29_000), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_the_step_that_holds_the_exact_one(waits, share):
    counted = [0] * figures.WAITS
    for wait in waits:
        counted[figures.bucket_of(wait)] += 1
    exact = sorted(waits)[max(0, -int(-(share * len(waits) - 1e-9) // 1) - 1)]
    assert figures.percentile(counted, share) == figures.BOUNDS_MS[figures.bucket_of(exact)]
    assert figures.in_time(counted) == sum(wait <= 2_000 for wait in waits)


def test_waits_without_calls_have_no_percentile_and_endless_ones_say_the_last_step():
    assert figures.percentile([], 0.5) is None
    assert figures.percentile([0] * figures.WAITS, 0.95) is None
    assert figures.percentile([0] * (figures.WAITS - 1) + [4], 0.5) == 30_000


def test_every_figure_that_is_computed_is_defined_and_the_page_lists_each_definition():
    for key, one in figures.DEFINITIONS.items():
        assert one.name and one.formula and one.source, key
        # Percentiles and the budget go by their own names.
        assert hasattr(figures, key) or key.startswith("wait_p"), key
    page = (ROOT / "docs" / "figures.md").read_text()
    assert page == text(), "write it anew: manage.py write_figures"
    assert set(re.findall(r"^\| `([a-z_0-9]+)` \|", page, re.MULTILINE)) == set(figures.DEFINITIONS)
