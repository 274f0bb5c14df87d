"""The checker finds each kind of fault in a history that has it, and none in one that has not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults import checker, report
from tests.faults.floor import Size
from tests.faults.history import Command, Doubt, Evidence, Fault, History, Levelling, Sample, Stop
from tests.faults.witness import Look, differences

CAMPAIGN = "c1"


def leg(uuid: str, number: str = "", kind: str = "customer", **more: Any) -> dict[str, Any]:
    record = {
        "uuid": uuid, "number": number or f"+1{uuid}", "kind": kind, "invited_at": 100.0, "answered_at": 102.0,
        "bridges": [{"peer": "agent", "at": 102.1, "until": 110.0}], "ended_at": 110.0, "disposition": "recv_bye",
        "hangup_cause": "NORMAL_CLEARING", "event": "ended",
    }  # fmt: skip
    return {**record, **more}


def call(uuid: str, **more: Any) -> dict[str, Any]:
    return {"leg": uuid, "number": f"+1{uuid}", "campaign_id": CAMPAIGN, "ended_at": 110.0, "abandoned": False,
            "status": "completed", **more}  # fmt: skip


def command(**more: Any) -> Command:
    made = Command("1", "agent", "agent_1", "break", said_at=100.0, command_id="x", acked_at=100.1, answered_at=100.2,
                   status="applied")  # fmt: skip
    return replace(made, **more)


def evidence(**more: Any) -> Evidence:
    agent = leg("agent", "2001", "agent", disposition="send_bye", ended_at=500.0)
    found = Evidence(
        legs=[agent, leg("a"), leg("b")], calls=[call("a"), call("b")], applied={"x": "applied"}, queued=set(),
        asked_hangups=set(), old_token_writes=[], fenced_writes=10, orders=[(1, 1), (2, 1), (3, 2)],
    )  # fmt: skip
    return replace(found, **more)


def history(*commands: Command, **more: Any) -> History:
    made = History(seed=1, commands={str(n): one for n, one in enumerate(commands or [command()])}, boards=1)
    made.levellings = [Levelling("the last fault", 2.0)]
    made.samples = [Sample("board", 120.0, 0.1, "", {})]
    return replace(made, **more)


def broken(told: History, left: Evidence) -> dict[str, list[str]]:
    return {found.name: found.troubles for found in checker.check(told, left) if found.troubles}


def test_a_run_in_which_all_went_well_has_no_troubles():
    assert broken(history(), evidence()) == {}


def test_an_attempt_with_two_invites_and_a_number_with_two_attempts_are_found():
    twice = evidence(legs=[leg("a"), leg("a")])
    [(name, troubles)] = broken(history(), twice).items()
    assert name == "numbers dialled twice for one attempt" and any("attempt a has 2" in one for one in troubles)
    again = evidence(legs=[leg("a", "+15550001111"), leg("b", "+15550001111")])
    [[trouble]] = broken(history(), again).values()
    assert "2 INVITEs" in trouble and "5550001111" not in trouble


def test_an_invite_that_no_record_knows_of_is_found():
    [[trouble]] = broken(history(), evidence(legs=[leg("a"), leg("stranger")])).values()
    assert "no attempt of ours" in trouble


@pytest.mark.parametrize(
    ("applied", "queued", "words"),
    [({}, set(), "gone"), ({}, {"x"}, "still queued"), ({"x": "rejected"}, set(), "recorded rejected")],
)
def test_an_acknowledged_command_without_its_effect_or_with_another_answer_is_found(applied, queued, words):
    found = broken(history(), evidence(applied=applied, queued=queued))
    assert list(found) == ["accepted commands lost"] and words in found["accepted commands lost"][0]


def test_a_command_that_was_refused_and_never_acknowledged_is_not_lost():
    refused = command(acked_at=None, answered_at=None, status="", command_id="", error="queue_unavailable")
    assert broken(history(refused), evidence(applied={})) == {}


def test_a_write_under_an_old_token_is_found_in_the_order_of_the_orders_and_by_the_watch():
    assert "token 1 after 2" in broken(history(), evidence(orders=[(1, 1), (2, 2), (3, 1)])).popitem()[1][0]
    assert broken(history(), evidence(old_token_writes=["worker 7"])) == {
        "writes with an old fencing token": ["worker 7"]
    }
    assert broken(history(), evidence(fenced_writes=0)), "a watch that saw nothing proves nothing"


def ours(**more: Any) -> dict[str, Any]:
    return leg("a", disposition="send_bye", **more)


def test_a_customer_who_talked_and_was_hung_up_on_by_nobody_who_may_is_found():
    [[trouble]] = broken(history(), evidence(legs=[ours()])).values()
    assert "was talking" in trouble
    agent = leg("agent", "2001", "agent", ended_at=110.0)
    assert not broken(history(), evidence(legs=[agent, ours()])), "the agent hung up"
    assert broken(history(), evidence(legs=[{**agent, "ended_at": 105.0}, ours()])), "the agent had hung up before"
    assert not broken(history(), evidence(legs=[ours()], asked_hangups={"a"})), "somebody asked for it"


def test_a_waiting_customer_is_hung_up_on_only_by_the_rule():
    left = evidence(legs=[ours(bridges=[])], calls=[call("a")])
    assert "had answered" in broken(history(), left).popitem()[1][0]
    assert not broken(history(), replace(left, calls=[call("a", abandoned=True)]))
    assert not broken(history(), replace(left, legs=[ours(bridges=[], answered_at=None)])), "it only rang"


def test_an_attempt_that_stays_in_doubt_or_never_ends_is_found():
    assert broken(history(doubts={"a": Doubt("a", 100.0, 170.0)}), evidence())
    assert not broken(history(doubts={"a": Doubt("a", 100.0, 150.0)}), evidence())
    assert broken(history(), evidence(calls=[call("a", ended_at=None), call("b")]))


def test_a_live_state_that_is_late_or_never_right_is_found():
    assert broken(history(levellings=[Levelling("x", 11.0)]), evidence())
    assert broken(history(levellings=[Levelling("x", None)]), evidence())
    assert broken(history(levellings=[]), evidence())
    assert not broken(history(levellings=[Levelling("x", 11.0)], slack=2.0), evidence())
    assert broken(history(levellings=[Levelling("x", 21.0)], slack=2.0), evidence())


def test_a_board_that_shows_what_is_over_or_misses_what_lasts_is_found_unless_it_says_that_it_is_stale():
    shown = Sample("board", 125.0, 0.1, "", {"a": "bridged"})
    assert "shows a" in broken(history(samples=[shown]), evidence()).popitem()[1][0]
    assert not broken(history(samples=[replace(shown, at=119.0)]), evidence()), "on its way"
    assert not broken(history(samples=[replace(shown, calls={"a": "ended"})]), evidence()), "it says that it is over"
    doubted = replace(shown, calls={"a": "initiated"})
    assert not broken(history(samples=[doubted]), evidence()), "in doubt"
    assert broken(history(samples=[replace(doubted, at=165.0)]), evidence()), "in doubt for too long"
    assert not broken(history(samples=[replace(shown, trouble="bridge: link down")]), evidence())
    assert not broken(history(samples=[replace(shown, silent_for=4.0)]), evidence())
    lasting = evidence(legs=[leg("a", ended_at=None)])
    missed = Sample("board", 115.0, 0.1, "", {})
    assert "misses a" in broken(history(samples=[missed]), lasting).popitem()[1][0]
    assert not broken(history(samples=[replace(missed, at=111.0)]), lasting)
    assert broken(history(boards_differ=["board has 1 agents wrong"]), evidence())
    assert broken(history(samples=[]), evidence()), "boards that nobody looked at prove nothing"


def pause(answered_at: float, **more: Any) -> Command:
    return command(kind="campaign", target=CAMPAIGN, wish="pause", said_at=answered_at - 0.2, answered_at=answered_at,
                   **more)  # fmt: skip


def test_an_invite_after_a_pause_is_found_and_one_after_the_next_start_is_not():
    assert "1.5 s after its pause" in broken(history(pause(98.5)), evidence()).popitem()[1][0]
    assert not broken(history(pause(99.5)), evidence()), "within a second"
    assert not broken(history(pause(98.5, status="rejected")), evidence(applied={"x": "rejected"}))
    start = command(kind="campaign", target=CAMPAIGN, wish="start", said_at=99.0, answered_at=99.1)
    assert not broken(history(pause(98.5), start), evidence())
    assert broken(history(pause(98.5), replace(start, said_at=104.0, answered_at=104.1)), evidence())


def test_an_invite_to_a_number_that_was_forbidden_is_found():
    assert "forbidden" in broken(history(stops=[Stop("+1a", 98.0)]), evidence()).popitem()[1][0]
    assert not broken(history(stops=[Stop("+1a", 99.5), Stop("+1z", 90.0)]), evidence())


# --- Whether the live state is the switch's -----------------------------------------------------------------------


def look(at: float = 10.0, **more: Any) -> Look:
    right = Look(
        at, {"a": ("customer", "bridged"), "s": ("agent", "bridged")}, {"a": "bridged", "s": "bridged"}, {"a"}, {"s"},
        {"s"},
    )  # fmt: skip
    return replace(right, **more)


def test_equal_states_have_no_differences():
    assert differences([look(8.0), look(10.0)]) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"live": {"a": "answered", "s": "bridged"}}, "as answered, the switch as bridged"),
        ({"live": {"a": "bridged", "s": "bridged", "ghost": "answered"}}, "live:legs has ghost"),
        ({"calls": set()}, "no open record of customer a"),
        ({"softphones": set(), "talking": {"s"}}, "no open record of agent s"),
        ({"talking": set()}, "its agent is not on a call"),
        ({"calls": {"a", "lost"}}, "an open record of lost"),
    ],
)
def test_each_difference_is_named_once_it_lasts(wrong, words):
    found = differences([look(8.0, **wrong), look(10.0, **wrong)])
    assert len(found) == 1 and words in found[0]


def test_what_is_on_its_way_is_no_difference():
    before = look(8.0, legs={"a": ("customer", "answered"), "s": ("agent", "answered"), "old": ("customer", "bridged")})
    now = look(10.0, live={"a": "answered", "s": "bridged", "old": "bridged"}, calls={"a", "new"})
    assert differences([before, now]) == []
    waiting = {
        "legs": {"a": ("customer", "answered"), "s": ("agent", "answered")}, "live": {"a": "answered", "s": "answered"}
    }  # fmt: skip
    waits, joins = look(8.0, talking=set(), **waiting), look(10.0, **waiting)
    assert differences([waits, joins]) == [], "the joining is ordered"
    asked = {"calls": {"a", "new"}, "asked": {"new"}}
    assert differences([look(8.0, **asked), look(10.0, **asked)]) == [], "in doubt, and settled by asking"


def test_calls_a_second_are_those_of_the_seconds_under_fault(capsys):
    outside = [leg("before", invited_at=95.0), leg("after", invited_at=125.0)]
    told = history(began_at=96.0, ended_at=120.0)
    report.say(told, evidence(legs=[leg(str(n)) for n in range(48)] + outside), [], Size(), [1])
    assert "reached 2.0 calls/s, 48 joined" in capsys.readouterr().out


def test_whole_seconds_are_those_without_a_fault_and_some_after():
    told = history(faults=[Fault("worker", 104.5, 106.2), Fault("web", 107.0), Fault("redis", 130.0, 131.0)])
    told.began_at, told.ended_at = 100.2, 140.0
    assert report.whole_seconds(told) == {101, 102, 103, *range(110, 130), *range(134, 140)}
