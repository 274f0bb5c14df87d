"""Decisions come one after another, so that nothing else waits for all of them, and the queue never grows by itself."""

from types import SimpleNamespace

import pytest
from django.db import OperationalError

from dialer import tasks
from dialer.models import DialerCampaign
from dialer.services import dialing, rounds, wake
from events import streams
from tests.fakes.dialling import ask
from tests.fakes.events import tasks as queued
from tests.fakes.floor import make_agents, make_campaign

TICK = "process_dialer_logic"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def campaigns(monkeypatch) -> list[DialerCampaign]:
    """Three that are active; no time passes between their decisions."""
    monkeypatch.setattr(rounds, "current", rounds.Round())
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: 0.0))
    return [make_campaign([], contacts=0, name=name) for name in ("Spring", "Summer", "Autumn")]


def waits() -> list[str]:
    """What is on the queue, the next one first: the campaign_id of a decision, else the task's name."""
    return [
        args[0] if name.endswith("execute_dial") else name.rpartition(".")[2]
        for name, args, _ in queued(streams.shared(), "dialer_queue")
    ]


def take() -> str:
    """Carry out what is next: a tick or a decision."""
    [task, *_] = waits()
    streams.shared().rpop("dialer_queue")
    if task == TICK:
        tasks.process_dialer_logic()
    else:
        tasks.execute_dial(task)
    return task


def failing(error: Exception):
    def fail(*_: object) -> None:
        raise error

    return fail


def test_each_campaign_decides_once_after_a_tick_one_at_a_time(campaigns):
    tasks.process_dialer_logic()
    decided = []
    while waits():
        assert len(waits()) == 1
        decided.append(take())
    assert sorted(decided) == sorted(str(campaign.campaign_id) for campaign in campaigns)


def test_a_command_waits_for_one_decision_and_not_for_all_of_them(campaigns):
    [agent] = make_agents(1)
    tasks.process_dialer_logic()
    ask(agent, "break", "lunch")
    take()
    assert [one for one in waits() if one == "handle_agent_state"] == waits()[:1]


def test_decisions_get_half_of_the_time_when_there_is_too_much_to_do(campaigns, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    turn, asked = rounds.Round(), []

    def decide(between: float) -> None:
        asked.append(waits())
        clock[0] += between
        for campaign in asked[-1]:
            clock[0] += 0.25
            streams.shared().rpop("dialer_queue")
            turn.decided(campaign, 0.25)

    for round_of in ((0.0, 1.0, 1.0), (1.0, 1.0)):
        turn.begin([str(n) for n in range(6)])
        for between in round_of:
            decide(between)
    assert [len(each) for each in asked] == [1, 1, 4, 4, 2], "a second between is worth four, in the next round too"
    assert not waits()


def test_the_tick_after_a_round_comes_right_behind_its_last_decisions(campaigns):
    tasks.process_dialer_logic()
    take()
    assert wake.tick()
    assert [take(), take()][1] == TICK, "it begins no second round beside the first"
    [last, *_] = waits()
    assert waits() == [last, TICK]
    [agent] = make_agents(1)
    ask(agent, "break", "lunch")
    assert waits() == [last, TICK, "handle_agent_state"]


def test_ticks_during_a_round_are_one_tick_after_it(campaigns):
    tasks.process_dialer_logic()
    assert wake.tick()
    first, tick, second = take(), take(), take()
    assert (tick, len({first, second})) == (TICK, 2), "the tick begins no second round beside the first"
    assert not wake.tick(), "a tick is coming"
    assert take() not in {first, second, TICK}
    assert waits() == [TICK], "who became free meanwhile is seen"


def test_a_campaign_that_cannot_decide_keeps_no_other_from_it(campaigns, monkeypatch):
    tasks.process_dialer_logic()
    with monkeypatch.context() as broken:
        broken.setattr(dialing, "dial", failing(RuntimeError("a fault of this campaign")))
        [first] = waits()
        with pytest.raises(RuntimeError):
            take()
    assert len(waits()) == 1 and waits() != [first]


def test_a_decision_that_is_given_back_is_still_the_round_s(campaigns, monkeypatch):
    tasks.process_dialer_logic()
    with monkeypatch.context() as broken:
        broken.setattr(dialing, "dial", failing(OperationalError("the database is away")))
        with pytest.raises(OperationalError):
            take()
    assert waits() == [], "it comes back itself; no other is asked beside it"


def test_a_round_whose_decision_was_lost_gives_way_to_the_next_tick_s(campaigns, monkeypatch):
    """At once, where the whole queue is gone: decisions can be nowhere else while a tick is carried out."""
    tasks.process_dialer_logic()
    streams.shared().delete("dialer_queue")
    tasks.process_dialer_logic()
    assert len(waits()) == 1
    streams.shared().delete("dialer_queue")
    ask(make_agents(1)[0], "break", "lunch")
    tasks.process_dialer_logic()
    assert len(waits()) == 1, "a command waits, and the decision may still come"
    monkeypatch.setattr(rounds, "TICK_PENDING_SECONDS", 0)
    tasks.process_dialer_logic()
    assert len(waits()) == 2


def test_a_tick_that_was_lost_is_not_waited_for(redis_empty):
    """Its mark may have outlived it: Redis has lost its last second, or a worker died while Redis was away."""
    assert wake.tick() and not wake.tick()
    wake.again_if_lost(redis_empty)
    assert waits() == [TICK], "it is there"
    redis_empty.delete("dialer_queue")
    wake.again_if_lost(redis_empty)
    assert waits() == [TICK]
    redis_empty.delete("dialer_queue", wake.PENDING_KEY)
    wake.again_if_lost(redis_empty)
    assert waits() == [], "none was asked for"


def test_a_decision_that_comes_twice_does_not_make_two_of_the_round(campaigns):
    tasks.process_dialer_logic()
    first = take()
    tasks.execute_dial(first)
    assert len(waits()) == 1
