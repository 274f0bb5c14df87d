"""Stop means stop: what was decided before a campaign is paused, or a number forbidden, does not leave afterwards."""

import time
import uuid

import pytest
import redis

from dialer import outbox, stops
from dialer.models import CallLog, ConsentRevocation, Contact, DoNotCall, Order
from dialer.services import commands, dialing
from dialer.tasks import process_dialer_logic
from events import streams
from tests.fakes.floor import Switch, make_agents, make_campaign, place, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


@pytest.fixture
def campaign():
    agents = make_agents(2)
    made = make_campaign(agents)
    for agent in agents:
        set_state(agent, "available")
    Switch().open_softphones()
    return made


def control(campaign, action: str) -> dict:
    command = {"command_id": str(uuid.uuid4()), "actor": "sup", "kind": "campaign_control", "action": action}
    return commands.control({**command, "campaign_id": str(campaign.campaign_id)})


def marked(target: str) -> float:
    return float(streams.shared().get(streams.STOPPED_PREFIX + target) or 0)


@pytest.mark.parametrize("action", ["pause", "stop"])
def test_a_stop_is_marked_for_the_bridge_before_it_is_answered(campaign, action):
    before = time.time()
    assert control(campaign, action)["status"] == "applied"
    assert before <= marked(str(campaign.campaign_id)) <= time.time()


def test_a_start_marks_nothing(campaign):
    control(campaign, "pause")
    streams.shared().delete(streams.STOPPED_PREFIX + str(campaign.campaign_id))
    assert control(campaign, "start")["status"] == "applied"
    assert not marked(str(campaign.campaign_id))


def test_a_stop_that_cannot_be_marked_is_refused_and_not_half_done(campaign, monkeypatch):
    def away(*targets):
        raise redis.ConnectionError

    monkeypatch.setattr(stops, "mark", away)
    answer = control(campaign, "pause")
    assert answer["status"] == "rejected" and "say it again" in answer["reason"]
    campaign.refresh_from_db()
    assert campaign.status == "active"


def test_a_forbidden_number_is_marked_as_its_entry_is_made(campaign):
    DoNotCall.objects.create(number="+12125550003")
    assert marked("+12125550003")


def held_back(campaign, monkeypatch) -> Order:
    """An order that was committed by a worker who died before it was sent."""
    with monkeypatch.context() as dead:
        dead.setattr(outbox, "_send", lambda rows, **more: 0)
        [call] = place(campaign)
    return Order.objects.get(call=call)


@pytest.mark.parametrize("stop", ["campaign", "number", "number here", "consent", "consent here"])
def test_an_order_left_by_a_dead_worker_is_not_sent_when_its_call_was_stopped_meanwhile(campaign, monkeypatch, stop):
    order = held_back(campaign, monkeypatch)
    if stop == "campaign":
        dialing.set_status(campaign, "paused")
    else:
        entry = DoNotCall if "number" in stop else ConsentRevocation
        entry.objects.create(number=order.call.to_number, campaign=campaign if "here" in stop else None)
    streams.shared().flushdb()  # with the mark
    process_dialer_logic()
    order.refresh_from_db()
    assert order.status == "refused" and order.call.status == "failed"
    assert not streams.shared().xlen(streams.ORDERS)
    contact = Contact.objects.get(pk=order.call.contact_id)
    assert (contact.status, contact.attempts) == ("ready", 0), "nobody was called"


def test_an_order_left_by_a_dead_worker_is_sent_otherwise_and_says_that_it_may_be_a_repetition(campaign, monkeypatch):
    order = held_back(campaign, monkeypatch)
    other = make_campaign([], contacts=0, name="Other")
    for entry in (DoNotCall, ConsentRevocation):
        entry.objects.create(number=order.call.to_number, campaign=other)
    streams.shared().flushdb()  # with the mark, which names no campaign
    process_dialer_logic()
    order.refresh_from_db()
    assert order.status == "sent"
    sent = [fields for _, fields in streams.shared().xrange(streams.ORDERS)]
    again = [fields for fields in sent if str(order.order_id).encode() in fields[b"o"]]
    assert len(again) == 1 and streams.ORDERS_AGAIN.encode() in again[0]
    assert CallLog.objects.get(pk=order.call_id).status == "initiated"
