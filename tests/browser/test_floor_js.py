"""The browser's own floor is the server's: whatever frames come, floor.js holds what console/floor_state.py holds."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page

from console.floor_state import FloorState, apply_frame
from console.projection import Projection
from console.protocol import Frame, text
from tests.fakes.console import make_user
from tests.fakes.rows import changes, tell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch")]

# Applies the messages one by one and gives back the floor in the order in which people see it, with what each changed.
APPLY = """async (messages) => {
  const { Floor, agentOrder, callOrder, campaignOrder, alertOrder } = await import("/static/console/floor.js");
  const floor = new Floor();
  const changed = messages.map((message) => {
    const found = floor.apply(JSON.parse(message));
    return Object.fromEntries(Object.entries(found).map(([kind, ids]) => [kind, ids instanceof Set ? [...ids].sort() : ids]));
  });
  const rows = (kind, order) => [...floor[kind].values()].sort(order);
  const { epoch, seq, at, kpis } = floor;
  return { changed, floor: { type: "snapshot", epoch, seq, at, agents: rows("agents", agentOrder), calls: rows("calls", callOrder),
    campaigns: rows("campaigns", campaignOrder), alerts: rows("alerts", alertOrder), kpis } };
}"""  # noqa: E501


@pytest.fixture
def page(tab: Any) -> Page:
    return tab(make_user("sup", supervisor=True)).open("/docs/protocol/")


def batches() -> Any:
    return st.lists(st.lists(changes, max_size=6), max_size=10)


def test_snapshot_then_random_frames_is_a_fresh_snapshot_in_the_browser_too(page):
    # Inside, so that all examples share one page.
    @given(batches())
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def holds(rounds: list[Any]) -> None:
        projection = Projection()
        projection.start_epoch("7.1", 0)
        server = FloorState.of(projection.floor.snapshot())
        messages, changed = [text(server.snapshot())], []
        for at, told in enumerate(rounds):
            for change in told:
                tell(projection, change)
            frame = projection.frame(at)
            delta = apply_frame(server, frame)
            messages.append(text(frame))
            changed.append({kind: sorted(getattr(delta, kind)) for kind in ("agents", "calls", "campaigns", "alerts")})
        found = page.evaluate(APPLY, messages)
        assert found["floor"] == json.loads(text(server.snapshot()))
        for mine, theirs in zip(found["changed"][1:], changed, strict=True):
            assert {kind: mine[kind] for kind in theirs} == theirs

    holds()


@pytest.mark.parametrize("frame", [Frame(epoch="8.1", seq=1, at=9), Frame(epoch="7.1", seq=2, at=9)])
def test_a_frame_that_does_not_follow_is_refused_and_changes_nothing(page, frame):
    projection = Projection()
    projection.start_epoch("7.1", 0)
    refused = page.evaluate(
        """async ([snapshot, frame]) => {
          const { Floor, OutOfSequence } = await import("/static/console/floor.js");
          const floor = new Floor();
          floor.apply(JSON.parse(snapshot));
          try { floor.apply(JSON.parse(frame)); } catch (error) { return [error instanceof OutOfSequence, floor.epoch, floor.seq]; }
          return null;
        }""",  # noqa: E501
        [text(projection.floor.snapshot()), text(frame)],
    )
    assert refused == [True, "7.1", 0]
