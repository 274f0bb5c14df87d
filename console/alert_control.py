"""`alert_control`, carried out here, in the web process: it races with nothing that dials, so it waits in no queue.

One transaction locks the alert, writes the effect and the answer."""

from __future__ import annotations

import logging
from typing import Any

from django.db import IntegrityError, close_old_connections, transaction
from django.utils import timezone

from console import alerts
from console.protocol import AlertControl
from dialer.models import AppliedCommand
from dialer.services import answering

log = logging.getLogger(__name__)


def carry_out(intent: AlertControl, command_id: str, actor: str, source: dict[str, Any] | None = None) -> None:
    """Do it once, whatever socket or process says it how often; the answer goes to whoever waits for the command's id.
    source: where it was said, for the audit log. Raises DatabaseError, with nothing done."""
    close_old_connections()
    earlier = AppliedCommand.objects.filter(command_id=command_id).first()
    if earlier is None:
        try:
            with transaction.atomic():
                earlier = _once(intent, command_id, actor, source or {})
        except IntegrityError:
            # The same id was carried out beside us and committed first: its answer is ours.
            earlier = AppliedCommand.objects.get(command_id=command_id)
    answering.publish(earlier)


def _once(intent: AlertControl, command_id: str, actor: str, source: dict[str, Any]) -> AppliedCommand:
    now, status, reason, done = timezone.now(), AppliedCommand.Status.APPLIED, "", ""
    try:
        done = alerts.control(int(intent.alert_id), intent.action, intent.minutes, actor, now)
    except alerts.Refusal as refusal:
        status, reason = AppliedCommand.Status.REJECTED, str(refusal)[:300]
    return AppliedCommand.objects.create(
        command_id=command_id,
        kind="alert_control",
        actor=actor,
        target=intent.alert_id[:100],
        payload={
            "alert_id": intent.alert_id,
            "action": intent.action,
            "minutes": intent.minutes,
            "source": source,
        },
        status=status,
        reason=reason,
        result={"done": done} if done else {},
        applied_at=now,
    )
