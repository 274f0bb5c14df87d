"""A round of decisions: after a tick each active campaign decides, one task after another, the next ones put on the
queue when those before them are done. What else comes meanwhile, a command say, does not wait for all of them, and
however much there is to do, one tick and one round's decisions wait at most.

Decisions get half of the time when there is more to do than the worker can: as many are asked for at once as last as
long as what came between. Known to the process of the sequential worker alone: a round that is lost with it is followed
by the next tick's.
"""

import logging
import time
from collections.abc import Sequence

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from dialer.limits import TICK_PENDING_SECONDS
from dialer.services import wake
from events import streams

log = logging.getLogger(__name__)


class Round:
    """campaigns: their campaign_ids, in the order in which they decide."""

    def __init__(self) -> None:
        self._left: list[str] = []
        self._asked: set[str] = set()
        self._at_once = 1
        self._count, self._asked_at, self._deciding = 1, 0.0, 0.0
        self._moved_at = -100.0
        self._wanted = False

    def begin(self, campaigns: Sequence[str]) -> None:
        """While a round goes on, it is followed by another tick instead: whoever has become free in it may belong to a
        campaign that has decided. Called from a tick, so that its decisions can only be on the queue."""
        if self._goes_on() and not wake.nothing_waits(streams.shared()):
            self._wanted = True
            self._follow()
            return
        wake.tick_started()
        self._left, self._wanted = list(campaigns), False
        self._ask()

    def decided(self, campaign: str, seconds: float) -> None:
        """seconds: how long it took."""
        if campaign not in self._asked:
            return
        self._asked.remove(campaign)
        self._deciding += seconds
        self._moved_at = time.monotonic()
        if self._asked:
            return
        between = self._moved_at - self._asked_at - self._deciding
        self._at_once = max(1, round(between / max(self._deciding / self._count, 0.001)))
        self._ask()

    def _ask(self) -> None:
        now, self._left = self._left[: self._at_once], self._left[self._at_once :]
        self._count, self._deciding = len(now), 0.0
        self._asked, self._asked_at = set(now), time.monotonic()
        self._moved_at = self._asked_at
        try:
            for campaign in now:
                current_app.send_task("dialer.tasks.execute_dial", [campaign])
        except (redis.RedisError, OperationalError) as error:
            log.warning("decisions wait for the next tick: %s", type(error).__name__)
            self._asked = set()
            return
        self._follow()

    def _follow(self) -> None:
        """The tick after the round, right behind its last decisions: it does not wait once more for all that comes
        meanwhile."""
        if self._wanted and not self._left:
            self._wanted = False
            wake.tick(again=True)

    def _goes_on(self) -> bool:
        """Decisions that have not come by then were lost."""
        return bool(self._asked) and time.monotonic() - self._moved_at < TICK_PENDING_SECONDS


current = Round()
