"""The switch's own record of a call. The one column of CallLog that the sequential worker does not write."""

import uuid
from typing import Any

from dialer.models import CallLog
from events import trail


def store(records: list[list[Any]]) -> int:
    """records: [[call_id, cdr], ...]; unknown calls are passed over. Returns rows changed. Idempotent."""
    changed = 0
    for call_id, cdr in records:
        try:
            key = uuid.UUID(str(call_id))
        except ValueError:
            continue
        found = CallLog.objects.filter(call_id=key).update(cdr_data=cdr)
        changed += found
        if found:
            trail.note("the switch's record stored", call_id=key)
    return changed
