"""/metrics: every stage in Prometheus's format, asked when it is scraped. docs/operations.md explains each figure.

Whoever may read it is settled here: with METRICS_TOKEN set, `Authorization: Bearer TOKEN`; without one, only while
DEBUG is on and from this machine (behind a proxy everybody would seem to be).
"""

from __future__ import annotations

import hmac
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from console import health
from dialer import queues
from dialer.models import CallLog
from events import counters, nodes, streams
from events.models import EventBatch
from events.recorder import GIVEN_UP, NOT_STORED
from orchestrator.health import components

log = logging.getLogger(__name__)
PREFIX = "orchestrator_"
LOCAL = frozenset({"127.0.0.1", "::1"})
QUEUES = ("dialer_queue", "default")
STREAMS = {
    "journal": streams.JOURNAL, "facts": streams.FACTS, "changes": streams.CHANGES, "frames": streams.FRAMES
}  # fmt: skip
# What heartbeats count since their process began: (component, key in the beat, metric, help).
BEAT_COUNTERS = (
    ("bridge", "events", "bridge_events", "Events read from the switch since the bridge began"),
    ("bridge", "orders_executed", "bridge_orders", "Orders given to the switch since the bridge began"),
    ("bridge", "unreadable", "bridge_unreadable_events", "Events put aside because they could not be read"),
    ("bridge", "repaired", "bridge_repaired_events", "Events with bytes that were no UTF-8"),
    ("bridge", "parts_failed", "bridge_parts_failed", "Greenlets of the bridge that ended before their time"),
)
BEAT_GAUGES = (
    ("bridge", "queue", "bridge_queue", "Events read and not yet in the journal"),
    ("bridge", "parts", "bridge_parts", "Greenlets the bridge consists of that live: 15 while it is connected"),
    ("bridge", "orders_in_flight", "bridge_orders_in_flight", "Orders given whose outcome is not known"),
    ("ingest", "depth", "ingest_depth", "Events in the journal that are not folded yet"),
    ("ingest", "unstored", "persist_backlog", "Events in the journal that are not in PostgreSQL yet"),
    ("ingest", "legs", "live_legs", "Legs the ingest believes live"),
)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _allowed(request):
        return HttpResponse("METRICS_TOKEN is needed: Authorization: Bearer TOKEN\n", "text/plain", status=401)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Stages())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _allowed(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    return bool(settings.DEBUG) and request.META.get("REMOTE_ADDR") in LOCAL


class Stages(Collector):
    """One scrape. A server that is away takes its own figures away, never the whole answer."""

    def collect(self) -> Iterator[Metric]:
        parts = components()
        yield _gauge(
            "component_up",
            "1 while a part is well, as on the board",
            ((name, float(part.ok)) for name, part in parts.items()),
            "component",
        )
        for collect in (_beats, _queues, _floor, _sockets, _counted, _record):
            try:
                yield from collect()
            except (redis.RedisError, DatabaseError) as error:
                log.warning("metrics without %s: %s", collect.__name__, type(error).__name__)


def _gauge(name: str, words: str, values: Iterable[tuple[str, float | None]], label: str) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, words, labels=[label])
    for key, value in values:
        if value is not None:
            family.add_metric([key], value)
    return family


def _one(name: str, words: str, value: float | None) -> Iterator[Metric]:
    if value is not None:
        yield GaugeMetricFamily(PREFIX + name, words, value=value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _beats() -> Iterator[Metric]:
    now = time.time()
    raw = streams.heartbeats(streams.shared(), health.BEATS, now)
    beats = {name: health.read_beat(value) or {} for name, value in raw.items()}
    ages = ((name, None if (at := _number(beat.get("at"))) is None else now - at) for name, beat in beats.items())
    yield _gauge("heartbeat_age_seconds", "Since a part was last heard of", ages, "component")
    lag = _number(beats["ingest"].get("lag_ms"))
    yield from _one("ingest_lag_seconds", "From the switch's event to its being folded; none while it is quiet",
                    None if lag is None else lag / 1000)  # fmt: skip
    lag = _number(beats["bridge"].get("lag_ms"))
    yield from _one("bridge_lag_seconds", "From the switch's event to the bridge's reading of it",
                    None if lag is None else lag / 1000)  # fmt: skip
    last = _number(beats["bridge"].get("last_event_at"))
    yield from _one("bridge_last_event_age_seconds", "Since the switch said anything, heartbeats among it",
                    None if last is None else now - last)  # fmt: skip
    for component, key, name, words in BEAT_GAUGES:
        yield from _one(name, words, _number(beats[component].get(key)))
    for component, key, name, words in BEAT_COUNTERS:
        if (value := _number(beats[component].get(key))) is not None:
            yield CounterMetricFamily(PREFIX + name, words, value=value)


def _queues() -> Iterator[Metric]:
    client, now = streams.shared(), time.time()
    pipe = client.pipeline(transaction=False)
    for queue in QUEUES:
        pipe.llen(queue)
    wanted = {**STREAMS, **{name.partition(":")[2]: name for name in map(streams.orders_of, nodes.names())}}
    for stream in wanted.values():
        pipe.xlen(stream)
    answers = pipe.execute()
    lengths = zip(QUEUES, map(float, answers[: len(QUEUES)]), strict=True)
    yield _gauge("queue_length", "Tasks that wait", lengths, "queue")
    delays = {queue: queues.delay_ms(client, queue, now) for queue in QUEUES}
    ages = ((queue, None if delay is None else delay / 1000) for queue, delay in delays.items())
    yield _gauge("queue_oldest_seconds", "How long the next task has waited; 0 when none does", ages, "queue")
    found = zip(wanted, map(float, answers[len(QUEUES) :]), strict=True)
    yield _gauge("stream_length", "Entries in a stream, read ones among them until it is trimmed", found, "stream")


def _floor() -> Iterator[Metric]:
    newest = streams.shared().xrevrange(streams.FRAMES, count=1)
    age = time.time() - int(newest[0][0].partition(b"-")[0]) / 1000 if newest else None
    yield from _one("floor_frame_age_seconds", "Since the boards were last told anything", age)


def _sockets() -> Iterator[Metric]:
    now, held = time.time(), {"floor": 0.0, "agent": 0.0}
    for key, raw in streams.shared().hgetall(streams.SOCKETS).items():
        entry = health.read_beat(raw) or {}
        if now - (_number(entry.get("at")) or 0.0) > streams.SOCKETS_SECONDS:
            streams.shared().hdel(streams.SOCKETS, key)
            continue
        for kind in held:
            held[kind] += _number(entry.get(kind)) or 0.0
    yield _gauge("sockets", "Open websockets: floor for boards and programs, agent for panels", held.items(), "kind")


def _counted() -> Iterator[Metric]:
    """What the processes have counted (events/counters.py): counters, and histograms by their _bucket and _sum."""
    plain: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    buckets: dict[str, dict[tuple[tuple[str, str], ...], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    sums: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
    for field, value in counters.read().items():
        name, labels = counters.parse_field(field)
        if name.endswith("_bucket") and "le" in labels:
            bound = labels.pop("le")
            buckets[name.removesuffix("_bucket")][tuple(sorted(labels.items()))][bound] = value
        elif name.endswith("_sum"):
            sums[name.removesuffix("_sum")][tuple(sorted(labels.items()))] = value
        else:
            plain[name].append((labels, value))
    for name, rows in sorted(plain.items()):
        keys = sorted({key for labels, _ in rows for key in labels})
        family = CounterMetricFamily(PREFIX + name, WORDS.get(name, name), labels=keys)
        for labels, value in rows:
            family.add_metric([labels.get(key, "") for key in keys], value)
        yield family
    for name, series in sorted(buckets.items()):
        keys = sorted({key for labels in series for key, _ in labels})
        histogram = HistogramMetricFamily(PREFIX + name, WORDS.get(name, name), labels=keys)
        for pairs, found in series.items():
            total, cumulated = 0.0, []
            for bound in (*map(str, counters.BUCKETS), "+Inf"):
                total += found.get(bound, 0.0)
                cumulated.append((bound, total))
            labels = dict(pairs)
            histogram.add_metric([labels.get(key, "") for key in keys], cumulated, sums[name].get(pairs, 0.0))
        yield histogram


WORDS = {
    "dialer_task_seconds": "How long the sequential worker works on a task",
    "dialer_task_wait_seconds": "How long a task waited for the sequential worker",
    "decisions": "Pacing decisions by the reason that bound",
    "calls_placed": "Calls ordered by decisions",
    "commands": "Commands by kind and by what became of them",
    "frames": "Frames that the floor publisher has numbered",
    "epochs": "Times the floor publisher began anew",
    "sockets_ended": "Websockets ended by the server, by close code",
    "outbox_skips": "Boards given a snapshot because they were too far behind for every frame",
    "drift_legs": "Legs that the switch and we disagreed about: gone (believed live), found or changed (missed)",
    "switch_comparisons": "Comparisons of our legs with the switch's",
}


def _record() -> Iterator[Metric]:
    """What PostgreSQL alone knows."""
    open_calls = CallLog.objects.filter(ended_at=None).aggregate(
        n=Count("pk"), doubt=Count("in_doubt_since"), oldest=Min("in_doubt_since")
    )
    yield from _one("open_calls", "Calls on the record that have not ended", float(open_calls["n"]))
    yield from _one("calls_in_doubt", "Ordered, and the switch has not said a word", float(open_calls["doubt"]))
    since = open_calls["oldest"]
    yield from _one(
        "oldest_doubt_seconds",
        "Age of the oldest of those; it should stay below 60",
        0.0 if since is None else time.time() - since.timestamp(),
    )
    oldest = EventBatch.objects.filter(NOT_STORED).aggregate(oldest=Min("created_at"))["oldest"]
    failed = EventBatch.objects.filter(GIVEN_UP).count()
    yield from _one("failed_batches", "Batches of events that were given up: not stored, or not wholly", float(failed))
    yield from _one(
        "persist_lag_seconds",
        "Age of the oldest batch of events that is not stored yet, those among them that failed and are tried again",
        0.0 if oldest is None else time.time() - oldest.timestamp(),
    )
