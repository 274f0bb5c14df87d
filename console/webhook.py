"""Alerts for other systems: one signed JSON document a change, posted from the queue `default`.

Each is a row from the alert's own transaction until it is delivered or given up. The floor publisher puts the rows that
are due on the queue, again and again: a broker that is away, or has forgotten its tasks, delays them.

Signature: `X-Alert-Signature: sha256=HEX`, the HMAC-SHA256 of the body under ALERT_WEBHOOK_SECRET. `id` in the body is
the same when a delivery is repeated.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import logging
import urllib.error
import urllib.request
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from console.alert_fields import fields
from console.models_alerts import Alert, AlertDelivery, AlertEvent
from console.webhook_address import wrong_url
from dialer.selectors import ms

log = logging.getLogger(__name__)

# A receiver that takes longer blocks one `default` worker so long at most.
SEND_SECONDS: Final = 5.0
# Seconds before each further try: six in all, given up after some 4 minutes.
RETRY_SECONDS: Final = (2, 5, 15, 60, 150)
# On the queue for so long without a try: it is put there once more.
LOST_AFTER: Final = dt.timedelta(seconds=120)
# More than this of one look are left for the next.
QUEUED_AT_ONCE: Final = 100
SIGNATURE: Final = "X-Alert-Signature"


class NotDelivered(Exception):
    """The receiver did not take it; another try may help."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the alert, and the secret's signature, to where nobody has sent it."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def body(alert: Alert, event: str) -> bytes:
    """The document of one change of an alert."""
    document = {
        "id": f"alert-{alert.pk}-{alert.version}",
        "event": event,
        "alert": fields(alert) | {"resolved_at": ms(alert.resolved_at), "resolved_by": alert.resolved_by},
        "figure": alert.figure,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def sign(content: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def tell(alert: Alert, event: str, now: dt.datetime) -> None:
    """Have this change posted, in the caller's transaction; nothing without an address."""
    if not settings.ALERT_WEBHOOK_URL or (alert.threshold is not None and not alert.threshold.webhook):
        return
    # The document is made now: later the alert may have changed again.
    AlertDelivery.objects.create(alert=alert, content=body(alert, event).decode(), made_at=now, due_at=now)


def sweep(now: dt.datetime) -> None:
    """Put what is due on the queue. Raises KombuError, RedisError, OSError when it is away: then the rest stays due."""
    from console.tasks import send_alert

    due = AlertDelivery.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    for pk in list(due.values_list("pk", flat=True)[:QUEUED_AT_ONCE]):
        send_alert.delay(pk)
        AlertDelivery.objects.filter(pk=pk).update(due_at=now + LOST_AFTER)


def deliver(pk: int, now: dt.datetime) -> bool:
    """Post a delivery once; False when the receiver has not taken it. One that a task is at already is left to it."""
    with transaction.atomic():
        row = AlertDelivery.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
        if row is None:
            return False
        try:
            post(row.content)
        except (NotDelivered, ValueError) as failure:
            last = isinstance(failure, ValueError) or row.tries >= len(RETRY_SECONDS)
            if last:
                log.warning("alert %s: the webhook gave up: %s", row.alert_id, failure)
                note = f"webhook: {failure}"[:300]
                AlertEvent.objects.create(alert_id=row.alert_id, kind=AlertEvent.Kind.NOT_SENT, at=now, note=note)
                row.delete()
            else:
                row.due_at = now + dt.timedelta(seconds=RETRY_SECONDS[row.tries])
                row.tries += 1
                row.save(update_fields=["due_at", "tries"])
            return False
        row.delete()
    return True


def post(content: str) -> None:
    """Send it once. Raises NotDelivered; ValueError when the address is none."""
    url = settings.ALERT_WEBHOOK_URL
    if wrong := wrong_url(url):
        raise ValueError(f"ALERT_WEBHOOK_URL: {wrong}")
    headers = {"Content-Type": "application/json", "User-Agent": "voice-orchestrator"}
    data = content.encode()
    if settings.ALERT_WEBHOOK_SECRET:
        headers[SIGNATURE] = sign(data, settings.ALERT_WEBHOOK_SECRET)
    request = urllib.request.Request(url, data, headers, method="POST")  # noqa: S310 - the scheme was checked
    try:
        with _opener.open(request, timeout=SEND_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise NotDelivered(f"answered {error.code}") from None
    except (OSError, ValueError) as error:
        # No address and no secret in the words: they are kept.
        raise NotDelivered(type(error).__name__) from None
