"""Calls placed: from a committed order to the INVITE, beside the same originates from one bare client; and decided."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import transaction

from dialer import orders, outbox
from esl_bridge import render
from esl_bridge.link import CUSTOM_EVENTS, EVENTS
from events import streams
from tests.bench.speed.path_rows import until
from tests.bench.speed.rows import Row
from tests.fakes.processes import Processes

CALLS = 1_000
# Of one transaction: a decision places no more.
TOGETHER = 50
ROUNDS = 11
# Decided by the worker: so many agents in campaigns of TOGETHER each.
CAMPAIGNS = 6
UNTHROTTLED = ("--no-throttle", "--register", "0")
# The test numbering plan: rings for ever.
NUMBER = "+12125553{:04d}"


def measure() -> list[Row]:
    ours, raw = [], []
    for _ in range(ROUNDS):
        with TemporaryDirectory(prefix="bench-") as folder:
            ours.append(CALLS / _ours(Path(folder)))
        with TemporaryDirectory(prefix="bench-") as folder:
            raw.append(CALLS / _raw(Path(folder)))
    with TemporaryDirectory(prefix="bench-") as folder:
        seconds, first = _decided(Path(folder))
    note = f"{CALLS} originates, {TOGETHER} a transaction, to the simulated switch's last INVITE; medians of {ROUNDS}"
    decided = CAMPAIGNS * TOGETHER
    return [
        Row("calls placed, from the commit to the INVITE", statistics.median(ours), "calls/s",
            "the same originates sent raw by one client", statistics.median(raw), floor=0.8, note=note),
        Row("calls decided and placed by the dialer worker", decided / seconds, "calls/s",
            note=f"{decided} by {CAMPAIGNS} campaigns of {TOGETHER} idle agents each in one tick: the first INVITE "
                 f"after {first * 1000:.0f} ms, the last after {seconds * 1000:.0f} ms; what it takes is deciding"),
    ]  # fmt: skip


def made(count: int) -> list[orders.OriginateCustomer]:
    found = []
    for n in range(count):
        leg = str(uuid.uuid4())
        more: dict[str, Any] = {"leg": leg, "call_id": leg, "number": NUMBER.format(n), "timeout": 30}
        found.append(orders.OriginateCustomer(**outbox.header(), **more, caller_id_number=settings.CALLER_ID_NUMBER))
    return found


def _ours(folder: Path) -> float:
    """Seconds from the first transaction to the last INVITE, after TOGETHER calls that warm everybody up."""
    streams.connect().flushdb()
    with Processes(folder) as run:
        run.simulator(*UNTHROTTLED)
        run.manage("bridge", "run_esl_bridge")
        until(_link_is_up, "the bridge")
        wanted = made(TOGETHER + CALLS)
        for start in range(0, len(wanted), TOGETHER):
            with transaction.atomic():
                outbox.add_all([(order, None, None) for order in wanted[start : start + TOGETHER]], token=1)
            outbox.send_committed()
            if not start:
                invited(run.invites, TOGETHER)
                begun = time.time()
        return invited(run.invites, len(wanted))[-1] - begun


def _raw(folder: Path) -> float:
    plan = render.DialPlan(settings.ORIGINATE_CUSTOMER, settings.ORIGINATE_AGENT, settings.DIAL_ALLOWED_PREFIXES, "")
    file, wanted = folder / "orders", made(TOGETHER + CALLS)
    file.write_text("".join(f"{render.render(order, plan).line}\t{order.order_id}\n" for order in wanted))
    with Processes(folder) as run:
        run.simulator(*UNTHROTTLED)
        until(lambda: "simulated FreeSWITCH on" in run.log("simulator"), "the simulator")
        events = " ".join((*EVENTS, "CUSTOM", *CUSTOM_EVENTS))
        arguments = [str(run.switch_port), str(file), str(TOGETHER), events]
        command = [sys.executable, "-m", "tests.bench.speed.originator", *arguments]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout is not None
            begun = float(client.stdout.readline())
            return invited(run.invites, TOGETHER + CALLS)[-1] - begun
        finally:
            client.kill()
            client.wait()


def _decided(folder: Path) -> tuple[float, float]:
    """Seconds from a tick's task to the last INVITE, and to the first. Every process real; all agents are idle."""
    from celery import current_app

    from dialer.models import AgentLeg, DialerCampaign
    from tests.fakes.floor import ask_all_to_work, make_agents, make_campaign

    streams.connect().flushdb()
    agents = make_agents(CAMPAIGNS * TOGETHER, first=201)
    for n, agent in enumerate(agents):
        agent.extension = str(2001 + n)
        agent.save(update_fields=["extension"])
    campaigns = [
        make_campaign(
            agents[n * TOGETHER : (n + 1) * TOGETHER], TOGETHER, f"Campaign {n}", status="paused", offset=n * 100,
            calls_per_agent_per_hour=3_600,
        )
        for n in range(CAMPAIGNS)
    ]  # fmt: skip
    with Processes(folder) as run:
        run.backend(*UNTHROTTLED, "--agents", f"2001-{2000 + len(agents)}")
        until(_link_is_up, "the bridge")
        for campaign in campaigns:
            ask_all_to_work(campaign)
        open_legs = AgentLeg.objects.filter(ended_at=None, opened_at__isnull=False)
        until(lambda: open_legs.count() == len(agents), "the agents", 90)
        until(_quiet, "an end of what that means to the worker", 90)
        DialerCampaign.objects.update(status="active")
        begun = time.time()
        current_app.send_task("dialer.tasks.process_dialer_logic", queue="dialer_queue")
        times = invited(run.invites, len(agents), kind="customer")
        return times[-1] - begun, times[0] - begun


def _quiet() -> bool:
    """Nothing waits for the worker, three looks in a row."""
    client = streams.connect()
    waiting = []
    for _ in range(3):
        waiting.append(client.llen("dialer_queue"))
        time.sleep(0.5)
    return not any(waiting)


def _link_is_up() -> bool:
    beat = streams.connect().get(streams.HEARTBEAT_PREFIX + "bridge")
    return beat is not None and json.loads(beat)["link"] == "up"


def invited(log: Path, count: int, kind: str = "customer") -> Sequence[float]:
    """When the switch sent the INVITEs (s since 1970), once there are so many."""

    def times() -> list[float]:
        rows = [json.loads(line) for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return [row["invited_at"] for row in rows if row["event"] == "invite" and row["kind"] == kind]

    def all_there() -> bool:
        return log.exists() and log.read_bytes().count(b'"event":"invite"') >= count and len(times()) >= count

    until(all_there, f"{count} INVITEs", 60)
    return sorted(times())
