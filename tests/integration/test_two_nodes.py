"""Two switches, a bridge each: calls are placed where their agents' softphones are; each switch's log is the judge."""

from collections import Counter

import pytest

from dialer.models import Agent, CallLog
from events import counters, streams
from tests.conftest import wait_until
from tests.fakes.floor import ask_all_to_work, make_working_floor
from tests.fakes.processes import Processes, free_port, legs_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.full,
]
AGENTS = 4
ENOUGH = 3  # conversations of each node


def talks(first: int, last: int) -> int:
    """Conversations of the agents with these extensions."""
    joined = CallLog.objects.filter(bridged_at__isnull=False)
    return joined.filter(agent__extension__gte=str(first), agent__extension__lte=str(last)).count()


@pytest.mark.timeout(180)
def test_each_call_is_on_the_node_of_its_agent_and_a_node_that_is_lost_stops_only_its_own(tmp_path):
    # Those who answer and talk.
    campaign = make_working_floor([f"+1212551{n:04d}" for n in range(400)], AGENTS, mode="power", power_ratio=2)
    main, east = free_port(), free_port()
    places = f"main=127.0.0.1:{main}/1001-1002,east=127.0.0.1:{east}/1003-1004"
    with Processes(tmp_path, FREESWITCH_NODES=places) as run:
        for name, port in (("main", main), ("east", east)):
            log = str(tmp_path / f"{name}.jsonl")
            run.manage(f"switch-{name}", "run_switch_simulator", "--port", str(port), "--log", log, "--speed", "10")
            run.environment["FREESWITCH_NODE"] = name
            run.manage(f"bridge-{name}", "run_esl_bridge")
        del run.environment["FREESWITCH_NODE"]
        run.manage("ingest", "run_event_ingest")
        run.worker("dialer_queue")
        ask_all_to_work(campaign)
        wait_until(lambda: min(talks(1001, 1002), talks(1003, 1004)) >= ENOUGH, "both nodes talk", 90)
        # Each bridge has looked through what is live at least once, and has taken nothing of the other's for lost.
        wait_until(lambda: counters.read().get("switch_comparisons", 0) >= 2, "compared", 40)
        run.stop("bridge-east")
        beats = streams.shared()
        wait_until(lambda: not beats.exists("lease:bridge:east"), "its lease given up")
        wait_until(lambda: b'"up"' not in (beats.get("heartbeat:bridge:east") or b""), "seen")
        placed = talks(1001, 1002)
        wait_until(lambda: talks(1001, 1002) >= placed + ENOUGH, "the other node goes on", 60)
        since = CallLog.objects.latest("pk").initiated_at
        legs = {name: legs_of(tmp_path / f"{name}.jsonl") for name in ("main", "east")}
        lost = CallLog.objects.filter(disconnect_reason="LOST", initiated_at__lt=since).count()
        gone = counters.read().get("drift_legs|was=gone", 0)
    agent_of = dict(CallLog.objects.exclude(agent=None).values_list("freeswitch_uuid", "agent__extension"))
    for name, own in (("main", {"1001", "1002"}), ("east", {"1003", "1004"})):
        softphones = [leg["number"] for leg in legs[name] if leg["kind"] == "agent"]
        assert sorted(softphones) == sorted(own), "each softphone is called once, by its own switch"
        customers = [leg for leg in legs[name] if leg["kind"] == "customer"]
        assert customers and {agent_of[leg["uuid"]] for leg in customers} <= own
        joined = {leg["uuid"] for leg in customers if leg["bridges"]}
        mine = {leg["uuid"] for leg in legs[name]}
        assert joined and all(meeting["peer"] in mine for leg in customers for meeting in leg["bridges"])
    numbers = Counter(leg["number"] for name in legs for leg in legs[name] if leg["kind"] == "customer")
    assert max(numbers.values()) == 1, "nobody is dialled twice, by whichever switch"
    assert (lost, gone) == (0, 0)
    assert Agent.objects.filter(status="on_call").count() <= AGENTS
