"""Tokens in the admin: seen, revoked, never read. Rights beyond the roles: given and taken."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from console import admin_alerts, admin_users
from console.models import ApiToken, ApiTokenQuerySet, Right

__all__ = ["ApiTokenAdmin", "admin_alerts", "admin_users"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    list_display = ("hint", "user", "name", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("revoked_at", "expires_at")
    search_fields = ("hint", "name", "user__username")
    list_select_related = ("user",)
    readonly_fields = ("user", "hint", "created_at", "last_used_at", "revoked_at")
    fields = ("user", "name", "hint", "created_at", "expires_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # The secret is shown once, by `manage.py create_api_token`; a form would only make dead rows.
        return False

    @admin.action(description="Revoke the chosen tokens")
    def revoke(self, request: HttpRequest, tokens: ApiTokenQuerySet) -> None:
        count = tokens.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} revoked; their sockets close within seconds.")


@admin.register(Right)
class RightAdmin(admin.ModelAdmin):
    """What is given or taken beyond the roles; docs/roles.md has the table."""

    list_display = ("permission", "given", "user", "group", "reason")
    list_filter = ("given", "permission", "group")
    list_select_related = ("user", "group")
    search_fields = ("permission", "user__username", "group__name", "reason")
    autocomplete_fields = ("user", "group")
