"""How long tasks wait: each is stamped as it is put on a queue, and the oldest one's stamp is read there."""

import json
import time
from typing import Any

import redis
from celery import signals

QUEUED_AT = "queued_at"


@signals.before_task_publish.connect
def stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """A task that is given back to its queue keeps the time it first came."""
    if headers is not None:
        headers.setdefault(QUEUED_AT, time.time())


def delay_ms(client: redis.Redis, queue: str, now: float) -> int | None:
    """How long the task that is read next has waited; 0 with none waiting, None when it bears no stamp. `now`: seconds
    since 1970. Raises RedisError."""
    raw = client.lindex(queue, -1)
    if raw is None:
        return 0
    try:
        queued = json.loads(raw)["headers"][QUEUED_AT]
    except (ValueError, KeyError, TypeError):
        return None
    return max(0, int((now - queued) * 1000)) if isinstance(queued, int | float) else None
