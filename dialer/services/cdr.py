"""The switch's own record of a call. The one column of CallLog that the sequential worker does not write."""

from collections.abc import Sequence

from dialer.models import CallLog
from events import batches, enrich, trail


def store(event_ids: Sequence[int], batch_id: str | None = None) -> int:
    """Keep what these raw events say of their calls; unknown calls are passed over. Returns rows changed. Idempotent.

    batch_id: of the batch that they are stored with, if that may still be under way.
    """
    changed = 0
    for event in batches.events_of(event_ids, batch_id):
        key = enrich.enrich(event).call_id
        found = CallLog.objects.filter(call_id=key).update(cdr_data=enrich.detail_record(event)) if key else 0
        changed += found
        if found:
            trail.note("the switch's record stored", call_id=key)
    return changed
