"""A round of decisions: after a tick each active campaign decides, one task after another, each put on the queue when
the one before it is done. A command that comes meanwhile waits for one decision, not for all of them, and however much
there is to do, one tick and one decision wait at most.

Known to the process of the sequential worker alone: a round that is lost with it is followed by the next tick's.
"""

import logging
import time
from collections.abc import Sequence

import redis
from celery import current_app
from kombu.exceptions import OperationalError

from dialer.limits import TICK_PENDING_SECONDS
from dialer.services import wake

log = logging.getLogger(__name__)
_left: list[str] = []
_asked = ""
_asked_at = 0.0
_wanted = False


def begin(campaigns: Sequence[str]) -> None:
    """campaigns: their campaign_ids, in the order in which they decide. While a round goes on, it is followed by
    another tick instead: whoever has become free in it may belong to a campaign that has decided."""
    global _wanted
    if _goes_on():
        _wanted = True
        return
    wake.tick_started()
    _left[:], _wanted = campaigns, False
    _ask()


def decided(campaign: str) -> None:
    """The next one's turn."""
    if campaign == _asked:
        _ask()


def _ask() -> None:
    global _asked, _asked_at, _wanted
    _asked, _asked_at = (_left.pop(0) if _left else ""), time.monotonic()
    if not _asked:
        if _wanted:
            _wanted = False
            wake.again()
        return
    try:
        current_app.send_task("dialer.tasks.execute_dial", [_asked])
    except (redis.RedisError, OperationalError) as error:
        log.warning("the decisions wait for the next tick: %s", type(error).__name__)
        _asked = ""


def _goes_on() -> bool:
    """A decision that has not come by then was lost with the queue."""
    return bool(_asked) and time.monotonic() - _asked_at < TICK_PENDING_SECONDS
