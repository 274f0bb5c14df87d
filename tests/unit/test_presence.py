"""A panel that is gone counts after its grace time, and only for agents who work with one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dialer.presence import Panel, is_lost, step

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GRACE = timedelta(seconds=60)


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_who_has_never_had_a_panel_cannot_lose_it():
    panel = step(Panel(), present=False, now=NOW)
    assert panel == Panel()
    assert not is_lost(panel, now=at(10_000), grace=GRACE)


def test_a_panel_that_comes_back_within_the_grace_time_was_never_lost():
    panel = step(Panel(), present=True, now=NOW)
    gone = step(panel, present=False, now=at(10))
    assert gone == Panel(NOW, at(10))
    assert not is_lost(gone, now=at(69), grace=GRACE)
    assert is_lost(gone, now=at(70), grace=GRACE)
    assert step(gone, present=True, now=at(69)) == panel


def test_a_grace_of_zero_turns_it_off():
    assert not is_lost(Panel(NOW, NOW), now=at(10_000), grace=timedelta())


@given(st.lists(st.booleans(), max_size=60))
def test_the_grace_time_begins_when_the_panel_was_last_seen(seen):
    panel = Panel()
    for second, present in enumerate(seen):
        panel = step(panel, present=present, now=at(second))
    gone = len(seen) - len("".join("y" if s else "n" for s in seen).rstrip("n"))
    assert panel.lost_at == (at(len(seen) - gone) if gone and any(seen) else None)
