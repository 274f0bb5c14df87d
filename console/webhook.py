"""Alerts for other systems: one signed JSON document a change, posted from the queue `default`.

Signature: `X-Alert-Signature: sha256=HEX`, the HMAC-SHA256 of the body under ALERT_WEBHOOK_SECRET. `id` in the body is
the same when a delivery is repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import redis
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError

from console.webhook_address import wrong_url
from dialer.selectors import ms

if TYPE_CHECKING:
    from console.models import Alert

log = logging.getLogger(__name__)

# A receiver that takes longer blocks one `default` worker so long at most.
SEND_SECONDS: Final = 5.0
# Seconds before each further try: six in all, given up after some 4 minutes, below the broker's visibility timeout.
RETRY_SECONDS: Final = (2, 5, 15, 60, 150)
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
        "alert": {
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
            "resolved_at": ms(alert.resolved_at),
            "resolved_by": alert.resolved_by,
        },
        "figure": alert.figure,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def sign(content: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def tell(alert: Alert, event: str) -> None:
    """Have this change posted once the present transaction is committed; nothing without an address."""
    if not settings.ALERT_WEBHOOK_URL or (alert.threshold is not None and not alert.threshold.webhook):
        return
    # The document is made now: later the alert may have changed again.
    content = body(alert, event).decode()
    transaction.on_commit(lambda: _enqueue(alert.pk, content), robust=True)


def _enqueue(pk: int, content: str) -> None:
    from console.tasks import send_alert

    try:
        send_alert.delay(pk, content)
    except (KombuError, redis.RedisError, OSError) as error:
        log.warning("alert %s was not sent: the queue is away (%s)", pk, type(error).__name__)


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
