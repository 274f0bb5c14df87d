"""Throttle, session limit and pause, `show`, and what the switch says about itself.

These turn the limits of the switch, so they run against simulators of their own, except where
nothing is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.contract.client import Client
from tests.contract.conftest import Calls, Switch

OUT_OF_ORDER = "-ERR DESTINATION_OUT_OF_ORDER\n"
Simulated = Callable[..., Switch]


def _start(client: Client, count: int) -> list[str]:
    """Originate many patient customers in one write; returns the answers of the jobs."""
    client.send(
        "\n\n".join(
            f"bgapi originate {{originate_timeout=10}}sofia/gateway/carrier/9{n:04d} &park()" for n in range(count)
        )
    )
    jobs = [client.reply().headers["Job-UUID"] for _ in range(count)]
    return [client.job_done(job) for job in jobs]


def test_one_session_less_than_the_throttle_is_let_through_per_second(simulated: Simulated) -> None:
    with simulated().connect() as client:
        client.login().subscribe("json ALL")
        assert client.api("fsctl sps 5") == "+OK sessions per second: 5\n"
        # Begin in a fresh second: the throttle counts seconds of the clock.
        start = client.api("strepoch")
        client.until(lambda: client.api("strepoch") != start, "the next second")
        answers = _start(client, 20)
        assert sum(answer.startswith("+OK") for answer in answers) == 4
        assert answers.count(OUT_OF_ORDER) == 16
        assert len({e.uuid for e in client.events if e.name == "CHANNEL_CREATE"}) == 4


def test_no_more_sessions_than_the_maximum_exist(simulated: Simulated) -> None:
    with simulated().connect() as client:
        client.login().subscribe("json ALL")
        assert client.api("fsctl max_sessions 3") == "+OK max sessions: 3\n"
        answers = _start(client, 6)
        assert [a.startswith("+OK") for a in answers] == [True] * 3 + [False] * 3
        assert answers[3:] == [OUT_OF_ORDER] * 3
        assert client.api("hupall") == "+OK hangup all channels with cause MANAGER_REQUEST\n"
        client.until(lambda: "0 session(s) - peak 3" in client.api("status"), "the end of all legs")
        assert _start(client, 1)[0].startswith("+OK")


def test_a_paused_switch_starts_no_calls(simulated: Simulated) -> None:
    with simulated().connect() as client:
        client.login().subscribe("json ALL")
        assert client.api("fsctl pause_check") == "false"
        assert client.api("fsctl pause") == "+OK\n"
        assert client.api("fsctl pause_check") == "true"
        assert _start(client, 1) == [OUT_OF_ORDER]
        assert not any(e.name.startswith("CHANNEL") for e in client.events)
        assert client.api("fsctl resume") == "+OK\n"
        assert _start(client, 1)[0].startswith("+OK")


def test_without_throttle_nothing_is_refused(simulated: Simulated) -> None:
    with simulated(throttle=False, sessions_per_second=2, max_sessions=1).connect() as client:
        client.login().subscribe("json BACKGROUND_JOB")
        assert all(answer.startswith("+OK") for answer in _start(client, 10))


def test_an_idle_switch_shows_no_rows_at_all(simulated: Simulated) -> None:
    with simulated().connect() as client:
        client.login()
        for what in ("channels", "calls", "bridged_calls"):
            assert client.api(f"show {what} as json") == '{"row_count": 0}\n'
        assert client.api("show channels count") == "\n0 total.\n"


def test_show_catches_up_with_the_calls(client: Client, calls: Calls) -> None:
    c, a = calls.bridged()

    def rows(what: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(client.api(f"show {what} as json")).get("rows", [])
        return found

    client.until(lambda: {c, a} <= {row["uuid"] for row in rows("channels")}, "both channels")
    client.until(lambda: any(r["uuid"] == c and r["b_uuid"] == a for r in rows("calls")), "the call")
    row = next(row for row in rows("channels") if row["uuid"] == c)
    assert list(row)[:10] == [
        "uuid",
        "direction",
        "created",
        "created_epoch",
        "name",
        "state",
        "cid_name",
        "cid_num",
        "ip_addr",
        "dest",
    ]
    assert (row["callstate"], row["dest"]) == ("ACTIVE", "91234")
    client.api(f"uuid_kill {c}")
    client.wait_gone(a)
    client.until(lambda: not {c, a} & {row["uuid"] for row in rows("channels")}, "no channel")


def test_show_can_look_for_a_text(client: Client, calls: Calls) -> None:
    c, job = calls.customer("97531")
    client.job_done(job)
    client.until(lambda: c in client.api("show channels like 97531 as json"), "the channel")
    assert json.loads(client.api("show channels like nothing_like_it as json")) == {"row_count": 0}


def test_the_switch_tells_its_version(client: Client) -> None:
    assert client.api("version short").startswith("1.10.")
    assert client.api("version").startswith("FreeSWITCH Version 1.10.")
    assert "session(s) max" in client.api("status")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("sofia_contact 1050@127.0.0.1", "error/user_not_registered"),
        ("global_getvar hold_music", "local_stream://moh"),
    ],
)
def test_short_answers_have_no_line_end(client: Client, command: str, answer: str) -> None:
    assert client.api(command) == answer


def test_an_unknown_fsctl_explains_itself(client: Client) -> None:
    assert client.api("fsctl pause_outbound").startswith("-ERR Invalid command\nUSAGE: fsctl [")


def test_heartbeats_come_in_their_interval(simulated: Simulated) -> None:
    with simulated(heartbeat=0.1).connect() as client:
        client.login().subscribe("json HEARTBEAT")
        client.until(lambda: len(client.events) >= 3, "three heartbeats")
        beat = client.events[-1]
        assert beat.names[-14:] == [
            "Event-Info",
            "Up-Time",
            "FreeSWITCH-Version",
            "Uptime-msec",
            "Session-Count",
            "Max-Sessions",
            "Session-Per-Sec",
            "Session-Per-Sec-Last",
            "Session-Per-Sec-Max",
            "Session-Per-Sec-FiveMin",
            "Session-Since-Startup",
            "Session-Peak-Max",
            "Session-Peak-FiveMin",
            "Idle-CPU",
        ]
        # What is left of this second's budget, not a rate.
        assert beat["Session-Per-Sec"] == "200"
