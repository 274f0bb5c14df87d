"""/healthz: this process answers. /readyz: every part the floor needs answers, named one by one."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import redis
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from console import health
from console.rows import Health
from events import streams

# Nobody needs the answer more often, and a prober gone wild must not become a load on the database.
CACHE_SECONDS = 1.0
_lock = threading.Lock()
_last: tuple[float, dict[str, Health]] | None = None


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Liveness: no server is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every part is well, else 503; both name every part. No secret and no address is in the answer."""
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > CACHE_SECONDS:
            _last = (time.monotonic(), components())
        parts = _last[1]
    ready = all(part.ok for part in parts.values())
    body: dict[str, Any] = {
        "ready": ready,
        "components": {name: {"ok": part.ok, "detail": part.detail} for name, part in parts.items()},
    }
    text = json.dumps(body, indent=1) + "\n"
    response = HttpResponse(text, status=200 if ready else 503, content_type="application/json")
    # An answer, not an error of ours: Django would log each 503 of each probe as one.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def components() -> dict[str, Health]:
    """database, redis, bridge, ingest, floor, dialer, default, orders, asked now."""
    parts = {"database": _database()}
    now = time.time()
    try:
        beats = beats_now(now)
    except redis.RedisError as error:
        silent = Health(ok=False, detail=f"no answer ({type(error).__name__})")
        unknown = Health(ok=False, detail="unknown without Redis")
        return parts | {"redis": silent} | dict.fromkeys(health.PARTS, unknown)
    return parts | {"redis": Health(ok=True, detail="answers")} | health.assess(beats, now)


def beats_now(now: float) -> dict[str, dict[str, Any] | None]:
    """What console.health assesses, as Redis has it: each part's heartbeat, and the orders that wait. Raises
    redis.RedisError."""
    raw = streams.heartbeats(streams.shared(), health.BEATS, now)
    found = {name: health.read_beat(value) for name, value in raw.items()}
    return found | {health.ORDERS: streams.orders_waiting(streams.shared(), now)}


def _database() -> Health:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Health(ok=False, detail=f"no answer ({type(error).__name__})")
    return Health(ok=True, detail="answers")
