"""Pages about calls beside pasts of growing length: `python -m tests.bench.pages [CALLS ...]`.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m ...`), in a database that
is made for it and dropped. Each line is one page through Django's whole stack, without a browser: the shortest of many,
what it costs without the work of others on the machine. `rows` are those of calls that the database looked at for it.
A million calls take two minutes and 3 GB to make; a hundred thousand fill every page already, so that both show the
same number of rows. Exit 1 when a page of the longest past takes over twice as long as beside the shortest, and over
10 ms longer.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.bench import product

RUNS = 7
LIMIT, SLACK_MS = 2.0, 10.0


def main(sizes: list[int]) -> int:
    found = {}
    for size in sizes:
        with product.floor():
            found[size] = _measure(size)
    shortest, longest = found[sizes[0]], found[sizes[-1]]
    print(f"{'page':36}" + "".join(f"{size:>12,} calls  rows" for size in sizes))
    slow = []
    for name in longest:
        print(f"{name:36}" + "".join(f"{found[size][name][0]:>15.1f} ms {found[size][name][1]:>5}" for size in sizes))
        before, after = shortest[name][0], longest[name][0]
        if after > LIMIT * before and after > before + SLACK_MS:
            slow.append(name)
    print(f"not flat: {', '.join(slow) or 'none'}")
    return int(bool(slow))


def _measure(size: int) -> dict[str, tuple[float, int]]:
    from django.db import transaction
    from django.test import Client
    from django.test.utils import override_settings

    from dialer.models import Agent, Team
    from tests.fakes import history
    from tests.fakes.console import make_user

    with transaction.atomic():
        past = history.make(size)
    clients = {}
    for name in ("all", "part"):
        user = make_user(name, supervisor=name == "all")
        if name == "part":
            Team.objects.get(code="team3").supervisors.add(user)
        clients[name] = Client()
        clients[name].force_login(user)
    assert Agent.objects.filter(team__code="team3").exists()
    found = {}
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        for name, (client, address) in _pages(past, clients).items():
            found[name] = _cost(client, address)
            print(f"  {size:>10,} {name}: {found[name][0]:.1f} ms, {found[name][1]} rows", file=sys.stderr, flush=True)
    return found


def _pages(past: Any, clients: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    from dialer.models import Agent, CallLog, DialerCampaign
    from tests.fakes import history

    campaign = DialerCampaign.objects.get(name="Campaign 5")
    agent = Agent.objects.get(agent_id="agent_33")
    talked = CallLog.objects.filter(agent=agent).order_by("-initiated_at").select_related("contact")[0]
    first, middle = (past.end - past.calls * part * history.STEP for part in (1, 0.5))
    deep = {"before": f"{middle.isoformat()}~0"}
    asked: dict[str, dict[str, str]] = {
        "all": {},
        "number": {"as": str(talked.call_id)},
        "agent": {"agent": agent.agent_id},
        "campaign": {"campaign": str(campaign.campaign_id)},
        "outcome": {"outcome": "busy"},
        "rare outcome": {"outcome": past.rare},
        "outcome of none": {"outcome": "invalid"},
        "not ended": {"outcome": "open"},
        "disposition": {"disposition": "sale"},
        "rare disposition": {"disposition": past.rare_disposition},
        "disposition missing": {"disposition": "none"},
        "contact": {"contact": str(talked.contact_id)},
        "two hours, long ago": {
            "since": f"{first:%Y-%m-%dT%H:%M:%S}", "until": f"{first + dt.timedelta(hours=2):%Y-%m-%dT%H:%M:%S}"
        },
        "agent and outcome": {"agent": agent.agent_id, "outcome": "conversation"},
        "agent and rare outcome": {"agent": agent.agent_id, "outcome": past.rare},
        "agent and rare disposition": {"agent": agent.agent_id, "disposition": past.rare_disposition},
        "campaign and rare outcome": {"campaign": str(campaign.campaign_id), "outcome": past.rare},
        "campaign and rare disposition": {
            "campaign": str(campaign.campaign_id), "disposition": past.rare_disposition
        },
    }  # fmt: skip
    everyone, part = clients["all"], clients["part"]
    pages = {}
    for name, given in asked.items():
        pages[f"search: {name}"] = (everyone, f"/console/calls/?{urlencode(given)}")
        pages[f"search: {name}, deep"] = (everyone, f"/console/calls/?{urlencode(given | deep)}")
    for name in ("all", "agent", "outcome", "disposition"):
        pages[f"search of a team: {name}"] = (part, f"/console/calls/?{urlencode(asked[name])}")
    day = (past.end - dt.timedelta(days=1)).date()
    pages["call"] = (everyone, f"/console/calls/{talked.call_id}/")
    pages["agent's day"] = (everyone, f"/console/agents/{agent.agent_id}/?day={day}")
    pages["contact"] = (everyone, f"/console/contacts/{talked.contact_id}/")
    pages["box: number"] = (everyone, f"/console/search?{urlencode({'q': talked.to_number})}")
    pages["box: leg"] = (everyone, f"/console/search?q={talked.freeswitch_uuid}")
    pages["box: nothing like it"] = (everyone, "/console/search?q=00000000-0000-4000-8000-000000000000")
    return pages


def _cost(client: Any, address: str) -> tuple[float, int]:
    """The shortest of RUNS in milliseconds; rows of calls that one of them read."""
    before = _rows_read()
    answer = client.get(address)
    read = _rows_read() - before
    assert answer.status_code in (200, 302), (address, answer.status_code)
    times = []
    until = time.perf_counter() + 10
    for _ in range(RUNS):
        begun = time.perf_counter()
        client.get(address)
        times.append(time.perf_counter() - begun)
        if time.perf_counter() > until:
            break
    return min(times) * 1_000, read


def _rows_read() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'dialer_calllog'")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000]))
