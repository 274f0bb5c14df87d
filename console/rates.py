"""How often a socket may speak. Pure: the clock is an argument."""

from __future__ import annotations

from console.protocol import MESSAGES_PER_MINUTE


class Rate:
    """A bucket of `limit` messages that fills again within a minute. `hopeless`: kept on after the bucket was empty."""

    def __init__(self, now: float, limit: int = MESSAGES_PER_MINUTE) -> None:
        self.limit, self._left, self._at = limit, float(limit), now
        self._refused = 0

    def take(self, now: float) -> bool:
        """Whether one more message may be read at `now` (monotonic seconds)."""
        self._left = min(self.limit, self._left + (now - self._at) * self.limit / 60)
        self._at = now
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        self._refused = 0
        return True

    @property
    def hopeless(self) -> bool:
        return self._refused > self.limit
