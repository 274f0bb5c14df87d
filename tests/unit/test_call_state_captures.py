"""Every captured scenario folds to the outcome that its note tells: who was called, how far it came, how it ended."""

from collections import Counter
from itertools import pairwise

import pytest

from events import call_state, facts
from tests.fakes import captures

# number -> states passed through (i initiated, a alerting, A answered, b bridged, h held, e ended), cause, SIP status.
# A leg left alone when its peer ends may or may not be told so before its own end: "(A)".
CLEARED = "NORMAL_CLEARING"
PARKED_AND_KILLED = ("iaAe", CLEARED, "")
TALKED = ("iaAb(A)e", CLEARED, "")
OUTCOMES = {
    "01_answered_customer_hangs_up": [("21234", "iaAe", CLEARED, "200")],
    "02_answered_bridged_agent_hangs_up": [("91234", *TALKED), ("1001", "iaAbe", CLEARED, "200")],
    "03_no_answer": [("31234", "iae", "NO_ANSWER", "487")],
    "04_busy": [("41234", "ie", "USER_BUSY", "486")],
    "05_rejected": [("51234", "iae", "CALL_REJECTED", "603")],
    "06_unallocated": [("61234", "ie", "UNALLOCATED_NUMBER", "404")],
    "06b_temp_failure_and_dead_gateways": [
        ("81234", "ie", "NORMAL_TEMPORARY_FAILURE", "503"),
        ("21234", "ie", "NORMAL_TEMPORARY_FAILURE", "503"),
        ("", "e", "NONE", ""),  # the unknown gateway: one CHANNEL_DESTROY of a uuid that nobody asked for
        ("123", "ie", "NO_ROUTE_DESTINATION", "404"),
        ("1041", "iae", "NO_ANSWER", "487"),
        ("1044", "ie", "USER_BUSY", "486"),
        ("1046", "iae", "CALL_REJECTED", "603"),
    ],
    "07_hold_unhold": [("91234", "iaAbhb(A)e", CLEARED, ""), ("1001", "iaAbhbhb(A)e", CLEARED, "")],
    "07b_mute_dtmf_park": [("91234", "iaAbAb(A)e", "ALLOTTED_TIMEOUT", ""), ("1001", "iaAbAb(A)e", CLEARED, "")],
    "08_blind_transfer": [("91234", "iaAbAb(A)e", CLEARED, ""), ("1001", "iaAbe", CLEARED, ""), ("1002", *TALKED)],
    "09_eavesdrop_whisper_barge": [
        ("99123", *TALKED),
        ("1001", *TALKED),
        ("1003", *PARKED_AND_KILLED),
        ("1004", *PARKED_AND_KILLED),
    ],
    "10_recording": [("99123", *TALKED), ("1040", *TALKED)],
    "11_two_overlapping": [
        ("21234", "iaAb(A)e", CLEARED, "200"),
        ("91235", *TALKED),
        ("1001", *TALKED),
        ("1002", *TALKED),
    ],
    "12_failed_commands": [
        ("41234", "ie", "USER_BUSY", "486"),
        ("51234", "iae", "CALL_REJECTED", "603"),
        ("61234", "ie", "UNALLOCATED_NUMBER", "404"),
        ("81234", "ie", "NORMAL_TEMPORARY_FAILURE", "503"),
        ("31234", "iae", "NO_ANSWER", "487"),
        ("", "e", "NONE", ""),
        ("91234", "iaAe", "DESTINATION_OUT_OF_ORDER", ""),  # answered, then no such application
        ("91234", *PARKED_AND_KILLED),
    ],
    "13_unicode_percent_newline_long": [("91234", *TALKED), ("1001", *TALKED), ("91234", *PARKED_AND_KILLED)],
    "14_heartbeat_reloadxml": [("91234", *PARKED_AND_KILLED)],
    "14b_shutdown_restart": [
        ("91234", "iaAb(A)e", "SYSTEM_SHUTDOWN", ""),
        ("1001", "iaAb(A)e", "SYSTEM_SHUTDOWN", ""),
        ("31234", "iae", "SYSTEM_SHUTDOWN", "487"),
    ],
    "15_throttle_sps_max_sessions": [
        *(("9000" + digit, *PARKED_AND_KILLED) for digit in "0011223"),
        ("91234", "iaAe", "MANAGER_REQUEST", ""),
    ],
    "16_api_responses": [("91234", *TALKED), ("1001", *TALKED), ("31234", "iae", CLEARED, "487")],
    "20_conference": [(number, *PARKED_AND_KILLED) for number in ("99123", "1001", "1003")],
}
LETTERS = {"initiated": "i", "alerting": "a", "answered": "A", "bridged": "b", "held": "h", "ended": "e"}


def folded(name, form):
    legs, passed = {}, {}
    for event in captures.events(name, form):
        for fact in facts.facts_of(event):
            state, transition = call_state.fold(legs.get(fact.leg), fact)
            if state is not None:
                legs[fact.leg] = state
            if transition is not None:
                assert transition.previous == (passed[fact.leg][-1].current if passed.get(fact.leg) else "")
                passed.setdefault(fact.leg, []).append(transition)
    return legs, passed


def passes(pattern):
    return {pattern.replace("(A)", ""), pattern.replace("(A)", "A")}


def test_the_table_names_every_capture():
    assert {*OUTCOMES, "17_burst_200"} == set(captures.NAMES)


@pytest.mark.parametrize("form", captures.FORMATS)
@pytest.mark.parametrize("name", OUTCOMES)
def test_every_capture_folds_to_what_its_note_tells(name, form):
    legs, passed = folded(name, form)
    told = [
        (leg.number, "".join(LETTERS[step.current] for step in passed[uuid]), leg.cause, leg.sip_status)
        for uuid, leg in legs.items()
    ]
    left = list(told)
    for number, states, cause, status in OUTCOMES[name]:
        match = next(
            (row for row in left if (row[0], *row[2:]) == (number, cause, status) and row[1] in passes(states)), None
        )
        assert match is not None, f"no leg {number} {states} {cause} {status} among {left}"
        left.remove(match)
    assert left == []


@pytest.mark.parametrize("form", captures.FORMATS)
def test_a_burst_of_two_hundred_rings_and_loses_nobody(form):
    # The capture is cut inside a frame, before the first answer.
    created = [
        event["Unique-ID"] for event in captures.events("17_burst_200", form) if event["Event-Name"] == "CHANNEL_CREATE"
    ]
    legs, _ = folded("17_burst_200", form)
    assert set(created) == set(legs)
    assert Counter(leg.state for leg in legs.values()).keys() <= {"initiated", "alerting"}


@pytest.mark.parametrize("form", captures.FORMATS)
@pytest.mark.parametrize("name", OUTCOMES)
def test_times_of_a_captured_leg_are_in_order_and_its_durations_add_up(name, form):
    legs, passed = folded(name, form)
    for uuid, leg in legs.items():
        known = [at for at in (leg.created_at, leg.ringing_at, leg.answered_at, leg.bridged_at, leg.ended_at) if at]
        assert known == sorted(known)
        steps = passed[uuid]
        assert all(step.at >= before.at for before, step in pairwise(steps))
        assert sum(step.duration_ms or 0 for step in steps) == steps[-1].at - steps[0].at


@pytest.mark.parametrize("name", OUTCOMES)
def test_both_formats_of_the_switch_tell_the_same_story(name):
    def story(form):
        return Counter((leg.number, leg.state, leg.cause, leg.sip_status) for leg in folded(name, form)[0].values())

    assert story("json") == story("plain")
