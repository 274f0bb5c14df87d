"""What a hangup cause means for an attempt. Pure. Source: FreeSWITCH's cause names (Q.850 and its own),
tests/data/esl."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Final values of CallLog.status."""

    COMPLETED = "completed"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    INVALID = "invalid"
    CANCELLED = "cancelled"


BUSY = frozenset({"USER_BUSY"})
NO_ANSWER = frozenset(
    {"NO_ANSWER", "NO_USER_RESPONSE", "ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT", "MEDIA_TIMEOUT", "SUBSCRIBER_ABSENT"}
)
# The number is wrong, not the moment: it is never tried again.
INVALID = frozenset(
    {"UNALLOCATED_NUMBER", "INVALID_NUMBER_FORMAT", "NUMBER_CHANGED", "NO_ROUTE_DESTINATION", "NO_ROUTE_TRANSIT_NET"}
)
# The called party, or a machine in their name, refused: a failure by its status, retried by a rule of its own.
REJECTED = frozenset({"CALL_REJECTED"})
CANCELLED = frozenset({"ORIGINATOR_CANCEL", "LOSE_RACE", "PICKED_OFF"})
# The switch or the trunk refused before anybody was called: no attempt was made at the customer.
NOT_DIALLED = frozenset(
    {"DESTINATION_OUT_OF_ORDER", "INVALID_GATEWAY", "GATEWAY_DOWN", "SWITCH_CONGESTION", "CHAN_NOT_IMPLEMENTED",
     "MANDATORY_IE_MISSING", "EXPIRED", "REFUSED", "NEVER_SENT"}
)  # fmt: skip


def outcome_of(cause: str, *, answered: bool, cancelled_by_us: bool = False) -> Outcome:
    """The attempt's outcome. An answered call is completed whatever ended it; any unknown cause is a failure.

    cancelled_by_us: we asked for the hang-up while it rang (the switch then says NORMAL_CLEARING or the cause we gave).
    """
    if answered:
        return Outcome.COMPLETED
    if cause in BUSY:
        return Outcome.BUSY
    if cause in NO_ANSWER:
        return Outcome.NO_ANSWER
    if cause in INVALID:
        return Outcome.INVALID
    if cause in CANCELLED or cancelled_by_us:
        return Outcome.CANCELLED
    return Outcome.FAILED


def reached_customer(cause: str) -> bool:
    """Whether a failed attempt may have been noticed by the customer, so that it counts as one."""
    return cause not in NOT_DIALLED


def cause_in_reply(reply: str) -> str:
    """`-ERR USER_BUSY` -> `USER_BUSY`; a reply that names no cause -> `REFUSED`."""
    words = reply.removeprefix("-ERR").split()
    first = words[0] if words else ""
    return first if first.isascii() and first.replace("_", "").isalnum() and first.isupper() else "REFUSED"
