"""The sequential worker's lease: one holder, a token that only grows, checked inside each transaction that acts.

`-c 1` keeps one worker's tasks in line; the lease keeps a second worker harmless. The holder's row is locked FOR SHARE
by every transaction of the dialer, so another worker cannot take over in the middle of one, and one that has lost the
lease (stopped, slow, cut off) cannot commit.
"""

import logging
from dataclasses import dataclass

from django.db import connection, transaction

from dialer.limits import LEASE_SECONDS
from events import neighbours

log = logging.getLogger(__name__)
NAME = "dialer"
_NOT_WAITED_FOR = "set_config('synchronous_commit', 'off', true)"


class LeaseLost(RuntimeError):
    """Another worker holds the lease: nothing of this transaction may be committed."""


@dataclass(frozen=True, slots=True)
class Held:
    holder: str
    token: int


# Set in the worker before it forks, so that its child carries it; None in every other process.
_held: Held | None = None


def adopt(held: Held | None) -> None:
    """This process acts under `held` from now on."""
    global _held
    _held = held


def current() -> Held | None:
    return _held


def holder_of(name: str = NAME) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT holder FROM dialer_workerlease WHERE name = %s", [name])
        row = cursor.fetchone()
    return row[0] if row else ""


def is_held(name: str = NAME) -> bool:
    """Whether somebody holds it now. Who gave it up, or died with it, is its holder still until another takes it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM dialer_workerlease WHERE name = %s AND expires_at > clock_timestamp()",
            [name],
        )
        return cursor.fetchone() is not None


def acquire(holder: str, seconds: float = LEASE_SECONDS, name: str = NAME, *, dead: str = "") -> Held | None:
    """The lease, when it is free, expired or already the holder's; None while another holds it.

    dead: a holder known to be no more, whose lease need not run out. The clock is PostgreSQL's.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO dialer_workerlease (name, holder, token) VALUES (%s, '', 0) ON CONFLICT DO NOTHING", [name]
        )
        cursor.execute(
            "UPDATE dialer_workerlease SET token = CASE WHEN holder = %s THEN token ELSE token + 1 END, holder = %s,"
            " expires_at = clock_timestamp() + make_interval(secs => %s)"
            " WHERE name = %s AND (holder IN (%s, %s) OR expires_at IS NULL OR expires_at < clock_timestamp())"
            " RETURNING token",
            [holder, holder, seconds, name, holder, dead or holder],
        )
        row = cursor.fetchone()
    return Held(holder, row[0]) if row else None


def renew(held: Held, seconds: float = LEASE_SECONDS, name: str = NAME) -> bool:
    """Whether the lease is still ours and now lasts `seconds` more. A lease that ran out but was not taken is
    renewed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dialer_workerlease SET expires_at = clock_timestamp() + make_interval(secs => %s)"
            " WHERE name = %s AND holder = %s AND token = %s",
            [seconds, name, held.holder, held.token],
        )
        return bool(cursor.rowcount)


def release(held: Held, name: str = NAME) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dialer_workerlease SET expires_at = NULL WHERE name = %s AND holder = %s AND token = %s",
            [name, held.holder, held.token],
        )


def fence(name: str = NAME, *, lasting: bool = True) -> int:
    """Call first in a transaction that acts; returns the fencing token, raises LeaseLost. lasting: whether its commit
    waits until it is on the disk; what is found out again after a crash of PostgreSQL need not.

    Outside a worker (a test, a shell) the lease is taken for this process if it is free, so that nobody acts beside a
    living worker.
    """
    held = _held
    if held is None:
        mine = acquire(f"{neighbours.identity()}/direct", seconds=2.0, name=name)
        if mine is None:
            raise LeaseLost("a dialer worker is running; send this as a task to dialer_queue instead")
        return mine.token
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {'1' if lasting else _NOT_WAITED_FOR} FROM dialer_workerlease"  # noqa: S608 - of constants
            " WHERE name = %s AND holder = %s AND token = %s FOR SHARE",
            [name, held.holder, held.token],
        )
        if cursor.fetchone() is None:
            raise LeaseLost(f"the lease with token {held.token} has passed to another worker")
    return held.token
