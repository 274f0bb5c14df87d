"""What the console writes into the audit log by itself: sign-ins, refusals at the door, changes of rights and of the
admin. Commands that reach the dialer are written by it, with their effect; pages call `dialer.services.audit.note`.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry, LogEntryManager
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import DatabaseError
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from console import sign_ins
from console.auth import Identity
from console.models import ApiToken, Right
from console.permissions import Actor
from console.protocol import Intent
from dialer.models import DialerCampaign, ExportRun, Team
from dialer.services import audit
from dialer.services.audit import Result, Source

log = logging.getLogger(__name__)

# What of a user gives or takes rights.
_OF_USERS = ("is_active", "is_staff", "is_superuser")
_FLAGS = {ADDITION: "add", CHANGE: "change", DELETION: "delete"}


# --- sockets ------------------------------------------------------------------------------------------------------


def source_of(scope: dict[str, Any], identity: Identity) -> Source:
    """Where commands of this socket come from."""
    peer = scope.get("client")
    forwarded = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"x-forwarded-for"), None)
    return Source(
        via=audit.session_label(identity.key) if identity.kind == "session" else f"token {identity.name}",
        page=str(scope.get("path", "")),
        address=audit.client_address(peer[0] if peer else None, forwarded),
        user_id=identity.actor.user_id,
    )


@database_sync_to_async
def refused(who: Actor, intent: Intent, code: str, reason: str, source: Source) -> None:
    """A command that did not get past the door. A log that cannot be written must not stop the answer: nothing has been
    done."""
    kind = str(intent.__struct_config__.tag)
    asked = msgspec.structs.asdict(intent)
    result = Result.FAILED if code in ("queue_unavailable", "try_again", "no_answer") else Result.REFUSED
    try:
        audit.command(kind, asked, actor=who.username, result=result, reason=f"{code}: {reason}", source=source)
    except DatabaseError as error:
        log.warning("a refused command could not be written into the audit log: %s", type(error).__name__)


@database_sync_to_async
def limited(who: Actor, messages: int, commands: int, source: Source) -> None:
    """How much a socket sent above its limits, once, when it is closed."""
    counts = {"messages": messages, "commands": commands}
    try:
        audit.write("rate_limited", actor=who.username, result=Result.REFUSED, details=counts, source=source)
    except DatabaseError as error:
        log.warning("refusals of a socket could not be written into the audit log: %s", type(error).__name__)


# --- everything that signals ----------------------------------------------------------------------------------------


def watch() -> None:
    """Connect the signals, once."""
    users = get_user_model()
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="audit")
    post_save.connect(_admin_entry, sender=LogEntry, dispatch_uid="audit")
    post_save.connect(_exported, sender=ExportRun, dispatch_uid="audit")
    post_save.connect(_token_made, sender=ApiToken, dispatch_uid="audit")
    post_save.connect(_right_changed, sender=Right, dispatch_uid="audit")
    post_delete.connect(_right_changed, sender=Right, dispatch_uid="audit")
    pre_save.connect(_user_changed, sender=users, dispatch_uid="audit")
    for what, through in (
        ("groups", users.groups.through),
        ("permissions", users.user_permissions.through),
        ("team supervisors", Team.supervisors.through),
        ("campaign supervisors", DialerCampaign.supervisors.through),
    ):
        m2m_changed.connect(_memberships[what], sender=through, dispatch_uid=f"audit {what}")
    _watch_many()


def _signed_in(sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
    audit.write("sign_in", actor=user.get_username(), source=_source(request, user.pk))


def _signed_out(sender: Any, request: HttpRequest, user: Any, **more: Any) -> None:
    if user is not None:
        audit.write("sign_out", actor=user.get_username(), source=_source(request, user.pk))


def _sign_in_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any) -> None:
    """The name that was tried is the target: nobody has shown that they are that user. Above the limit nothing is tried
    and nothing written: whoever floods us must not flood the audit log as well."""
    if sign_ins.waits(request):
        return
    name = str(credentials.get(get_user_model().USERNAME_FIELD) or credentials.get("username") or "")
    source = _source(request, None) if request is not None else Source()
    audit.write("sign_in", actor="", target_kind="user", target=name, result=Result.REFUSED, source=source)


def _source(request: HttpRequest, user_id: int | None) -> Source:
    found = audit.source_of(request)
    return Source(via=found.via, page=found.page or "", address=found.address, user_id=user_id)


def _admin_entry(sender: Any, instance: LogEntry, created: bool, **more: Any) -> None:
    if not created:
        return
    kind = instance.content_type.model if instance.content_type_id and instance.content_type else ""
    audit.note(
        f"admin.{_FLAGS.get(instance.action_flag, 'change')}",
        actor=instance.user.get_username(),
        target_kind=kind,
        target=instance.object_id or "",
        details={"object": instance.object_repr, **_changes(instance.change_message)},
    )


def _changes(message: str) -> dict[str, Any]:
    """Which fields have changed, and what hangs on the object was added, changed or deleted with it."""
    try:
        parts = json.loads(message) if message.startswith("[") else []
    except ValueError:
        parts = []
    if not parts:
        return {"note": message} if message else {}
    found: dict[str, Any] = {}
    for part in parts:
        for verb, what in part.items():
            name = f"{what['name']} {what.get('object', '')}".strip() if what.get("name") else ""
            fields = ", ".join(what.get("fields", ()))
            if text := ": ".join(filter(None, (name, fields))):
                found.setdefault(verb, []).append(text)
    return found


def _watch_many() -> None:
    """Django writes the log of an action on many objects at once, and signals nothing."""
    plain = LogEntryManager.bulk_create
    if getattr(plain, "audited", False):
        return

    def bulk_create(self: Any, objs: Any, *args: Any, **options: Any) -> Any:
        made = plain(self, objs, *args, **options)
        for entry in made:
            _admin_entry(LogEntry, entry, created=True)
        return made

    bulk_create.audited = True  # type: ignore[attr-defined]
    LogEntryManager.bulk_create = bulk_create


def _exported(sender: Any, instance: ExportRun, created: bool, **more: Any) -> None:
    if created:
        audit.note(
            "export",
            actor=instance.actor,
            target_kind="export",
            target=str(instance.what),
            details={"full_numbers": instance.full_numbers, "filters": instance.filters},
        )


def _token_made(sender: Any, instance: ApiToken, created: bool, **more: Any) -> None:
    if created:
        audit.note(
            "token.create", target_kind="user", target=instance.user.get_username(), details={"hint": instance.hint}
        )


def _right_changed(sender: Any, instance: Right, **more: Any) -> None:
    what = "deleted" if "created" not in more else str(instance.get_given_display())
    audit.note(
        f"right.{what}",
        target_kind="user" if instance.user_id else "group",
        target=str(instance.user or instance.group),
        details={"permission": instance.permission, "why": instance.reason},
    )


def _user_changed(sender: Any, instance: Any, update_fields: Any = None, **more: Any) -> None:
    if update_fields is not None and not set(_OF_USERS) & set(update_fields):
        return
    before = type(instance)._default_manager.filter(pk=instance.pk).values(*_OF_USERS).first() if instance.pk else None
    now = {name: getattr(instance, name) for name in _OF_USERS}
    if before is None:
        changed = {name: value for name, value in now.items() if value and name != "is_active"}
    else:
        changed = {name: value for name, value in now.items() if value != before[name]}
    if changed:
        audit.note("role.user", target_kind="user", target=instance.get_username(), details=changed)


def _membership(what: str) -> Any:
    def changed(
        sender: Any,
        instance: Model,
        action: str,
        reverse: bool,
        model: type[Model],
        pk_set: set[Any] | None,
        **more: Any,
    ) -> None:
        if action not in ("post_add", "post_remove", "pre_clear") or (pk_set is not None and not pk_set):
            return
        keys = list(pk_set) if pk_set is not None else ["all"]
        others = [str(one) for one in model._default_manager.filter(pk__in=pk_set)] if pk_set is not None else ["all"]
        audit.note(
            f"role.{what.replace(' ', '_')}.{action.partition('_')[2]}",
            target_kind=str(instance._meta.model_name),
            target=str(instance),
            details={"with": others, "keys": keys},
        )

    return changed


# Signals hold their receivers weakly.
_memberships = {
    what: _membership(what) for what in ("groups", "permissions", "team supervisors", "campaign supervisors")
}
