"""What happens to a contact after an attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer.hangup_causes import Outcome

# After a refusal by the switch nobody was called: try again soon, without using up an attempt.
NOT_DIALLED_DELAY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Finished:
    """No further attempt. `status`: completed, invalid or exhausted (ContactStatus)."""

    status: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    at: datetime
    counts: bool = True


def after_attempt(
    outcome: Outcome,
    *,
    attempts: int,
    max_retries: int,
    delay: timedelta,
    now: datetime,
    reached: bool = True,
    connected: bool = True,
) -> Finished | TryAgain:
    """attempts: made so far, this one included. max_retries: further attempts allowed after the first.

    reached: the customer can have noticed the attempt. connected: whoever answered was joined to an agent; one who
    answered and was not has not been spoken to, so the contact is not done.
    """
    if outcome is Outcome.COMPLETED and connected:
        return Finished("completed")
    if outcome is Outcome.INVALID:
        return Finished("invalid")
    if not reached:
        return TryAgain(now + NOT_DIALLED_DELAY, counts=False)
    if attempts > max_retries:
        return Finished("exhausted")
    return TryAgain(now + delay)
