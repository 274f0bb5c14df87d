"""A command that fails by a fault of ours is answered, too, and not tried again for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from dialer.lease import LeaseLost
from dialer.models import AppliedCommand, QueuedCommand
from dialer.services.acting import acting

log = logging.getLogger(__name__)
WORDS = "a fault of the dialer; nothing was done, and it is in the log"


def answered(once: Callable[..., Any]) -> Callable[..., Any]:
    """For services.commands._once. A lost lease or database is not the command's fault: the task is given back."""

    @wraps(once)
    def wrapped(command: dict[str, Any], kind: str, target: str, *more: Any) -> Any:
        try:
            return once(command, kind, target, *more)
        except (LeaseLost, OperationalError, InterfaceError):
            raise
        except Exception:
            command_id = command.get("command_id")
            log.exception("command %s (%s) failed", command_id, kind)
            if command_id is None:
                raise
        with acting(str(command.get("actor") or ""), command_id):
            AppliedCommand.objects.create(
                command_id=command_id,
                kind=kind,
                actor=str(command.get("actor") or "")[:150],
                target=target[:100],
                payload=command,
                status=AppliedCommand.Status.FAILED,
                reason=WORDS,
                applied_at=timezone.now(),
            )
            QueuedCommand.objects.filter(command_id=command_id).delete()
        # It finds the answer now and tells it.
        return once(command, kind, target, *more)

    return wrapped
