"""Live calls in people's hands, down to the switch's word: given by hand here, in test_call_control_stack.py by the
simulated switch."""

import datetime as dt
import json
import time
import uuid

import pytest
from django.db.models import F
from django.utils import timezone

from dialer import floor_rows, tasks
from dialer.limits import LISTEN_SETTLES, UNMUTE_TRIES
from dialer.models import Agent, AppliedCommand, CallLog, Order, SideLeg
from dialer.services import doubts
from dialer.services.acting import acting
from events import facts as f
from events import streams
from tests.fakes.dialling import dial, link, ready_agents, tick
from tests.fakes.floor import Switch, make_campaign, now_us, set_state

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_empty")]


class Talk:
    """A customer and an agent who talk, and what people ask of them."""

    def __init__(self, **campaign: object) -> None:
        self.switch = Switch()
        [self.agent] = ready_agents(self.switch)
        call = dial(make_campaign([self.agent], **campaign))
        assert call is not None
        self.call = call
        self.switch.answer(call)
        self.switch.bridge(call)
        self.refresh()
        self.customer, self.agent_leg = call.freeswitch_uuid, str(self.call.agent_leg.leg_uuid)

    def refresh(self) -> None:
        self.call = CallLog.objects.select_related("agent", "agent_leg").get(pk=self.call.pk)
        self.agent.refresh_from_db()

    def ask(self, action: str, actor: str = "ann", **more: str) -> AppliedCommand:
        command_id = str(uuid.uuid4())
        command = {"kind": "call_control", "call_id": str(self.call.call_id), "action": action, "actor": actor}
        tasks.handle_command({"command_id": command_id, **command, **more})
        self.refresh()
        return AppliedCommand.objects.get(command_id=command_id)

    def last(self, kind: str) -> Order:
        return self.switch.orders(kind)[-1]

    def side(self) -> SideLeg:
        return SideLeg.objects.order_by("-id")[0]

    # What the switch says.

    def tell(self, *facts: f.AnyFact) -> None:
        self.switch.tell(*facts)
        self.refresh()

    def parks(self, *legs: str) -> None:
        for leg in legs:
            self.tell(f.LegParked(leg=leg, at=now_us()))

    def joins(self, leg: str, peer: str) -> None:
        self.tell(f.LegBridged(leg=leg, peer=peer, at=now_us()), f.LegBridged(leg=peer, peer=leg, at=now_us()))

    def answers(self, leg: str) -> None:
        self.tell(f.LegCreated(leg=leg, at=now_us()), f.LegAnswered(leg=leg, at=now_us()))

    def ends(self, leg: str, cause: str = "NORMAL_CLEARING") -> None:
        self.tell(f.LegEnded(leg=leg, at=now_us(), cause=cause, complete=True))

    def reports(self, order: Order, status: str = "done", **more: object) -> None:
        self.switch.report(order, status, **more)
        self.refresh()

    @property
    def row(self) -> dict:
        return floor_rows.call_rows([self.call.pk])[0]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def confirmation(command: AppliedCommand) -> tuple[str, str]:
    command.refresh_from_db()
    return command.confirmation, command.confirmation_reason


# --- Hold and mute ----------------------------------------------------------------------------------------------------


def test_on_hold_the_customer_hears_music_because_the_agents_leg_holds_and_only_the_switch_says_so(talk):
    hold = talk.ask("hold")
    assert talk.last("hold").payload["leg"] == talk.agent_leg
    assert hold.confirmation == "waiting" and talk.row["held_at"] is None
    talk.reports(talk.last("hold"), reply="+OK Success")
    assert talk.row["held_at"] is None, "an unknown leg is answered with success, too"
    talk.tell(f.LegHeld(leg=talk.agent_leg, at=now_us()))
    assert talk.row["held_at"] and confirmation(hold) == ("confirmed", "")
    assert talk.ask("hold").reason == "this call is on hold already"
    unhold = talk.ask("unhold")
    talk.tell(f.LegUnheld(leg=talk.agent_leg, at=now_us()))
    assert talk.row["held_at"] is None and confirmation(unhold) == ("confirmed", "")


def test_a_hold_that_is_told_again_after_its_end_holds_nobody_and_an_end_told_again_ends_no_later_hold(talk):
    """The queue may bring a task of facts once more, behind later ones."""
    start = now_us()
    first, end, second = (
        kind(leg=talk.agent_leg, at=start + seconds * 1_000_000)
        for seconds, kind in ((1, f.LegHeld), (3, f.LegUnheld), (6, f.LegHeld))
    )
    talk.tell(first, end)
    assert (talk.row["held_at"], talk.call.hold_ms) == (None, 2000), "by the switch's clock"
    talk.tell(first)
    assert talk.row["held_at"] is None
    talk.tell(second)
    held_at = talk.row["held_at"]
    assert held_at == second.at // 1000
    talk.tell(first, end)
    assert (talk.row["held_at"], talk.call.hold_ms) == (held_at, 2000)


def test_without_redis_a_hold_is_still_believed(talk):
    streams.shared().flushdb()
    talk.tell(f.LegHeld(leg=talk.agent_leg, at=now_us()))
    assert talk.row["held_at"]


def test_a_muted_agent_is_heard_again_by_the_next_customer(talk):
    mute = talk.ask("mute")
    talk.reports(talk.last("mute"))
    assert talk.row["muted"] and confirmation(mute) == ("confirmed", "")
    assert talk.row["muted_since"] == int(talk.last("mute").settled_at.timestamp() * 1000)
    talk.switch.end(talk.call)
    talk.refresh()
    assert [order.payload["on"] for order in talk.switch.orders("mute")] == [True, False]
    assert not talk.call.muted


def test_a_mute_that_comes_after_the_call_is_taken_back(talk):
    talk.ask("mute")
    order = talk.last("mute")
    talk.switch.end(talk.call)
    talk.reports(order)
    assert [order.payload["on"] for order in talk.switch.orders("mute")] == [True, False]
    assert not talk.call.muted


def test_what_the_switch_refuses_fails_with_its_reason(talk):
    mute = talk.ask("mute")
    talk.reports(talk.last("mute"), "failed", reply="-ERR No such channel!")
    assert confirmation(mute) == ("failed", "the switch refused: -ERR No such channel!")
    assert (talk.row["muted"], talk.row["muted_since"]) == (False, None)


# --- Park -------------------------------------------------------------------------------------------------------------


def test_a_parked_customer_waits_while_the_agent_stays_on_the_call_and_is_joined_again(talk):
    park = talk.ask("park")
    assert talk.row["operation"] == "park" and not talk.row["parked"]
    assert "being parked" in talk.ask("transfer", extension="1002").reason
    talk.parks(talk.customer, talk.agent_leg)
    assert talk.row["parked"] and confirmation(park) == ("confirmed", "")
    assert talk.agent.status == "on_call"
    unpark = talk.ask("unpark")
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, talk.agent_leg)
    talk.joins(talk.customer, talk.agent_leg)
    assert not talk.row["parked"] and talk.row["operation"] == ""
    assert confirmation(unpark) == ("confirmed", "") and talk.agent.status == "on_call"


def test_a_customer_who_leaves_the_park_frees_the_agent_and_fails_what_waits(talk):
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    unpark = talk.ask("unpark")
    talk.ends(talk.customer)
    assert (talk.agent.status, talk.agent.status_reason) == ("busy", "wrap_up")
    assert confirmation(unpark) == ("failed", "the call has ended")
    assert not talk.call.parked_at and not talk.call.operation


def test_a_parked_customer_whose_agents_softphone_dies_is_not_kept_waiting_for_ever(talk):
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    talk.ends(talk.agent_leg)
    assert talk.last("hangup").payload["leg"] == talk.customer


# --- Supervisors who listen -------------------------------------------------------------------------------------------


def test_a_supervisor_listens_whispers_on_the_same_leg_and_leaves_and_all_of_it_is_kept(talk):
    listen = talk.ask("listen", extension="1010")
    side = talk.side()
    order = talk.last("eavesdrop").payload
    assert (order["leg"], order["target"], order["extension"]) == (str(side.leg_uuid), talk.agent_leg, "1010")
    assert talk.row["listeners"] == []
    talk.answers(str(side.leg_uuid))
    assert talk.row["listeners"] == [], "answered is not listening yet"
    talk.reports(talk.last("eavesdrop"))
    [heard_by] = talk.row["listeners"]
    assert (heard_by["user"], heard_by["mode"]) == ("ann", "listen") and confirmation(listen) == ("confirmed", "")
    assert floor_rows.agent_rows([talk.agent.pk])[0]["listeners"] == [heard_by]

    whisper = talk.ask("whisper", extension="1010")
    assert len(talk.switch.orders("eavesdrop")) == 1, "their softphone is not called twice"
    assert talk.row["listeners"][0]["mode"] == "listen"
    talk.reports(talk.last("listen_mode"))
    assert talk.row["listeners"][0]["mode"] == "whisper" and confirmation(whisper) == ("confirmed", "")
    assert "already" in talk.ask("whisper", extension="1010").reason

    stop = talk.ask("stop_listening")
    assert talk.last("hangup").payload["leg"] == str(side.leg_uuid)
    talk.ends(str(side.leg_uuid))
    assert talk.row["listeners"] == [] and confirmation(stop) == ("confirmed", "")
    side.refresh_from_db()
    assert [change["mode"] for change in side.changes] == ["listen", "whisper"]
    assert side.actor == "ann" and side.agent == talk.agent and side.joined_at and side.ended_at


def test_two_supervisors_listen_and_each_stops_only_for_themselves(talk):
    for actor, extension in (("ann", "1010"), ("ben", "1011")):
        talk.ask("listen", actor=actor, extension=extension)
        talk.reports(talk.last("eavesdrop"))
    assert [row["user"] for row in talk.row["listeners"]] == ["ann", "ben"]
    assert talk.ask("stop_listening", actor="cleo").reason == "you do not listen to this call"
    talk.ask("stop_listening", actor="ben")
    talk.ends(talk.last("hangup").payload["leg"])
    assert [row["user"] for row in talk.row["listeners"]] == ["ann"]


@pytest.mark.parametrize("first", ["report", "answer", "probe"])
def test_who_is_called_to_listen_by_an_order_in_doubt_is_on_the_board_and_heard_as_asked(talk, first):
    command = talk.ask("whisper", extension="1010")
    side, order = str(talk.side().leg_uuid), talk.last("eavesdrop")
    if first == "answer":
        talk.answers(side)
    talk.reports(order, "in_doubt")
    if first == "report":
        assert talk.row["listeners"] == []
        talk.answers(side)
    elif first == "probe":  # its answer was told while nobody listened
        state = {"leg": side, "state": "answered", "answered_at": now_us() // 1000}
        streams.shared().hset(streams.LIVE_LEGS, side, json.dumps(state))
        talk.reports(talk.last("probe"), leg_exists=True)
    [listener] = talk.row["listeners"]
    assert (listener["user"], listener["mode"]) == ("ann", "listen") and confirmation(command) == ("waiting", "")
    tick()
    assert talk.switch.orders("listen_mode") == [], "the switch would not hear the digit yet"
    SideLeg.objects.update(answered_at=timezone.now() - LISTEN_SETTLES)
    tick()
    tick()
    [mode] = talk.switch.orders("listen_mode")
    assert (mode.payload["leg"], mode.payload["mode"]) == (side, "whisper")
    talk.reports(mode)
    assert talk.row["listeners"][0]["mode"] == "whisper" and confirmation(command) == ("confirmed", "")
    assert talk.ask("barge").status == "applied"


def test_who_listens_by_an_order_in_doubt_has_what_they_asked_for(talk):
    command = talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"), "in_doubt")
    talk.answers(str(talk.side().leg_uuid))
    assert talk.row["listeners"] and confirmation(command) == ("confirmed", "")
    SideLeg.objects.update(answered_at=timezone.now() - LISTEN_SETTLES)
    tick()
    assert talk.switch.orders("listen_mode") == []


def test_one_whose_calling_is_in_doubt_and_who_answers_after_the_call_does_not_hear_the_next(talk):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"), "in_doubt")
    talk.ends(talk.customer)
    hangups = len(talk.switch.orders("hangup"))
    talk.answers(str(talk.side().leg_uuid))
    assert len(talk.switch.orders("hangup")) > hangups


def test_when_the_call_ends_the_supervisors_leg_is_hung_up_although_the_agents_leg_lives_on(talk):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    talk.ends(talk.customer)
    assert talk.last("hangup").payload["leg"] == str(talk.side().leg_uuid)


def test_one_who_answers_after_the_call_does_not_hear_the_next(talk):
    talk.ask("listen", extension="1010")
    order = talk.last("eavesdrop")
    talk.ends(talk.customer)
    hangups = len(talk.switch.orders("hangup"))
    talk.reports(order)
    assert len(talk.switch.orders("hangup")) > hangups


def test_a_supervisor_who_does_not_answer_listens_to_nobody_and_is_told_why(talk):
    listen = talk.ask("barge", extension="1041")
    talk.reports(talk.last("eavesdrop"), "failed", reply="-ERR NO_ANSWER", leg_exists=False)
    assert confirmation(listen) == ("failed", "nobody answered")
    assert talk.row["listeners"] == [] and talk.side().ended_at


def test_one_who_may_still_be_called_is_not_taken_for_lost_and_one_who_answers_all_the_same_is_hung_up(talk):
    talk.ask("consult", extension="1002")
    side = talk.side()
    SideLeg.objects.update(requested_at=timezone.now() - dt.timedelta(seconds=7))

    def asked() -> list[Order]:
        tick()
        return [order for order in talk.switch.orders("probe") if order.leg_uuid == side.leg_uuid]

    def not_there() -> None:
        with acting("test") as act:
            doubts.probed(act, str(side.leg_uuid), exists=False)
        side.refresh_from_db()

    not_there()
    assert asked() == [] and side.ended_at is None
    SideLeg.objects.update(requested_at=timezone.now() - dt.timedelta(seconds=20))
    assert len(asked()) == 1
    not_there()
    assert side.ended_at is not None
    talk.answers(str(side.leg_uuid))
    assert [order.leg_uuid for order in talk.switch.orders("hangup")] == [side.leg_uuid]


def came_to_nothing(talk: Talk, order: Order, fate: str) -> None:
    """An order of a while ago; the link is well, and the legs live."""
    talk.reports(order, fate)
    Order.objects.update(created_at=F("created_at") - dt.timedelta(seconds=6))
    link()
    leg = str(order.leg_uuid)
    streams.shared().hset(streams.LIVE_LEGS, leg, json.dumps({"leg": leg, "state": "answered"}))


@pytest.mark.parametrize("fate", ["expired", "refused", "in_doubt"])
@pytest.mark.parametrize("until", ["the call is over", "the agent is done with it"])
def test_whoever_listens_is_hung_up_again_if_that_came_to_nothing_or_they_would_hear_the_next(talk, fate, until):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    if until == "the call is over":
        talk.ends(talk.customer)
    else:
        talk.ask("transfer", extension="1002")
        talk.reports(talk.last("transfer"))
    side = talk.side()

    def hangups() -> int:
        tick()
        return Order.objects.filter(kind="hangup", leg_uuid=side.leg_uuid).count()

    assert hangups() == 1
    came_to_nothing(talk, talk.last("hangup"), fate)
    assert hangups() == 2
    assert hangups() == 2, "what is under way is waited for"
    streams.shared().hdel(streams.LIVE_LEGS, str(side.leg_uuid))
    Order.objects.update(status="expired")
    assert hangups() == 2, "it may be gone, and is asked for"


def test_whoever_listens_while_the_call_goes_on_is_not_hung_up_for_an_end_that_came_to_nothing(talk):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    talk.ask("stop_listening")
    came_to_nothing(talk, talk.last("hangup"), "expired")
    tick()
    assert len(talk.switch.orders("hangup")) == 1, "they may have thought better of it"


def test_the_softphone_of_an_agent_who_has_left_is_hung_up_again_if_that_came_to_nothing(talk):
    talk.ends(talk.customer)
    set_state(talk.agent, "offline")
    came_to_nothing(talk, talk.last("hangup"), "expired")
    tick()
    assert [str(order.leg_uuid) for order in talk.switch.orders("hangup")] == [talk.agent_leg] * 2
    came_to_nothing(talk, talk.last("hangup"), "expired")
    set_state(talk.agent, "available")
    tick()
    assert len(talk.switch.orders("hangup")) == 2, "they are back at work"


def test_a_parked_customer_whom_nobody_can_take_back_is_hung_up_until_they_are_gone(talk):
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    talk.ends(talk.agent_leg)
    came_to_nothing(talk, talk.last("hangup"), "expired")
    tick()
    again = talk.last("hangup")
    assert len(talk.switch.orders("hangup")) == 2 and again.payload["leg"] == talk.customer


def test_a_hangup_that_came_to_nothing_is_none_for_a_customer_whom_nobody_can_take_back(talk):
    hangup = talk.ask("hangup")
    talk.reports(talk.last("hangup"), "expired")
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    talk.ends(talk.agent_leg)
    assert len(talk.switch.orders("hangup")) == 2 and confirmation(hangup)[0] == "failed"


def test_a_listening_leg_that_the_switch_has_lost_leaves_the_board(talk):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    side = talk.side()
    SideLeg.objects.update(requested_at="2026-01-01T00:00:00Z")
    tick()
    [probe] = [order for order in talk.switch.orders("probe") if order.leg_uuid == side.leg_uuid]
    talk.reports(probe, leg_exists=False)
    assert talk.row["listeners"] == []


# --- Take over --------------------------------------------------------------------------------------------------------


def test_a_supervisor_takes_over_and_the_agent_goes_to_wrap_up(talk):
    command = talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    assert talk.last("call_extension").payload["leg"] == side
    assert talk.agent.status == "on_call" and len(talk.switch.orders("bridge")) == 1
    talk.answers(side)
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, side)
    assert talk.agent.status == "on_call", "only the bridge frees them"
    talk.joins(talk.customer, side)
    assert (talk.agent.status, talk.agent.status_reason) == ("busy", "wrap_up")
    assert talk.call.agent is None and talk.call.ended_at is None and talk.call.taken_over_by == "ann"
    assert confirmation(command) == ("confirmed", "") and talk.row["taken_over_by"] == "ann"
    assert talk.ask("park").reason == "no agent is on this call any more"
    talk.ask("hold")
    assert talk.last("hold").payload["leg"] == side
    talk.ends(talk.customer)
    assert talk.call.outcome == "conversation"


def test_nothing_changes_when_the_supervisor_does_not_answer(talk):
    command = talk.ask("take_over", extension="1041")
    side = str(talk.side().leg_uuid)
    talk.tell(f.LegCreated(leg=side, at=now_us()))
    talk.ends(side, "NO_ANSWER")
    assert confirmation(command) == ("failed", "nobody answered")
    assert talk.agent.status == "on_call" and talk.call.operation == "" and talk.call.agent == talk.agent
    assert len(talk.switch.orders("bridge")) == 1 and talk.switch.orders("hangup") == []
    assert talk.ask("take_over", extension="1010").status == "applied"


def test_a_customer_who_leaves_while_the_supervisor_rings_leaves_no_leg_behind(talk):
    command = talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    talk.ends(talk.customer)
    assert talk.last("hangup").payload["leg"] == side
    assert confirmation(command) == ("failed", "the call has ended") and talk.agent.status_reason == "wrap_up"
    talk.answers(side)
    assert len(talk.switch.orders("bridge")) == 1


def test_who_listens_already_takes_over_without_being_called_again(talk):
    talk.ask("barge", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    side = str(talk.side().leg_uuid)
    command = talk.ask("take_over", extension="1010")
    assert talk.switch.orders("call_extension") == [] and talk.last("bridge").payload["peer"] == side
    talk.joins(talk.customer, side)
    assert confirmation(command) == ("confirmed", "") and talk.row["listeners"] == []
    assert talk.switch.orders("hangup") == [], "their leg is the customer's other half now"
    assert [change["mode"] for change in talk.side().changes] == ["barge", "take_over"]


def test_a_bridge_that_fails_leaves_the_customer_with_the_agent(talk):
    command = talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    talk.answers(side)
    talk.reports(talk.last("bridge"), "failed", reply="-ERR Invalid uuid")
    assert confirmation(command)[0] == "failed" and talk.last("hangup").payload["leg"] == side
    assert "still being hung up" in talk.ask("take_over", extension="1010").reason
    assert talk.agent.status == "on_call" and talk.call.operation == ""


# --- Orders whose outcome nobody knows --------------------------------------------------------------------------------


def long_ago(talk: Talk) -> None:
    """The switch has said nothing of the operation since."""
    CallLog.objects.filter(pk=talk.call.pk).update(operation_at="2026-01-01T00:00:00Z")
    talk.refresh()


def test_a_park_in_doubt_that_was_carried_out_is_a_park_and_the_agent_keeps_the_call(talk):
    park = talk.ask("park")
    talk.reports(talk.last("park"), "in_doubt")
    assert confirmation(park) == ("waiting", ""), "neither done nor failed, as far as anybody knows"
    lives(talk)
    tick()
    talk.refresh()
    assert talk.agent.status == "on_call", "nobody has taken the customer from them"
    long_ago(talk)
    tick()
    assert talk.row["parked"] and confirmation(park) == ("confirmed", "")
    assert talk.agent.status == "on_call" and talk.ask("unpark").status == "applied"


def test_a_park_in_doubt_that_was_not_carried_out_has_failed_in_the_end(talk):
    park = talk.ask("park")
    talk.reports(talk.last("park"), "in_doubt")
    lives(talk, talk.agent_leg)
    long_ago(talk)
    link()
    tick()
    talk.refresh()
    assert confirmation(park)[0] == "failed" and not talk.row["parked"] and talk.row["operation"] == ""
    assert talk.agent.status == "on_call"


@pytest.mark.parametrize("said", [{"link": "down"}, {"link": "up", "compared": False}])
def test_an_order_in_doubt_is_not_given_up_before_the_switch_was_asked_what_it_has_done(talk, said, redis_empty):
    """A frozen switch carries it out when it goes on."""
    talk.ask("park")
    talk.reports(talk.last("park"), "in_doubt")
    lives(talk, talk.agent_leg)
    long_ago(talk)
    redis_empty.set(f"{streams.HEARTBEAT_PREFIX}bridge", json.dumps({"at": time.time(), **said}))
    tick()
    assert talk.row["operation"] == "park"
    lives(talk)
    link()
    tick()
    talk.refresh()
    assert talk.row["parked"] and talk.agent.status == "on_call"


def test_a_take_over_in_doubt_cuts_nobody_off_who_was_joined(talk):
    command = talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    talk.answers(side)
    talk.reports(talk.last("bridge"), "in_doubt")
    assert talk.switch.orders("hangup") == [] and confirmation(command) == ("waiting", "")
    long_ago(talk)
    link()
    tick()
    hangup = talk.last("hangup").payload
    assert (hangup["leg"], hangup["unless_joined"]) == (side, True) and confirmation(command)[0] == "failed"
    talk.joins(talk.customer, side)
    assert is_free(talk) and talk.call.taken_over_by == "ann"


def test_a_take_over_in_doubt_that_was_made_is_found_in_the_live_state(talk):
    command = talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    talk.answers(side)
    talk.reports(talk.last("bridge"), "in_doubt")
    lives(talk, side)
    long_ago(talk)
    tick()
    assert is_free(talk) and confirmation(command) == ("confirmed", "") and talk.switch.orders("hangup") == []


def taken_over(talk: Talk) -> str:
    """The customer talks with a supervisor. Returns the supervisor's leg."""
    talk.ask("take_over", extension="1010")
    side = str(talk.side().leg_uuid)
    talk.answers(side)
    talk.joins(talk.customer, side)
    return side


def test_a_transfer_in_doubt_of_a_call_that_was_taken_over_does_not_hang_up_who_was_transferred(talk):
    side = taken_over(talk)
    command = talk.ask("transfer", extension="1002")
    talk.reports(talk.last("transfer"), "in_doubt")
    assert confirmation(command) == ("waiting", "")
    talk.ends(side)
    assert talk.switch.orders("hangup") == [] and not talk.call.taken_over_by
    lives(talk)
    long_ago(talk)
    tick()
    assert talk.row["operation"] == "transfer", "it may ring there"
    talk.joins(talk.customer, str(uuid.uuid4()))
    assert confirmation(command) == ("confirmed", "") and talk.row["operation"] == ""


def test_a_transfer_in_doubt_of_a_call_that_was_taken_over_has_failed_where_they_still_talk(talk):
    side = taken_over(talk)
    command = talk.ask("transfer", extension="1002")
    talk.reports(talk.last("transfer"), "in_doubt")
    lives(talk, side)
    long_ago(talk)
    link()
    tick()
    assert confirmation(command)[0] == "failed" and talk.row["operation"] == ""
    assert talk.row["taken_over_by"] == "ann"
    talk.ends(side)
    assert talk.last("hangup").payload["leg"] == talk.customer


def test_a_transfer_in_doubt_that_was_made_frees_the_agent(talk):
    command = talk.ask("transfer", extension="1002")
    talk.reports(talk.last("transfer"), "in_doubt")
    assert talk.agent.status == "on_call" and confirmation(command) == ("waiting", "")
    lives(talk, str(uuid.uuid4()))
    long_ago(talk)
    tick()
    assert is_free(talk) and confirmation(command) == ("confirmed", "")


def test_a_mute_in_doubt_is_taken_back_at_the_end_of_the_call(talk):
    mute = talk.ask("mute")
    talk.reports(talk.last("mute"), "in_doubt")
    assert confirmation(mute)[0] == "failed" and "not known" in confirmation(mute)[1]
    assert talk.row["muted"] and talk.ask("unmute").status == "applied"
    talk.reports(talk.last("mute"), "in_doubt")
    talk.switch.end(talk.call)
    assert [order.payload["on"] for order in talk.switch.orders("mute")] == [True, False, False]


def test_a_mute_in_doubt_is_taken_back_also_when_the_doubt_comes_after_the_call(talk):
    talk.ask("mute")
    order = talk.last("mute")
    talk.switch.end(talk.call)
    talk.reports(order, "in_doubt")
    assert [order.payload["on"] for order in talk.switch.orders("mute")] == [True, False]


@pytest.mark.parametrize("status", ["in_doubt", "expired", "refused"])
def test_a_mute_whose_taking_back_is_lost_is_taken_back_again(talk, status):
    talk.ask("mute")
    talk.reports(talk.last("mute"))
    talk.switch.end(talk.call)
    for count in range(2, 20):
        talk.reports(talk.last("mute"), status)
        assert len(talk.switch.orders("mute")) == min(count + 1, 1 + UNMUTE_TRIES)
    assert talk.last("mute").payload == talk.last("mute").payload | {"leg": talk.agent_leg, "on": False}


def test_a_mute_is_not_taken_back_again_where_the_switch_itself_says_that_there_is_none(talk):
    talk.ask("mute")
    talk.reports(talk.last("mute"), "in_doubt")
    talk.switch.end(talk.call)
    talk.reports(talk.last("mute"), "failed", reply="-ERR No such channel!")
    assert len(talk.switch.orders("mute")) == 2


def test_the_next_calls_own_mute_is_not_taken_back(talk):
    talk.ask("mute")
    talk.reports(talk.last("mute"))
    talk.switch.end(talk.call)
    unmute = talk.last("mute")
    talking = {"status": "answered", "outcome": "", "ended_at": None, "muted": True}
    CallLog.objects.create(
        freeswitch_uuid=str(uuid.uuid4()), to_number="+12125550001", from_extension=talk.agent.extension,
        agent=talk.agent, agent_leg=talk.call.agent_leg, initiated_at=timezone.now(), **talking,
    )  # fmt: skip
    talk.reports(unmute, "in_doubt")
    assert len(talk.switch.orders("mute")) == 2


# --- Consult ----------------------------------------------------------------------------------------------------------


def consulting(talk: Talk) -> str:
    """The agent talks with extension 1002; the customer waits. Returns the consulted leg."""
    command = talk.ask("consult", extension="1002")
    side = str(talk.side().leg_uuid)
    assert talk.last("park").payload["leg"] == talk.customer
    talk.parks(talk.customer)
    talk.answers(side)
    assert len(talk.switch.orders("bridge")) == 1, "the agent's leg has not parked: a bridge now would be undone"
    talk.parks(talk.agent_leg)
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (side, talk.agent_leg)
    assert talk.row["consulting"] == "1002" and not talk.row["consult_answered"]
    talk.joins(side, talk.agent_leg)
    assert talk.row["consult_answered"] and talk.row["parked"] and confirmation(command) == ("confirmed", "")
    return side


def test_a_consultation_is_completed_and_the_agent_is_free_while_the_call_goes_on(talk):
    side = consulting(talk)
    command = talk.ask("consult_complete")
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, side)
    talk.parks(talk.agent_leg)
    talk.joins(talk.customer, side)
    assert (talk.agent.status, talk.agent.status_reason) == ("busy", "wrap_up")
    assert talk.call.agent is None and talk.call.ended_at is None and confirmation(command) == ("confirmed", "")
    assert talk.switch.orders("hangup") == [] and not talk.row["parked"] and talk.row["consulting"] == ""


def test_a_consultation_is_cancelled_and_the_customer_is_back(talk):
    side = consulting(talk)
    command = talk.ask("consult_cancel")
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, talk.agent_leg)
    talk.joins(talk.customer, talk.agent_leg)
    talk.ends(side)
    assert not talk.row["parked"] and talk.row["consulting"] == "" and talk.row["operation"] == ""
    assert confirmation(command) == ("confirmed", "") and talk.agent.status == "on_call"
    assert talk.ask("consult", extension="1003").status == "applied"


def test_the_consulted_hanging_up_brings_the_customer_back(talk):
    side = consulting(talk)
    talk.ends(side)
    assert len(talk.switch.orders("bridge")) == 2, "the agent's leg is still on its way to the park"
    talk.parks(talk.agent_leg)
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, talk.agent_leg)
    talk.joins(talk.customer, talk.agent_leg)
    assert not talk.row["parked"] and talk.row["operation"] == ""


def test_a_consultation_that_nobody_answers_brings_the_customer_back_and_says_why(talk):
    command = talk.ask("consult", extension="1044")
    talk.reports(talk.last("call_extension"), "failed", reply="-ERR USER_BUSY", leg_exists=False)
    assert confirmation(command) == ("failed", "the extension is busy")
    assert len(talk.switch.orders("bridge")) == 1, "not before both legs wait"
    talk.parks(talk.agent_leg, talk.customer)
    bridge = talk.last("bridge").payload
    assert (bridge["leg"], bridge["peer"]) == (talk.customer, talk.agent_leg)
    talk.joins(talk.customer, talk.agent_leg)
    assert talk.agent.status == "on_call" and talk.row["operation"] == "" and not talk.row["parked"]


def test_a_consultation_that_still_rings_can_be_cancelled(talk):
    consult = talk.ask("consult", extension="1041")
    side = str(talk.side().leg_uuid)
    talk.parks(talk.customer, talk.agent_leg)
    cancel = talk.ask("consult_cancel")
    assert talk.last("hangup").payload["leg"] == side
    talk.ends(side, "ORIGINATOR_CANCEL")
    talk.joins(talk.customer, talk.agent_leg)
    assert confirmation(consult)[0] == "failed" and confirmation(cancel) == ("confirmed", "")
    assert len(talk.switch.orders("bridge")) == 2 and talk.row["operation"] == ""


def test_a_customer_who_leaves_during_a_consultation_ends_it(talk):
    side = consulting(talk)
    talk.ends(talk.customer)
    assert talk.last("hangup").payload["leg"] == side
    assert talk.agent.status_reason == "wrap_up" and talk.call.ended_at
    talk.ends(side)
    assert not SideLeg.objects.filter(ended_at=None).exists()
    assert len(talk.switch.orders("bridge")) == 2, "nothing is joined for a call that has ended"


def test_an_agent_whose_softphone_dies_during_a_consultation_leaves_nobody_waiting(talk):
    side = consulting(talk)
    talk.ends(talk.agent_leg)
    assert talk.last("hangup").payload["leg"] == talk.customer
    talk.ends(side)
    talk.ends(talk.customer)
    assert talk.agent.status != "on_call" and not SideLeg.objects.filter(ended_at=None).exists()


# --- Moved by anybody else --------------------------------------------------------------------------------------------


def lives(talk: Talk, peer: str = "", *, joined_once: bool = True) -> None:
    """What the ingest knows of the customer's leg: joined to this one, or to nobody since a minute ago."""
    minute_ago = now_us() // 1000 - 60_000
    state = {"leg": talk.customer, "state": "bridged" if peer else "answered", "peer": peer, "since": minute_ago}
    state |= {"bridged_at": minute_ago} if joined_once else {}
    streams.shared().hset(streams.LIVE_LEGS, talk.customer, json.dumps(state))


def is_free(talk: Talk) -> bool:
    talk.refresh()
    assert talk.call.ended_at is None
    return (talk.agent.status, talk.agent.status_reason, talk.call.agent) == ("busy", "wrap_up", None)


def test_a_customer_whom_the_softphone_itself_has_transferred_holds_its_agent_no_longer(talk):
    stranger = str(uuid.uuid4())
    talk.tell(f.LegUnbridged(leg=talk.customer, peer=talk.agent_leg, at=now_us()))
    talk.ends(talk.agent_leg)
    assert talk.agent.status == "on_call", "they may be about to be hung up with it"
    talk.joins(talk.customer, stranger)
    assert is_free(talk)
    talk.joins(talk.customer, stranger)
    talk.ends(talk.customer)
    assert talk.call.outcome == "conversation" and talk.agent.status_reason == "wrap_up"


def test_a_customer_whom_somebody_at_the_switch_has_transferred_holds_their_agent_no_longer(talk):
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    talk.joins(talk.customer, str(uuid.uuid4()))
    assert is_free(talk) and not talk.row["parked"]


def test_an_agent_who_was_consulting_when_somebody_took_the_customer_is_free_and_the_consulted_is_let_go(talk):
    side = consulting(talk)
    talk.joins(talk.customer, str(uuid.uuid4()))
    assert is_free(talk) and talk.last("hangup").payload["leg"] == side


def test_our_own_transfer_is_proven_by_whom_the_customer_is_joined_to(talk):
    command = talk.ask("transfer", extension="1002")
    talk.joins(talk.customer, str(uuid.uuid4()))
    assert is_free(talk) and confirmation(command) == ("confirmed", "") and talk.row["operation"] == ""
    talk.reports(talk.last("transfer"), "in_doubt")
    assert confirmation(command) == ("confirmed", "")


def test_a_bridge_to_a_stranger_that_is_over_already_frees_nobody(talk):
    lives(talk, talk.agent_leg)
    talk.joins(talk.customer, str(uuid.uuid4()))
    assert talk.agent.status == "on_call" and talk.call.agent == talk.agent
    tick()
    talk.refresh()
    assert talk.agent.status == "on_call"


@pytest.mark.parametrize("agent_leg_goes", [True, False])
def test_a_customer_sent_into_a_menu_by_none_of_our_orders_holds_the_agent_no_longer(talk, agent_leg_goes):
    lives(talk)
    talk.ends(talk.agent_leg) if agent_leg_goes else talk.parks(talk.agent_leg)
    tick()
    assert is_free(talk)


def test_a_customer_of_whose_joining_redis_has_lost_the_word_keeps_the_agent(talk):
    lives(talk, joined_once=False)
    tick()
    talk.refresh()
    assert talk.agent.status == "on_call"


def test_a_customer_parked_by_our_order_keeps_the_agent(talk):
    talk.ask("park")
    talk.parks(talk.customer, talk.agent_leg)
    lives(talk)
    tick()
    talk.refresh()
    assert talk.agent.status == "on_call" and talk.row["parked"]


def test_a_move_that_came_during_an_operation_of_ours_is_seen_when_that_has_failed(talk):
    talk.ask("park")
    stranger = str(uuid.uuid4())
    talk.joins(talk.customer, stranger)
    assert talk.agent.status == "on_call"
    lives(talk, stranger)
    CallLog.objects.update(operation_at="2026-01-01T00:00:00Z")
    tick()
    assert is_free(talk)


# --- Transfer, hang-up, and answers -----------------------------------------------------------------------------------


def test_a_blind_transfer_frees_the_agent_and_leaves_the_record_open(talk):
    talk.ask("listen", extension="1010")
    talk.reports(talk.last("eavesdrop"))
    command = talk.ask("transfer", extension="1002")
    talk.reports(talk.last("transfer"))
    assert (talk.agent.status, talk.agent.status_reason) == ("busy", "wrap_up")
    assert talk.call.agent is None and talk.call.ended_at is None and talk.call.operation == ""
    assert confirmation(command) == ("confirmed", "")
    assert talk.last("hangup").payload["leg"] == str(talk.side().leg_uuid), "who listened to the agent leaves"
    talk.ends(talk.customer)
    assert talk.call.ended_at


def test_a_transfer_that_is_refused_changes_nothing(talk):
    command = talk.ask("transfer", extension="1002")
    talk.reports(talk.last("transfer"), "failed", reply="-ERR No such channel!")
    assert confirmation(command)[0] == "failed"
    assert talk.agent.status == "on_call" and talk.call.agent == talk.agent and talk.call.operation == ""


def test_a_hangup_is_confirmed_by_the_end_and_by_nothing_else(talk):
    command = talk.ask("hangup")
    talk.reports(talk.last("hangup"))
    assert confirmation(command) == ("waiting", "")
    talk.ends(talk.customer)
    assert confirmation(command) == ("confirmed", "")


def test_a_recording_is_confirmed_by_its_event(talk):
    start = talk.ask("record_start")
    talk.reports(talk.last("record"), reply="+OK Success")
    assert confirmation(start)[0] == "waiting"
    talk.tell(f.RecordingStarted(leg=talk.customer, at=now_us(), path="/var/x.wav"))
    assert confirmation(start) == ("confirmed", "") and talk.row["recording"] == "on"
    assert "already" in talk.ask("record_start").reason
    pause = talk.ask("record_pause")
    talk.reports(talk.last("record"))
    assert confirmation(pause) == ("confirmed", "") and talk.row["recording"] == "paused"
    stop = talk.ask("record_stop")
    talk.tell(f.RecordingStopped(leg=talk.customer, at=now_us(), path="/var/x.wav"))
    assert confirmation(stop) == ("confirmed", "")


def test_the_second_answer_is_published_and_given_again_to_who_asks_again(talk, redis_empty):
    listener = redis_empty.pubsub()
    listener.subscribe(streams.RESULTS_CHANNEL)
    listener.get_message(timeout=5)
    command = talk.ask("mute")
    talk.reports(talk.last("mute"))
    said = [json.loads(listener.get_message(timeout=5)["data"]) for _ in range(2)]
    assert [(one["status"], one.get("awaits"), one.get("confirmation")) for one in said] == [
        ("applied", True, None), ("confirmed", None, True),
    ]  # fmt: skip
    tasks.handle_command({**command.payload, "command_id": str(command.command_id)})
    again = [json.loads(listener.get_message(timeout=5)["data"]) for _ in range(2)]
    assert [one["status"] for one in again] == ["applied", "confirmed"]
    assert len(talk.switch.orders("mute")) == 1


def test_what_the_switch_never_confirms_fails_in_the_end_and_may_be_asked_again(talk):
    park, hold = talk.ask("park"), talk.ask("hold")
    CallLog.objects.update(operation_at="2026-01-01T00:00:00Z")
    AppliedCommand.objects.update(applied_at="2026-01-01T00:00:00Z")
    tick()
    talk.refresh()
    for command in (park, hold):
        assert confirmation(command) == ("failed", "the switch has not said that it was done")
    assert talk.call.operation == "" and talk.agent.status == "on_call"
    assert talk.ask("park").status == "applied"


def test_a_lost_word_of_the_switch_is_found_in_the_live_state(talk, redis_empty):
    park = talk.ask("park")
    state = {"leg": talk.customer, "state": "answered", "peer": ""}
    redis_empty.hset(streams.LIVE_LEGS, talk.customer, json.dumps(state))
    CallLog.objects.filter(pk=talk.call.pk).update(operation_at="2026-01-01T00:00:00Z")
    tick()
    assert confirmation(park) == ("confirmed", "") and talk.row["parked"]


def test_a_supervisor_cannot_listen_with_the_softphone_of_the_agent_who_talks(talk):
    said = talk.ask("listen", extension=talk.agent.extension)
    assert (said.status, said.reason) == ("rejected", "that is the agent's own softphone")
    assert not SideLeg.objects.exists() and Agent.objects.count() == 1
