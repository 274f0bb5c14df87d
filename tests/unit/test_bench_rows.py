"""What a row of `make bench` calls met, and the file that its rows are kept in."""

import json

from tests.bench.speed import rows
from tests.bench.speed.rows import Row


def test_a_row_is_met_when_its_ratio_and_its_value_are_within_their_bounds():
    def row(value, **bounds):
        return Row("x", value, "events/s", "other", 100.0, **bounds)

    assert row(70.0, floor=0.7).met and not row(69.0, floor=0.7).met
    assert row(150.0, most=1.5).met and not row(151.0, most=1.5).met
    assert row(70.0, at_least=70).met and not row(69.0, at_least=70).met
    assert row(70.0, at_most=70).met and not row(71.0, at_most=70).met
    assert not row(70.0, floor=0.7, at_least=71).met
    assert not Row("x", 5.0, "ms", floor=0.7).met, "a ratio without an anchor"
    assert Row("x", 5.0, "ms").met
    assert row(70.0, floor=0.7, at_most=80).wanted == ">= 0.7 x and <= 80"


def test_rows_of_other_stages_stay_in_the_file(tmp_path):
    file = tmp_path / "bench.json"
    rows.write([Row("a", 1.0, "ms"), Row("b", 2.0, "ms", "other", 4.0, floor=0.4)], file)
    rows.write([Row("a", 3.0, "ms")], file)
    found = {row["name"]: row for row in json.loads(file.read_text())}
    assert found["a"]["value"] == 3.0
    assert {"name", "value", "unit", "anchor", "anchor_value", "ratio", "floor"} <= set(found["b"])
    assert found["b"]["ratio"] == 0.5
