"""The floor publisher on real Redis and PostgreSQL: announced changes, lost announcements, takeover, flush."""

import json
import time

import pytest

from console import protocol
from console.floor_state import FloorState, apply_frame, epoch_order
from dialer.models import Agent, CallLog
from events import call_state, live, streams
from events.call_state import LegState
from tests.conftest import wait_until
from tests.fakes.console import (
    announce,
    announce_agent,
    announce_call,
    announce_campaign,
    published,
    publishing,
    set_status,
    wait_published,
)
from tests.fakes.floor import make_agents, make_campaign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


def open_call(agent: Agent) -> CallLog:
    from django.utils import timezone

    return CallLog.objects.create(
        to_number=f"+1212555{agent.extension:0>4}",
        freeswitch_uuid=f"leg-{agent.agent_id}",
        agent=agent,
        initiated_at=timezone.now(),
    )


def frames() -> list[protocol.Frame]:
    return [protocol.read_frame(fields[b"f"]) for _, fields in streams.shared().xrange(streams.FRAMES)]


def test_the_first_snapshot_is_what_the_database_says():
    agents = make_agents(3)
    campaign = make_campaign(agents)
    call = open_call(agents[0])
    with publishing():
        floor = wait_until(published, "a snapshot")
    assert set(floor.agents) == {agent.agent_id for agent in agents}
    assert set(floor.campaigns) == {str(campaign.campaign_id)}
    assert floor.calls[str(call.call_id)].number == "+1212***01"
    assert floor.agents[agents[0].agent_id].call_id == str(call.call_id)


def test_announced_changes_come_as_frames_without_gaps_and_add_up_to_the_snapshot():
    agents = make_agents(4)
    campaign = make_campaign(agents)
    with publishing():
        wait_until(published, "a snapshot")
        for n, agent in enumerate(agents):
            set_status(agent, "break" if n % 2 else "available")
        call = open_call(agents[0])
        announce_call(call)
        key = str(call.call_id)
        announce("leg", key, {"leg": key, "role": "customer", "state": "alerting", "since": 5, "call_id": key})
        announce_campaign(campaign)
        floor = wait_published(lambda f: f.calls and next(iter(f.calls.values())).state == "alerting", "the call")
        last = floor.seq
        wait_until(lambda: published().seq >= last, "a later snapshot")
    told = frames()
    assert [frame.seq for frame in told] == list(range(1, len(told) + 1))
    whole = published()
    built = FloorState(epoch=whole.epoch)
    # From nothing: every row has changed since, so the frames alone give them all.
    for frame in told[: whole.seq]:
        apply_frame(built, frame)
    assert {key: row.status for key, row in built.agents.items()} == {
        key: row.status for key, row in whole.agents.items()
    }
    assert built.calls == whole.calls


def ended(key: str) -> LegState:
    return LegState(leg=key, role="customer", call_id=key, state="ended", since=5, ended_at=5, cause="NORMAL_CLEARING")


def test_a_call_that_is_over_for_the_switch_is_over_for_a_publisher_that_begins_now():
    """The dialer may be late with it: its record says that it goes on."""
    over, lasting = (open_call(agent) for agent in make_agents(2))
    for call in (over, lasting):
        call.status, call.answered_at = "answered", call.initiated_at
        call.save()
    key = str(over.call_id)
    streams.shared().set(live.ENDED_PREFIX + key, call_state.to_json(ended(key)))
    with publishing():
        floor = wait_until(published, "a snapshot")
    assert [floor.calls[str(call.call_id)].state for call in (over, lasting)] == ["ended", "answered"]


@pytest.mark.parametrize("folded", [True, False], ids=["the live legs are there", "nobody has written them yet"])
def test_a_call_without_a_leg_is_over_though_redis_has_forgotten_how(folded):
    """One that the switch has not mentioned yet is in doubt, which the dialer settles."""
    begun, lasting, asked = (open_call(agent) for agent in make_agents(3))
    for call in (begun, lasting):
        call.status, call.answered_at = "answered", call.initiated_at
        call.save()
    key = str(lasting.call_id)
    leg = LegState(leg=key, role="customer", call_id=key, state="answered", since=5)
    streams.shared().hset(streams.LIVE_LEGS, key, call_state.to_json(leg))
    if folded:
        streams.shared().set(live.FOLDED, "5-0")
    with publishing():
        floor = wait_until(published, "a snapshot")
    states = [floor.calls[str(call.call_id)].state for call in (begun, lasting, asked)]
    assert states == ["ended" if folded else "answered", "answered", "initiated"]


def test_a_call_that_is_over_stays_over_when_redis_is_emptied():
    call = open_call(make_agents(1)[0])
    call.status, call.answered_at = "answered", call.initiated_at
    call.save()
    key = str(call.call_id)
    with publishing():
        wait_until(published, "a snapshot")
        announce("leg", key, call_state.to_row(ended(key)))
        before = wait_published(lambda f: f.calls[key].state == "ended", "its end")
        streams.shared().flushdb()
        after = wait_published(lambda f: f.epoch != before.epoch, "a new epoch")
    assert after.calls[key].state == "ended"


def test_a_quiet_floor_still_says_so_every_second():
    with publishing():
        wait_until(lambda: len(frames()) >= 3, "three frames of a floor on which nothing happens")
    last = frames()[-1]
    assert not last.agents and not last.calls


def test_a_burst_of_changes_becomes_a_few_frames():
    agent = make_agents(1)[0]
    with publishing():
        wait_until(published, "a snapshot")
        before, start = len(frames()), time.monotonic()
        for _ in range(120):
            set_status(agent, "break")
        set_status(agent, "available")
        wait_published(lambda f: f.agents[agent.agent_id].version == 121, "the last value")
        seconds = time.monotonic() - start
    assert len(frames()) - before <= seconds / 0.15 + 3


def test_a_lost_announcement_mends_itself():
    agent = make_agents(1)[0]
    with publishing():
        wait_until(published, "a snapshot")
        Agent.objects.filter(pk=agent.pk).update(status="break", version=9)
        call = open_call(agent)
        streams.shared().hset(
            streams.LIVE_LEGS,
            "stray",
            json.dumps({"leg": "stray", "role": "other", "state": "answered", "since": 5, "number": "+12125550177"}),
        )
        floor = wait_published(
            lambda f: (
                f.agents[agent.agent_id].status == "break" and str(call.call_id) in f.calls and "stray" in f.calls
            ),
            "what nobody announced",
        )
        assert floor.calls["stray"].number == "+1212***77"
        Agent.objects.filter(pk=agent.pk).update(is_active=False)
        streams.shared().delete(streams.LIVE_LEGS)
        wait_published(lambda f: not f.agents and "stray" not in f.calls, "the end of both")


def test_an_unreadable_change_does_not_stop_the_others():
    agents = make_agents(2)
    with publishing():
        wait_until(published, "a snapshot")
        announce("agent", agents[0].agent_id, {"id": agents[0].agent_id, "status": "flying"})
        announce("weather", "x", {})
        streams.shared().xadd(streams.CHANGES, {streams.CHANGES_FIELD: b"\xff{"})
        streams.shared().xadd(streams.CHANGES, {"other": "x"})
        set_status(agents[1], "break")
        wait_published(lambda f: f.agents[agents[1].agent_id].status == "break", "the change after the unreadable ones")


def test_a_second_publisher_stands_by_and_takes_over_with_a_new_epoch():
    agent = make_agents(1)[0]
    with publishing(lease_seconds=1.0):
        first = wait_until(published, "a snapshot")
        with publishing(lease_seconds=1.0) as second:
            wait_published(lambda f: f.seq >= 2, "frames while two run")
            assert not second.lease.held()
            assert {frame.epoch for frame in frames()} == {first.epoch}
        streams.shared().delete(streams.SNAPSHOT)
    with publishing(lease_seconds=1.0):
        taken = wait_until(published, "the next one's snapshot")
        assert epoch_order(taken.epoch) > epoch_order(first.epoch)
        set_status(agent, "break")
        wait_published(lambda f: f.epoch == taken.epoch and f.agents[agent.agent_id].status == "break", "its frames")


def test_a_flushed_redis_is_a_new_epoch_and_everything_is_there_again():
    agents = make_agents(2)
    with publishing(lease_seconds=1.0):
        before = wait_until(published, "a snapshot")
        streams.shared().flushdb()
        after = wait_until(
            lambda: (now := published()) and now.epoch != before.epoch and now, "a new epoch's snapshot after the flush"
        )
        assert epoch_order(after.epoch) > epoch_order(before.epoch)
        assert set(after.agents) == {agent.agent_id for agent in agents}
        announce_agent(agents[0])


def test_the_board_says_which_part_is_not_running():
    with publishing():
        wait_until(published, "a snapshot")
        floor = wait_published(lambda f: f.kpis is not None, "figures")
        assert floor.kpis.health["database"].ok and floor.kpis.health["floor"].ok
        assert not floor.kpis.health["dialer"].ok
        streams.shared().set("heartbeat:dialer", json.dumps({"at": time.time()}), ex=15)
        wait_published(lambda f: f.kpis.health["dialer"].ok, "the dialer's recovery")
    beat = json.loads(streams.shared().get("heartbeat:floor"))
    assert beat["epoch"] and beat["seq"] > 0
