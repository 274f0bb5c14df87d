"""Shared by the dialer's pages: commands to the sequential worker, saving beside it, links between pages."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from typing import Any

import redis
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import F, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from kombu.exceptions import OperationalError

from dialer import announce, inbox
from dialer.services import audit


def send_commands(
    request: HttpRequest, model_admin: admin.ModelAdmin, task: str, targets: Iterable[tuple[Model, dict[str, Any]]]
) -> None:
    """Put one command per object on the sequential queue, in this person's name, and say so.

    Only asked for: the worker may refuse, and the answer is in the applied commands.
    """
    sent = 0
    for obj, command in targets:
        whole = {
            "command_id": str(uuid.uuid4()),
            "actor": request.user.get_username(),
            "requested_at": time.time(),
            "source": audit.source_of(request).as_dict(),
            **command,
        }
        try:
            inbox.submit(task, whole)
        except (OperationalError, redis.RedisError, OSError):
            reason = f"The queue cannot be reached; {sent} commands were sent, the others were not."
            model_admin.message_user(request, reason, messages.ERROR)
            return
        model_admin.log_change(request, obj, f"Asked the dialer: {command.get('action') or command.get('state')}.")
        sent += 1
    answers = reverse("admin:dialer_appliedcommand_changelist")
    text = format_html('{} sent to the dialer; its <a href="{}">answers</a> follow within a second.', sent, answers)
    model_admin.message_user(request, text, messages.SUCCESS)


def announce_on_commit(kind: str, pk: int) -> None:
    """Announce the row once this request's transaction is committed, and not at all when it is rolled back."""

    def tell() -> None:
        with transaction.atomic():
            announce.changed(kind, pk)

    transaction.on_commit(tell, robust=True)


class BesideTheWorker(admin.ModelAdmin):
    """For rows that the sequential worker writes as well: only what the form has changed is written, then announced.

    Saving whole rows would put back the status they had when the page was opened.
    """

    # Of dialer.announce: agent or campaign.
    kind = ""

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            changed = {name: getattr(obj, name) for name in form.changed_data if name in columns}
            type(obj)._default_manager.filter(pk=obj.pk).update(
                **changed, version=F("version") + 1, updated_at=timezone.now()
            )
        else:
            super().save_model(request, obj, form, change)
        announce_on_commit(self.kind, obj.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # History hangs on it, and goes with it: it is taken out of service instead.
        return False


def changelist_link(model: str, label: str, **query: Any) -> SafeString:
    """A link to the change list of a model of the dialer, filtered."""
    address = reverse(f"admin:dialer_{model}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, urlencode(query), label)


def page_link(page: str, label: str, *of: Any, **query: Any) -> SafeString | str:
    """A link to a page of the console, by its name there."""
    address = reverse(f"console:{page}", args=of)
    return format_html('<a href="{}{}">{}</a>', address, f"?{urlencode(query)}" if query else "", label)


class NewestInline(admin.TabularInline):
    """The newest few rows that hang on an object, to be looked at; all of them have a page of their own."""

    extra = 0
    can_delete = False
    newest = 10

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """By their keys: a formset cannot filter a query that is cut off."""
        match = request.resolver_match
        parent = (match.kwargs.get("object_id") if match else None) or ""
        found = super().get_queryset(request).order_by("-pk")
        if not str(parent).isascii() or not str(parent).isdigit():
            return found.none()
        name = self.fk_name or next(
            field.name for field in self.opts.get_fields() if getattr(field, "related_model", None) is self.parent_model
        )
        keys = self.model._default_manager.filter(**{f"{name}_id": parent}).order_by("-pk")
        return found.filter(pk__in=list(keys.values_list("pk", flat=True)[: self.newest]))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fields or ()

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Not part of what is sent back: by then others may be the newest, and a formset would stumble over that.
        exists = request.resolver_match is not None and "object_id" in request.resolver_match.kwargs
        return request.method != "POST" and exists and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
