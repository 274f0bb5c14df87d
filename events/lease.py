"""A lease in Redis: at most one process holds a name at a time, and it knows by its own clock when it no longer may.

    lease = RedisLease(streams.shared(), "ingest", ttl=10)
    while running:
        if not lease.keep():        # acquires, or renews what is held; False: stand by
            wait(lease.ttl / 3); continue
        ...work that checks `lease.held()` before each write...
    lease.release()

A lease alone cannot stop a process that was frozen between the check and the write; whoever writes to something that
can compare gives it `token`, which only grows, and lets the older token be refused.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

import redis

from events import neighbours

KEY_PREFIX: Final = "lease:"
# Part of the ttl given up at its end, for the drift between this clock and Redis's and for the write already under way.
SAFETY_PART: Final = 0.2

# The token is counted by INCR but never below the wall clock in us, so that it still grows after Redis was flushed.
_ACQUIRE = """
if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local token = redis.call('incr', KEYS[2])
  local now = redis.call('time')
  local floor = now[1] * 1000000 + now[2]
  if token < floor then
    token = floor
    redis.call('set', KEYS[2], string.format('%.0f', floor))
  end
  return token
end
return 0
"""
_RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


def steady_clock() -> float:
    """Seconds that go on while the machine sleeps: CLOCK_MONOTONIC would let a woken laptop believe in an old lease."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class RedisLease:
    """One holder of `lease:{name}`. Synchronous; one thread (or greenlet) at a time.

    `ttl`: seconds until Redis gives it away unless renewed; renew every ttl / 3. `owner`: this holder's own id.
    `token`: the fencing token while held (a 64-bit number that grows with each acquisition), 0 before.
    """

    def __init__(
        self,
        connection: redis.Redis,
        name: str,
        ttl: float = 10.0,
        *,
        owner: str = "",
        clock: Callable[[], float] = steady_clock,
    ) -> None:
        self.name, self.ttl, self.owner = name, ttl, owner or f"{neighbours.identity()}/{uuid.uuid4().hex}"
        self.key = f"{KEY_PREFIX}{name}"
        self.token = 0
        self._clock, self._redis = clock, connection
        self._until = 0.0
        self._acquire = connection.register_script(_ACQUIRE)
        self._renew = connection.register_script(_RENEW)
        self._release = connection.register_script(_RELEASE)

    def acquire(self) -> bool:
        """Take the lease if nobody has it, or only a dead process of this machine. Raises redis.RedisError when Redis
        does not answer."""
        asked_at = self._clock()
        token = self._try()
        if not token and self._holder_is_dead():
            token = self._try()
        if token:
            self.token = token
            self._hold_from(asked_at)
        return bool(token)

    def _try(self) -> int:
        return int(self._acquire(keys=[self.key, f"{self.key}:token"], args=[self.owner, self._ttl_ms()]))

    def _holder_is_dead(self) -> bool:
        holder = self._redis.get(self.key)
        if not isinstance(holder, bytes) or not neighbours.is_dead(holder.decode("utf-8", "replace")):
            return False
        # Compared again as it is released: somebody else may have been quicker.
        self._release(keys=[self.key], args=[holder])
        return True

    def renew(self) -> bool:
        """Prolong what is held; False when it is no longer ours. Raises redis.RedisError when Redis does not answer:
        the lease is then still held until its own clock says otherwise."""
        asked_at = self._clock()
        if self.token and self._renew(keys=[self.key], args=[self.owner, self._ttl_ms()]):
            self._hold_from(asked_at)
            return True
        self._forget()
        return False

    def keep(self) -> bool:
        """Renew when held, else try to acquire; True while the lease may be used. Does not raise when Redis is away."""
        try:
            return (bool(self.token) and self.renew()) or self.acquire()
        except redis.RedisError:
            return self.held()

    def held(self) -> bool:
        """Whether the lease may still be used, by this machine's clock alone: no question to Redis, no wait."""
        return bool(self.token) and self._clock() < self._until

    def release(self) -> None:
        """Give it back if it is still ours; silent when Redis is away (it expires by itself)."""
        token, self.token = self.token, 0
        self._until = 0.0
        if token:
            try:
                self._release(keys=[self.key], args=[self.owner])
            except redis.RedisError:
                return

    def _ttl_ms(self) -> int:
        return int(self.ttl * 1000)

    def _hold_from(self, asked_at: float) -> None:
        # Counted from before the question left: Redis started its clock later, so ours runs out first.
        self._until = asked_at + self.ttl * (1 - SAFETY_PART)

    def _forget(self) -> None:
        self.token, self._until = 0, 0.0
