"""The whole back end as separate processes through the simulator: its own log of every leg is the judge."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from dialer.limits import ANSWER_GRACE
from dialer.models import Agent, CallLog, DialerCampaign, PacingDecision
from events.models import CallStateEvent, EventBatch, FreeSwitchEvent
from tests.conftest import wait_until
from tests.fakes.floor import ask_all_to_work, make_working_floor
from tests.fakes.processes import Processes, legs_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
    pytest.mark.slow,
]

# The test numbering plan: the fifth digit from the end says what the customer does (tests/data/esl/README.md).
FATES = {
    "1": ("completed", True),
    "2": ("completed", True),
    "3": ("no_answer", False),
    "4": ("busy", False),
    "5": ("failed", False),
    "6": ("invalid", False),
    "8": ("failed", False),
}
PER_FATE = 4
UNIX = datetime(1970, 1, 1, tzinfo=UTC)
AGENTS = 8


def make_floor() -> DialerCampaign:
    numbers = [f"+121255{digit}{n:04d}" for n in range(PER_FATE) for digit in FATES]
    campaign = make_working_floor(numbers, AGENTS, max_retry_attempts=0, ring_timeout_seconds=15)
    ask_all_to_work(campaign)
    return campaign


@pytest.mark.timeout(180)
def test_every_customers_fate_in_the_switchs_log_equals_its_call_record(tmp_path):
    campaign = make_floor()
    total = PER_FATE * len(FATES)
    with Processes(tmp_path) as run:
        # Half their talk of five seconds: who answers is joined before that, even when the machine has others to serve.
        run.backend("--speed", "2", "--register", "2")
        wait_until(lambda: CallLog.objects.filter(ended_at__isnull=False).count() == total, "every call ended", 120)
        wait_until(
            lambda: Agent.objects.filter(registered="yes").count() == AGENTS, "every softphone known as registered"
        )
        wait_until(
            lambda: Agent.objects.filter(status="available", softphone="open").count() == AGENTS,
            "every agent free again",
        )
        wait_until(
            lambda: CallLog.objects.exclude(cdr_data={}).count() >= total,
            "every call's record from the switch stored",
            60,
        )
        wait_until(
            lambda: not EventBatch.objects.exclude(status="completed").exists(), "every batch of events stored", 60
        )
        legs = legs_of(run.invites)

    customers = [leg for leg in legs if leg["kind"] == "customer"]
    assert Counter(leg["number"] for leg in customers) == Counter(
        {f"+121255{digit}{n:04d}": 1 for digit in FATES for n in range(PER_FATE)}
    ), "each number dialled exactly once"
    calls = {call.freeswitch_uuid: call for call in CallLog.objects.all()}
    assert len(calls) == total
    for leg in customers:
        call = calls[leg["uuid"]]
        status, answered = FATES[call.to_number[-5]]
        assert call.to_number == leg["number"]
        assert call.status == status, (call.to_number, call.disconnect_reason)
        assert call.disconnect_reason == leg["hangup_cause"]
        assert (call.answered_at is not None) == (leg["answered_at"] is not None) == answered
        assert (call.bridged_at is not None) == bool(leg["bridges"])
        if leg["answered_at"] is not None:
            answer = FreeSwitchEvent.objects.get(event_type="CHANNEL_ANSWER", channel_uuid=leg["uuid"]).event_data
            said = int(answer["Caller-Channel-Answered-Time"]) or int(answer["Event-Date-Timestamp"])
            # To the millisecond: what is made up from the live state knows no more.
            assert abs(call.answered_at - UNIX - timedelta(microseconds=said)) < timedelta(milliseconds=2), ""
            # A busy machine may join somebody late, or not before they hang up: then the record says so.
            late = call.bridged_at is None or call.bridged_at - call.answered_at > ANSWER_GRACE
            assert call.abandoned == late
        assert call.decision is not None, "a stored decision explains every call"
    assert any(call.bridged_at is not None for call in calls.values())
    agents = [leg for leg in legs if leg["kind"] == "agent"]
    assert len(agents) == AGENTS, "each softphone was called once and held open"
    assert PacingDecision.objects.filter(campaign=campaign).exists()
    assert FreeSwitchEvent.objects.filter(event_type="CHANNEL_HANGUP_COMPLETE").count() >= total
    for call in calls.values():
        states = list(
            CallStateEvent.objects.filter(channel_uuid=call.freeswitch_uuid)
            .order_by("id")
            .values_list("current_state", flat=True)
        )
        assert states and states[-1] == "ended", states
