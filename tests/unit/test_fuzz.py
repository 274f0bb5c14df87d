"""The generated input of `make fuzz` in small; in full it is a command of its own."""

import pytest

from tests.fuzz import framing


@pytest.mark.parametrize("seed", [1])
def test_no_bytes_of_a_switch_hang_crash_or_mislead_the_framing_and_the_client(seed):
    assert framing.run(seed, size=6_000).startswith("6")
