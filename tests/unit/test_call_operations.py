"""What may be done with a live call, by its situation."""

from dataclasses import replace
from typing import get_args

import pytest

from console.protocol import CallAction
from dialer import call_operations as ops
from dialer.call_operations import Situation, refusal

TALKING = Situation()
CONSULTING = replace(TALKING, consult="talking", parked=True)


def test_every_action_of_the_protocol_is_known_and_no_other():
    assert set(ops.ACTIONS) == set(get_args(CallAction))
    assert "is no action" in refusal("originate", TALKING)


@pytest.mark.parametrize("action", ops.ACTIONS)
def test_before_the_answer_a_call_can_only_be_hung_up(action):
    said = refusal(action, Situation(answered=False, talked=False))
    assert (said == "") == (action in {"hangup", "stop_listening"})


@pytest.mark.parametrize("operation", ops.WORDS)
@pytest.mark.parametrize("action", sorted(ops.MOVES))
def test_while_the_switch_moves_a_call_no_other_move_begins(action, operation):
    for situation in (TALKING, CONSULTING, replace(TALKING, parked=True)):
        said = refusal(action, replace(situation, operation=operation))
        assert said or (action, operation) == ("consult_cancel", ops.CONSULT)
    assert refusal("hangup", replace(TALKING, operation=operation)) == ""


@pytest.mark.parametrize(
    ("action", "situation", "said"),
    [
        ("hold", TALKING, ""),
        ("hold", replace(TALKING, held=True), "on hold already"),
        ("hold", replace(TALKING, parked=True), "waits already"),
        ("hold", replace(TALKING, agent=False), "nobody is talking"),
        ("hold", replace(TALKING, agent=False, taken_over=True), ""),
        ("unhold", replace(TALKING, held=True), ""),
        ("unhold", TALKING, "not on hold"),
        ("mute", TALKING, ""),
        ("mute", replace(TALKING, muted=True), "already"),
        ("unmute", replace(TALKING, muted=True), ""),
        ("unmute", TALKING, "not muted"),
        ("park", TALKING, ""),
        ("park", replace(TALKING, parked=True), "already"),
        ("park", CONSULTING, "consultation"),
        ("park", replace(TALKING, agent=False), "no agent"),
        ("unpark", replace(TALKING, parked=True), ""),
        ("unpark", TALKING, "not parked"),
        ("unpark", CONSULTING, "consultation"),
        ("transfer", TALKING, ""),
        ("transfer", replace(TALKING, talked=False), ""),
        ("transfer", CONSULTING, "consultation"),
        ("consult", TALKING, ""),
        ("consult", replace(TALKING, parked=True), ""),
        ("consult", CONSULTING, "already"),
        ("consult_complete", CONSULTING, ""),
        ("consult_complete", replace(CONSULTING, consult="ringing"), "not answered"),
        ("consult_complete", TALKING, "nobody"),
        ("consult_cancel", CONSULTING, ""),
        ("consult_cancel", replace(TALKING, consult="ringing", operation=ops.CONSULT), ""),
        ("consult_cancel", TALKING, "nobody"),
        ("take_over", TALKING, ""),
        ("take_over", replace(TALKING, parked=True), ""),
        ("take_over", CONSULTING, "consultation"),
        ("take_over", replace(TALKING, agent=False, taken_over=True), "no agent"),
        ("listen", TALKING, ""),
        ("listen", replace(TALKING, talked=False), "nobody is talking"),
        ("whisper", replace(TALKING, agent=False), "no agent"),
        ("record_start", TALKING, ""),
        ("record_start", replace(TALKING, recording="paused"), "already"),
        ("record_pause", replace(TALKING, recording="on"), ""),
        ("record_resume", replace(TALKING, recording="on"), "not paused"),
    ],
)
def test_what_the_situation_allows_and_why_not(action, situation, said):
    found = refusal(action, situation)
    assert found == said if not said else said in found
