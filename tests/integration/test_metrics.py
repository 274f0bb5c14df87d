"""/metrics tells every stage, to those who may ask, and goes on telling when a server is away."""

import datetime as dt
import json
import re
import time
import uuid
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis.backoff import NoBackoff
from redis.retry import Retry

from dialer.models import CallLog
from events import counters, streams
from events.models import EventBatch
from events.recorder import BATCH_ATTEMPTS
from orchestrator.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(redis_empty, settings, monkeypatch):
    """`told()`: what /metrics says, by name and labels."""
    monkeypatch.setattr(counters, "_gathered", {})
    monkeypatch.setattr(counters, "_flushed", -1000.0)
    monkeypatch.setattr("orchestrator.health._last", None)
    settings.METRICS_TOKEN = "a-token"

    def ask():
        answer = Client().get("/metrics", headers={"authorization": "Bearer a-token"})
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.content.decode())
        return {
            (sample.name.removeprefix("orchestrator_"), *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    return ask


def beat(name, **values):
    streams.shared().set(f"{streams.HEARTBEAT_PREFIX}{name}", json.dumps({"at": time.time(), **values}))


def test_each_part_says_whether_it_is_well_and_what_waits_in_it(told):
    beat(
        "bridge", link="up", queue=7, events=1200, orders_in_flight=3, last_event_at=time.time() - 4, parts=15,
        parts_dead=[], parts_failed=2,
    )  # fmt: skip
    beat("ingest", lag_ms=250, depth=12, unstored=40, legs=9)
    found = told()
    assert found["component_up", ("component", "bridge")] == 1
    assert found["component_up", ("component", "dialer")] == 0
    assert found["component_up", ("component", "database")] == 1
    assert found["bridge_queue",] == 7
    assert found["bridge_events_total",] == 1200
    assert (found["bridge_parts",], found["bridge_parts_failed_total",]) == (15, 2)
    assert found["bridge_last_event_age_seconds",] == pytest.approx(4, abs=2)
    assert found["ingest_lag_seconds",] == 0.25
    assert found["persist_backlog",] == 40
    assert found["live_legs",] == 9


# What the operators were promised, and what it is called.
FIGURES = {
    "bridge lag": ["bridge_lag_seconds", "bridge_queue"],
    "stream depth": ["stream_length", "ingest_depth"],
    "ingest lag": ["ingest_lag_seconds"],
    "persist lag": ["persist_lag_seconds", "persist_backlog"],
    "dialer queue age and service time": [
        "queue_oldest_seconds", "dialer_task_wait_seconds_sum", "dialer_task_seconds_bucket",
    ],
    "decisions by reason": ["decisions_total"],
    "floor frame age": ["floor_frame_age_seconds"],
    "sockets": ["sockets", "sockets_ended_total"],
    "outbox drops": ["outbox_skips_total"],
    "drift between switch and us": ["drift_legs_total", "switch_comparisons_total"],
}  # fmt: skip


def test_every_figure_that_was_promised_is_told_and_is_on_the_dashboard(told):
    beat("bridge", link="up", queue=7, lag_ms=3)
    beat("ingest", lag_ms=250, depth=12, unstored=40, legs=9)
    streams.shared().xadd(streams.FRAMES, {"f": "x"})
    counters.count("decisions", reason="no_idle_agent", mode="power")
    counters.count("drift_legs", was="gone")
    counters.count("sockets_ended", code="1012")
    for name in ("switch_comparisons", "outbox_skips"):
        counters.count(name)
    for name in ("dialer_task_wait_seconds", "dialer_task_seconds"):
        counters.observe(name, 0.02, task="handle_facts")
    assert counters.flush(now=0.0)
    found = {key[0] for key in told()}
    shown = (Path(settings.BASE_DIR) / "docs" / "grafana.json").read_text()
    for words, names in FIGURES.items():
        assert set(names) <= found, words
        assert any(f"orchestrator_{name}" in shown for name in names), words


def test_a_queue_says_how_many_wait_and_how_long_the_next_one_has(told):
    headers = {"queued_at": time.time() - 30}
    app.send_task("dialer.tasks.execute_dial", args=["x"], queue="dialer_queue")
    raw = json.loads(streams.shared().lindex("dialer_queue", -1))
    raw["headers"] |= headers
    streams.shared().lset("dialer_queue", -1, json.dumps(raw))
    found = told()
    assert found["queue_length", ("queue", "dialer_queue")] == 1
    assert found["queue_oldest_seconds", ("queue", "dialer_queue")] == pytest.approx(30, abs=5)
    assert found["queue_oldest_seconds", ("queue", "default")] == 0


def test_every_task_is_stamped_when_it_is_queued(told):
    app.send_task("dialer.tasks.execute_dial", args=["x"], queue="dialer_queue")
    assert "queued_at" in json.loads(streams.shared().lindex("dialer_queue", -1))["headers"]


def test_what_processes_have_counted_is_told_as_counters_and_histograms(told):
    counters.count("decisions", reason="no_idle_agent", mode="power")
    counters.count("decisions", reason="no_idle_agent", mode="power")
    for seconds in (0.02, 0.02, 0.3):
        counters.observe("dialer_task_seconds", seconds, task="handle_facts")
    assert counters.flush(now=0.0)
    found = told()
    assert found["decisions_total", ("mode", "power"), ("reason", "no_idle_agent")] == 2
    assert found["dialer_task_seconds_bucket", ("le", "0.025"), ("task", "handle_facts")] == 2
    assert found["dialer_task_seconds_bucket", ("le", "0.5"), ("task", "handle_facts")] == 3
    assert found["dialer_task_seconds_count", ("task", "handle_facts")] == 3
    assert found["dialer_task_seconds_sum", ("task", "handle_facts")] == pytest.approx(0.34)


def test_sockets_of_a_web_process_that_is_gone_stop_counting(told):
    client = streams.shared()
    client.hset(streams.SOCKETS, "lives", json.dumps({"at": time.time(), "floor": 3, "agent": 5}))
    client.hset(streams.SOCKETS, "killed", json.dumps({"at": time.time() - 60, "floor": 100, "agent": 100}))
    found = told()
    assert (found["sockets", ("kind", "floor")], found["sockets", ("kind", "agent")]) == (3, 5)
    assert not client.hexists(streams.SOCKETS, "killed")


def test_the_record_says_what_is_in_doubt_and_how_late_events_are_stored(told):
    ago = timezone.now() - dt.timedelta(seconds=40)
    key = str(uuid.uuid4())
    CallLog.objects.create(
        call_id=key, freeswitch_uuid=key, to_number="+12125521234", initiated_at=ago, in_doubt_since=ago
    )
    batch = EventBatch.objects.create(event_count=3)
    EventBatch.objects.filter(pk=batch.pk).update(created_at=ago)
    found = told()
    assert (found["open_calls",], found["calls_in_doubt",]) == (1, 1)
    assert found["oldest_doubt_seconds",] == pytest.approx(40, abs=10)
    assert found["persist_lag_seconds",] == pytest.approx(40, abs=10)


def test_events_that_failed_and_are_tried_again_are_late_and_only_those_given_up_have_failed(told):
    ago = timezone.now() - dt.timedelta(seconds=40)
    failed = EventBatch.objects.create(event_count=3, status="failed", attempts=1)
    EventBatch.objects.filter(pk=failed.pk).update(created_at=ago)
    found = told()
    assert found["persist_lag_seconds",] == pytest.approx(40, abs=10)
    assert found["failed_batches",] == 0
    EventBatch.objects.filter(pk=failed.pk).update(attempts=BATCH_ATTEMPTS)
    found = told()
    assert found["persist_lag_seconds",] == 0
    assert found["failed_batches",] == 1


def test_without_redis_the_rest_is_told(told, monkeypatch):
    nobody = redis.Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(streams, "shared", lambda: nobody)
    found = told()
    assert found["component_up", ("component", "redis")] == 0
    assert found["component_up", ("component", "database")] == 1
    assert found["open_calls",] == 0


@pytest.mark.parametrize("header", ["", "Bearer wrong", "a-token", "Basic a-token", "Bearer é"])
def test_whoever_has_no_token_is_refused(settings, header):
    settings.METRICS_TOKEN = "a-token"
    assert Client().get("/metrics", headers={"authorization": header}).status_code == 401


def test_without_a_token_only_a_developer_on_this_machine_may_ask(settings):
    settings.METRICS_TOKEN = ""
    settings.DEBUG = True
    assert Client().get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="10.1.2.3").get("/metrics").status_code == 401
    settings.DEBUG = False
    assert Client().get("/metrics").status_code == 401


def test_the_dashboard_asks_only_for_what_is_told():
    dashboard = json.loads((Path(settings.BASE_DIR) / "docs" / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"orchestrator_(\w+)", target["expr"])
    }
    told = Path(settings.BASE_DIR, "orchestrator", "metrics.py").read_text()
    plain = {re.sub(r"_(total|bucket|sum|count)\Z", "", name) for name in asked}
    assert [name for name in sorted(plain) if f'"{name}"' not in told] == []
