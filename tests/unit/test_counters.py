"""Counters are kept until Redis has them, and are whole however many processes add."""

import pytest
import redis

from events import counters


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(counters, "_gathered", {})
    monkeypatch.setattr(counters, "_flushed", -1000.0)


class Away:
    def pipeline(self, **_: object) -> "Away":
        return self

    def hincrbyfloat(self, *_: object) -> None:
        return None

    def execute(self) -> None:
        raise redis.ConnectionError


def test_a_field_says_its_name_and_labels_whatever_they_hold():
    field = counters.field_name("decisions", {"reason": "a|b=c\nd", "mode": "power"})
    assert counters.parse_field(field) == ("decisions", {"mode": "power", "reason": "a b c d"})


def test_what_redis_does_not_take_is_kept_and_added_to():
    counters.count("calls_placed", 2)
    assert counters.flush(Away(), now=0.0) is False  # type: ignore[arg-type]
    counters.count("calls_placed", 3)
    assert counters._gathered == {"calls_placed": 5.0}


def test_a_mistake_that_makes_ever_new_names_does_not_fill_the_memory():
    for number in range(counters.MOST_FIELDS + 50):
        counters.count(f"name{number}")
    assert len(counters._gathered) == counters.MOST_FIELDS


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.001, "0.005"), (0.005, "0.005"), (0.3, "0.5"), (99.0, "+Inf"), (-1.0, "0.005")]
)
def test_a_duration_falls_into_the_bucket_that_holds_it(seconds, bound):
    counters.observe("wait", seconds, task="x")
    assert counters._gathered[counters.field_name("wait_bucket", {"le": bound, "task": "x"})] == 1.0
    assert counters._gathered[counters.field_name("wait_sum", {"task": "x"})] >= 0
