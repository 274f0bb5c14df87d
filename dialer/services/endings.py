"""What the end of a call depends on besides the call itself: one question, for one call or for many that have ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from django.db import connection

from dialer.models import AppliedCommand, Callback, CallLog
from dialer.services import ahead

_QUESTION = """
SELECT 'waiting', call.id, '', 0, false FROM dialer_calllog call JOIN dialer_appliedcommand command
  ON command.target = call.call_id::text AND command.kind = 'call_control' AND command.confirmation = %(waiting)s
  WHERE call.id = ANY(%(calls)s)
UNION ALL SELECT 'hung_up_by_us', call_id, '', 0, false FROM dialer_order
  WHERE call_id = ANY(%(calls)s) AND kind = 'hangup'
UNION ALL SELECT 'sides', call_id, '', 0, false FROM dialer_sideleg
  WHERE call_id = ANY(%(calls)s) AND ended_at IS NULL
UNION ALL SELECT 'appointed', call.id, '', 0, false FROM dialer_calllog call JOIN dialer_callback appointment
  ON appointment.contact_id = call.contact_id AND appointment.status = %(open)s WHERE call.id = ANY(%(calls)s)
UNION ALL SELECT 'earlier', call.id, other.outcome, count(*),
    bool_or(other.bridged_at IS NOT NULL AND NOT other.machine)
  FROM dialer_calllog call JOIN dialer_calllog other ON other.contact_id = call.contact_id AND other.id <> call.id
  WHERE call.id = ANY(%(calls)s) GROUP BY call.id, other.outcome
"""


@dataclass(slots=True)
class Known:
    """waiting: somebody's command on the call waits for the switch's word. hung_up_by_us: we have ordered that. sides:
    other legs were called for it, and live. appointed: the contact has an open appointment; true to the moment for whom
    the contact was locked before. outcomes: how often each came of the contact's other calls. talked_before:
    an agent has talked to the contact in one of them."""

    waiting: bool = False
    hung_up_by_us: bool = False
    sides: bool = False
    appointed: bool = False
    outcomes: dict[str, int] = field(default_factory=dict)
    talked_before: bool = False


def of(call: CallLog) -> Known:
    known = ahead.take("ending", call.pk)
    return _asked([call])[call.pk] if known is ahead.NOT_READ else known


def read_ahead(calls: Collection[CallLog]) -> None:
    found = _asked(calls)
    ahead.keep("ending", found, found)


def _asked(calls: Collection[CallLog]) -> dict[int, Known]:
    keys = [call.pk for call in calls]
    with connection.cursor() as cursor:
        asked = {"waiting": AppliedCommand.Confirmation.WAITING.value, "open": Callback.Status.OPEN.value}
        cursor.execute(_QUESTION, {"calls": keys, **asked})
        rows = cursor.fetchall()
    found = {key: Known() for key in keys}
    for what, key, outcome, count, talked in rows:
        if what == "earlier":
            found[key].outcomes[outcome] = count
            found[key].talked_before |= talked
        else:
            setattr(found[key], what, True)
    return found
