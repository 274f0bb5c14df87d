"""The simulation's parameters, and its figures as a page draws them."""

import json
from dataclasses import asdict
from typing import get_args

import pytest

from console import charts, decision_words, whatif
from dialer import pacing, preview
from dialer.pacing.predictive import Predictive
from dialer.whatif import MODES, WITHIN, Parameters, report, run

SMALL = Parameters(agents=3, hours=0.25, seed=4)


def test_the_same_parameters_and_seed_give_the_same_report_and_the_same_key():
    first, second = (report(SMALL, run(SMALL)) for _ in range(2))
    assert first == second == json.loads(json.dumps(first)), "and it survives a cache that holds JSON"
    assert Parameters.of(json.loads(json.dumps(SMALL.as_dict()))) == SMALL
    assert Parameters.of(SMALL.as_dict()).key == SMALL.key != Parameters(agents=3, hours=0.25, seed=5).key
    assert set(first["modes"]) == set(MODES)
    assert all(len(one["within"]) == len(WITHIN) and one["within"][-1] == 1 for one in first["modes"].values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"agents": 0}, {"answer_rate": 1.1}, {"talk": 0.0}, {"cap": 0.0}, {"cap": 1.0}, {"modes": ()},
        {"modes": ("magic",)}, {"hours": float("nan")}, {"talk": float("inf")}, {"ratio": 0.5},
    ],
)  # fmt: skip
def test_no_floor_is_like_that(wrong):
    with pytest.raises(ValueError):
        Parameters(**wrong)


def test_a_run_is_bounded():
    assert SMALL.within(3, 0.25) is SMALL
    for agents, hours in ((2, 8), (500, 0.2)):
        with pytest.raises(ValueError, match="at most"):
            SMALL.within(agents, hours)


def test_the_page_draws_what_the_report_says():
    found = report(SMALL, run(SMALL))
    (row, *_) = whatif.rows(found)
    one = found["modes"]["progressive"]
    assert (
        row["mode"] == "progressive" and row["lost"] == 0 and row["utilisation"] == f"{100 * one['utilisation']:.2f} %"
    )
    utilisation, abandoned, waits = whatif.drawn(found)
    assert [line.name for line in utilisation.lines] == list(MODES)
    assert len(utilisation.columns) == len(one["slices"]) == 3 and "0:05 h: progressive" in utilisation.columns[0].title
    assert abandoned.mark_text == "cap 3 %" and len(waits.columns) == len(WITHIN)


def test_a_chart_keeps_within_its_frame_and_breaks_where_nothing_is_known():
    chart = charts.chart(
        "t", "d", [1.0, 2.0, 3.0, 4.0], {"a": [0.0, None, 130.0, 50.0]},
        x_text=str, y_text=str, least_top=100, mark=100,
    )  # fmt: skip
    assert [len(points.split()) for points in chart.lines[0].points] == [1, 2]
    for point in " ".join(chart.lines[0].points).split():
        x, y = map(float, point.split(","))
        assert chart.left <= x <= chart.right and chart.top <= y <= chart.bottom
    assert "–" in chart.columns[1].title and chart.y_ticks[0].at == chart.bottom
    assert charts.chart("t", "d", [], {}, x_text=str, y_text=str, least_top=0).lines == ()


def test_a_decisions_inputs_are_told_in_words_whatever_was_stored():
    told = dict(
        decision_words.inputs(
            {
                "idle": 2,
                "link_ok": True,
                "windows": {"30 d": [9, 420, 0.03]},
                "blocked": {"do_not_call": 3},
                "new": 1.23456,
            }
        )
    )
    assert told == {
        "idle agents": "2", "link to the switch is up": "yes", "new": "1.235",
        "contacts passed over, by gate": "do not call 3",
        "abandoned of answered by a person, by window": "30 d: 9 of 420, cap 3 %",
    }  # fmt: skip
    for odd in (None, [], "text", 5, {"windows": {"x": None}}, {"windows": 3}, {"a": {"b": [{"c": None}]}}):
        assert isinstance(decision_words.inputs(odd), list)


def test_every_reason_and_every_input_that_is_stored_has_its_words():
    assert set(decision_words.REASONS) == set(get_args(pacing.BindingReason))
    seen = pacing.Observation(at=0.0, assigned=9, idle=3, talking=[40.0] * 6)
    stored = Predictive().decide(seen).inputs | preview.dialled("manual", "agent_1", "dialled").inputs
    stored |= asdict(preview.Inputs("preview", 3, 3)) | {"requested": "power", "blocked": {}}
    assert {"price", "risks"} <= set(stored)
    assert not set(stored) - set(decision_words._INPUTS)
