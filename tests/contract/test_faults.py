"""Disconnects, restarts, slow readers, and the simulator as judge. Simulator only."""

from __future__ import annotations

import json
import time
import uuid as uuids
from collections.abc import Callable
from pathlib import Path

import pytest

from esl_bridge.simulator import Config, SimulatorThread
from tests.contract.client import Client, Gone
from tests.contract.conftest import Calls, Switch

Simulated = Callable[..., Switch]


def _enter(switch: Switch, events: str = "json ALL") -> Client:
    return switch.connect().login().subscribe(events)


def test_dropped_links_are_reset_and_calls_go_on(simulated: Simulated) -> None:
    switch = simulated()
    with _enter(switch) as first, _enter(switch) as second:
        c, job = Calls(first).customer("91234")
        first.job_done(job)
        second.send("api simulator drop_links")
        for client in (first, second):
            client.wait_eof()
        with _enter(switch) as third:
            assert third.api(f"uuid_exists {c}") == "true"


def test_a_frozen_switch_sends_nothing_for_a_while_and_loses_nothing(simulated: Simulated) -> None:
    switch = simulated()
    with _enter(switch) as client:
        assert client.api("simulator freeze 0.5") == "+OK\n"
        start = time.monotonic()
        client.send("api strepoch")
        assert client.reply().text.isdigit()
        assert time.monotonic() - start > 0.3


def test_a_crash_ends_every_leg_without_a_word_and_a_new_process_begins(simulated: Simulated, tmp_path: Path) -> None:
    log = tmp_path / "legs.jsonl"
    switch = simulated(log=str(log))
    with _enter(switch) as client:
        c, a = Calls(client).bridged()
        before = client.events[-1]["Core-UUID"]
        client.send("api simulator crash")
        client.wait_eof()
        assert not client.notices
        assert not any("HANGUP" in e.name for e in client.events)
    with _enter(switch) as client:
        assert client.api(f"uuid_exists {c}") == "false"
        assert client.api("show channels as json") == '{"row_count": 0}\n'
        client.job("status")
        assert client.events[-1]["Core-UUID"] != before
        assert int(client.events[-1]["Event-Sequence"]) < 10
    ended = {line["uuid"]: line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "ended"}
    assert ended[c]["hangup_cause"] == ended[a]["hangup_cause"] == "CRASH"


def test_a_crash_may_take_time_to_come_back(simulated: Simulated) -> None:
    switch = simulated()
    with _enter(switch) as client:
        client.send("api simulator crash 0.5")
        client.wait_eof()
    with pytest.raises(ConnectionRefusedError):
        switch.connect()
    _connect_when_up(switch).close()


def test_a_restart_hangs_up_every_call_says_goodbye_and_comes_back(simulated: Simulated) -> None:
    switch = simulated(speed=8.0)
    with _enter(switch) as client:
        c, a = Calls(client).bridged()
        ringing, job = Calls(client).customer("31234")
        client.wait_for("CHANNEL_PROGRESS", ringing)
        before = client.events[-1]["Core-UUID"]
        assert client.api("fsctl shutdown restart") == "+OK\n"
        for leg in (c, a, ringing):
            assert client.wait_gone(leg)["Hangup-Cause"] == "SYSTEM_SHUTDOWN"
        assert client.job_done(job) == "-ERR SYSTEM_SHUTDOWN\n"
        with pytest.raises(Gone):
            client.until(lambda: False, "the end")
        assert client.notices == ["The system is being shut down.\n"]
    with pytest.raises(ConnectionRefusedError):
        switch.connect()
    with _connect_when_up(switch) as client:
        client.login().subscribe()
        assert client.api("show channels count") == "\n0 total.\n"
        assert client.events[-1]["Core-UUID"] != before if client.events else True
        client.job("status")
        assert client.events[-1]["Core-UUID"] != before


def test_shutdown_now_is_a_bare_end_of_file(simulated: Simulated) -> None:
    with _enter(simulated()) as client:
        client.send("api fsctl shutdown now")
        client.wait_eof()
        assert not client.notices


def test_an_elegant_shutdown_waits_for_the_last_call_and_can_be_cancelled(simulated: Simulated) -> None:
    switch = simulated()
    with _enter(switch) as client:
        c, job = Calls(client).customer("91234")
        client.job_done(job)
        shutdown = client.bgapi("fsctl shutdown elegant")
        client.wait(lambda e: e.name == "SHUTDOWN_REQUESTED")
        assert client.api("fsctl shutdown_check") == "true"
        assert client.api("fsctl shutdown cancel") == "+OK\n"
        assert client.job_done(shutdown) == "+OK\n"
        assert client.api(f"uuid_exists {c}") == "true"


def test_a_reader_that_stops_loses_events_in_silence_and_is_then_killed(simulated: Simulated) -> None:
    switch = simulated(queue_limit=100)
    with _enter(switch, "plain ALL") as slow, _enter(switch, "json HEARTBEAT") as pump:
        big = "x" * 100_000
        # Far more than the sockets hold, the queue and the 500 that may be lost.
        for _ in range(900):
            pump.send(f"sendevent CUSTOM\nEvent-Subclass: big::event\ndata: {big}")
            if _unanswered(pump):
                break
        else:
            pytest.fail("everybody should have been frozen by the stuck reader")
        slow.wait_eof()
        assert slow.notices == ["killed listener because of lost events\n"]
        assert pump.reply().headers["Reply-Text"].startswith("+OK")


def _unanswered(client: Client) -> bool:
    try:
        client.reply(limit=1.0)
    except AssertionError:
        return True
    return False


def test_rejected_jobs_read_like_a_throttle(simulated: Simulated) -> None:
    with _enter(simulated()) as client:
        assert client.api("simulator reject_jobs on") == "+OK\n"
        uuid = str(uuids.uuid4())
        answer = client.job(f"originate {{origination_uuid={uuid}}}sofia/gateway/carrier/91234 &park()")
        assert answer == "-ERR DESTINATION_OUT_OF_ORDER\n"
        assert client.leg(uuid) == []
        client.api("simulator reject_jobs off")
        assert client.job("originate {originate_timeout=9}sofia/gateway/carrier/91234 &park()").startswith("+OK")


def test_the_far_ends_hang_up_on_request(simulated: Simulated) -> None:
    with _enter(simulated()) as client:
        c, a = Calls(client).bridged(agent_variables="park_after_bridge=true")
        assert client.api(f"simulator customer_hangup {c}") == "+OK\n"
        assert client.wait_gone(c)["variable_sip_hangup_disposition"] == "recv_bye"
        assert client.api("simulator agent_hangup 1001") == "+OK\n"
        assert client.wait_gone(a)["variable_sip_hangup_disposition"] == "recv_bye"
        assert client.api("simulator agent_hangup 1001") == "-ERR No such channel!\n"


def test_the_judge_remembers_every_invite(simulated: Simulated, tmp_path: Path) -> None:
    log = tmp_path / "legs.jsonl"
    with _enter(simulated(log=str(log))) as client:
        c, a = Calls(client).bridged()
        busy, job = Calls(client).customer("41234")
        client.job_done(job)
        client.wait_gone(busy)
        client.api(f"uuid_kill {c}")
        client.wait_gone(c)
        live, job = Calls(client).customer("91234")
        client.job_done(job)
        legs = {leg["uuid"]: leg for leg in json.loads(client.api("simulator legs"))}
    assert set(legs) == {c, a, busy, live}
    assert (legs[c]["kind"], legs[a]["kind"], legs[a]["number"]) == ("customer", "agent", "1001")
    assert legs[busy]["result"] == "-ERR USER_BUSY"
    assert legs[busy]["answered_at"] is None
    assert legs[c]["result"] == "+OK"
    assert legs[c]["bridges"][0]["peer"] == a
    assert legs[c]["invited_at"] < legs[c]["answered_at"] < legs[c]["bridges"][0]["at"] < legs[c]["ended_at"]
    assert legs[live]["ended_at"] is None
    assert legs[live]["nth"] == 2
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["uuid"] for line in lines if line["event"] == "invite") == sorted(legs)
    assert sorted(line["uuid"] for line in lines if line["event"] == "ended") == sorted({c, a, busy})


def test_a_live_leg_is_written_when_the_simulator_stops(tmp_path: Path) -> None:
    log = tmp_path / "legs.jsonl"
    simulator = SimulatorThread(Config(port=0, log=str(log)))
    simulator.start()
    with _enter(Switch("127.0.0.1", simulator.port, "ClueCon", True, 1.0)) as client:
        c, job = Calls(client).customer("91234")
        client.job_done(job)
    simulator.stop()
    events = [(line["event"], line["uuid"]) for line in map(json.loads, log.read_text().splitlines())]
    assert events == [("invite", c), ("live", c)]


def test_a_refused_originate_is_no_invite(simulated: Simulated) -> None:
    with _enter(simulated()) as client:
        client.api("fsctl pause")
        client.job("originate sofia/gateway/carrier/91234 &park()")
        client.job("originate user/1050 &park()")
        assert json.loads(client.api("simulator legs")) == []


def test_the_same_seed_gives_the_same_answers(simulated: Simulated) -> None:
    numbers = [f"+3310000{n:04d}" for n in range(30)]

    def fates() -> list[str]:
        with _enter(simulated(seed=7, throttle=False), "json BACKGROUND_JOB") as client:
            for number in numbers:
                client.bgapi(f"originate {{originate_timeout=9}}sofia/gateway/carrier/{number} &park()")
            return [leg["fate"] for leg in json.loads(client.api("simulator legs"))]

    first = fates()
    assert first == fates()
    assert len(set(first)) >= 3


def _connect_when_up(switch: Switch) -> Client:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            return switch.connect()
        except ConnectionRefusedError:
            continue
    raise AssertionError("the switch did not come back")
