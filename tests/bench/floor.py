"""A whole floor through the simulated switch, every process real: `python -m tests.bench.floor --agents 100`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`). The switch's own
log of legs is the judge. Exit 1 when more are abandoned than the cap allows, a number was dialled twice at a time, a
call has no stored decision, or the record says something else than the switch.
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import product
from tests.bench.spread import spread

FIRST_EXTENSION = 2001
CAP = 0.03


def main() -> int:
    options = _options()
    with product.floor(options.logs) as folder:
        return _run(options, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--campaigns", type=int, default=1, help="each has half of the next one's agents, too")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--mode", default="predictive", choices=["progressive", "power", "predictive"])
    parser.add_argument("--answer-rate", type=float, default=0.25)
    parser.add_argument("--talk", type=float, default=45.0, help="mean, seconds")
    parser.add_argument("--wrap", type=int, default=10, help="seconds")
    parser.add_argument("--ring", type=float, default=8.0, help="mean, seconds")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this folder")
    return parser.parse_args()


def _run(options: argparse.Namespace, folder: Path) -> int:
    from tests.fakes.processes import Processes

    campaigns = _floor(options)
    last = FIRST_EXTENSION + options.agents - 1
    simulator = [
        "--agents", f"{FIRST_EXTENSION}-{last}", "--seed", str(options.seed), "--answer-rate", str(options.answer_rate),
        "--talk-mean", str(options.talk), "--ring-mean", str(options.ring), "--busy-rate", "0.05",
        "--machine-rate", "0", "--patience-mean", "60", "--sessions-per-second", "500", "--max-sessions", "5000",
    ]  # fmt: skip
    with Processes(folder, MESSAGES_DIR=f"{folder}/messages") as run:
        run.backend(*simulator)
        _to_work()
        until = time.monotonic() + options.minutes * 60
        while time.monotonic() < until:
            time.sleep(min(30, max(0.1, until - time.monotonic())))
            for campaign in campaigns:
                _progress(campaign, until - time.monotonic())
        type(campaigns[0]).objects.update(status="paused")
        _drain()
        legs = [json.loads(line) for line in run.invites.read_text().splitlines()]
    return _judge(options, legs)


def _floor(options: argparse.Namespace) -> list[Any]:
    from django.core.files.base import ContentFile
    from django.utils import timezone

    from dialer import demo
    from dialer.models import Agent, Contact, DialerCampaign, DialerTargetList, Message
    from tests.fakes.floor import any_hour

    agents = [
        Agent.objects.create(agent_id=f"agent_{n}", extension=str(FIRST_EXTENSION + n)) for n in range(options.agents)
    ]
    parts = [agents[part :: options.campaigns] for part in range(options.campaigns)]
    message = Message.objects.create(name="x", text="x", file=ContentFile(demo.message_sound(), "x.wav"))
    wanted = round(options.agents * options.minutes * 60 / (options.talk + options.wrap) / options.answer_rate * 2)
    now, found = timezone.now(), []
    for place, (own, next_one) in enumerate(zip(parts, [*parts[1:], parts[0]], strict=True)):
        targets = DialerTargetList.objects.create(name=f"Floor {place}", total_contacts=wanted)
        # 646 is outside the numbering plan: those customers do what chance says.
        numbers = range(2_000_000 + place * wanted, 2_000_000 + (place + 1) * wanted)
        Contact.objects.bulk_create(
            (Contact(target_list=targets, number=f"+1646{n}", next_attempt_at=now) for n in numbers), batch_size=2_000
        )
        campaign = DialerCampaign.objects.create(
            name=f"Floor {place}", target_list=targets, status="active", profile=any_hour(), mode=options.mode,
            message=message, wrap_up_seconds=options.wrap, max_retry_attempts=0, calls_per_agent_per_hour=3600,
            max_lines=2000,
        )  # fmt: skip
        campaign.assigned_agents.set({*own, *next_one[: len(next_one) // 2]})
        found.append(campaign)
    return found


def _to_work() -> None:
    from celery import current_app

    from dialer.models import Agent

    for agent_id in Agent.objects.values_list("agent_id", flat=True):
        command = {"actor": "bench", "agent_id": agent_id, "state": "available"}
        current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})


def _progress(campaign: Any, left: float) -> None:
    from dialer.models import Agent, CallLog, PacingDecision
    from events import streams

    calls = CallLog.objects.filter(campaign=campaign)
    answered, lost = calls.filter(answered_at__isnull=False).count(), calls.filter(abandoned=True).count()
    states = Counter(Agent.objects.values_list("status", flat=True))
    newest = PacingDecision.objects.filter(campaign=campaign).order_by("-id").first()
    queue = streams.shared().llen("dialer_queue")
    print(
        f"{left:5.0f} s left: {calls.count()} calls, {answered} answered, {lost} abandoned, {dict(states)}, "
        f"queue {queue}; {newest.summary if newest else ''}",
        flush=True,
    )


def _drain() -> None:
    from dialer.models import CallLog

    until = time.monotonic() + 600
    while CallLog.objects.filter(ended_at=None).exists() and time.monotonic() < until:
        time.sleep(1)


def _judge(options: argparse.Namespace, legs: Sequence[dict[str, Any]]) -> int:
    from dialer.models import CallLog, Order, PacingDecision

    last = {leg["uuid"]: leg for leg in legs if leg["kind"] == "customer"}
    calls = list(CallLog.objects.all())
    answered = [call for call in calls if call.answered_at is not None]
    lost = [call for call in answered if call.abandoned]
    dialled = Counter(leg["number"] for leg in last.values())
    troubles = [f"{number[:5]}... dialled {n} times" for number, n in dialled.items() if n > 1]
    troubles += [f"call {call.call_id} has no decision" for call in calls if call.decision_id is None]
    troubles += [f"call {call.call_id} never ended" for call in calls if call.ended_at is None]
    for call in calls:
        leg = last.get(call.freeswitch_uuid)
        if leg is None:
            troubles.append(f"call {call.call_id} is unknown to the switch")
        elif (leg["answered_at"] is not None) != (call.answered_at is not None):
            troubles.append(f"call {call.call_id}: answered or not?")
        elif bool(leg["bridges"]) != (call.bridged_at is not None):
            troubles.append(f"call {call.call_id}: joined or not?")
    joins = sorted((c.bridged_at - c.answered_at).total_seconds() for c in answered if c.bridged_at and c.answered_at)
    plays = Order.objects.filter(kind="play_message", call__in=[call.pk for call in lost]).select_related("call")
    late = sorted((o.created_at - o.call.answered_at).total_seconds() for o in plays if o.call and o.call.answered_at)
    modes = Counter(PacingDecision.objects.filter(placed__gt=0).values_list("mode", flat=True))
    share = len(lost) / len(answered) if answered else 0.0
    print(f"{options.agents} agents, {options.campaigns} campaigns, {options.mode}, {options.minutes:g} min: "
          f"{len(calls)} calls, {len(answered)} answered ({len(answered) / max(1, len(calls)):.1%})")  # fmt: skip
    print(f"abandoned {len(lost)} = {share:.2%} (cap {CAP:.0%}), {len(late)} heard the message, "
          f"after {spread(late, 3)} s")  # fmt: skip
    print(f"utilisation {_utilisation():.1%} after the first minute; joined after {spread(joins, 3)} s")
    print(f"decisions that placed calls, by mode: {dict(modes)}")
    for trouble in troubles[:20]:
        print(f"TROUBLE: {trouble}")
    print(f"{len(troubles)} differences between the record and the switch")
    return int(bool(troubles) or share > CAP)


def _utilisation() -> float:
    """Occupancy from a minute after the first work to the end of the last, over all agents; nobody has a break here."""
    from dialer import figures
    from dialer.models import AgentState, CallLog

    first = AgentState.objects.order_by("timestamp").values_list("timestamp", flat=True).first()
    ended = CallLog.objects.order_by("-initiated_at").values_list("initiated_at", flat=True)
    if first is None or not ended:
        return 0.0
    begin, end = first.timestamp() + 60, ended[0].timestamp()
    worked, total = 0.0, 0.0
    rows: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for agent, at, state in AgentState.objects.order_by("id").values_list("agent", "timestamp", "state"):
        rows[agent].append((at.timestamp(), state))
    for changes in rows.values():
        for (at, state), (until, _) in zip(changes, [*changes[1:], (end, "")], strict=True):
            seconds = max(0.0, min(until, end) - max(at, begin))
            total += seconds
            worked += seconds * (state in {"on_call", "busy"})
    return figures.occupancy(worked, 0, 0, total - worked).value or 0.0


if __name__ == "__main__":
    sys.exit(main())
