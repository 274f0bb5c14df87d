"""The bridge as a process of its own against a hand-written switch, what it wrote to Redis, and orders for it."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import orjson
from django.conf import settings

from dialer import orders
from events import facts, streams
from tests.conftest import wait_until

ROOT = Path(__file__).resolve().parents[2]


def new():
    return str(uuid.uuid4())


def in_time():
    return time.time() + 60


class BridgeProcess:
    """`manage.py run_esl_bridge`; its log is in `log`."""

    def __init__(self, folder, port, **environment):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"bridge-{new()[:4]}.log"
        self._environment = {
            **os.environ,
            "REDIS_URL": settings.REDIS_URL,
            "FREESWITCH_ESL_HOST": "127.0.0.1",
            "FREESWITCH_ESL_PORT": str(port),
            "FREESWITCH_ESL_PASSWORD": "ClueCon",
            "FREESWITCH_NODE": "test",
            "ORIGINATE_CUSTOMER": "sofia/gateway/carrier/{number}",
            "ORIGINATE_AGENT": "user/{extension}",
            "DIAL_ALLOWED_PREFIXES": "+1212",
            "LOG_DIR": str(folder),
            **environment,
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run_esl_bridge"], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        return self

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def said(self):
        return self.log.read_text(errors="replace")


class Redis:
    """What the bridge wrote, read as the others would."""

    def __init__(self, connection):
        self.connection = connection

    def order(self, order):
        self.connection.xadd(streams.ORDERS, {streams.ORDERS_FIELD: orders.encode(order)})
        return order.order_id

    def events(self):
        return [orjson.loads(fields[b"e"]) for _, fields in self.connection.xrange(streams.JOURNAL)]

    def facts(self, kind=None):
        found = [fact for event in self.events() for fact in facts.facts_of(event)]
        return [fact for fact in found if kind is None or isinstance(fact, kind)]

    def reports(self, order_id):
        return [fact for fact in self.facts(facts.OrderReported) if fact.order_id == order_id]

    def outcome(self, order_id, seconds=20.0):
        """The order's one final report."""

        def final():
            return [report for report in self.reports(order_id) if report.status != "sent"]

        wait_until(final, f"an outcome of order {order_id}", seconds)
        (report,) = final()
        return report

    def link_up(self, times=1):
        wait_until(lambda: len([fact for fact in self.facts(facts.LinkReported) if fact.up]) >= times, "link up")

    def status(self):
        return json.loads(self.connection.get(streams.HEARTBEAT_PREFIX + "bridge") or "{}")

    def pending(self):
        return self.connection.xpending(streams.ORDERS, streams.ORDERS_GROUP)["pending"]


def customer(**fields):
    return orders.OriginateCustomer(
        **{
            "order_id": new(), "expires_at": in_time(), "leg": new(), "number": "+12125521234", "call_id": new(),
            "caller_id_number": "+12125550100", "caller_id_name": "Acme", **fields,
        }
    )  # fmt: skip


def hold(**fields):
    return orders.Hold(**{"order_id": new(), "expires_at": in_time(), "leg": new(), **fields})


def believe(floor, leg, state="bridged", **more):
    floor.connection.hset(streams.LIVE_LEGS, leg, json.dumps({"leg": leg, "state": state, **more}))
