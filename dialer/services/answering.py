"""Answers to commands: the worker's own, and later the switch's. Both are kept in AppliedCommand, so that whoever
missed the publication finds them there."""

import json
import logging
import time
from functools import partial
from typing import Any

import redis
from django.db import transaction
from django.db.models import Q

from dialer.limits import CONFIRM_WITHIN
from dialer.models import AppliedCommand, CallLog
from dialer.services.acting import Act, note
from events import streams

log = logging.getLogger(__name__)
Result = dict[str, Any]
UNCONFIRMED = "the switch has not said that it was done"
_WAITING = AppliedCommand.Confirmation.WAITING


def publish(row: AppliedCommand) -> Result:
    """Tell whoever waits for it what the worker has answered. `awaits`: the switch's own answer follows."""
    awaits = row.confirmation != AppliedCommand.Confirmation.NONE
    answer = {
        "command_id": str(row.command_id), "status": str(row.status), "reason": row.reason, "result": row.result,
    }  # fmt: skip
    _send({**answer, "awaits": awaits})
    if awaits and row.confirmation != _WAITING:
        publish_confirmation(row)
    return answer


def publish_confirmation(row: AppliedCommand) -> None:
    """Tell what the switch has said of it: `confirmed`, or `failed` with the reason."""
    _send({
        "command_id": str(row.command_id), "status": str(row.confirmation), "reason": row.confirmation_reason,
        "confirmation": True,
    })  # fmt: skip


def _send(answer: Result) -> None:
    try:
        streams.shared().publish(streams.RESULTS_CHANNEL, json.dumps({**answer, "at": time.time()}))
    except redis.RedisError as error:
        log.warning("answer to command %s not published: %s", answer["command_id"], type(error).__name__)


def confirm(act: Act, call: CallLog, *actions: str, actor: str | None = None) -> None:
    """The switch has done what these actions on the call asked for. actor: only commands of theirs."""
    _settle(act, _waiting(call, actions, actor), "")


def fail(act: Act, call: CallLog, reason: str, *actions: str, actor: str | None = None) -> None:
    """The switch has not done it, for this reason. No actions: whatever waits."""
    _settle(act, _waiting(call, actions, actor), reason or UNCONFIRMED)


def call_ended(act: Act, call: CallLog) -> None:
    """Settle what waits: what the end proves is done, the rest came too late. stop_listening is told by its own leg."""
    for row in _rows(Q(target=str(call.call_id), kind="call_control")):
        action = row.payload.get("action") if isinstance(row.payload, dict) else ""
        if action in {"hangup", "record_stop"}:
            _settle_row(act, row, "")
        elif action != "stop_listening":
            _settle_row(act, row, "the call has ended")


def settle_command(act: Act, command_id: Any, reason: str = "") -> None:
    """One command is confirmed, or has failed for a reason."""
    if command_id is not None:
        _settle(act, Q(command_id=command_id), reason)


def overdue(act: Act) -> int:
    """Commands that the switch has not confirmed in time have failed, as far as anybody knows. Returns how many."""
    return _settle(act, Q(applied_at__lt=act.now - CONFIRM_WITHIN), UNCONFIRMED)


def _waiting(call: CallLog, actions: tuple[str, ...], actor: str | None) -> Q:
    found = Q(target=str(call.call_id), kind="call_control")
    if actions:
        found &= Q(payload__action__in=actions)
    return found if actor is None else found & Q(actor=actor)


def _rows(which: Q) -> list[AppliedCommand]:
    return list(AppliedCommand.objects.select_for_update().filter(which, confirmation=_WAITING))


def _settle(act: Act, which: Q, reason: str) -> int:
    rows = _rows(which)
    for row in rows:
        _settle_row(act, row, reason)
    return len(rows)


def _settle_row(act: Act, row: AppliedCommand, reason: str) -> None:
    done = AppliedCommand.Confirmation
    row.confirmation = done.FAILED if reason else done.CONFIRMED
    row.confirmation_reason, row.confirmed_at = reason[:300], act.now
    row.save(update_fields=["confirmation", "confirmation_reason", "confirmed_at"])
    transaction.on_commit(partial(publish_confirmation, row))
    words = f"the switch has not done it: {reason}" if reason else "the switch has done it"
    note(words, command_id=row.command_id)
