"""What one decision costs: 300 agents, 20 predictive campaigns: `python -m tests.bench.decisions`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`). Prints the pure
policy's and the whole decision's milliseconds, and how many decisions a second the sequential worker makes beside what
the bare queue takes: the same worker with a Celery task that does nothing.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench import product

BARE_TASK = "celery.accumulate"  # Celery's own; returns its arguments.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=300)
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10, help="decisions of each campaign")
    options = parser.parse_args()
    with product.floor() as folder:
        campaigns = _floor(options)
        _in_process(campaigns, options)
        _through_the_queue(campaigns, options, folder)
    return 0


def _floor(options: argparse.Namespace) -> list[Any]:
    """Half of the agents talk, a tenth wrap up, the rest are idle; as many calls ring as agents are idle. No contact is
    due, so each decision is a whole one and leaves the floor as it was."""
    from datetime import timedelta

    from django.core.files.base import ContentFile
    from django.utils import timezone

    from dialer import demo
    from dialer.models import Agent, CallLog, DialerCampaign, DialerTargetList, Message
    from tests.fakes.floor import any_hour

    now = timezone.now()
    message = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
    campaigns, crew_size, number = [], options.agents // options.campaigns, 0
    for place in range(options.campaigns):
        campaign = DialerCampaign.objects.create(
            name=f"Campaign {place}", target_list=DialerTargetList.objects.create(name=f"List {place}"),
            status="active", profile=any_hour(), mode="predictive", message=message,
        )  # fmt: skip
        crew = [
            Agent.objects.create(
                agent_id=f"agent_{place}_{n}", extension=str(20_000 + place * crew_size + n), softphone="open",
                status=("on_call", "available", "on_call", "available", "on_call", "busy")[n % 6],
                status_reason="wrap_up" if n % 6 == 5 else "", status_since=now, idle_since=now,
            )
            for n in range(crew_size)
        ]  # fmt: skip
        campaign.assigned_agents.set(crew)
        calls = []
        for agent in crew:
            talks = agent.status == "on_call"
            if not talks and agent.status != "available":
                continue
            number += 1
            calls.append(
                CallLog(
                    freeswitch_uuid=f"leg-{number}", to_number=f"+1646{2_000_000 + number}", campaign=campaign,
                    agent=agent if talks else None, status="answered" if talks else "dialing",
                    initiated_at=now - timedelta(seconds=60 if talks else 5),
                    answered_at=now - timedelta(seconds=50) if talks else None,
                    bridged_at=now - timedelta(seconds=50) if talks else None,
                )
            )  # fmt: skip
        CallLog.objects.bulk_create(calls)
        campaigns.append(campaign)
    return campaigns


def _in_process(campaigns: list[Any], options: argparse.Namespace) -> None:
    from django.utils import timezone

    from dialer.services import dialing, observing, pacers
    from dialer.services.acting import acting

    whole, policy = [], []
    for _ in range(options.rounds):
        for campaign in campaigns:
            begun = time.perf_counter()
            with acting("bench") as act:
                dialing.dial(act, campaign.campaign_id, observing.Link(True))
            whole.append(time.perf_counter() - begun)
            with acting("bench") as act:
                seen = observing.look(act, campaign, observing.Link(True)).seen
            begun = time.perf_counter()
            pacers._pacers[campaign.pk].policy.decide(seen)
            policy.append(time.perf_counter() - begun)
    print(f"{options.agents} agents, {options.campaigns} campaigns, {timezone.now():%Y-%m-%d %H:%M}")
    print(f"policy alone      p50 {_ms(policy, 0.5)}, p95 {_ms(policy, 0.95)} ms")
    print(f"a whole decision  p50 {_ms(whole, 0.5)}, p95 {_ms(whole, 0.95)} ms, read, decided, stored and committed")
    print(f"all campaigns once, as each second asks: {1000 * sum(whole) / options.rounds:.0f} ms")


def _ms(values: list[float], share: float) -> str:
    return f"{1000 * statistics.quantiles(values, n=100)[round(share * 100) - 1]:.2f}"


def _through_the_queue(campaigns: list[Any], options: argparse.Namespace, folder: Path) -> None:
    from celery import current_app

    from tests.fakes.processes import Processes

    tasks = options.rounds * len(campaigns)
    with Processes(folder, MESSAGES_DIR=f"{folder}/messages") as run:
        run.worker("dialer_queue")
        ids = [str(campaign.campaign_id) for campaign in campaigns]
        for asked in ("warm up", "counted"):
            bare = _drained(lambda n: current_app.send_task(BARE_TASK, args=[n], queue="dialer_queue"), tasks)
            decided = _drained(
                lambda n: current_app.send_task("dialer.tasks.execute_dial", args=[ids[n % len(ids)]]), tasks
            )
            if asked == "counted":
                print(f"sequential worker  {decided:.0f} decisions/s; bare Celery tasks on it {bare:.0f}/s; "
                      f"ratio {decided / bare:.2f}")  # fmt: skip


def _drained(send: Any, tasks: int) -> float:
    """Tasks a second, from the first on an empty queue to the last one's end."""
    from events import streams

    client = streams.connect()
    _until_empty(client)
    begun = time.perf_counter()
    for n in range(tasks):
        send(n)
    _until_empty(client)
    return tasks / (time.perf_counter() - begun)


def _until_empty(client: Any, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while client.llen("dialer_queue") or client.hlen("unacked"):
        if time.monotonic() > until:
            sys.exit("the worker does not empty its queue")
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main())
