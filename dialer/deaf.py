"""Whether this worker reads its queue at all.

Celery holds a task for unfinished whose acknowledgement did not reach Redis, and reads no other: after a network that
was gone for some seconds a worker may live, renew its lease and hear nothing, for ever.
"""

from __future__ import annotations

from celery.worker import state

# A worker that hears takes what waits at once; so long, Celery may take to connect again.
DEAF_SECONDS = 15.0


class Ears:
    def __init__(self) -> None:
        self._begun, self._since = -1, 0.0

    def are_deaf(self, waiting: int, now: float) -> bool:
        """waiting: tasks on the queue. now: monotonic; asked again and again."""
        begun = state.all_total_count[0]
        if not waiting or state.reserved_requests or begun != self._begun:
            self._begun, self._since = begun, now
        return now - self._since > DEAF_SECONDS
