"""Who else was on a call, on its page, in the lists of calls and on the agent's day; the hold as exports have it."""

import datetime as dt
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console import call_story, side_words
from dialer import exports
from dialer.models import CallLog, Order, SideLeg
from events.models import FreeSwitchEvent
from tests.fakes.console import make_user
from tests.fakes.events import CALL
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.pages import CALLS, text_of
from tests.fakes.story import HOSTILE, told_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_empty")]
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def call() -> CallLog:
    agents = make_agents(1)
    return told_call(agents[0], make_campaign(agents, contacts=1))


def side(call: CallLog, purpose: str = "listen", *modes: str, **fields) -> SideLeg:
    """modes: confirmed one second after the other, from the joining of the call on."""
    start = call.bridged_at
    changes = [{"mode": mode, "at": (start + n * SECOND).isoformat(timespec="milliseconds")} for n, mode in
               enumerate(modes)]  # fmt: skip
    known = {
        "call": call, "agent": call.agent, "purpose": purpose, "actor": "maria", "extension": "1900",
        "mode": modes[-1] if modes and purpose == "listen" else "", "changes": changes, "requested_at": start,
        "joined_at": start, "ended_at": start + len(modes) * SECOND,
    }  # fmt: skip
    return SideLeg.objects.create(**(known | fields))


def test_the_page_says_who_listened_how_and_from_when_until_when(browser, call):
    side(call, "listen", "listen", "whisper", "barge")
    shown = text_of(browser.get(f"{CALLS}{CALL}/"))
    part = shown[shown.index('id="h-monitoring"') : shown.index('id="h-attempts"')]
    for words in ("maria", "extension 1900", "listened", "3.00 s", f"{call.bridged_at:%H:%M:%S}",
                  f"{call.bridged_at + 3 * SECOND:%H:%M:%S}"):  # fmt: skip
        assert words in part, words
    modes = [part.index(f"</time> {word}<") for word in ("Listens", "Whispers to the agent", "Talks with both")]
    assert modes == sorted(modes)
    ladder = shown[shown.index('class="ladder"') : shown.index('id="h-monitoring"')]
    assert "maria, listens</th>" in ladder
    for word in ("Listens", "Whispers to the agent", "Talks with both"):
        assert ladder.count(f"<b>{word}</b>") == 1


def test_those_who_took_over_and_who_were_consulted_are_called_so(browser, call):
    side(call, "take_over", "listen", "take_over", actor="tom")
    side(call, "consult", actor="agent_101", extension="1002")
    side(call, "listen", actor="late", joined_at=None, hangup_cause="NO_ANSWER")
    story = call_story.tell(call, timezone.now())
    titles = {lane.title: lane.role for lane in story.lanes}
    assert titles["tom, takes over"] == titles["late, listens"] == "supervisor"
    assert titles["1002, consulted"] == "colleague"
    told = {one.who: one for one in story.sides}
    assert [word for _, word in told["tom"].changes] == ["Listens", "Takes over from the agent"]
    assert (told["tom"].was, told["1002"].was, told["1002"].asked_by) == ("took over", "was consulted", "agent_101")
    assert (told["late"].was, told["late"].start, told["late"].length) == ("was called to listen", None, "–")
    assert told["late"].cause
    assert "maria" not in told


def test_without_the_switchs_events_the_side_legs_still_have_their_column(browser, call):
    FreeSwitchEvent.objects.all().delete()
    side(call, "consult", extension="1002", actor="agent_101")
    shown = text_of(browser.get(f"{CALLS}{CALL}/"))
    assert "1002, consulted</th>" in shown and "<b>Called</b>" in shown


def test_a_page_costs_the_same_however_many_listened(browser, call):
    def cost() -> list[int]:
        found = []
        for address in (f"{CALLS}{CALL}/", CALLS, f"/console/agents/agent_101/?day={call.initiated_at:%Y-%m-%d}",
                        f"/console/contacts/{call.contact_id}/"):  # fmt: skip
            with CaptureQueriesContext(connection) as captured:
                text_of(browser.get(address))
            found.append(len(captured))
        return found

    side(call, "listen", "listen")
    before = cost()
    for n in range(12):
        side(call, "listen", "listen", actor=f"sup{n}")
    assert cost() == before


def test_lists_of_calls_and_the_agents_day_name_who_listened(browser, call, settings):
    side(call, "listen", "listen")
    side(call, "take_over", "listen", actor="tom")
    side(call, "consult", extension="1002", actor="agent_101")
    day = f"/console/agents/agent_101/?day={call.initiated_at:%Y-%m-%d}"
    for address in (CALLS, day, f"/console/contacts/{call.contact_id}/", f"{CALLS}{CALL}/"):
        assert "maria listened, tom took over" in text_of(browser.get(address)), address
    ann = Client()
    ann.force_login(make_user("ann", agent=call.agent))
    settings.MONITORING_VISIBLE_TO_AGENTS = True
    assert "maria listened" in text_of(ann.get(day))
    settings.MONITORING_VISIBLE_TO_AGENTS = False
    assert "maria" not in text_of(ann.get(day))


def test_one_who_took_over_and_hung_up_is_who_ended_the_call(browser, call):
    for event in FreeSwitchEvent.objects.filter(event_type="CHANNEL_HANGUP_COMPLETE"):
        if event.channel_uuid != CALL:
            peer = event.channel_uuid
    call.agent_leg.leg_uuid = uuid.uuid4()
    call.agent_leg.save()
    CallLog.objects.filter(pk=call.pk).update(agent_leg=None)
    side(call, "take_over", "take_over", actor="tom", leg_uuid=peer)
    assert "<dd>tom, at their softphone</dd>" in text_of(browser.get(f"{CALLS}{CALL}/"))


def test_words_of_side_legs_are_inert(browser, call):
    side(call, "listen", "listen", actor=HOSTILE[:150], hangup_cause=HOSTILE[:64])
    side(call, "listen", actor=HOSTILE[1:150], changes=[{"mode": HOSTILE, "at": call.bridged_at.isoformat()}])
    for address in (f"{CALLS}{CALL}/", CALLS):
        shown = text_of(browser.get(address))
        assert "&lt;script&gt;alert(1)" in shown
        assert "<script>alert" not in shown and "<img" not in shown


@pytest.mark.parametrize(("order", "words"), [
    (("mute", {"on": False}), "Mute the agent</b> off"),
    (("listen_mode", {"mode": "whisper"}), "Change the listening</b> whisper"),
])  # fmt: skip
def test_orders_about_the_talk_have_words(browser, call, order, words):
    kind, payload = order
    Order.objects.create(
        order_id=uuid.uuid4(), kind=kind, payload=payload, call=call, status="done", created_at=call.bridged_at
    )
    assert words in text_of(browser.get(f"{CALLS}{CALL}/"))


def test_the_page_and_the_export_tell_the_same_hold(call):
    CallLog.objects.filter(pk=call.pk).update(hold_ms=2_000)
    call.refresh_from_db()
    timings = {one.name: one.text for one in call_story.tell(call, timezone.now()).timings}
    column = next(one for one in exports.KINDS["calls"].columns if one.name == "hold_seconds")
    assert timings["Hold"] == "2.00 s" and column.value(call, True) == 2
    # What lasts is counted up to now.
    call.ended_at, call.held_at = None, call.bridged_at
    now = call.bridged_at + 5 * SECOND
    timings = {one.name: one.text for one in call_story.tell(call, now).timings}
    assert timings["Hold"] == "7.00 s"


def test_nobody_is_named_twice():
    legs = [
        SideLeg(pk=n, purpose=purpose, actor=actor, extension="1", joined_at=timezone.now())
        for n, (purpose, actor) in enumerate([("listen", "a"), ("listen", "b"), ("listen", "a"), ("consult", "c")])
    ]
    assert side_words.heard(reversed(legs)) == "a listened, b listened"
    assert side_words.heard([]) == ""
