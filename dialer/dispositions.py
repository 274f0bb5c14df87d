"""What follows from an agent's disposition of a call, for the contact and for the wrap-up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dialer.retry import LONGEST_DELAY

# A mistake is noticed while the call is remembered; later the contact has moved on.
CORRECTABLE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Flags:
    """What a disposition does with the contact; with none of them the call's outcome goes on deciding.

    do_not_call: the number goes on the list. retry_delay: None for the campaign's own.
    """

    do_not_call: bool = False
    callback: bool = False
    retry: bool = False
    complete: bool = False
    retry_delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The contact is left to the call's outcome."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The contact is done."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Another attempt is wanted, and none is left."""


@dataclass(frozen=True, slots=True)
class Retry:
    at: datetime


@dataclass(frozen=True, slots=True)
class Appointment:
    """personal: the agent's own until `anyone_at` (None: for ever)."""

    at: datetime
    personal: bool
    anyone_at: datetime | None


Following = Keep | Complete | Exhausted | Retry | Appointment


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing follows; `reason` is written for the person who asked."""

    reason: str


def following(
    flags: Flags,
    *,
    now: datetime,
    attempts: int,
    max_retries: int,
    retry_delay: timedelta,
    callback_at: datetime | None = None,
    personal: bool = True,
    fallback: timedelta | None = None,
) -> Following | Refused:
    """attempts: made so far, this one included. max_retries: further attempts allowed after the first. retry_delay:
    the campaign's. fallback: how long after its time a personal appointment becomes anyone's; None: never."""
    if callback_at is not None and not flags.callback:
        return Refused("this disposition makes no appointment; leave its time out or choose another")
    if flags.callback:
        if callback_at is None:
            return Refused("an appointment needs its time")
        if callback_at <= now:
            return Refused("the appointment's time has passed; choose a later one")
        if callback_at > now + LONGEST_DELAY:
            return Refused(f"an appointment is at most {LONGEST_DELAY.days} days ahead")
        anyone_at = callback_at + fallback if personal and fallback is not None else None
        # The customer asked for this call: no limit of attempts stands against it.
        return Appointment(callback_at, personal, anyone_at)
    if flags.do_not_call or flags.complete:
        return Complete()
    if flags.retry:
        if attempts > max_retries:
            return Exhausted()
        return Retry(now + (retry_delay if flags.retry_delay is None else flags.retry_delay))
    return Keep()


def refusal(*, answered: bool, disposed_at: datetime | None, now: datetime) -> str:
    """Why this call may not be disposed of (again) now, or ''."""
    if not answered:
        return "nobody answered this call; there is nothing to dispose of"
    if disposed_at is not None and now - disposed_at > CORRECTABLE:
        minutes = int(CORRECTABLE.total_seconds() // 60)
        return f"disposed of more than {minutes} min ago; it can no longer be corrected"
    return ""


# --- Wrap-up ----------------------------------------------------------------------------------------------------------


class AtMaximum(StrEnum):
    """What the longest wrap-up ends in while the disposition is missing. The values are AfterWrapUp's."""

    AVAILABLE = "available"
    BREAK = "break"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class WrapUp:
    """A campaign's wrap-up: `seconds` after each conversation; with `required` until the call is disposed of, at most
    `maximum` seconds (None: without end), then `then`, a break with `reason`. ends: disposing ends it at once."""

    seconds: int = 0
    required: bool = False
    ends: bool = True
    maximum: int | None = None
    then: AtMaximum = AtMaximum.ALERT
    reason: str = ""

    def owes(self, *, disposed: bool) -> bool:
        """Whether the call may not be left without a disposition."""
        return self.required and not disposed

    def length(self, *, disposed: bool) -> int:
        """Seconds of wrap-up that follow a conversation: none when it was disposed of while it lasted."""
        return 0 if disposed and self.ends else self.seconds

    def ends_when_disposed(self, began: datetime, now: datetime) -> bool:
        return self.ends or now >= began + timedelta(seconds=self.seconds)

    def over_at(self, began: datetime) -> datetime | None:
        """When a wrap-up that began then is longer than it may be."""
        return None if self.maximum is None or not self.required else began + timedelta(seconds=self.maximum)


@dataclass(frozen=True, slots=True)
class End:
    """The wrap-up is over."""


@dataclass(frozen=True, slots=True)
class Stay:
    """It goes on until the call is disposed of; `until`: when to ask again, None: never."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class ToBreak:
    reason: str


def at_wrap_up_end(rules: WrapUp, *, disposed: bool, began: datetime, now: datetime) -> End | Stay | ToBreak:
    """What happens when a wrap-up that began at `began` has used up its time."""
    if not rules.owes(disposed=disposed):
        return End()
    limit = rules.over_at(began)
    if limit is None or now < limit:
        return Stay(limit)
    match rules.then:
        case AtMaximum.AVAILABLE:
            return End()
        case AtMaximum.BREAK:
            return ToBreak(rules.reason)
        case AtMaximum.ALERT:
            return Stay(None)
