"""Users in the admin: beside Django's own, what roles, teams, campaigns and changed rights come to now."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console import permissions
from console.models import Right
from console.permissions import Actor, Permission, Reach
from console.roles import WORDS
from dialer.models import DialerCampaign

User = get_user_model()
_REACH = {Reach.ALL: "the whole floor", Reach.PART: "their part", Reach.OWN: "themselves"}


class RightInline(admin.TabularInline):
    model = Right
    fk_name = "user"
    fields = ("permission", "given", "reason")
    extra = 0
    verbose_name_plural = "rights given or taken beside the roles"


admin.site.unregister(User)


@admin.register(User)
class RightfulUserAdmin(UserAdmin):
    list_display = ("username", "first_name", "last_name", "role", "is_staff", "is_active")
    inlines = (RightInline,)
    readonly_fields = ("now",)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("On the console", {"fields": ("now",)}),
        *(UserAdmin.fieldsets or ())[1:],
    )

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is not None else ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        response = super().changelist_view(request, extra_context)
        if found := getattr(response, "context_data", {}).get("cl"):
            # All of a page in a few queries.
            actors = permissions.actors([user.pk for user in found.result_list])
            for user in found.result_list:
                user.actor = actors.get(user.pk)
        return response

    @admin.display(description="role")
    def role(self, obj: Any) -> str:
        return _roles(obj.actor) if getattr(obj, "actor", None) else "-"

    @admin.display(description="may now")
    def now(self, obj: Any) -> SafeString | str:
        """Of the user as saved."""
        actor = permissions.actor(obj.pk) if obj.pk else None
        if actor is None:
            return "nothing: not active, or not saved yet"
        names = DialerCampaign.objects.filter(campaign_id__in=actor.campaigns).order_by("name")
        parts = [("Roles", _roles(actor))]
        if actor.teams or actor.campaigns:
            parts.append(("Teams", ", ".join(sorted(actor.teams)) or "-"))
            parts.append(("Campaigns", ", ".join(names.values_list("name", flat=True)) or "-"))
        for reach, whom in _REACH.items():
            words = [WORDS[one] for one in Permission if actor.reach(one) is reach]
            parts += [(f"For {whom}", ", ".join(words))] if words else []
        return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", parts))


def _roles(actor: Actor) -> str:
    return ", ".join(sorted(str(role).replace("_", " ") for role in actor.roles)) or "-"
