"""One read of the journal: order, duplicates, damage, and what goes on to the dialer."""

import orjson
import pytest

from events import call_state, facts
from events.entries import DIGEST, Entry, Window, identity_of, order, parse
from events.intake import Legs, take_in
from tests.fakes import captures

CALL = "4c024dda-2909-493a-a447-15a6414fc251"  # the customer's leg of capture 02
AGENT = "8bbba0ba-bcfe-4c2f-a89b-a84a6d80cde7"
ROLES = {CALL: {"role": "customer", "call": CALL}, AGENT: {"role": "agent", "agent": "agent_1"}}
BRIDGED = [captures.with_roles(line, ROLES) for line in captures.lines("02_answered_bridged_agent_hangs_up")]


def entries(lines, start=1):
    return [Entry(f"{1_700_000_000_000 + place}-0", line) for place, line in enumerate(lines, start)]


def event(name, **headers):
    return orjson.dumps({"Event-Name": name, **{key.replace("_", "-"): value for key, value in headers.items()}})


def kinds(outcome, leg=None):
    return [row["type"] for row in outcome.for_dialer if leg in (None, row.get("leg"))]


def test_a_bridged_call_reaches_the_dialer_in_order_and_without_repetition():
    outcome = take_in(entries(BRIDGED), Legs(), Window())
    assert (outcome.events, outcome.duplicates, outcome.malformed) == (len(BRIDGED), 0, [])
    assert kinds(outcome, CALL) == [
        "LegCreated", "LegRinging", "LegAnswered", "LegParked", "LegBridged", "LegUnbridged", "LegEnded", "LegEnded",
    ]  # fmt: skip
    assert [row.get("complete", False) for row in outcome.for_dialer if row["type"] == "LegEnded"] == [False, True] * 2
    assert outcome.changed[CALL].state == outcome.changed[AGENT].state == "ended"
    assert outcome.last == entries(BRIDGED)[-1].id


def test_legs_that_nobody_here_called_are_kept_from_the_dialer():
    outcome = take_in(entries(captures.lines("02_answered_bridged_agent_hangs_up")), Legs(), Window())
    assert outcome.for_dialer == []
    assert len(outcome.changed) == 2


def test_registrations_of_softphones_reach_the_dialer_though_they_are_about_no_leg():
    told = [line for name in captures.NAMES for line in captures.lines(name) if b'"sofia::register"' in line]
    outcome = take_in(entries(told), Legs(), Window())
    assert kinds(outcome) == ["SoftphoneRegistration"] * len(told) != []
    assert {row["user"] for row in outcome.for_dialer} <= {str(n) for n in range(1001, 1060)}
    assert outcome.changed == {}


def test_the_same_read_in_pieces_gives_the_same_legs_transitions_and_facts():
    whole = take_in(entries(BRIDGED), Legs(), Window())
    legs, window, transitions, told = Legs(), Window(), {}, []
    for entry in entries(BRIDGED):
        part = take_in([entry], legs, window)
        legs.keep(part.changed.values())
        window.add(part.identities)
        transitions |= part.transitions
        told += part.for_dialer
    assert (transitions, told) == (whole.transitions, whole.for_dialer)
    assert legs.get(CALL) == whole.changed[CALL]
    assert legs.live == {}


def test_nothing_is_changed_until_the_outcome_is_adopted():
    legs, window = Legs(), Window()
    first = take_in(entries(BRIDGED), legs, window)
    assert take_in(entries(BRIDGED), legs, window) == first


def test_a_second_delivery_is_counted_and_changes_nothing():
    legs, window = Legs(), Window()
    first = take_in(entries([*BRIDGED, *BRIDGED]), legs, window)
    assert (first.events, first.duplicates) == (len(BRIDGED), len(BRIDGED))
    legs.keep(first.changed.values())
    window.add(first.identities)
    again = take_in(entries(BRIDGED, start=900), legs, window)
    assert (again.events, again.duplicates, again.changed, again.for_dialer) == (0, len(BRIDGED), {}, [])


def test_a_redelivery_after_a_restart_folds_to_nothing_although_the_window_is_empty():
    legs = Legs()
    legs.keep(take_in(entries(BRIDGED), legs, Window()).changed.values())
    again = take_in(entries(BRIDGED, start=900), legs, Window())
    assert (again.duplicates, again.changed, again.transitions, again.for_dialer) == (0, {}, {}, [])


def test_an_ended_leg_that_memory_has_forgotten_is_looked_up_before_it_could_rise_again():
    ended = take_in(entries(BRIDGED), Legs(), Window()).changed
    asked = []

    def lookup(legs):
        asked.append(set(legs))
        return {leg: ended[leg] for leg in legs}

    late = [line for line in BRIDGED if b'"CHANNEL_DESTROY"' in line]
    outcome = take_in(entries(late), Legs(), Window(), lookup)
    assert asked == [{CALL, AGENT}]
    assert outcome.changed == {}


def test_only_so_many_ended_legs_are_remembered():
    legs = Legs(ended_kept=2)
    for name in "abc":
        legs.keep([call_state.LegState(leg=name, state="ended", ended_at=1)])
    assert [legs.get(name) is not None for name in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"{", "JSON"),
        (b"{}", "without Event-Name"),
        (event("CHANNEL_ANSWER"), "without Unique-ID"),
        (event("CHANNEL_BRIDGE", Unique_ID="a"), "without its other leg"),
    ],
)
def test_a_malformed_event_is_put_aside_with_its_reason_and_blocks_nobody(raw, why):
    read = entries([BRIDGED[2], raw, *BRIDGED[3:]])
    outcome = take_in(read, Legs(), Window())
    (bad,) = outcome.malformed
    assert bad.entry is read[1]
    assert why in bad.reason
    assert outcome.changed[CALL].state == "ended"


def test_an_event_that_no_code_expected_blocks_nobody():
    # A fact whose time is beyond what any clock says, and a value of an unexpected kind.
    odd = orjson.dumps({"Event-Name": {"deep": 1}, "Unique-ID": ["x", "y"], "Event-Date-Timestamp": 5.5})
    outcome = take_in(entries([odd, *BRIDGED]), Legs(), Window())
    assert outcome.changed[CALL].state == "ended"


def test_bytes_that_are_not_utf8_are_repaired_and_counted():
    raw = event("CHANNEL_CREATE", Unique_ID="a", variable_name="caf?").replace(b"?", b"\xe9")
    outcome = take_in(entries([raw]), Legs(), Window())
    assert (outcome.repaired, outcome.events, outcome.malformed) == (1, 1, [])
    assert parse(raw)[0]["variable-name"] == "caf\ufffd"


def test_an_event_without_times_gets_the_time_it_was_journalled():
    outcome = take_in(entries([event("CHANNEL_CREATE", Unique_ID="a")]), Legs(), Window())
    assert outcome.changed["a"].created_at == 1_700_000_000_001


def test_entries_that_are_gone_are_counted_as_lost():
    outcome = take_in([Entry("5-0", None), *entries(BRIDGED)], Legs(), Window())
    assert (outcome.lost, outcome.events) == (1, len(BRIDGED))


def test_a_leg_whose_role_comes_late_is_told_to_the_dialer_from_its_beginning():
    late = [line for line in captures.lines("02_answered_bridged_agent_hangs_up") if b'"CHANNEL_HANGUP' not in line]
    # Nobody knows whose leg it is until its last event, which carries the variables.
    last = [
        line for line in BRIDGED if b'"CHANNEL_HANGUP_COMPLETE"' in line and orjson.loads(line)["Unique-ID"] == CALL
    ]
    without = [line for line in late if orjson.loads(line)["Event-Name"] not in {"CHANNEL_UNBRIDGE", "CHANNEL_DESTROY"}]
    outcome = take_in(entries([*without, *last]), Legs(), Window())
    assert kinds(outcome, CALL) == ["LegCreated", "LegRinging", "LegAnswered", "LegBridged", "LegEnded"]


def test_orders_links_and_failed_jobs_go_to_the_dialer_and_good_jobs_do_not():
    def custom(subclass, **headers):
        return event("CUSTOM", Event_Subclass=subclass, Event_Date_Timestamp="5", **headers)

    lines = [
        custom(facts.ORDER_REPORT, Order_ID="o1", Order_Status="sent"),
        custom(facts.LINK_REPORT, Link_Up="true"),
        custom(facts.SYNC_REPORT, Sync_Channels="3"),
        orjson.dumps({"Event-Name": "BACKGROUND_JOB", "Job-UUID": "j1", "_body": "+OK x\n"}),
        orjson.dumps({"Event-Name": "BACKGROUND_JOB", "Job-UUID": "j2", "_body": "-ERR USER_BUSY\n"}),
        event("HEARTBEAT", Session_Count="3"),
    ]
    outcome = take_in(entries(lines), Legs(), Window())
    assert kinds(outcome) == ["OrderReported", "LinkReported", "SyncFinished", "JobFinished"]
    assert outcome.for_dialer[-1]["order_id"] == "j2"


def test_events_without_identity_are_told_apart_by_their_content():
    first, same, other = ({"Event-Name": "X", "n": "1"}, {"n": "1", "Event-Name": "X"}, {"Event-Name": "X", "n": "2"})
    assert identity_of(first) == identity_of(same) != identity_of(other)
    core, sequence = identity_of(first)
    assert core == DIGEST
    assert 0 <= sequence < 2**63


def test_the_window_forgets_the_oldest():
    window = Window(size=3)
    window.add([("c", number) for number in (1, 2, 3, 3, 4)])
    assert [("c", number) in window for number in (1, 2, 3, 4)] == [False, True, True, True]


def test_journal_ids_compare_as_numbers():
    assert order("9-2") < order("9-10") < order("10-0")


@pytest.mark.parametrize("stamp", ["0", "999999999999999999", "-4", "soon"])
def test_a_time_that_no_clock_shows_is_replaced_by_the_journals(stamp):
    raw = event("CHANNEL_CREATE", Unique_ID="a", Caller_Channel_Created_Time=stamp, Event_Date_Timestamp=stamp)
    outcome = take_in(entries([raw]), Legs(), Window())
    assert outcome.changed["a"].created_at == 1_700_000_000_001


def test_a_nul_in_an_event_is_replaced_before_anybody_sees_it():
    raw = orjson.dumps({"Event-Name": "CHANNEL_CREATE", "Unique-ID": "a\x00b", "k\x00": ["\x00", {"\x00": 1}]})
    outcome = take_in(entries([raw]), Legs(), Window())
    assert list(outcome.changed) == ["a\ufffdb"]
    assert outcome.repaired == 1
    assert b"\\u0000" not in orjson.dumps(parse(raw)[0])
