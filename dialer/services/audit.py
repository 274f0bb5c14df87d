"""Writing the audit log. One insert; where something is changed, in the same transaction as the change.

Views call `note`: who asks, from where and on which page comes from the request that is being answered. The sequential
worker calls `command`; the console tells it with each command where that came from (`Source`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.conf import settings
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.utils import timezone

from dialer.models import AppliedCommand, AuditEntry
from events.privacy import clean, mask

Result = AuditEntry.Result

# What of a command is kept: no texts of people, no whole numbers, nothing that is a column already.
DETAILS: Final = (
    "state", "reason", "cancel_pending", "action", "extension", "mode", "max_lines", "calls_per_second", "power_ratio",
    "code", "callback_at", "callback_personal", "at", "personal", "minutes", "agents", "teams", "campaigns",
    "campaign_id", "preview_id", "message_id", "number",
)  # fmt: skip
_TARGETS: Final = (
    ("call_id", "call"), ("agent_id", "agent"), ("campaign_id", "campaign"), ("alert_id", "alert"),
)  # fmt: skip
_LONGEST_LIST: Final = 50
_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was asked for. `via`: the session or token in a form that opens nothing."""

    via: str = ""
    page: str = ""
    address: str = ""
    user_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, value: Any) -> Source:
        """From a command, which may be of an older version or of another room."""
        if not isinstance(value, dict):
            return cls()
        user_id = value.get("user_id")
        texts = {name: str(value.get(name) or "") for name in ("via", "page", "address")}
        return cls(**texts, user_id=user_id if isinstance(user_id, int) else None)


def write(
    action: str,
    *,
    actor: str,
    target_kind: str = "",
    target: str = "",
    result: str = Result.DONE,
    reason: str = "",
    details: dict[str, Any] | None = None,
    source: Source | None = None,
    command_id: str | uuid.UUID | None = None,
    at: dt.datetime | None = None,
) -> None:
    """One row. Raises DatabaseError: what cannot be written down is not done."""
    source = source or Source()
    AuditEntry.objects.create(
        at=at or timezone.now(),
        actor=_plain(actor)[:150],
        user_id=source.user_id,
        action=action[:60],
        target_kind=target_kind[:40],
        target=_plain(target)[:100],
        result=result,
        reason=clean(_plain(reason))[:300],
        details=_kept(details or {}),
        via=source.via[:60],
        page=source.page[:200],
        address=_address(source.address),
        command_id=command_id,
    )


def command(
    kind: str, asked: dict[str, Any], *, actor: str, result: str, reason: str = "", at: dt.datetime | None = None,
    command_id: str | uuid.UUID | None = None, source: Source | None = None,
) -> None:  # fmt: skip
    """A command with its answer. `asked`: the command as it is sent to the worker."""
    action = f"{kind}.{asked['action']}" if asked.get("action") else kind
    target_kind, target = next(((word, str(asked[key])) for key, word in _TARGETS if asked.get(key)), ("", ""))
    write(
        action,
        actor=actor,
        target_kind=target_kind,
        target=target,
        result=result,
        reason=reason,
        details={name: asked[name] for name in DETAILS if asked.get(name) and asked[name] != target},
        source=source or Source.of(asked.get("source")),
        command_id=command_id,
        at=at,
    )


def watch() -> None:
    """From now on each answered command is written with its answer, by whom ever it is carried out."""
    post_save.connect(_answered, sender=AppliedCommand, dispatch_uid="audit")


def _answered(sender: Any, instance: AppliedCommand, created: bool, update_fields: Any = None, **more: Any) -> None:
    """What the dialer has answered; and, where the switch's word follows, that in a row of its own."""
    if created:
        result, reason, at = instance.status, instance.reason, instance.applied_at
    elif "confirmation" in (update_fields or ()):
        result, reason, at = instance.confirmation, instance.confirmation_reason, instance.confirmed_at
    else:
        return
    command(
        instance.kind,
        instance.payload,
        actor=instance.actor,
        result=result,
        reason=reason,
        at=at,
        command_id=instance.command_id,
    )


# --- requests -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    request: HttpRequest
    full_numbers: bool = False


_asked: ContextVar[_Asked | None] = ContextVar("audit_request", default=None)


@contextmanager
def answering(request: HttpRequest) -> Iterator[None]:
    """While it lasts, `note` knows who asks and from where. A page that has shown whole numbers is noted at its end."""
    asked = _Asked(request)
    token = _asked.set(asked)
    try:
        yield
        if asked.full_numbers:
            note("full_numbers_seen", target_kind="page", target=request.path)
    finally:
        _asked.reset(token)


def note(
    action: str,
    *,
    target_kind: str = "",
    target: str = "",
    result: str = Result.DONE,
    reason: str = "",
    details: dict[str, Any] | None = None,
    actor: str | None = None,
    once_in: dt.timedelta | None = None,
) -> None:
    """What the user of the present request has done; outside of a request, the command line. `once_in`: not again when
    they did it so short a time ago. Raises DatabaseError."""
    asked = _asked.get()
    source, name = (source_of(asked.request), _name(asked.request)) if asked else (Source(via="command line"), "")
    actor = name if actor is None else actor
    if once_in is not None:
        same = AuditEntry.objects.filter(target=target, actor=actor, action=action, at__gt=timezone.now() - once_in)
        if same.exists():
            return
    write(
        action,
        actor=actor,
        target_kind=target_kind,
        target=target,
        result=result,
        reason=reason,
        details=details,
        source=source,
    )


def full_numbers_shown() -> None:
    """The page that is being made shows a whole number: one row for it, however many."""
    asked = _asked.get()
    if asked is not None:
        asked.full_numbers = True


def source_of(request: HttpRequest) -> Source:
    user = getattr(request, "user", None)
    session = getattr(request, "session", None)
    return Source(
        via=session_label(getattr(session, "session_key", None)),
        page=request.path,
        address=client_address(request.META.get("REMOTE_ADDR"), request.META.get("HTTP_X_FORWARDED_FOR")),
        user_id=getattr(user, "pk", None),
    )


def session_label(key: str | None) -> str:
    """A session so that its rows can be told from another's: the key itself would open it."""
    return f"session {hashlib.sha256(key.encode()).hexdigest()[:10]}" if key else "no session"


def client_address(peer: str | None, forwarded: str | None) -> str:
    """The peer's; behind a proxy that we trust, whom it names last: what stands before was said by the client."""
    if forwarded and getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        return forwarded.rpartition(",")[2].strip()
    return peer or ""


def _name(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else ""


def _kept(details: dict[str, Any]) -> dict[str, Any]:
    return {name: mask(str(value)) if name == "number" else _value(value) for name, value in details.items()}


def _value(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            more = [f"and {len(value) - _LONGEST_LIST} more"] if len(value) > _LONGEST_LIST else []
            return [_value(one) for one in value[:_LONGEST_LIST]] + more
        case dict():
            return {str(key)[:100]: _value(one) for key, one in list(value.items())[:_LONGEST_LIST]}
        case _:
            return clean(_plain(str(value)))[:_LONGEST_TEXT]


def _plain(text: str) -> str:
    """PostgreSQL keeps no zero byte."""
    return str(text).replace("\0", "")


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None
