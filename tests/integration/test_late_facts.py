"""The switch has joined a customer and an agent, and we do not know it yet: nobody who talks is moved or hung up."""

import datetime as dt
import json
from contextlib import closing

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connections
from django.db.models import F
from django.utils import timezone

from dialer import demo, lease, orders, outbox, tasks
from dialer.models import Agent, CallLog, DialerCampaign, Message, Order
from dialer.services import agents, live_legs
from dialer.services.acting import acting
from events import facts as f
from events import streams
from tests.fakes.dialling import link
from tests.fakes.floor import Switch, make_agents, make_campaign, now_us, place, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
def waiting(switch) -> CallLog:
    """A customer who answered, for whom a bridge was ordered long ago; of two agents the other is idle."""
    both = make_agents(2)
    for agent in both:
        set_state(agent, "available")
    switch.open_softphones()
    [call] = place(make_campaign(both))
    switch.answer(call)
    long_ago = timezone.now() - dt.timedelta(seconds=4)
    CallLog.objects.update(answered_at=long_ago, initiated_at=long_ago)
    Order.objects.filter(kind="bridge").update(created_at=long_ago)
    call.refresh_from_db()
    return call


def tick() -> None:
    tasks._last_doubts = tasks._last_upkeep = -100.0
    tasks.process_dialer_logic()


def joined_in_live_state(call: CallLog) -> None:
    state = {"leg": call.freeswitch_uuid, "state": "bridged", "peer": str(call.agent_leg.leg_uuid)}
    streams.shared().hset(streams.LIVE_LEGS, call.freeswitch_uuid, json.dumps(state))


@pytest.mark.parametrize("raw", ["nonsense", "5", "{}", '{"leg": "a", "peer": 7}', b'{"leg": "a", "peer": "\xe9"}'])
def test_what_is_no_state_of_a_leg_is_not_believed_in_part(raw, redis_empty):
    redis_empty.hset(streams.LIVE_LEGS, "a", raw)
    assert live_legs.one("a") is None and not live_legs.is_joined("a") and live_legs.every() == {"a"}


def test_a_customer_whom_the_live_state_shows_as_joined_is_not_abandoned(switch, waiting):
    joined_in_live_state(waiting)
    tick()
    waiting.refresh_from_db()
    assert not waiting.abandoned and not switch.orders("hangup")


def test_a_customer_who_may_be_joined_is_let_go_only_if_the_switch_says_they_are_not(switch, waiting):
    agent = waiting.agent
    tick()
    [hangup] = switch.orders("hangup")
    assert hangup.payload["unless_joined"]
    waiting.refresh_from_db()
    assert waiting.abandoned and waiting.agent == agent, "nobody else is put to the agent who may be talking"
    switch.report(hangup, "refused", reply=orders.JOINED)
    switch.bridge(waiting)
    waiting.refresh_from_db()
    agent.refresh_from_db()
    assert waiting.bridged_at is not None and waiting.ended_at is None and agent.status == "on_call"
    assert len(switch.orders("hangup")) == 1


def test_a_bridge_in_doubt_is_ordered_once_more_to_the_same_agent_unless_it_was_made(switch, waiting):
    [first] = switch.orders("bridge")
    switch.report(first, "in_doubt")
    [_, again] = switch.orders("bridge")
    assert again.payload["peer"] == first.payload["peer"] and again.payload["unless_joined"]
    assert not first.payload["unless_joined"]
    switch.report(again, "refused", reply=orders.JOINED)
    assert len(switch.orders("bridge")) == 2 and not switch.orders("hangup")
    switch.bridge(waiting)
    waiting.refresh_from_db()
    assert waiting.bridged_at is not None


@pytest.mark.parametrize("name", ["zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz", "conference 7", "", "\u2028" * 36, "'); --"])
def test_a_leg_of_somebody_elses_with_a_name_like_no_other_stops_no_fact_of_ours(switch, waiting, name, caplog):
    strange = [f.LegAnswered(leg=name, at=now_us()), f.LegBridged(leg=name, at=now_us(), peer=name)]
    ours = f.LegEnded(leg=waiting.freeswitch_uuid, at=now_us(), cause="NORMAL_CLEARING", complete=True)
    switch.tell(*strange, ours, f.RecordingStarted(leg=name, at=now_us(), path="/x.wav"))
    waiting.refresh_from_db()
    assert waiting.ended_at is not None
    assert "could not be applied" not in caplog.text


def test_a_customer_who_is_joined_to_a_leg_of_somebody_elses_is_still_told_of(switch, waiting, caplog):
    """Moved there by hand on the switch: `peer` is a name like no other, too."""
    CallLog.objects.filter(pk=waiting.pk).update(bridged_at=timezone.now())
    name = "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"
    switch.tell(f.LegBridged(leg=waiting.freeswitch_uuid, at=now_us(), peer=name))
    assert "could not be applied" not in caplog.text


# --- Let go, and still there ------------------------------------------------------------------------------------------


def later(seconds: float) -> None:
    """What has been ordered so far was ordered so much earlier; the bridge of the moment is well."""
    Order.objects.update(created_at=F("created_at") - dt.timedelta(seconds=seconds))
    link()


def with_message() -> None:
    """The campaign has one for those for whom nobody comes."""
    sound = ContentFile(demo.message_sound(), "x.wav")
    DialerCampaign.objects.update(message=Message.objects.create(name="x", text="x", file=sound))


@pytest.mark.parametrize("fate", ["expired", "refused", "failed", "in_doubt"])
def test_an_end_that_came_to_nothing_is_ordered_again_and_the_agent_does_not_wait_for_it(switch, waiting, fate):
    agent = waiting.agent
    tick()
    [hangup] = switch.orders("hangup")
    switch.report(hangup, fate)
    switch.report(switch.orders("bridge")[0], "expired")
    later(1)
    tick()
    assert len(switch.orders("hangup")) == 1, "not at once: the link may be about to tell of an end"
    later(6)
    tick()
    [_, again] = switch.orders("hangup")
    assert again.payload["leg"] == waiting.freeswitch_uuid and again.payload["unless_joined"]
    assert agent in agents.idle(waiting.campaign_id)
    waiting.refresh_from_db()
    assert waiting.ended_at is None and waiting.agent is None, "the switch alone ends a call"
    tick()
    assert len(switch.orders("hangup")) == 2, "what is under way is waited for"
    switch.report(again, fate)
    later(6)
    tick()
    assert len(switch.orders("hangup")) == 3


@pytest.mark.parametrize("fate", ["expired", "refused", "failed", "in_doubt"])
def test_a_message_that_may_not_have_been_played_ends_in_a_hangup_and_that_is_insisted_on(switch, waiting, fate):
    with_message()
    tick()
    [played] = switch.orders("play_message")
    switch.report(played, fate)
    [hangup] = switch.orders("hangup")
    assert hangup.payload["leg"] == waiting.freeswitch_uuid and hangup.payload["unless_joined"]
    switch.report(hangup, fate)
    later(6)
    tick()
    assert len(switch.orders("hangup")) == 2 and len(switch.orders("play_message")) == 1


def test_an_end_of_which_nobody_says_what_became_is_ordered_again(switch, waiting):
    """Redis has lost the stream of orders."""
    tick()
    later(8)
    tick()
    assert len(switch.orders("hangup")) == 1, "it may still be carried out"
    later(8)
    tick()
    assert len(switch.orders("hangup")) == 2


def test_nothing_is_insisted_on_while_the_link_is_down(switch, waiting):
    tick()
    switch.report(switch.orders("hangup")[0], "refused")
    later(60)
    link(up=False)
    tick()
    assert len(switch.orders("hangup")) == 1


def test_an_agent_whose_bridge_may_have_been_made_is_given_nobody_else(switch, waiting):
    tick()
    switch.report(switch.orders("hangup")[0], "in_doubt")
    switch.report(switch.orders("bridge")[0], "in_doubt")
    later(6)
    tick()
    assert len(switch.orders("hangup")) == 2
    waiting.refresh_from_db()
    assert waiting.agent is not None


@pytest.mark.parametrize("said", ["the order is refused since they are joined", "the live state"])
def test_who_turns_out_to_be_joined_is_not_insisted_on(switch, waiting, said):
    tick()
    if said == "the live state":
        switch.report(switch.orders("hangup")[0], "in_doubt")
        joined_in_live_state(waiting)
    else:
        switch.report(switch.orders("hangup")[0], "refused", reply=orders.JOINED)
    later(6)
    tick()
    assert len(switch.orders("hangup")) == 1


def test_who_is_joined_late_and_then_parked_is_not_hung_up_for_having_waited(switch, waiting):
    tick()
    switch.bridge(waiting)
    switch.report(switch.orders("hangup")[0], "in_doubt")
    CallLog.objects.update(parked_at=timezone.now())
    later(6)
    tick()
    assert len(switch.orders("hangup")) == 1


def test_a_bridge_that_the_switch_refused_goes_to_the_next_idle_agent(switch, waiting):
    [first] = switch.orders("bridge")
    switch.report(first, "failed", reply="-ERR")
    [_, second] = switch.orders("bridge")
    assert second.payload["peer"] != first.payload["peer"]


def test_a_worker_that_lost_the_lease_after_its_commit_sends_nothing(monkeypatch):
    with acting("test") as act:
        header = outbox.header()
        outbox.add(orders.Probe(**header, leg="6e2e6b5c-3f0c-4d63-9b62-6bb1f0dd4a11"), token=act.token)
        monkeypatch.setattr(outbox, "send_committed", lambda: 0)
    lease.adopt(lease.Held("frozen", 0))
    try:
        assert outbox.flush() == 0
    finally:
        lease.adopt(None)
    assert Order.objects.get().status == "pending" and not streams.shared().xlen(streams.ORDERS)


def test_a_worker_that_lost_the_lease_writes_nothing_about_orders_either(switch, waiting):
    [order] = switch.orders("bridge")
    lease.adopt(lease.Held("frozen", 0))
    sent = f.OrderReported(leg=waiting.freeswitch_uuid, at=now_us(), order_id=str(order.order_id), kind="bridge",
                           status="sent")  # fmt: skip
    try:
        with pytest.raises(lease.LeaseLost):
            switch.tell(sent)
    finally:
        lease.adopt(None)
    order.refresh_from_db()
    assert order.status == "sent" and Agent.objects.count() == 2


def test_an_order_whose_transaction_is_rolled_back_never_leaves():
    def changes_its_mind() -> None:
        with acting("test") as act:
            outbox.add(orders.Probe(**outbox.header(), leg="6e2e6b5c-3f0c-4d63-9b62-6bb1f0dd4a11"), token=act.token)
            raise ValueError

    with pytest.raises(ValueError):
        changes_its_mind()
    assert not streams.shared().xlen(streams.ORDERS) and not Order.objects.exists()


def test_nobody_takes_the_lease_in_the_middle_of_a_transaction():
    held = lease.acquire("one", seconds=0.0)
    lease.adopt(held)
    try:
        with acting("test"), closing(connections["default"].copy()) as other, other.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
            with pytest.raises(OperationalError):
                cursor.execute("UPDATE dialer_workerlease SET holder = 'two', token = token + 1")
    finally:
        lease.adopt(None)
