"""What boards and webhooks tell of an alert alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.selectors import ms

if TYPE_CHECKING:
    from console.models import Alert


def fields(alert: Alert) -> dict[str, Any]:
    """Times in ms since 1970 UTC."""
    return {
        "id": str(alert.pk),
        "threshold": alert.name,
        "level": alert.level,
        "state": alert.state,
        "subject_kind": alert.subject_kind,
        "subject_id": alert.subject_id,
        "campaign_id": alert.campaign or None,
        "team": alert.team,
        "text": alert.text,
        "raised_at": ms(alert.raised_at),
        "owner": alert.owner,
        "snoozed_until": ms(alert.snoozed_until),
    }
