"""Legs on their way up: what moves one waits until it has parked, but never for ever."""

import gevent

from esl_bridge.awaited import PARK_SECONDS, AwaitedLegs


def test_a_waiter_goes_on_when_the_last_of_its_legs_has_parked():
    rising, order = AwaitedLegs(PARK_SECONDS), []
    rising.add("customer")
    rising.add("agent")
    task = gevent.spawn(lambda: (rising.wait("customer", "agent"), order.append("bridged")))
    gevent.sleep(0)
    rising.settled("agent")
    gevent.sleep(0)
    order.append("agent parked")
    rising.settled("customer")
    assert task.join(PARK_SECONDS) is None
    assert order == ["agent parked", "bridged"]
    assert len(rising) == 0


def test_a_leg_that_is_not_rising_is_not_waited_for():
    rising = AwaitedLegs(PARK_SECONDS)
    rising.settled("never seen")
    rising.wait("never seen")
    assert "never seen" not in rising


def test_a_leg_that_never_parks_is_waited_for_once():
    rising = AwaitedLegs(PARK_SECONDS)
    rising.add("leg")
    with gevent.Timeout(PARK_SECONDS * 5):
        rising.wait("leg")
        assert "leg" not in rising
        rising.wait("leg")


def test_everyone_goes_on_when_the_link_is_lost():
    rising = AwaitedLegs(PARK_SECONDS)
    rising.add("a")
    task = gevent.spawn(rising.wait, "a")
    gevent.sleep(0)
    rising.clear()
    task.join(PARK_SECONDS / 2)
    assert task.ready()
