"""Somebody has a supervisor's session and ten thousand premium numbers (a hundred here): the switch's own list of
INVITEs is the judge of whom they reach and of what it costs. And whatever happens meanwhile, no log tells a number or a
secret.
"""

import http.client
import io
import json
import os
import random
import re
import uuid
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import current_app
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dialer.models import AppliedCommand, CallLog, Contact, DialerCampaign, DoNotCall
from dialer.target_import import import_contacts
from events import streams
from tests.conftest import wait_until
from tests.fakes.console import make_user
from tests.fakes.console_web import answers
from tests.fakes.floor import ask_all_to_work, make_working_floor
from tests.fakes.processes import Processes, legs_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_empty"),
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.full,
]

ALLOWED, PRICE, CAP = "+1212555", Decimal("0.50"), Decimal("4.00")
# `PREMIUM_NUMBERS=10000 make test T=…` for the full size.
PREMIUM = int(os.environ.get("PREMIUM_NUMBERS", "120"))
AGENTS = 4
# Beside the ordinary permissions of a supervisor's page in the admin: contacts, lists, do-not-call entries.
OF_A_SUPERVISOR = ("contact", "dialertargetlist", "donotcall", "importrun", "agent")


def premium(count: int) -> list[str]:
    """Expensive numbers of many countries as E.164, and as somebody writes them who hopes that a filter is careless."""
    rng = random.Random(3)
    ranges = (
        ("+1900555", 4),
        ("+44906123", 4),
        ("+9791", 8),
        ("+1876919", 4),
        ("+1473407", 4),
        ("+37190", 6),
        ("+2693", 6),
    )
    chosen = [rng.choice(ranges) for _ in range(count)]
    found = [f"{start}{rng.randrange(10**digits):0{digits}}" for start, digits in chosen]
    disguised = [
        "+1 (900) 555-0001", "0044 906 123 4567", "011 44 906 1234567", "1-900-555-0002", "+12125550000,,9005550003",
        "+1212555000 1;ext=19005550004", "tel:+19005550005", "+1\u200b900\u200b5550006",
        "\uff0b\uff11\uff19\uff10\uff10555 0007", "+12125550008@evil.example",
        "9005550009", "+1212555 / +19005550010", "=+19005550011", "'+19005550012",
    ]  # fmt: skip
    return [*found, *disguised]


class Thief:
    """Acts with the stolen session, by every way that a supervisor has."""

    def __init__(self, campaign: DialerCampaign) -> None:
        self.campaign = campaign
        self.user = make_user("sup", supervisor=True, is_staff=True)
        wanted = [f"{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in OF_A_SUPERVISOR]
        self.user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
        self.browser = Client()
        self.browser.force_login(self.user)

    def command(self, kind: str, **fields: object) -> str:
        command_id = str(uuid.uuid4())
        command = {"command_id": command_id, "actor": "sup", "kind": kind, **fields}
        current_app.send_task("dialer.tasks.handle_command", kwargs={"command": command})
        return command_id

    def raises_limits(self) -> None:
        limits = {"action": "set_limits", "max_lines": 10_000, "calls_per_second": 1_000}
        self.command("campaign_control", campaign_id=str(self.campaign.campaign_id), **limits)
        for name in ("daily_spend_cap", "profile", "allowed_prefixes"):
            answer = self.browser.post(
                reverse("admin:dialer_dialercampaign_change", args=[self.campaign.pk]), {name: ""}
            )
            assert answer.status_code == 403
        answer = self.browser.post(reverse("admin:dialer_complianceprofile_add"), {"name": "everything"})
        assert answer.status_code == 403

    def dials_by_hand(self, numbers: list[str]) -> list[str]:
        agent = self.campaign.assigned_agents.order_by("agent_id")[0]
        return [
            self.command(
                "manual_dial", agent_id=agent.agent_id, campaign_id=str(self.campaign.campaign_id), number=number
            )
            for number in numbers
        ]

    def removes_from_the_do_not_call_list(self, entry: DoNotCall) -> None:
        self.browser.post(reverse("admin:dialer_donotcall_delete", args=[entry.pk]), {"post": "yes"})
        assert not DoNotCall.objects.filter(pk=entry.pk).exists()


def poison(agent: str) -> None:
    """Errors of every kind, with numbers in them: what is no order, no event, no task's argument, no row."""
    number = "+12125559876"
    bad = {"kind": "originate_customer", "number": f"{number} &system(x)", "leg": number, "order_id": number}
    for raw in (json.dumps(bad), f"not an order {number}", json.dumps({**bad, "kind": number})):
        streams.shared().xadd(streams.ORDERS, {streams.ORDERS_FIELD: raw})
    lame = {"Event-Name": "CHANNEL_ANSWER", "Caller-Caller-ID-Name": number}
    for raw in (f"not an event {number}", json.dumps(lame)):
        streams.shared().xadd(streams.JOURNAL, {"e": raw})
    for fact in ({"type": "LegAnswered", "leg": number, "at": number}, {"type": number}, number):
        streams.shared().xadd(streams.FACTS, {streams.FACTS_FIELD: json.dumps(fact)})
    current_app.send_task("dialer.tasks.handle_facts")
    current_app.send_task("dialer.tasks.handle_facts", kwargs={"facts": [number]})
    for command in ({"agent_id": agent, "state": number}, {"agent_id": number * 1000, "state": "available"}, number):
        current_app.send_task("dialer.tasks.handle_agent_state", kwargs={"command": command})
    for raw in (f"no change {number}", json.dumps({"kind": "call", "id": number, "data": {"id": number, "to": 5}})):
        streams.shared().xadd(streams.CHANGES, {streams.CHANGES_FIELD: raw})


def asks(port: int, numbers: list[str], secret: str) -> None:
    """Pages and a socket by addresses that hold numbers and a secret, as people type and programs send them."""
    paths = [f"/console/calls/?q={number}" for number in numbers]
    paths += [f"/console/search?q={quote(number)}&token={secret}" for number in numbers]
    paths += [f"/ws/v1/floor/{quote(number)}/" for number in numbers]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=45)
    for path in paths:
        client.request("GET", path)
        client.getresponse().read()
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{port}/ws/v1/floor/?token={secret}&number={numbers[0]}", open_timeout=45)


def secrets(run: Processes) -> set[str]:
    """Of the settings that the processes had."""
    environment = run.environment
    urls = [environment.get(name, "") for name in ("CELERY_BROKER_URL", "CACHE_URL", "REDIS_URL")]
    found = {match[1] for url in urls if (match := re.search(r"://[^:@/]*:([^@/]+)@", url))}
    found |= {environment["FREESWITCH_ESL_PASSWORD"], environment["SECRET_KEY"], environment["METRICS_TOKEN"]}
    found.add(str(connection.settings_dict["PASSWORD"]))
    return {secret for secret in found if len(secret) > 8}


@pytest.mark.timeout(240)
def test_a_stolen_session_reaches_no_number_outside_the_list_spends_no_more_than_the_cap_and_nothing_is_logged(
    tmp_path,
):
    ours = [f"+12125554{n:03}" for n in range(40)]
    campaign = make_working_floor(
        ours, AGENTS, max_retry_attempts=0, ring_timeout_seconds=15, allow_manual_dial=True,
        price_per_attempt=PRICE, daily_spend_cap=CAP,
    )  # fmt: skip
    thief = Thief(campaign)
    numbers = premium(PREMIUM)
    listed = DoNotCall.objects.create(number="+19005551234")
    rows = "number,name\n" + "\n".join(f'"{number}",x' for number in [*numbers, listed.number])
    report = import_contacts(io.BytesIO(rows.encode()), campaign.target_list.name, source="x")
    assert report.imported > PREMIUM / 2 and Contact.objects.filter(number__startswith="+1900").exists()
    # First in line, and due.
    Contact.objects.exclude(number__startswith=ALLOWED).update(priority=1_000, next_attempt_at=timezone.now())
    thief.removes_from_the_do_not_call_list(listed)
    thief.raises_limits()
    asked = thief.dials_by_hand([listed.number, *numbers[:20], *numbers[-14:]])
    ask_all_to_work(campaign)
    settings = {
        "DIAL_ALLOWED_PREFIXES": ALLOWED, "FREESWITCH_ESL_PASSWORD": "esl-secret-of-the-test",
        "SECRET_KEY": "0123456789-key-of-the-test-" * 3, "METRICS_TOKEN": "metrics-token-of-the-test",
        "LOG_LEVEL": "DEBUG", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    with Processes(tmp_path, **settings) as run:
        run.backend("--speed", "10", "--register", "2", "--password", settings["FREESWITCH_ESL_PASSWORD"])
        run.manage("floor", "run_floor_publisher")
        run.web()
        # Once all of them listen: the floor publisher reads only what is said after it came.
        wait_until(lambda: answers(run.web_port) and streams.shared().exists(streams.SNAPSHOT), "web and floor", 90)
        poison("agent_1")
        asks(run.web_port, ["+12125559876", *ours[:3]], settings["METRICS_TOKEN"])
        most = int(CAP / PRICE)
        wait_until(lambda: CallLog.objects.filter(ended_at__isnull=False).count() >= most, "calls up to the cap", 90)
        wait_until(lambda: AppliedCommand.objects.filter(command_id__in=asked).count() == len(asked), "the answers")
        # Manual dials once more, now that nothing else is going on and the worker has time for each.
        again = thief.dials_by_hand(numbers[20:60])
        wait_until(lambda: AppliedCommand.objects.filter(command_id__in=again).count() == len(again), "the answers")
        called = [leg for leg in legs_of(run.invites) if leg["kind"] == "customer"]
        kept_secret = secrets(run)
        logs = {path: path.read_text(errors="replace") for path in tmp_path.rglob("*.log*") if path.is_file()}
    reached = [leg["number"] for leg in called]
    assert reached and [number for number in reached if not number.startswith(ALLOWED)] == []
    assert len(reached) * PRICE <= CAP and len(reached) == len(set(reached))
    refused = AppliedCommand.objects.filter(command_id__in=[*asked, *again])
    assert set(refused.values_list("status", flat=True)) == {"rejected"}
    assert "a change could not be read" in logs[tmp_path / "floor.log"]
    assert "/console/calls/?q=***" in logs[tmp_path / "web.log"]
    hold_to_silence(logs, kept_secret, [*reached, *numbers, *ours, "+12125559876"])


def hold_to_silence(logs: dict[Path, str], kept_secret: set[str], numbers: list[str]) -> None:
    digits = {re.sub(r"\D", "", number)[-10:] for number in numbers}
    assert len(kept_secret) >= 3 and sum(map(len, logs.values())) > 2_000
    for path, text in logs.items():
        for secret in kept_secret:
            assert secret not in text, f"a secret in {path.name}"
        told = [
            line for line in text.splitlines() if any(one[-10:] in digits for one in re.findall(r"\d{10,15}", line))
        ]
        assert not told, f"{len(told)} lines of {path.name} tell a number: {told[0][:300]}"
