"""Who may be called: compliance profiles, do-not-call and consent lists, holidays, appointments, system limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from dialer import numbers
from dialer.models import (
    Callback,
    ComplianceProfile,
    ConsentRevocation,
    Contact,
    DoNotCall,
    Holiday,
    Message,
    SystemLimits,
)
from dialer.services import following, wake
from events.admin.large_tables import LargeTableAdmin
from events.privacy import mask


@admin.register(ComplianceProfile)
class ComplianceProfileAdmin(admin.ModelAdmin):
    list_display = ("name", "used_by", "quiet_days", "abandon_reserved_hours", "observe_holidays", "updated_at")
    search_fields = ("name", "description")
    readonly_fields = ("updated_at",)
    fieldsets = (
        (None, {"fields": ("name", "description")}),
        ("When", {"fields": ("calling_hours", "observe_holidays")}),
        ("How often", {"fields": ("frequency", "quiet_days", ("abandon_wait_hours", "abandon_reserved_hours"))}),
        ("Abandoned calls", {"fields": ("abandon_cap_percent", "strict_abandon_cap")}),
        ("After an attempt", {"fields": ("retry",)}),
        ("Which numbers", {"fields": ("allowed_prefixes", "refused_number_types")}),
        ("Record", {"fields": ("updated_at",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ComplianceProfile]:
        return super().get_queryset(request).annotate(campaign_count=Count("campaigns"))

    @admin.display(description="campaigns", ordering="campaign_count")
    def used_by(self, obj: Any) -> int:
        return int(obj.campaign_count)


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    list_display = ("name", "is_recorded", "updated_at")
    search_fields = ("name", "text")
    readonly_fields = ("message_id", "created_at", "updated_at")

    @admin.display(description="recorded", boolean=True)
    def is_recorded(self, obj: Message) -> bool:
        return obj.is_recorded


@admin.register(SystemLimits)
class SystemLimitsAdmin(admin.ModelAdmin):
    list_display = ("__str__", "max_lines", "max_calls_per_second", "daily_spend_cap", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not SystemLimits.objects.exists()


class ListedForm(ModelForm):
    """A number in any way people write one."""

    number = forms.CharField(max_length=numbers.LONGEST_TEXT, help_text="+12125550100, or as written where you are")

    def clean_number(self) -> str:
        try:
            return numbers.normalise(self.cleaned_data["number"], settings.DEFAULT_REGION)
        except numbers.NumberError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or {}
        model = self._meta.model
        same = model.objects.filter(number=data.get("number"), campaign=data.get("campaign"))
        if not self.instance.pk and same.exists():
            raise forms.ValidationError("The number is listed already.")
        return data


class ListedAdmin(LargeTableAdmin):
    """The number and whom it concerns never change: an entry is removed, and another made."""

    form = ListedForm
    list_display = ("masked", "scope", "source", "created_by", "created_at")
    list_filter = ("campaign",)
    list_select_related = ("campaign", "created_by")
    exact_search = ("number",)
    search_help_text = "Whole number (+12125550100)."
    fields = ("number", "campaign", "source", "note", "created_by", "created_at")
    readonly_fields = ("created_by", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("number", "campaign", *self.readonly_fields) if obj else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            kwargs["form"] = ModelForm
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    @admin.display(description="number")
    def masked(self, obj: Any) -> str:
        return mask(obj.number)

    @admin.display(description="for")
    def scope(self, obj: Any) -> str:
        return str(obj.campaign) if obj.campaign_id else "every campaign"


@admin.register(DoNotCall)
class DoNotCallAdmin(ListedAdmin):
    pass


@admin.register(ConsentRevocation)
class ConsentRevocationAdmin(ListedAdmin):
    pass


@admin.register(Holiday)
class HolidayAdmin(admin.ModelAdmin):
    list_display = ("day", "name", "region", "time_zone")
    list_filter = ("region",)
    search_fields = ("name",)
    date_hierarchy = "day"


class CallbackForm(ModelForm):
    """A page that was opened before the appointment was dialled or cancelled would open it again."""

    def clean(self) -> dict[str, Any] | None:
        status = self.instance.status
        if status != Callback.Status.OPEN and "status" in self.data:
            raise forms.ValidationError(
                f"This appointment has been {status} since the page was opened, so nothing was saved. Only its note "
                "can be changed now; for another call make another appointment."
            )
        return super().clean()


@admin.register(Callback)
class CallbackAdmin(LargeTableAdmin):
    """An open one is changed or cancelled; of one that is over only the note is."""

    form = CallbackForm
    list_display = ("at", "contact", "campaign", "agent", "anyone_at", "status", "created_by")
    list_display_links = ("at", "contact")
    list_filter = ("status", "campaign", "agent")
    list_select_related = ("contact", "campaign", "agent")
    raw_id_fields = ("contact",)
    readonly_fields = ("call", "created_by", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Callback | None = None) -> tuple[str, ...]:
        over = obj is not None and obj.status != Callback.Status.OPEN
        return ("campaign", "contact", "agent", "at", "anyone_at", "status") * over + self.readonly_fields

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "status":
            kwargs["choices"] = [(one.value, one.label) for one in (Callback.Status.OPEN, Callback.Status.CANCELLED)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Callback | None:
        found = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST":
            return found
        # As the worker does before it dials: from here on the appointment stays as it is read.
        Contact.objects.select_for_update().filter(pk=found.contact_id).first()
        return super().get_object(request, object_id, from_field)

    def save_model(self, request: HttpRequest, obj: Callback, form: ModelForm[Any], change: bool) -> None:
        if not change:
            obj.created_by = request.user.get_username()
        contact = Contact.objects.select_for_update().get(pk=obj.contact_id)
        super().save_model(request, obj, form, change)
        before = contact.status
        following.keep_appointment(contact)
        if contact.status != before:
            contact.save(update_fields=["status", "next_attempt_at", "blocked_by", "updated_at"])
            following.count(contact, before, None, timezone.now())
        wake.dialer()
