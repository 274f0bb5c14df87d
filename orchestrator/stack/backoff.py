"""How long to wait before a crashed process is started again. Pure: the random source is an argument."""

import random
from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0  # Nobody at a desk waits longer for a process to come back after its cause is gone.
STEADY_SECONDS = 30.0  # A process that ran this long had started well: its next crash is a new story.


@dataclass
class Backoff:
    """Counts the crashes in a row of one process. It never gives up."""

    random: random.Random
    failures: int = 0

    def after(self, ran_seconds: float) -> float:
        """Seconds to wait after a process that ran for `ran_seconds`: doubling, capped, between half and whole."""
        if ran_seconds >= STEADY_SECONDS:
            self.failures = 0
        self.failures += 1
        # The exponent is capped too: after days of crashes 2 ** failures would not fit a float.
        whole = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures - 1, 16))
        return whole * self.random.uniform(0.5, 1.0)
