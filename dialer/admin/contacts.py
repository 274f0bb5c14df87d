"""Contact lists, their contacts, and the page that imports a CSV file."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import connection, transaction
from django.db.models import Count, F, Model, Q, QuerySet
from django.db.models.functions import Greatest
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dialer.admin.base import changelist_link, page_link
from dialer.admin.exporting import ExportsCsv
from dialer.admin.importing import import_view, may_import
from dialer.admin.inlines import CallsInline, ContactsInline
from dialer.models import FINISHED_CONTACTS, Contact, ContactStatus, DialerTargetList, ExportRun
from events.admin.large_tables import LargeTableAdmin
from events.privacy import mask

# The worker has them in hand: being dialled, or before an agent.
_IN_HAND = (ContactStatus.DIALING, ContactStatus.RESERVED)


@admin.register(DialerTargetList)
class DialerTargetListAdmin(admin.ModelAdmin):
    list_display = ("name", "total_contacts", "processed_contacts", "source", "imported_at", "created_by")
    list_select_related = ("created_by",)
    search_fields = ("name", "description")
    # Counted by the import and by the sequential worker.
    readonly_fields = (
        "target_list_id",
        "total_contacts",
        "processed_contacts",
        "source",
        "source_metadata",
        "imported_at",
        "created_by",
        "created_at",
        "updated_at",
        "its_contacts",
        "its_imports",
    )
    fields = ("name", "description", *readonly_fields)
    inlines = (ContactsInline,)
    change_list_template = "admin/dialer/target_list_changes.html"
    change_form_template = "admin/dialer/target_list_form.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("import/", wrap(self.import_new), name="dialer_dialertargetlist_import_new"),
            path("<int:pk>/import/", wrap(self.import_into), name="dialer_dialertargetlist_import"),
            *super().get_urls(),
        ]

    def import_new(self, request: HttpRequest) -> HttpResponse:
        return import_view(self, request, None)

    def import_into(self, request: HttpRequest, pk: int) -> HttpResponse:
        return import_view(self, request, pk)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "may_import": may_import(request)})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "may_import": may_import(request)}
        return super().changeform_view(request, object_id, form_url, context)

    @admin.display(description="contacts")
    def its_contacts(self, obj: DialerTargetList) -> SafeString | str:
        return changelist_link("contact", "contacts", target_list__id__exact=obj.pk) if obj.pk else "-"

    @admin.display(description="imports")
    def its_imports(self, obj: DialerTargetList) -> SafeString | str:
        return changelist_link("importrun", "imports", target_list__id__exact=obj.pk) if obj.pk else "-"

    def save_model(self, request: HttpRequest, obj: DialerTargetList, form: ModelForm[Any], change: bool) -> None:
        if not change:
            obj.created_by = request.user
            super().save_model(request, obj, form, change)
            return
        # Only what the form has: the counters move while the page is open.
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # All its contacts would go with it, one by one, in one request; and the calls would lose whom they were for.
        if obj is None or Contact.objects.filter(target_list_id=obj.pk).exists():
            return False
        return super().has_delete_permission(request, obj)


@admin.register(Contact)
class ContactAdmin(ExportsCsv, LargeTableAdmin):
    export = ExportRun.What.CONTACTS
    list_display = (
        "name_or_number", "masked", "target_list", "status", "attempts", "last_outcome", "next_attempt_at", "page",
    )  # fmt: skip
    inlines = (CallsInline,)
    list_filter = ("status", "target_list")
    list_select_related = ("target_list",)
    indexed_filters = ("target_list__id__exact",)
    exact_search = ("number",)
    search_help_text = "Whole number (+12125550100)."
    raw_id_fields = ("target_list",)
    # How far its dialling has come is written by the sequential worker.
    readonly_fields = (
        "status", "source", "attempts", "last_outcome", "next_attempt_at", "blocked_by", "created_at", "updated_at",
        "its_calls",
    )  # fmt: skip
    fields = (
        "target_list",
        "number",
        "name",
        "time_zone",
        "priority",
        "custom_fields",
        ("status", "source"),
        "attempts",
        "last_outcome",
        ("next_attempt_at", "blocked_by"),
        "created_at",
        "updated_at",
        "its_calls",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Contact | None = None) -> tuple[str, ...]:
        # Attempts and calls belong to this number in this list: another number is another contact.
        return ("target_list", "number", *self.readonly_fields) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Contact, form: ModelForm[Any], change: bool) -> None:
        if change:
            # Only what the form has: the worker may be dialling this contact.
            obj.save(update_fields=[*form.changed_data, "updated_at"])
            # Another zone has other hours: a gate that closed before is asked again.
            blocked = Contact.objects.filter(pk=obj.pk, status=ContactStatus.READY).exclude(blocked_by="")
            blocked.update(next_attempt_at=timezone.now(), blocked_by="")
            return
        obj.next_attempt_at = timezone.now()
        super().save_model(request, obj, form, change)
        DialerTargetList.objects.filter(pk=obj.target_list_id).update(total_contacts=F("total_contacts") + 1)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Contact) and obj.status in _IN_HAND:
            return False
        return super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Of several, those that are being dialled are left out rather than refused together with the others.
        return super().get_deleted_objects([obj for obj in objs if obj.status not in _IN_HAND], request)

    def delete_model(self, request: HttpRequest, obj: Contact) -> None:
        self.delete_queryset(request, Contact.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Contact]) -> None:
        """Delete, and keep the lists' counters true. A contact that is being dialled stays."""
        with transaction.atomic():
            chosen = Contact.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
            locked = list(chosen.exclude(status__in=_IN_HAND).select_for_update().values_list("pk", flat=True))
            gone = Contact.objects.filter(pk__in=locked)
            per_list = list(
                gone.order_by()
                .values("target_list")
                .annotate(total=Count("pk"), done=Count("pk", filter=Q(status__in=FINISHED_CONTACTS)))
                .values_list("target_list", "total", "done")
            )
            gone.delete()
            # Before the lists are locked, which the worker counts on with every call.
            connection.check_constraints()
            for list_id, total, done in per_list:
                DialerTargetList.objects.filter(pk=list_id).update(
                    total_contacts=Greatest(F("total_contacts") - total, 0),
                    processed_contacts=Greatest(F("processed_contacts") - done, 0),
                )

    @admin.display(description="contact")
    def name_or_number(self, obj: Contact) -> str:
        return obj.name or "(no name)"

    @admin.display(description="page")
    def page(self, obj: Contact) -> SafeString | str:
        return page_link("contact", "history", obj.pk)

    @admin.display(description="number")
    def masked(self, obj: Contact) -> str:
        return mask(obj.number)

    @admin.display(description="calls")
    def its_calls(self, obj: Contact) -> SafeString | str:
        if not obj.pk:
            return "-"
        calls = changelist_link("calllog", "calls", contact__id__exact=obj.pk)
        return format_html("{} · {}", page_link("contact", "history and gates", obj.pk), calls)
