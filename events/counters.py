"""Counts that any process adds to and /metrics tells: one Redis hash, so they are whole however many processes work.

Adding costs a dictionary; what has gathered goes to Redis at most once a second. A process that is killed loses the
counts of its last second. Redis emptied is a counter that starts again, which Prometheus expects of counters.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import redis

from events import streams

KEY: Final = "metrics:counters"
FLUSH_SECONDS: Final = 1.0
# Upper bounds in seconds, as Prometheus has them: `le`.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Names and labels are ours and few; a mistake that made more must not fill the memory.
MOST_FIELDS: Final = 2_000

_lock = threading.Lock()
_gathered: dict[str, float] = {}
_flushed = 0.0


def field_name(name: str, labels: dict[str, str]) -> str:
    """`name|label=value|...`, labels in order; | and = in values become spaces."""
    parts = [f"{key}={value.translate(_PLAIN)[:80]}" for key, value in sorted(labels.items())]
    return "|".join((name, *parts))


_PLAIN = str.maketrans("|=\n", "   ")


def parse_field(field: str) -> tuple[str, dict[str, str]]:
    """The opposite of field_name."""
    name, *parts = field.split("|")
    return name, dict(part.split("=", 1) for part in parts if "=" in part)


def count(name: str, amount: float = 1.0, **labels: str) -> None:
    """Add to a counter; `name` without the suffix _total."""
    field = field_name(name, labels)
    with _lock:
        if field in _gathered or len(_gathered) < MOST_FIELDS:
            _gathered[field] = _gathered.get(field, 0.0) + amount


def observe(name: str, seconds: float, **labels: str) -> None:
    """Add one duration to a histogram: `name` with BUCKETS, its sum and its count."""
    bucket = next((str(bound) for bound in BUCKETS if seconds <= bound), "+Inf")
    count(f"{name}_bucket", le=bucket, **labels)
    count(f"{name}_sum", max(0.0, seconds), **labels)


def flush(client: redis.Redis | None = None, *, now: float | None = None) -> bool:
    """Bring what has gathered to Redis, at most once a second. False: not yet, or Redis is away and it is kept."""
    global _flushed
    moment = time.monotonic() if now is None else now
    with _lock:
        if not _gathered or moment - _flushed < FLUSH_SECONDS:
            return False
        _flushed = moment
        taken = dict(_gathered)
        _gathered.clear()
    try:
        pipe = (client or streams.shared()).pipeline(transaction=False)
        for field, amount in taken.items():
            pipe.hincrbyfloat(KEY, field, amount)
        pipe.execute()
    except redis.RedisError:
        with _lock:
            for field, amount in taken.items():
                _gathered[field] = _gathered.get(field, 0.0) + amount
        return False
    return True


def read(client: redis.Redis | None = None) -> dict[str, float]:
    """Every counter's field and value. Raises RedisError."""
    return {key.decode(): float(value) for key, value in (client or streams.shared()).hgetall(KEY).items()}
