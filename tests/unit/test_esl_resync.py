"""The comparison with the switch: differences are questions, and nothing is concluded from what is no answer."""

import gzip
import json
import re
import uuid
from itertools import combinations
from pathlib import Path

import orjson
import pytest

from esl_bridge.framing import FrameSplitter
from esl_bridge.reports import Reporter
from esl_bridge.resync import (
    ENDING_SECONDS,
    FRESH_SECONDS,
    TRACKED_LEGS,
    YOUNG_SECONDS,
    BadListing,
    Condition,
    LegTracker,
    believed,
    beyond_asking,
    channels_in,
    compare,
    leg_exists,
    live_legs,
    names_a_leg,
    said,
)
from esl_bridge.sync import SECOND_LOOK_SECONDS
from events import call_state, facts
from tests.fakes import captures

DATA = Path(__file__).resolve().parents[1] / "data" / "esl"
A, B, C = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


def test_the_listings_of_the_captures_are_read():
    frames = FrameSplitter().feed(gzip.decompress((DATA / "json" / "16_api_responses.esl.gz").read_bytes()))
    listings = [frame.body.decode() for frame in frames if b"row_count" in frame.body[:20]]
    counts = []
    for listing in listings:
        try:
            counts.append(len(channels_in(listing)))
        except BadListing:
            counts.append(None)
    assert 2 in counts
    assert 0 in counts
    assert all(re.fullmatch(r"[0-9a-f-]{36}", leg) for leg in channels_in(listings[0]))


@pytest.mark.parametrize(
    "reply",
    ["", "-ERR no reply\n", "[]", "{}", "null", '{"row_count":"x"}', '{"row_count":2}', '{"row_count":2,"rows":[]}',
     '{"row_count":1,"rows":[{"name":"x"}]}', '{"row_count":1,"rows":[7]}', '{"row_count":1,"rows":[{"uuid":7}]}', "{"],
)  # fmt: skip
def test_a_reply_that_is_no_list_is_not_an_empty_switch(reply):
    with pytest.raises(BadListing):
        channels_in(reply)


def test_an_empty_switch_has_no_rows():
    assert channels_in('{"row_count": 0}\n') == frozenset()


HARMLESS = ("3c26700857a8@192.168.1.5", "call-1_2.3", "a" * 128)
HARMFUL = ("1\nexit", "a b", "a;b", "a\n", "", "a" * 129, "é", "${x}", "a\r")


def test_legs_not_ended_are_believed_live_whatever_their_names_and_asked_about_where_these_are_one_word():
    entries = {A.encode(): b'{"leg":"x","state":"bridged"}', B.encode(): b'{"state":"ended"}', C.encode(): b"not json"}
    entries |= {name.encode(): b'{"state":"held"}' for name in (*HARMLESS, *HARMFUL)}
    assert live_legs(entries) == {A, C, *HARMLESS}
    assert beyond_asking(entries) == set(HARMFUL)
    assert beyond_asking({b"\xff": b'{"state":"held"}'}) == {"\ufffd"}


def test_a_listed_channel_is_asked_about_where_its_name_is_one_word():
    rows = [{"uuid": name} for name in (A, *HARMLESS, *HARMFUL)]
    assert channels_in(orjson.dumps({"row_count": len(rows), "rows": rows}).decode()) == {A, *HARMLESS}


@pytest.mark.parametrize("reply", ["_undef_", "_undef_\n", "-ERR No such channel!\n", "", "-USAGE: <uuid> <var>\n"])
def test_what_names_no_leg_is_not_taken_for_one(reply):
    assert not names_a_leg(reply)
    assert names_a_leg(f"{A}\n") and names_a_leg(HARMLESS[0])


def test_differences_are_missing_and_unknown_legs():
    found = compare({A, B}, {B, C}, LegTracker(), 100.0)
    assert (found.missing, found.unknown) == ((C,), (A,))


def test_a_young_leg_is_not_asked_about():
    tracker = LegTracker()
    tracker.begun(A, 100.0)
    assert compare((), {A}, tracker, 100.0 + YOUNG_SECONDS / 2).missing == ()
    assert compare((), {A}, tracker, 100.0 + YOUNG_SECONDS).missing == (A,)


def test_a_leg_from_before_the_link_is_never_too_young_to_be_missing():
    tracker = LegTracker()
    tracker.begun(A, 100.0)
    tracker.begun(B, 100.4)
    assert compare((), {A, B}, tracker, 100.5, opened=100.3).missing == (A,)


def test_a_channel_the_stream_has_just_shown_is_not_unknown():
    tracker = LegTracker()
    tracker.begun(A, 100.0)
    assert compare({A}, (), tracker, 100.0 + FRESH_SECONDS / 2).unknown == ()
    assert compare({A}, (), tracker, 100.0 + FRESH_SECONDS).unknown == (A,)


def test_a_leg_whose_hangup_has_come_is_neither_but_for_one_who_has_not_heard_of_it_long_after():
    tracker = LegTracker()
    for leg in (A, B):
        tracker.ended(leg, 1.0)
    assert compare({A}, {B}, tracker, 1.0 + ENDING_SECONDS / 2) == compare((), (), tracker, 0.0)
    found = compare({A}, {B}, tracker, 1.0 + ENDING_SECONDS)
    assert (found.missing, found.unknown) == ((B,), ())


def test_the_tracker_is_bounded_and_forgets_the_oldest():
    tracker = LegTracker()
    for number in range(TRACKED_LEGS + 1):
        tracker.ended(str(number), float(number))
    assert not tracker.has_ended("0")
    assert tracker.has_ended("1")


def test_only_true_and_false_are_answers():
    assert [leg_exists(reply) for reply in ("true", "false\n", "-ERR", "", "TRUE")] == [True, False, None, None, None]


def reporter():
    return Reporter("main", str(uuid.uuid4()), lambda: 1_700_000_000.25)


def one_fact(raw):
    (fact,) = facts.facts_of(orjson.loads(raw))
    return fact


def test_reports_are_read_back_as_the_facts_they_tell():
    said = reporter()
    order = said.order(A, "bridge", B, "failed", "-ERR Invalid uuid\n", leg_exists=False)
    assert one_fact(order) == facts.OrderReported(
        leg=B, at=1_700_000_000_250_000, order_id=A, kind="bridge", status="failed", reply="-ERR Invalid uuid",
        leg_exists=False,
    )  # fmt: skip
    assert one_fact(said.order(A, "bridge", B, "sent")).leg_exists is None
    link = one_fact(said.link(True, "because"))
    assert (link.node, link.up, link.reason) == ("main", True, "because")
    assert one_fact(said.leg_gone(A, "LOST")) == facts.LegEnded(leg=A, at=1_700_000_000_250_000, cause="LOST")
    sync = one_fact(said.sync(4, 3, 2, 1))
    assert (sync.channels, sync.gone, sync.found, sync.changed) == (4, 3, 2, 1)


def test_a_found_leg_is_told_from_the_switchs_own_dump():
    frames = FrameSplitter().feed(gzip.decompress((DATA / "json" / "16_api_responses.esl.gz").read_bytes()))
    dump = next(json.loads(f.body) for f in frames if f.content_type == "api/response" and b'"CHANNEL_DATA"' in f.body)
    raw = reporter().leg_found(dump["Unique-ID"], dump)
    told = facts.facts_of(orjson.loads(raw))
    assert [type(fact).__name__ for fact in told][:2] == ["LegCreated", "LegAnswered"]
    assert {fact.leg for fact in told} == {dump["Unique-ID"]}
    assert orjson.loads(raw)["Core-UUID"] != dump["Core-UUID"]


def leg_of(*told):
    leg = None
    for fact in told:
        leg, _ = call_state.fold(leg, fact)
    return leg


def condition(leg):
    return believed(call_state.to_json(leg)).condition


@pytest.mark.parametrize("name", captures.NAMES)
def test_what_is_believed_of_a_leg_is_what_the_switch_says_of_it_but_for_a_moment(name):
    """Or each comparison would report what was never missed. The variables of an event are those of a dump."""
    legs, since = {}, {}
    for event in captures.events(name):
        for fact in facts.facts_of(event):
            legs[fact.leg], _ = call_state.fold(legs.get(fact.leg), fact)
        leg, at = legs.get(event.get("Unique-ID")), facts.happened_at(event)
        if leg is None or leg.state == "ended" or not any(key.startswith("variable_") for key in event):
            continue
        if said(event) == condition(leg):
            since.pop(leg.leg, None)
        else:
            began = since.setdefault(leg.leg, at)
            assert at - began < SECOND_LOOK_SECONDS * 1_000_000, f"{event['Event-Name']}: {said(event)}, {leg}"


BEGUN = 1_700_000_000_000  # ms
CREATED = facts.LegCreated(leg=A, at=BEGUN * 1000, role="customer")
ANSWERED = facts.LegAnswered(leg=A, at=(BEGUN + 1_000) * 1000)
BRIDGED = facts.LegBridged(leg=A, at=(BEGUN + 2_000) * 1000, peer=B)
PARTED = facts.LegUnbridged(leg=A, at=(BEGUN + 3_000) * 1000, peer=B)
AGAIN = facts.LegBridged(leg=A, at=(BEGUN + 4_000) * 1000, peer=B)
HELD = facts.LegHeld(leg=A, at=(BEGUN + 4_200) * 1000)
UNHELD = facts.LegUnheld(leg=A, at=(BEGUN + 4_400) * 1000)
OTHER = facts.LegBridged(leg=A, at=(BEGUN + 5_000) * 1000, peer=C)
HELD_AGAIN = facts.LegHeld(leg=A, at=(BEGUN + 5_200) * 1000)
STORY = (CREATED, ANSWERED, BRIDGED, PARTED, AGAIN, HELD, UNHELD, OTHER, HELD_AGAIN)


@pytest.mark.parametrize(("known", "true"), list(combinations(range(1, len(STORY) + 1), 2)))
@pytest.mark.parametrize("timed", [True, False], ids=["with its time", "without"])
def test_a_report_of_what_was_missed_brings_a_leg_to_where_the_switch_has_it(known, true, timed):
    before, now = leg_of(*STORY[:known]), leg_of(*STORY[:true])
    dump = {
        "Unique-ID": A, "Answer-State": "answered" if now.answered_at else "ringing", "variable_bridge_to": now.peer,
        "variable_orch_role": "customer", "Caller-Channel-Created-Time": str(BEGUN * 1000),
        "Caller-Channel-Answered-Time": str((now.answered_at or 0) * 1000),
        "Caller-Channel-Bridged-Time": str((now.bridge_at or 0) * 1000 if timed else 0),
        "Caller-Channel-Last-Hold": str((now.held_at or 0) * 1000 if timed else 0),
        "Channel-Call-State": "HELD" if now.state == "held" else "ACTIVE", "Channel-Name": "sofia/internal/1001",
    }  # fmt: skip
    belief = believed(call_state.to_json(before))
    said_later = Reporter("main", "x", lambda: (BEGUN + 9_000) / 1000)
    raw = said_later.leg_changed(A, dump, belief.condition.peer, belief.condition.held, belief.since)
    after = leg_of(*STORY[:known], *facts.facts_of(orjson.loads(raw)))
    assert condition(after) == condition(now) == said(dump)
    assert (after.state, after.answered_at, after.created_at) == (now.state, now.answered_at, now.created_at)
    # Those that come after all change nothing any more.
    late = leg_of(*STORY[:known], *facts.facts_of(orjson.loads(raw)), *STORY[known:true])
    assert condition(late) == condition(now)
    # It keeps no time of a hold's end, and a leg that was both moved and held is told of at the time of asking.
    told = {"bridged": STORY[true - 1] != UNHELD, "held": before.peer == now.peer}
    kept = told.get(now.state, False)
    if timed and kept and condition(before) != condition(now):
        assert after.since == now.since, "the switch's own time of it"


@pytest.mark.parametrize(
    ("known", "missed", "time_of_it"),
    [
        ((CREATED, ANSWERED, BRIDGED, PARTED), AGAIN, "Caller-Channel-Bridged-Time"),
        ((CREATED, ANSWERED, BRIDGED, HELD, UNHELD), HELD_AGAIN, "Caller-Channel-Last-Hold"),
    ],
    ids=["joined again", "held again"],
)
@pytest.mark.parametrize("microseconds", [0, 1, 999, 1000])
def test_what_was_missed_in_the_millisecond_of_what_is_known_comes_after_it(known, missed, time_of_it, microseconds):
    """Switch and bridge count microseconds, a leg's state is kept in whole milliseconds."""
    before, now = leg_of(*known), leg_of(*known, missed)
    dump = {
        "Unique-ID": A, "Answer-State": "answered", "variable_bridge_to": B, "Channel-Name": "sofia/internal/1001",
        "Channel-Call-State": "HELD" if missed is HELD_AGAIN else "ACTIVE",
        time_of_it: str(before.since * 1000 + microseconds),
    }  # fmt: skip
    later = Reporter("main", "x", lambda: (BEGUN + 9_000) / 1000)
    belief = believed(call_state.to_json(before))
    raw = later.leg_changed(A, dump, belief.condition.peer, belief.condition.held, belief.since)
    after = leg_of(*known, *facts.facts_of(orjson.loads(raw)))
    assert (after.state, condition(after)) == (now.state, condition(now))
    assert condition(after) == said(dump)


def test_what_cannot_be_read_is_compared_with_nothing():
    ended = facts.LegEnded(leg=A, at=BEGUN * 1000, cause="NORMAL_CLEARING")
    for raw in (None, b"", b"{", b"[]", b'{"leg": 1}', call_state.to_json(leg_of(CREATED, ended))):
        assert believed(raw) is None


def test_who_is_joined_by_early_media_is_not_told_as_parted():
    """Or each comparison would part them and join them no more."""
    early = leg_of(CREATED, facts.LegRinging(leg=A, at=BEGUN * 1000 + 1, early_media=True), BRIDGED)
    dump = {"Unique-ID": A, "Answer-State": "early", "variable_bridge_to": B}
    assert said(dump) == condition(early) == Condition(True, B)
    heard_late = leg_of(CREATED, *facts.facts_of(orjson.loads(reporter().leg_changed(A, dump, "", False, BEGUN))))
    assert condition(heard_late) == said(dump) and heard_late.answered_at is None


def test_a_hold_that_a_channel_does_not_keep_is_held_until_it_is_said_to_have_ended():
    """A loopback says CHANNEL_HOLD, and of its state that it is active."""
    held = leg_of(CREATED, ANSWERED, BRIDGED, HELD)
    dump = {"Unique-ID": A, "Answer-State": "answered", "variable_bridge_to": B, "Channel-Call-State": "ACTIVE"}
    loopback, sip = dump | {"Channel-Name": "loopback/1-a"}, dump | {"Channel-Name": "sofia/internal/1"}
    assert said(loopback, condition(held).held) == condition(held) != said(sip, condition(held).held)
    later = Reporter("main", "x", lambda: (BEGUN + 9_000) / 1000)
    raw = later.leg_changed(A, loopback | {"variable_bridge_to": C}, B, True, BEGUN)
    moved = facts.facts_of(orjson.loads(raw))
    assert facts.LegUnheld not in [type(fact) for fact in moved]
    assert condition(leg_of(CREATED, ANSWERED, BRIDGED, HELD, *moved)) == Condition(True, C)


@pytest.mark.parametrize(
    ("times", "rings"),
    [
        ({}, None),
        ({"Progress-Time": "0", "Progress-Media-Time": "0"}, None),
        ({"Progress-Time": "5000", "Progress-Media-Time": "0"}, facts.LegRinging(leg=A, at=5000)),
        ({"Progress-Time": "0", "Progress-Media-Time": "7000"}, facts.LegRinging(leg=A, at=7000, early_media=True)),
        ({"Progress-Time": "5000", "Progress-Media-Time": "7000"}, facts.LegRinging(leg=A, at=5000)),
    ],
)
def test_a_leg_that_is_found_rings_only_since_the_far_end_has_said_so(times, rings):
    """Its Answer-State is `ringing` from CHANNEL_CREATE on."""
    dump = {"Unique-ID": A, "Answer-State": "ringing", **{f"Caller-Channel-{name}": at for name, at in times.items()}}
    told = facts.facts_of(orjson.loads(reporter().leg_found(A, dump)))
    assert [fact for fact in told if isinstance(fact, facts.LegRinging)] == ([rings] if rings else [])


def test_every_report_has_an_identity_of_its_own():
    first, second = reporter(), reporter()
    raws = [said.sync(0, 0, 0, 0) for said in (first, first, second, second)]
    assert len({facts.identity(orjson.loads(raw)) for raw in raws}) == 4
