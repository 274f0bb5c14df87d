"""What happens to a contact after an attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer.hangup_causes import REJECTED, Outcome

# After a refusal by the switch nobody was called: try again soon, without using up an attempt.
NOT_DIALLED_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(days=90)

# How an attempt ended, finer than its status: CallLog.outcome.
CONVERSATION, INVALID, NOT_DIALLED, MACHINE = "conversation", "invalid", "not_dialled", "machine"
# Those after which the contact may be tried again, each with a rule of its own. abandoned: answered, and no agent
# within the grace time; hung_up: answered, and gone before that.
RETRY_OUTCOMES = ("busy", "no_answer", "failed", "rejected", "cancelled", MACHINE, "abandoned", "hung_up")
OUTCOMES = (CONVERSATION, INVALID, NOT_DIALLED, *RETRY_OUTCOMES)


@dataclass(frozen=True, slots=True)
class RetryRule:
    """After an outcome: `delay`, times `growth` for each earlier one of its kind, at most `longest`; `times` retries
    after outcomes of this kind, None for as many as the campaign allows."""

    delay: timedelta
    times: int | None = None
    growth: float = 1.0
    longest: timedelta = LONGEST_DELAY

    def delay_after(self, count: int) -> timedelta:
        """The delay after the count-th outcome of this kind, counted from 1."""
        # Past this the product is beyond any `longest`, and would overflow.
        exponent = min(max(0, count - 1), 64)
        seconds = min(self.delay.total_seconds() * self.growth**exponent, self.longest.total_seconds())
        return timedelta(seconds=seconds)

    def is_used_up(self, count: int) -> bool:
        """Whether after `count` outcomes of this kind no further attempt is allowed."""
        return self.times is not None and count > self.times


@dataclass(frozen=True, slots=True)
class Finished:
    """No further attempt. `status`: completed, invalid or exhausted (ContactStatus)."""

    status: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    at: datetime
    counts: bool = True


def kind_of(
    outcome: Outcome, cause: str, *, reached: bool, connected: bool, abandoned: bool = False, machine: bool = False
) -> str:
    """The attempt's ending as one of OUTCOMES. Words as in `after_attempt`; machine: the switch heard one answer."""
    if outcome is Outcome.COMPLETED:
        if machine:
            return MACHINE
        if connected:
            return CONVERSATION
        return "abandoned" if abandoned else "hung_up"
    if outcome is Outcome.INVALID:
        return INVALID
    if not reached:
        return NOT_DIALLED
    return "rejected" if cause in REJECTED else outcome.value


def after_attempt(
    kind: str, *, attempts: int, max_retries: int, rule: RetryRule, count: int, now: datetime
) -> Finished | TryAgain:
    """kind: of OUTCOMES. attempts: made so far, this one included. max_retries: further attempts allowed after the
    first. rule: for this kind. count: attempts that ended this way so far, this one included.

    Whoever answered and was not joined to an agent has not been spoken to, so the contact is not done.
    """
    if kind == CONVERSATION:
        return Finished("completed")
    if kind == INVALID:
        return Finished("invalid")
    if kind == NOT_DIALLED:
        return TryAgain(now + NOT_DIALLED_DELAY, counts=False)
    if attempts > max_retries or rule.is_used_up(count):
        return Finished("exhausted")
    return TryAgain(now + rule.delay_after(count))
